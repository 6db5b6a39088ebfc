package chain_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
)

// olympic is the network of the blockchain tests of July 2015: Frontier as it was
// before its launch, with 8 seconds and 1024 bytes of extra data.
var olympic = &chain.Network{Name: "olympic", Format: chain.FormatFrontier, DurationLimit: 8, ExtraLimit: 1024}

// What the tests call invalid and no rule of this package refuses. Both lists are
// complete: a test fails if one of them gets shorter or longer.
var (
	// onlyExecution: what is wrong shows when the transactions are executed.
	onlyExecution = []string{
		"bcForkBlockTest/BlockWrongResetGas",
		"bcForkBlockTest/BlockWrongStoreClears",
		"bcForkBlockTest/BlockWrongStoreSetGas",
		"bcForkBlockTest/SimpleTxCosts20000",
		"bcInvalidHeaderTest/log1_wrongBloom",
		"bcInvalidHeaderTest/wrongCoinbase", // the state root tells
		"bcInvalidHeaderTest/wrongGasUsed",
		"bcInvalidHeaderTest/wrongReceiptTrie",
		"bcInvalidHeaderTest/wrongStateRoot",
		"bcUncleHeaderValiditiy/wrongStateRoot", // of the uncle, which is sealed well
	}
	// onlySeal: the seal of the block, or of an uncle, is wrong.
	onlySeal = []string{
		"bcInvalidHeaderTest/wrongMixHash",
		"bcInvalidHeaderTest/wrongNonce",
		"bcUncleHeaderValiditiy/nonceWrong",
		"bcUncleHeaderValiditiy/wrongMixHash",
	}
)

// olympicReasons is why each other invalid block is refused. Of those with broken
// RLP it is the format or a root of the body.
var olympicReasons = map[string]chain.Rule{
	"bcBlockGasLimitTest/GasUsedHigherThanBlockGasLimitButNotWithRefundsSuicideLast": chain.RuleTransactionsRoot,
	"bcBruncleTest/UncleIsBrother":                        chain.RuleUncleDepth,
	"bcBruncleTest/UncleIsBrother2":                       chain.RuleUnclesHash,
	"bcForkBlockTest/BlockExtraData25":                    chain.RuleExtraData,
	"bcInvalidHeaderTest/DifferentExtraData1025":          chain.RuleExtraData,
	"bcInvalidHeaderTest/DifficultyIsZero":                chain.RuleDifficulty,
	"bcInvalidHeaderTest/GasLimitIsZero":                  chain.RuleGasUsed, // over that limit
	"bcInvalidHeaderTest/log1_wrongBlockNumber":           chain.RuleNumber,
	"bcInvalidHeaderTest/wrongDifficulty":                 chain.RuleDifficulty,
	"bcInvalidHeaderTest/wrongGasLimit":                   chain.RuleGasLimit,
	"bcInvalidHeaderTest/wrongNumber":                     chain.RuleNumber,
	"bcInvalidHeaderTest/wrongParentHash":                 chain.RuleParent,
	"bcInvalidHeaderTest/wrongParentHash2":                chain.RuleParent,
	"bcInvalidHeaderTest/wrongTimestamp":                  chain.RuleTimestamp,
	"bcInvalidHeaderTest/wrongTransactionsTrie":           chain.RuleTransactionsRoot,
	"bcInvalidHeaderTest/wrongUncleHash":                  chain.RuleUnclesHash,
	"bcUncleHeaderValiditiy/diffTooHigh":                  chain.RuleUncleHeader,
	"bcUncleHeaderValiditiy/diffTooLow":                   chain.RuleUncleHeader,
	"bcUncleHeaderValiditiy/diffTooLow2":                  chain.RuleUncleHeader,
	"bcUncleHeaderValiditiy/timestampTooHigh":             chain.RuleUncleHeader, // by its difficulty
	"bcUncleHeaderValiditiy/timestampTooLow":              chain.RuleUncleHeader,
	"bcUncleHeaderValiditiy/wrongParentHash":              chain.RuleUncleDepth,
	"bcUncleTest/EqualUncleInTwoDifferentBlocks":          chain.RuleUncleTwice,
	"bcUncleTest/InChainUncle":                            chain.RuleUncleAncestor,
	"bcUncleTest/InChainUncleFather":                      chain.RuleUncleAncestor,
	"bcUncleTest/InChainUncleGrandPa":                     chain.RuleUncleAncestor,
	"bcUncleTest/InChainUncleGreatGrandPa":                chain.RuleUncleAncestor,
	"bcUncleTest/InChainUncleGreatGreatGrandPa":           chain.RuleUncleAncestor,
	"bcUncleTest/InChainUncleGreatGreatGreatGrandPa":      chain.RuleUncleAncestor,
	"bcUncleTest/InChainUncleGreatGreatGreatGreatGrandPa": chain.RuleUncleAncestor,
	"bcUncleTest/UncleIsBrother":                          chain.RuleUncleDepth,
	"bcUncleTest/oneUncleGeneration7":                     chain.RuleUncleDepth,
	"bcUncleTest/threeUncle":                              chain.RuleUncleCount,
	"bcUncleTest/twoEqualUncle":                           chain.RuleUncleTwice,
	"bcUncleTest/uncleWithSameBlockNumber":                chain.RuleParent, // the test does not have it
	"bl10251623GO/randomBlockTest":                        chain.RuleFuture,
	"bl201507071825GO/randomBlockTest":                    chain.RuleFuture,
}

type olympicTest struct {
	Blocks []struct {
		RLP         string
		BlockHeader *olympicHeader
	}
	GenesisRLP         string
	GenesisBlockHeader olympicHeader
	LastBlockHash      string
}

type olympicHeader struct {
	Hash, ParentHash, UncleHash, Difficulty, Number, GasLimit, GasUsed, Timestamp string
}

// tinyChain is a node without a store: blocks by hash, the heaviest head.
type tinyChain struct {
	net    *chain.Network
	blocks map[common.Hash]*chain.Block
	tds    map[common.Hash]uint256.Int
	head   common.Hash
	now    time.Time
}

// newTinyChain starts a chain at a genesis block.
func newTinyChain(net *chain.Network, genesis *chain.Block) *tinyChain {
	c := &tinyChain{
		net: net, blocks: make(map[common.Hash]*chain.Block), tds: make(map[common.Hash]uint256.Int), head: genesis.Hash,
		now: time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC), // after all of the tests
	}
	c.blocks[genesis.Hash], c.tds[genesis.Hash] = genesis, genesis.Difficulty
	return c
}

// ancestors returns the ancestors of b that uncles are judged by.
func (c *tinyChain) ancestors(b *chain.Block) (all []*chain.Block) {
	for h := b.Parent; len(all) < chain.UncleDepth && c.blocks[h] != nil; h = c.blocks[h].Parent {
		all = append(all, c.blocks[h])
	}
	return all
}

// check checks a block and says what it weighs.
func (c *tinyChain) check(raw []byte) (b *chain.Block, td uint256.Int, err error) {
	if b, err = c.net.ParseBlock(raw); err != nil {
		return nil, td, err
	}
	if err := c.net.CheckBlock(b); err != nil {
		return b, td, err
	}
	if err := c.net.CheckTime(&b.Header, c.now); err != nil {
		return b, td, err
	}
	parent, ok := c.blocks[b.Parent]
	if !ok {
		// As the downloader says it.
		return b, td, &chain.RuleError{Rule: chain.RuleParent, Number: b.Number, Hash: b.Hash, Have: b.Parent.Hex(), Want: "a block that is known"}
	}
	if err := c.net.CheckLink(&parent.Header, &b.Header); err != nil {
		return b, td, err
	}
	if err := c.net.CheckUncles(b, c.ancestors(b)); err != nil {
		return b, td, err
	}
	above := c.tds[parent.Hash]
	td, err = c.net.TotalDifficulty(&above, b)
	return b, td, err
}

func (c *tinyChain) add(b *chain.Block, td uint256.Int) {
	c.blocks[b.Hash], c.tds[b.Hash] = b, td
	if head := c.tds[c.head]; td.Gt(&head) {
		c.head = b.Hash
	}
}

// TestOlympic runs the blockchain tests of July 2015 from their JSON.
func TestOlympic(t *testing.T) {
	const dir = "ethereum-tests/2015-07-29-olympic/BlockchainTests/"
	var (
		valid, nonsense   int
		rules             = make(map[string]int)
		execution, sealed []string
	)
	for _, path := range sharedFiles(t, dir+"*.json", dir+"*/*.json") {
		file := strings.TrimSuffix(filepath.Base(path), ".json")
		var tests map[string]olympicTest
		readJSON(t, path, &tests)
		for _, name := range slices.Sorted(maps.Keys(tests)) {
			test := tests[name]
			t.Run(file+"/"+name, func(t *testing.T) {
				c := newTinyChain(olympic, olympicGenesis(t, &test))
				want := c.tds[c.head] // the difficulty of the last block and what is below it
				headers := make(map[string]*olympicHeader)
				for i, entry := range test.Blocks {
					raw, err := hex.DecodeString(strings.TrimPrefix(entry.RLP, "0x"))
					if err != nil {
						// There are no such bytes.
						if nonsense++; entry.BlockHeader != nil {
							t.Fatal(err)
						}
						continue
					}
					b, td, err := c.check(raw)
					if h := entry.BlockHeader; h != nil {
						if err != nil {
							t.Fatalf("block %d: %v", i, err)
						}
						if got := strings.TrimPrefix(h.Hash, "0x"); hex.EncodeToString(b.Hash[:]) != got {
							t.Fatalf("block %d is %x, want %s", i, b.Hash, got)
						}
						headers[strings.TrimPrefix(h.Hash, "0x")] = h
						c.add(b, td)
						valid++
						continue
					}
					_, isFormat := errors.AsType[*chain.FormatError](err)
					rule, isRule := errors.AsType[*chain.RuleError](err)
					switch {
					case isFormat:
						if rules["format"]++; file != "bcInvalidRLPTest" {
							t.Errorf("block %d: %v", i, err)
						}
					case isRule:
						rules[string(rule.Rule)]++
						if want := olympicReasons[file+"/"+name]; rule.Rule != want && !(file == "bcInvalidRLPTest" && rule.Rule.OfBody()) {
							t.Errorf("block %d: got %v, want an error about the %s", i, err, want)
						}
					case err != nil:
						t.Fatalf("block %d: got %v, want an error about the block", i, err)
					case slices.Contains(onlySeal, file+"/"+name):
						sealed = append(sealed, file+"/"+name)
					default:
						execution = append(execution, file+"/"+name)
					}
				}
				last := strings.TrimPrefix(test.LastBlockHash, "0x")
				if got := hex.EncodeToString(c.head[:]); got != last {
					t.Errorf("the chain ends at %s, want %s", got, last)
				}
				for h := headers[last]; h != nil; h = headers[strings.TrimPrefix(h.ParentHash, "0x")] {
					want.Add(&want, uint256.MustFromBig(bigNumber(t, h.Difficulty)))
				}
				if got := c.tds[c.head]; got != want {
					t.Errorf("total difficulty is %s, want %s", got.Dec(), want.Dec())
				}
			})
		}
	}
	refused := 0
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		t.Logf("refused %d for: %s", rules[rule], rule)
		refused += rules[rule]
	}
	t.Logf("%d blocks accepted, %d refused by us, %d that are no bytes at all", valid, refused, nonsense)
	if valid != 559 || refused != 152 || nonsense != 20 {
		t.Error("want 559, 152 and 20")
	}
	for what, list := range map[string]struct{ got, want []string }{
		"execution": {execution, onlyExecution},
		"a seal":    {sealed, onlySeal},
	} {
		slices.Sort(list.got)
		t.Logf("%d blocks that only %s could refuse: %s", len(list.got), what, strings.Join(list.got, ", "))
		if slices.Sort(list.want); !slices.Equal(list.got, list.want) {
			t.Errorf("only %s could refuse %d: %q\nwant %d: %q", what, len(list.got), list.got, len(list.want), list.want)
		}
	}
}

// olympicGenesis returns the genesis block. Some tests give it as a header only.
func olympicGenesis(t *testing.T, test *olympicTest) *chain.Block {
	t.Helper()
	if test.GenesisRLP == "" {
		h := test.GenesisBlockHeader
		b := new(chain.Block)
		b.Hash = common.HexToHash(h.Hash)
		b.UnclesHash = common.HexToHash(h.UncleHash)
		b.Difficulty.SetFromBig(bigNumber(t, h.Difficulty))
		b.GasLimit, b.GasUsed, b.Time = number(t, h.GasLimit), number(t, h.GasUsed), number(t, h.Timestamp)
		b.Items = 15
		return b
	}
	b, err := olympic.ParseBlock(unhex(t, strings.TrimPrefix(test.GenesisRLP, "0x")))
	if err != nil {
		t.Fatal(err)
	}
	if err := olympic.CheckBlock(b); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%x", b.Hash), strings.TrimPrefix(test.GenesisBlockHeader.Hash, "0x"); got != want {
		t.Fatalf("genesis block is %s, want %s", got, want)
	}
	return b
}
