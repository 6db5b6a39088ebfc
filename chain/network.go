package chain

import (
	_ "embed"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"
)

// Network is everything that distinguishes one block chain network from
// another. The presets are values that nobody changes; a private network is
// a Network of one's own.
type Network struct {
	Name   string // as given to --network
	ID     uint64 // network id of Hello
	Chain  uint64 // chain id of EIP-155; 0 means ID
	Format Format
	// Genesis is the RLP of the genesis block.
	Genesis string
	// CountUncles selects the total difficulty of 2014, which adds the
	// difficulty of a block's uncles to that of the block (protocol 30
	// specification, section 4.4). Frontier and later count headers only.
	CountUncles bool

	// Forks are the blocks at which the rules for headers changed. The 2014
	// format has none.
	Forks Forks
	// ExtraLimit is how many bytes of extra data a header may carry; 0 means
	// 32, in the 2014 format 1024.
	ExtraLimit int
	// DurationLimit is how many seconds after its parent a block lowers the
	// difficulty by the rule before Homestead; 0 means 13, in the 2014 format
	// 5.
	DurationLimit uint64
	// FixedDifficulty is the difficulty of every block after the genesis block in
	// networks for tests that keep it (Besu's "fixeddifficulty"); 0 means that
	// the difficulty follows the forks.
	FixedDifficulty uint64
	// Known are blocks whose hashes are known: another one of the same number
	// is refused.
	Known []Checkpoint
	// LastBlock is the last block under proof of work; one of number 0 means
	// that proof of work does not end.
	LastBlock Checkpoint
	// TerminalDifficulty is the total difficulty that ends proof of work
	// (EIP-3675): a block that has reached it has no child. 0 means none.
	TerminalDifficulty uint256.Int
}

var (
	//go:embed genesis/mainnet.rlp
	mainnetGenesis string
	//go:embed genesis/sepolia.rlp
	sepoliaGenesis string
	//go:embed genesis/poc6.rlp
	poc6Genesis string
	//go:embed genesis/dev.rlp
	devGenesis string
)

// The known networks.
var (
	// Mainnet is Ethereum's main network, as far as it was proof of work.
	Mainnet = &Network{
		Name: "mainnet", ID: 1, Format: FormatFrontier, Genesis: mainnetGenesis,
		Forks: mainnetForks, Known: []Checkpoint{mainnetDAO}, LastBlock: mainnetLast,
		TerminalDifficulty: *uint256.MustFromDecimal("58750000000000000000000"),
	}
	// Sepolia is the test network, as far as it was proof of work.
	Sepolia = &Network{
		Name: "sepolia", ID: 11155111, Format: FormatFrontier, Genesis: sepoliaGenesis,
		Forks: sepoliaForks, LastBlock: sepoliaLast,
		TerminalDifficulty: *uint256.NewInt(17_000_000_000_000_000),
	}
	// PoC6 is the public network of proof of concept 6, September 2014.
	PoC6 = &Network{Name: "poc6", ID: 0, Format: FormatPoC6, Genesis: poc6Genesis, CountUncles: true}
	// Dev is a network for generated chains and experiments: the rules of
	// Frontier without the difficulty bomb, with a base fee if the genesis block
	// has one.
	Dev = &Network{Name: "dev", ID: 1337, Format: FormatFrontier, Genesis: devGenesis, Forks: devForks}
	// Classic is Ethereum Classic, which refused the DAO fork. It has mainnet's
	// network id and genesis block: only the name tells them apart, and from
	// block 1,920,000 on the blocks.
	Classic = &Network{
		Name: "classic", ID: 1, Chain: 61, Format: FormatFrontier, Genesis: mainnetGenesis,
		Forks: classicForks, Known: []Checkpoint{classicDAO},
	}
)

// ChainID returns the chain id that transactions are signed for (EIP-155). It is not
// always the network id.
func (n *Network) ChainID() uint64 {
	if n.Chain != 0 {
		return n.Chain
	}
	return n.ID
}

// Signer returns what recovers the sender of a transaction of any kind that there was
// under proof of work.
func (n *Network) Signer() types.Signer {
	switch id := n.ChainID(); {
	case n.Format == FormatPoC6:
		return types.FrontierSigner{}
	case id == 0: // signatures name no chain
		return types.HomesteadSigner{}
	default:
		return types.LatestSignerForChainID(new(big.Int).SetUint64(id))
	}
}

// Networks lists the presets.
func Networks() []*Network { return []*Network{Mainnet, Sepolia, PoC6, Dev, Classic} }

// ErrUnknownNetwork is returned by [NetworkByName].
var ErrUnknownNetwork = errors.New("unknown network")

// NetworkByName finds a preset. The error wraps [ErrUnknownNetwork] and lists
// the names there are.
func NetworkByName(name string) (*Network, error) {
	var names []string
	for _, n := range Networks() {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return nil, fmt.Errorf("%w %q: there are %s", ErrUnknownNetwork, name, strings.Join(names, ", "))
}

// NetworkByGenesis finds the preset whose genesis block has the given hash. The
// genesis block of Mainnet and Classic is Mainnet's.
func NetworkByGenesis(hash common.Hash) (*Network, bool) {
	for _, n := range Networks() {
		if b, err := n.ParseBlock([]byte(n.Genesis)); err == nil && b.Hash == hash {
			return n, true
		}
	}
	return nil, false
}

// ParseBlock is [ParseBlock] in the network's format.
func (n *Network) ParseBlock(raw []byte) (*Block, error) { return ParseBlock(n.Format, raw) }

// ParseBlockAs is [ParseBlockAs] in the network's format.
func (n *Network) ParseBlockAs(hash common.Hash, raw []byte) (*Block, error) {
	return ParseBlockAs(n.Format, hash, raw)
}

// GenesisBlock parses the genesis block. It fails only for a network of one's
// own whose Genesis is not a block.
func (n *Network) GenesisBlock() (*Block, error) {
	b, err := n.ParseBlock([]byte(n.Genesis))
	if err != nil {
		return nil, fmt.Errorf("genesis block of network %q: %w", n.Name, err)
	}
	return b, nil
}

// CheckBlock checks all of a block that can be checked without any other
// block: that its header keeps the rules that a header keeps on its own, and
// that the body is the one that the header commits to. A block of number 0 has
// no rules for its header. It may be called for blocks in any order and from
// several goroutines. Errors are *[RuleError] or *[FormatError]; of these,
// FormatError and rules for which [Rule.OfBody] holds say nothing about other
// blocks under the same hash, and all others refuse the hash itself.
func (n *Network) CheckBlock(b *Block) error {
	if err := n.checkAlone(&b.Header); err != nil {
		return err
	}
	if err := n.checkKnown(&b.Header); err != nil {
		return err
	}
	return b.CheckBody()
}

// Work returns what a block adds to the total difficulty of its chain, by the rule
// of the network: its difficulty, in the rule of 2014 also that of its uncles.
// Errors are *[FormatError] for an unreadable uncle and *[RuleError] for more than
// 256 bits.
func (n *Network) Work(b *Block) (uint256.Int, error) {
	work := b.Difficulty
	if !n.CountUncles {
		return work, nil
	}
	for uncle, err := range b.Uncles() {
		if err != nil {
			return work, err
		}
		if _, over := work.AddOverflow(&work, &uncle.Difficulty); over {
			return work, b.overflow()
		}
	}
	return work, nil
}

// AddWork returns the total difficulty of a block whose header and [Network.Work]
// are given, from that of its parent. Errors are *[RuleError]: more than 256 bits,
// or a parent that was the last block under proof of work.
func (n *Network) AddWork(parent *uint256.Int, h *Header, work *uint256.Int) (uint256.Int, error) {
	td := *parent
	// EIP-3675: the first block to reach the terminal difficulty is the last.
	if end := &n.TerminalDifficulty; !end.IsZero() && !parent.Lt(end) {
		return td, h.breaks(RuleLastBlock, "before one more, at total difficulty "+parent.Dec(), "the first to reach "+end.Dec())
	}
	if _, over := td.AddOverflow(&td, work); over {
		return td, h.overflow()
	}
	return td, nil
}

func (h *Header) overflow() error {
	return h.breaks(RuleTotalDifficulty, "over 256 bits", "at most 256 bits")
}

// TotalDifficulty returns the total difficulty of b, given that of its parent
// (zero for the genesis block): [Network.Work] and [Network.AddWork] in one.
func (n *Network) TotalDifficulty(parent *uint256.Int, b *Block) (uint256.Int, error) {
	work, err := n.Work(b)
	if err != nil {
		return *parent, err
	}
	return n.AddWork(parent, &b.Header, &work)
}
