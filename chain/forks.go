package chain

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// Fork is the block from which on a rule holds. The zero value is a rule that
// never holds; [At] makes the others.
type Fork struct {
	after uint64 // the block's number plus one, 0 for never
}

// At is a fork at the block of the given number, which is the first one under
// the new rule. At(0) means from the genesis block on.
func At(number uint64) Fork { return Fork{number + 1} }

// Active reports whether the rule holds for the block of the given number.
func (f Fork) Active(number uint64) bool { return f.after != 0 && number >= f.after-1 }

// Block returns the number of the first block under the rule, false if there is
// none.
func (f Fork) Block() (number uint64, ok bool) {
	if f.after == 0 {
		return 0, false
	}
	return f.after - 1, true
}

// String returns the number of the first block under the rule, or "never".
func (f Fork) String() string {
	if n, ok := f.Block(); ok {
		return fmt.Sprint(n)
	}
	return "never"
}

// Forks are the blocks at which a network changed the rules for its headers.
// Forks that changed only what transactions do are not listed. The zero value
// is the first release, Frontier, for ever.
//
// Rules replace one another in the order of the fields: where several fork
// blocks have been reached, the last one counts.
type Forks struct {
	// Homestead is the difficulty of EIP-2.
	Homestead Fork
	// Byzantium is the difficulty of EIP-100, with the factor for uncles, and
	// the bomb delayed by 3,000,000 blocks (EIP-649). Classic calls it Atlantis
	// (ECIP-1054).
	Byzantium Fork
	// Constantinople delays the bomb by 5,000,000 blocks (EIP-1234).
	Constantinople Fork
	// MuirGlacier delays the bomb by 9,000,000 blocks (EIP-2384).
	MuirGlacier Fork
	// London adds the base fee to the header and doubles the gas limit
	// (EIP-1559), and delays the bomb by 9,700,000 blocks (EIP-3554).
	London Fork
	// ArrowGlacier delays the bomb by 10,700,000 blocks (EIP-4345).
	ArrowGlacier Fork
	// GrayGlacier delays the bomb by 11,400,000 blocks (EIP-5133).
	GrayGlacier Fork

	// LondonAsParent, in place of London, is for networks of generated chains:
	// a header has a base fee if its parent's has one.
	LondonAsParent bool

	// DAO is the first of the ten blocks whose extra data tells the two sides
	// of the DAO fork apart (EIP-779): they must carry "dao-hard-fork", or must
	// not if RefuseDAO is set.
	DAO       Fork
	RefuseDAO bool

	// BombPause is where the bomb stops to grow, BombResume where it goes on
	// from where it was (ECIP-1010, Classic's Die Hard and Gotham).
	BombPause, BombResume Fork
	// BombRemoved is where the bomb ends for good (ECIP-1041).
	BombRemoved Fork
	// Thanos makes the epochs of ethash twice as long (ECIP-1099). No rule
	// here: it is for the [EthashConfig] of who checks seals.
	Thanos Fork
}

// Checkpoint is a block that is known beforehand.
type Checkpoint struct {
	Number uint64
	Hash   common.Hash
}

var (
	mainnetForks = Forks{
		Homestead:      At(1_150_000),
		DAO:            At(daoBlock),
		Byzantium:      At(4_370_000),
		Constantinople: At(7_280_000),
		MuirGlacier:    At(9_200_000),
		London:         At(12_965_000),
		ArrowGlacier:   At(13_773_000),
		GrayGlacier:    At(15_050_000),
	}
	// Sepolia began in October 2021, with every rule up to London, and became
	// proof of stake before it adopted Gray Glacier.
	sepoliaForks = Forks{
		Homestead:      At(0),
		Byzantium:      At(0),
		Constantinople: At(0),
		MuirGlacier:    At(0),
		London:         At(0),
	}
	classicForks = Forks{
		Homestead:   At(1_150_000),
		DAO:         At(daoBlock),
		RefuseDAO:   true,
		BombPause:   At(3_000_000),
		BombResume:  At(5_000_000),
		BombRemoved: At(5_900_000),
		Byzantium:   At(8_772_000),
		Thanos:      At(ClassicLongEpochs),
	}
	// devForks are what internal/chaingen makes: Frontier without the bomb, with
	// a base fee or without.
	devForks = Forks{BombRemoved: At(0), LondonAsParent: true}
)

const daoBlock = 1_920_000

// The two blocks 1,920,000: where Ethereum and Classic parted.
var (
	mainnetDAO = Checkpoint{daoBlock, common.HexToHash("0x4985f5ca3d2afbec36529aa96f74de3cc10a2a4a6c44f2157a57d2c6059a11bb")}
	classicDAO = Checkpoint{daoBlock, common.HexToHash("0x94365e3a8c0b35089c1d1195081fe7489b528a84b22199c916180db8b28ade7f")}
)

// The last blocks under proof of work, each the first whose total difficulty
// reached the terminal one (EIP-3675).
var (
	mainnetLast = Checkpoint{15_537_393, common.HexToHash("0x55b11b918355b1ef9c5db810302ebad0bf2544255b530cdce90674d5887bb286")}
	// The hash is the terminal block of Teku's configuration for Sepolia, and
	// the number is that of the review of status-im/nimbus-eth1 #2518, which
	// names the same hash.
	sepoliaLast = Checkpoint{1_450_408, common.HexToHash("0xd07cce9785d39c0dd2409b7d8e69d6bff26a69a0fa5308ac781c63ffe2a37bc1")}
)
