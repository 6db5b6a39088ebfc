package chain

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Network is everything that distinguishes one block chain network from
// another. The presets are values that nobody changes; a private network is
// a Network of one's own.
type Network struct {
	Name   string // as given to --network
	ID     uint64 // network id of Hello
	Format Format
	// Genesis is the RLP of the genesis block.
	Genesis string
	// CountUncles selects the total difficulty of 2014, which adds the
	// difficulty of a block's uncles to that of the block (protocol 30
	// specification, section 4.4). Frontier and later count headers only.
	CountUncles bool
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
	Mainnet = &Network{Name: "mainnet", ID: 1, Format: FormatFrontier, Genesis: mainnetGenesis}
	// Sepolia is the test network, as far as it was proof of work.
	Sepolia = &Network{Name: "sepolia", ID: 11155111, Format: FormatFrontier, Genesis: sepoliaGenesis}
	// PoC6 is the public network of proof of concept 6, September 2014.
	PoC6 = &Network{Name: "poc6", ID: 0, Format: FormatPoC6, Genesis: poc6Genesis, CountUncles: true}
	// Dev is a network for generated chains and experiments.
	Dev = &Network{Name: "dev", ID: 1337, Format: FormatFrontier, Genesis: devGenesis}
)

// Networks lists the presets.
func Networks() []*Network { return []*Network{Mainnet, Sepolia, PoC6, Dev} }

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

// NetworkByGenesis finds the preset whose genesis block has the given hash.
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
// block: that the body is the one that the header commits to. It may be called
// for blocks in any order and from several goroutines. Errors are *[RuleError]
// or *[FormatError].
func (n *Network) CheckBlock(b *Block) error { return b.checkBody() }

// CheckLink checks what must hold between a block and its parent. Errors are
// *[RuleError].
func (n *Network) CheckLink(parent, b *Header) error {
	if b.Parent != parent.Hash {
		return &RuleError{Rule: RuleParent, Number: b.Number, Hash: b.Hash, Have: b.Parent.Hex(), Want: parent.Hash.Hex()}
	}
	if b.Number != parent.Number+1 {
		return &RuleError{Rule: RuleNumber, Number: b.Number, Hash: b.Hash, Have: fmt.Sprint(b.Number), Want: fmt.Sprint(parent.Number + 1)}
	}
	return nil
}

// TotalDifficulty returns the total difficulty of b, given that of its parent
// (zero for the genesis block), by the rule of the network. Errors are
// *[FormatError] for an unreadable uncle and *[RuleError] for a sum of more
// than 256 bits.
func (n *Network) TotalDifficulty(parent *uint256.Int, b *Block) (uint256.Int, error) {
	td := *parent
	add := func(d *uint256.Int) error {
		if _, overflow := td.AddOverflow(&td, d); overflow {
			return &RuleError{Rule: RuleTotalDifficulty, Number: b.Number, Hash: b.Hash, Have: "over 256 bits", Want: "at most 256 bits"}
		}
		return nil
	}
	if err := add(&b.Difficulty); err != nil {
		return td, err
	}
	if !n.CountUncles {
		return td, nil
	}
	for uncle, err := range b.Uncles() {
		if err != nil {
			return td, err
		}
		if err := add(&uncle.Difficulty); err != nil {
			return td, err
		}
	}
	return td, nil
}
