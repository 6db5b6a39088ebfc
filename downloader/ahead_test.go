package downloader

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/store"
)

// bank is a linker without its loop, on a store that counts what is read and can have lost
// a block.
type bank struct {
	testing.TB
	*linker
	Store
	reads  map[common.Hash]int
	lost   common.Hash // for Each
	gone   common.Hash // for AppendRaw
	linked []int       // by each Link
	told   []linked
}

func newBank(t testing.TB, net *chain.Network) *bank {
	t.Helper()
	g, err := net.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open("chain", store.Options{
		FS: vfs.NewMem(), Network: net.Name,
		Genesis: store.Genesis{Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bank{TB: t, Store: s, reads: map[common.Hash]int{}}
	b.linker = &linker{d: New(Config{Network: net, Store: b})}
	return b
}

func (b *bank) Each(hashes []common.Hash, visit func([]byte) error) error {
	i := 0
	return b.Store.Each(hashes, func(raw []byte) error {
		h := hashes[i]
		i++
		if h == b.lost {
			return &store.CorruptError{Hash: h, Reason: "a bit has flipped"}
		}
		b.reads[h]++
		return visit(raw)
	})
}

func (b *bank) AppendRaw(dst []byte, h common.Hash) ([]byte, error) {
	if h == b.gone {
		return dst, &store.CorruptError{Hash: h, Reason: "a bit has flipped"}
	}
	return b.Store.AppendRaw(dst, h)
}

func (b *bank) LinkHeld(run []store.Link) (store.Move, error) {
	b.linked = append(b.linked, len(run))
	return b.Store.LinkHeld(run)
}

// begin starts a plan for the last of some blocks, as the loop does.
func (b *bank) begin(blocks []*chain.Block) {
	b.Helper()
	head := blocks[len(blocks)-1]
	if err := b.StartPlan(store.Plan{Head: head.Hash, Number: head.Number}); err != nil {
		b.Fatal(err)
	}
	b.d.plans.Add(1)
}

// end drops it.
func (b *bank) end() {
	b.Helper()
	if err := b.DropPlan(); err != nil {
		b.Fatal(err)
	}
	b.d.plans.Add(1)
}

// walked adds the hashes of blocks to the plan, the last of them first.
func (b *bank) walked(blocks []*chain.Block, complete bool) {
	b.Helper()
	var hashes []common.Hash
	for _, x := range slices.Backward(blocks) {
		hashes = append(hashes, x.Hash)
	}
	if err := b.AppendPlan(hashes, complete); err != nil {
		b.Fatal(err)
	}
}

func (b *bank) put(blocks ...*chain.Block) {
	b.Helper()
	var records []store.Record
	for _, x := range blocks {
		records = append(records, store.Record{Hash: x.Hash, Number: x.Number, Raw: x.Raw()})
	}
	if _, err := b.Put(records); err != nil {
		b.Fatal(err)
	}
}

// work has the linker work until it waits, and returns what it has said last.
func (b *bank) work() (last linked) {
	b.Helper()
	for more := true; more; {
		more = b.step(b.Context())
		select {
		case m := <-b.d.inbox:
			last = m.(linked)
			b.told = append(b.told, last)
			if last.failed != nil {
				b.Fatal(last.failed)
			}
		default:
		}
	}
	return last
}

// holds fails unless some blocks are the canonical chain, with their total difficulty.
func (b *bank) holds(blocks []*chain.Block) {
	b.Helper()
	net := b.d.cfg.Network
	g, err := net.GenesisBlock()
	if err != nil {
		b.Fatal(err)
	}
	td := g.Difficulty
	for _, x := range blocks {
		if td, err = net.TotalDifficulty(&td, x); err != nil {
			b.Fatal(err)
		}
		got, ok, err := b.Linked(x.Hash)
		if err != nil || !ok || got != (store.Link{Hash: x.Hash, Parent: x.Parent, Number: x.Number, TD: td}) {
			b.Fatalf("block %d is linked as %+v, %v, %v; want total difficulty %v", x.Number, got, ok, err, &td)
		}
		if h, err := b.Canonical(x.Number); err != nil || h != x.Hash {
			b.Fatalf("block %d is not canonical: %v", x.Number, err)
		}
	}
	if head := b.Head(); head.Hash != blocks[len(blocks)-1].Hash || head.TD != td {
		b.Fatalf("the head is %+v", head)
	}
}

func generate(net *chain.Network, seed uint64, n int, uncles uint64) []*chain.Block {
	return slices.Collect(chaingen.Generate(chaingen.Config{Network: net, Seed: seed, Blocks: uint64(n), UncleEvery: uncles}))
}

// heavy is a network whose difficulties take more than 64 bits.
func heavy(t testing.TB) *chain.Network {
	t.Helper()
	var parts struct {
		Header      types.Header
		Txs, Uncles rlp.RawValue
	}
	if err := rlp.DecodeBytes([]byte(chain.Dev.Genesis), &parts); err != nil {
		t.Fatal(err)
	}
	parts.Header.Difficulty.Lsh(parts.Header.Difficulty, 100)
	raw, err := rlp.EncodeToBytes(&parts)
	if err != nil {
		t.Fatal(err)
	}
	net := *chain.Dev
	net.Genesis = string(raw)
	return &net
}

// TestLinkingAheadChangesNothing: in whatever order blocks come, while the walk goes on or
// later, the same chain comes of it as if they were linked in their order.
func TestLinkingAheadChangesNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		net    *chain.Network
		uncles uint64
		ahead  bool // any of it can be verified
	}{
		{"no uncles", chain.Dev, 0, true},
		{"uncles", chain.Dev, 3, true},
		{"uncles that count", chain.PoC6, 2, true},
		{"more than 64 bits", heavy(t), 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			looked := false
			for seed := range uint64(3) {
				r := rand.New(rand.NewPCG(seed, 1))
				n := aheadRun*5/2 + r.IntN(3*aheadRun)
				blocks := generate(c.net, seed, n, c.uncles)
				b := newBank(t, c.net)
				b.begin(blocks)
				rest := blocks[:n-1] // hashes that are not walked
				young := slices.Clone(blocks)
				slices.Reverse(young)
				// As blocks come: about youngest first, some of them late.
				keys := make(map[common.Hash]int)
				for i, x := range young {
					keys[x.Hash] = i + r.IntN(1+r.IntN(400))
				}
				slices.SortStableFunc(young, func(a, b *chain.Block) int { return keys[a.Hash] - keys[b.Hash] })
				for len(rest)+len(young) > 0 {
					if k := min(len(rest), r.IntN(300)); k > 0 {
						b.walked(rest[len(rest)-k:], k == len(rest))
						rest = rest[:len(rest)-k]
					}
					k := min(len(young), r.IntN(200))
					b.put(young[:k]...)
					young = young[k:]
					b.work()
					looked = looked || b.ahead.to > 0
				}
				if last := b.work(); !last.done && !b.told[len(b.told)-1].done {
					t.Fatalf("seed %d: it is not done: %+v", seed, last)
				}
				b.holds(blocks)
			}
			if looked != c.ahead {
				t.Errorf("verified ahead: %v, want %v", looked, c.ahead)
			}
		})
	}
}

// TestNoBlockIsReadForNothing: each is read once, when it is verified ahead or when it is
// linked, but for a run of them where both ends meet.
func TestNoBlockIsReadForNothing(t *testing.T) {
	blocks := generate(chain.Dev, 1, 2000, 0)
	b := newBank(t, chain.Dev)
	b.begin(blocks)
	b.walked(blocks[600:1999], false)
	b.work()
	// Each step has gaps of its own.
	r := rand.New(rand.NewPCG(1, 2))
	young := slices.Clone(blocks[800:])
	r.Shuffle(len(young), func(i, j int) { young[i], young[j] = young[j], young[i] })
	for chunk := range slices.Chunk(young, 50) {
		b.put(chunk...)
		b.work()
	}
	to := b.ahead.to
	if to < 1200-aheadRun-chain.UncleDepth {
		t.Fatalf("%d of 1200 blocks are verified", to)
	}
	if len(b.told) > 0 {
		t.Errorf("the loop has been told of %+v", b.told)
	}
	b.walked(blocks[:600], true)
	b.work()
	for chunk := range slices.Chunk(blocks[:800], 100) {
		b.put(chunk...)
		b.work()
	}
	b.holds(blocks)
	again := 0
	for _, x := range blocks {
		if n := b.reads[x.Hash]; n == 2 {
			again++
		} else if n != 1 {
			t.Fatalf("block %d, of which the youngest %d are verified ahead, was read %d times", x.Number, to, n)
		}
	}
	if again > aheadRun+chain.UncleDepth {
		t.Errorf("%d blocks were read for nothing", again)
	}
	if last := b.linked[len(b.linked)-1]; uint64(last) != to {
		t.Errorf("the %d blocks that were verified are not linked at once, but the last %d", to, last)
	}
}

// TestVerifiedBlocksAreLinkedInSteps, after each of which another process can go on.
func TestVerifiedBlocksAreLinkedInSteps(t *testing.T) {
	const n, gap = addRun + 3*aheadRun, aheadRun
	blocks := generate(chain.Dev, 1, n, 0)
	for _, cut := range []bool{false, true} {
		b := newBank(t, chain.Dev)
		b.begin(blocks)
		b.walked(blocks[:n-1], false)
		b.put(blocks[gap:]...)
		b.work()
		if b.ahead.to < addRun {
			t.Fatalf("%d blocks are verified", b.ahead.to)
		}
		b.put(blocks[:gap]...)
		b.walked(nil, true)
		for len(b.linked) == 0 || b.linked[len(b.linked)-1] != addRun {
			if !b.step(t.Context()) {
				t.Fatalf("%d blocks are verified, steps of %d are linked", b.ahead.to, b.linked)
			}
			<-b.d.inbox
		}
		if head := b.Head(); head.Number == n {
			t.Fatal("all are linked in one step")
		}
		if cut {
			b.linker = &linker{d: b.d}
		}
		if last := b.work(); !last.done {
			t.Fatalf("it has said %+v", last)
		}
		var td uint256.Int
		for _, x := range blocks {
			td.Add(&td, &x.Difficulty)
		}
		g, err := chain.Dev.GenesisBlock()
		if err != nil {
			t.Fatal(err)
		}
		td.Add(&td, &g.Difficulty)
		if head := b.Head(); head.Hash != blocks[n-1].Hash || head.TD != td {
			t.Errorf("cut off %v: the head is %+v, want total difficulty %v", cut, head, &td)
		}
	}
}

// TestNothingIsReadInVain: while a block is missing, being woken is no reason to read.
func TestNothingIsReadInVain(t *testing.T) {
	blocks := generate(chain.Dev, 1, 1000, 0)
	b := newBank(t, chain.Dev)
	b.begin(blocks)
	b.walked(blocks[:999], false)
	b.put(blocks[400:800]...)
	b.put(blocks[801:]...)
	b.work()
	if b.ahead.to != 0 {
		t.Fatalf("%d blocks are verified", b.ahead.to)
	}
	clear(b.reads)
	for range 10 {
		b.work()
	}
	if len(b.reads) > 0 {
		t.Errorf("%d blocks were read in vain", len(b.reads))
	}
	b.put(blocks[800])
	b.work()
	if b.ahead.to == 0 {
		t.Error("it has not gone on")
	}
}

// TestABrokenRuleIsFoundAhead, long before linking comes to it, and at the right place.
func TestABrokenRuleIsFoundAhead(t *testing.T) {
	const n, at = 1000, 700 // the number of the bad block
	for _, c := range []struct {
		name string
		bad  func(t *testing.T) []*chain.Block
		rule chain.Rule
	}{
		{"gas limit", func(t *testing.T) []*chain.Block {
			return remade(t, generate(chain.Dev, 1, n, 0), at, func(h *types.Header, _ *rlp.RawValue) { h.GasLimit *= 2 })
		}, chain.RuleGasLimit},
		{"an uncle again", func(t *testing.T) []*chain.Block {
			return uncleAgain(t, n, at)
		}, chain.RuleUncleTwice},
		{"a hash that is not the parent's", func(*testing.T) []*chain.Block {
			// What is listed below it breaks rules, too, but is no part of the chain.
			blocks := generate(chain.Dev, 1, n, 0)
			return append(remade(t, generate(chain.Dev, 2, n, 0)[:at-1], at-2, func(h *types.Header, _ *rlp.RawValue) { h.GasLimit *= 2 }), blocks[at-1:]...)
		}, chain.RuleParent},
	} {
		t.Run(c.name, func(t *testing.T) {
			blocks := c.bad(t)
			for _, early := range []bool{true, false} {
				b := newBank(t, chain.Dev)
				b.begin(blocks)
				b.put(blocks[100:]...)
				if !early {
					b.put(blocks[:100]...)
				}
				b.walked(blocks[:n-1], !early)
				got := b.work()
				rule, ok := errors.AsType[*chain.RuleError](got.invalid)
				if !ok {
					t.Fatalf("early %v: it has said %+v", early, got)
				}
				if c.rule == chain.RuleParent && !early {
					continue // from below, the made-up part is met first
				}
				if rule.Rule != c.rule || rule.Number != at || got.index != n-at || got.plan != b.d.plans.Load() {
					t.Errorf("early %v: %v at index %d of plan %d, want %s of block %d", early, rule, got.index, got.plan, c.rule, at)
				}
				if early && b.Head().Number > 0 {
					t.Errorf("the head is block %d", b.Head().Number)
				}
			}
		})
	}
}

// uncleAgain returns a chain of so many blocks, one of which lists an uncle that was listed
// before. Those above it are in order.
func uncleAgain(t testing.TB, n, at int) []*chain.Block {
	t.Helper()
	blocks := generate(chain.Dev, 1, at, 2)
	blocks = append(blocks, slices.Collect(chaingen.Generate(chaingen.Config{Blocks: uint64(n - at)}.From(blocks[at-1])))...)
	return remade(t, blocks, at, func(h *types.Header, uncles *rlp.RawValue) {
		var parts struct{ Header, Txs, Uncles rlp.RawValue }
		if err := rlp.DecodeBytes(blocks[at-chain.UncleDepth-at%2].Raw(), &parts); err != nil {
			t.Fatal(err)
		}
		*uncles, h.UncleHash = parts.Uncles, crypto.Keccak256Hash(parts.Uncles)
	})
}

// remade changes the block of a number, and links those above it to what became of it. Of
// their gas limits, all are as the changed one's.
func remade(t testing.TB, blocks []*chain.Block, number int, change func(*types.Header, *rlp.RawValue)) []*chain.Block {
	t.Helper()
	blocks = slices.Clone(blocks)
	for i := number - 1; i < len(blocks); i++ {
		var parts struct {
			Header      types.Header
			Txs, Uncles rlp.RawValue
		}
		if err := rlp.DecodeBytes(blocks[i].Raw(), &parts); err != nil {
			t.Fatal(err)
		}
		if i == number-1 {
			change(&parts.Header, &parts.Uncles)
		} else {
			parts.Header.ParentHash, parts.Header.GasLimit = blocks[i-1].Hash, blocks[i-1].GasLimit
		}
		raw, err := rlp.EncodeToBytes(&parts)
		if err != nil {
			t.Fatal(err)
		}
		if blocks[i], err = chain.Dev.ParseBlock(raw); err != nil {
			t.Fatal(err)
		}
	}
	return blocks
}

// TestUnclesWhereBothEndsMeet: a false uncle is found wherever its block lies, at the seam
// between what was verified ahead and the rest as well.
func TestUnclesWhereBothEndsMeet(t *testing.T) {
	const n = aheadRun + 60
	seam := n - (aheadRun - chain.UncleDepth) + 1 // number of the oldest block that the first run verifies
	for at := seam - 9; at <= seam+9; at++ {
		blocks := uncleAgain(t, n, at)
		b := newBank(t, chain.Dev)
		b.begin(blocks)
		b.walked(blocks[:n-1], false)
		b.put(blocks[n-aheadRun:]...)
		b.work()
		if seen, want := len(b.told) > 0, at >= seam; seen != want {
			t.Fatalf("a false uncle in block %d is found ahead: %v, want %v", at, seen, want)
		}
		if at < seam {
			b.put(blocks[:n-aheadRun]...)
			b.walked(nil, true)
			b.work()
		}
		last := b.told[len(b.told)-1]
		if rule, ok := errors.AsType[*chain.RuleError](last.invalid); !ok || rule.Rule != chain.RuleUncleTwice || last.index != uint64(n-at) {
			t.Fatalf("a false uncle in block %d: %+v", at, last)
		}
	}
}

// TestABlockThatIsLostAhead is told of when it is looked at. One that is lost after that is
// like any other that is lost: it is found missing when it is read the next time, and that is
// not for linking it.
func TestABlockThatIsLostAhead(t *testing.T) {
	const n = 1000
	blocks := generate(chain.Dev, 1, n, 4)
	for name, lose := range map[string]func(b *bank, h common.Hash){
		"when it is read":             func(b *bank, h common.Hash) { b.lost = h },
		"when uncles are looked into": func(b *bank, h common.Hash) { b.gone = h },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBank(t, chain.Dev)
			b.begin(blocks)
			b.walked(blocks[:n-1], false)
			b.put(blocks[300:]...)
			lost := blocks[900].Hash
			lose(b, lost)
			if got := b.work(); got.missing != lost || got.invalid != nil {
				t.Fatalf("it has said %+v", got)
			}
			if b.ahead.to >= 100 {
				t.Fatalf("%d blocks are verified", b.ahead.to)
			}
			lose(b, common.Hash{}) // it has been fetched again
			b.work()
			if b.ahead.to < 700-aheadRun-chain.UncleDepth {
				t.Fatalf("%d blocks are verified", b.ahead.to)
			}
			lose(b, lost)
			b.put(blocks[:300]...)
			b.walked(nil, true)
			if got := b.work(); !got.done {
				t.Fatalf("it has said %+v", got)
			}
			b.holds(blocks)
		})
	}
}

// TestAnotherPlanBeginsAnew: what was verified for one is of no use for the next.
func TestAnotherPlanBeginsAnew(t *testing.T) {
	const n = 1000
	trunk := generate(chain.Dev, 1, n, 0)
	first := slices.Clone(trunk)
	branch := slices.Collect(chaingen.Generate(chaingen.Config{Seed: 2, Blocks: 300, Interval: 5}.From(trunk[n-301])))
	second := append(slices.Clone(trunk[:n-300]), branch...)
	b := newBank(t, chain.Dev)
	b.begin(first)
	b.walked(first[:n-1], false)
	b.put(first[400:]...)
	b.work()
	if b.ahead.to < 300 {
		t.Fatalf("%d blocks are verified", b.ahead.to)
	}
	for _, blocks := range [][]*chain.Block{second, first, second} {
		b.end()
		b.work()
		b.begin(blocks)
		b.put(blocks...)
		b.walked(blocks[:n-1], false)
		b.work()
		b.walked(nil, true)
		b.work()
		if blocks[n-1].Hash == first[n-1].Hash {
			continue // lighter
		}
		b.holds(second)
	}
}
