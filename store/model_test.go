package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"pgregory.net/rapid"
)

// model is the store as a person would explain it: a few maps and a slice.
type model struct {
	world  []block // all blocks that were ever made, parents before children
	byHash map[common.Hash]*block
	held   map[common.Hash]bool
	linked map[common.Hash]bool
	head   Link
	plan   *Plan
	hashes []common.Hash
	other  map[content][]byte // receipts and chunks
}

func (m *model) chain(h common.Hash) []common.Hash { // h first, genesis last
	chain := []common.Hash{h}
	for h != testGenesis.Hash {
		h = m.byHash[h].link.Parent
		chain = append(chain, h)
	}
	return chain
}

func (m *model) chunks() (n uint64) {
	for c := range m.other {
		if c.kind == Chunk {
			n++
		}
	}
	return n
}

// The store does what the model does, whatever the order of calls, and whenever the
// power goes.
func TestStoreAgreesWithModel(t *testing.T) { rapid.Check(t, agreesWithModel) }

// FuzzZ4StoreAgreesWithModel lets the fuzzer choose the calls.
func FuzzZ4StoreAgreesWithModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agreesWithModel)) }

func agreesWithModel(t *rapid.T) {
	disk := vfs.NewCrashableMem()
	opts := Options{
		FS:          disk,
		SegmentSize: rapid.SampledFrom([]int64{1, 500, 5000, 1 << 20}).Draw(t, "segment size"),
	}.forTest()
	open := func() *Store {
		s, err := Open("data", opts)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	defer func() { s.Close() }()
	gen := block{testGenesis.Record, genesisLink()}
	m := &model{
		byHash: map[common.Hash]*block{gen.Hash: &gen},
		held:   map[common.Hash]bool{gen.Hash: true},
		linked: map[common.Hash]bool{gen.Hash: true},
		head:   gen.link,
		other:  map[content][]byte{},
	}
	// A trunk brings the head close to where a run of the canonical chain ends. Of its
	// blocks only the last ones take part in what follows.
	trunk := branch(gen.link, 200, rapid.SampledFrom([]int{0, canonRun - 6, canonRun - 1, canonRun, 2 * canonRun}).Draw(t, "trunk"), 2)
	if n, err := s.Put(records(trunk)); err != nil || n != len(trunk) {
		t.Fatal(n, err)
	}
	if _, err := s.Link(links(trunk)); err != nil {
		t.Fatal(err)
	}
	for i := range trunk {
		b := &trunk[i]
		m.byHash[b.Hash], m.held[b.Hash], m.linked[b.Hash], m.head = b, true, true, b.link
	}
	m.world = slices.Clone(trunk[max(0, len(trunk)-5):])
	anyBlock := func(t *rapid.T, what string) *block {
		if len(m.world) == 0 {
			return &gen
		}
		return &m.world[rapid.IntRange(0, len(m.world)-1).Draw(t, what)]
	}
	steps := 0
	agreeOnAll := func(t *rapid.T) {
		for i := range m.world {
			if err := agree(s, m, &m.world[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"grow": func(t *rapid.T) {
			parent := anyBlock(t, "parent").link
			for range rapid.IntRange(1, 6).Draw(t, "blocks") {
				l := Link{Parent: parent.Hash, Number: parent.Number + 1}
				l.TD.AddUint64(&parent.TD, uint64(rapid.IntRange(1, 3).Draw(t, "difficulty")))
				l.Hash = common.Hash{byte(len(m.world) * 37), byte(len(m.world) >> 8), byte(len(m.world)), 31: 1}
				raw := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "raw")
				m.world = append(m.world, block{Record{l.Hash, l.Number, raw}, l})
				parent = l
			}
			for i := range m.world { // the slice may have moved
				m.byHash[m.world[i].Hash] = &m.world[i]
			}
		},
		"put": func(t *rapid.T) {
			var recs []Record
			want := 0
			for range rapid.IntRange(0, 8).Draw(t, "records") {
				b := anyBlock(t, "block")
				recs = append(recs, b.Record)
				if !m.held[b.Hash] {
					m.held[b.Hash] = true
					want++
				}
			}
			if got, err := s.Put(recs); err != nil || got != want {
				t.Fatalf("Put: got %d, %v; want %d", got, err, want)
			}
		},
		"put content": func(t *rapid.T) {
			kind := rapid.SampledFrom([]Kind{Receipts, Chunk}).Draw(t, "kind")
			again := rapid.Bool().Draw(t, "again")
			var recs []Record
			want := 0
			for range rapid.IntRange(0, 5).Draw(t, "records") {
				r := Record{Hash: anyBlock(t, "under the hash of").Hash, Raw: rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "raw")}
				c := content{kind, r.Hash}
				if slices.ContainsFunc(recs, func(o Record) bool { return o.Hash == r.Hash }) {
					continue
				}
				recs = append(recs, r)
				old, held := m.other[c]
				if !held {
					want++
				}
				if held && !again {
					r.Raw = old
				}
				m.other[c] = r.Raw
			}
			if again {
				if err := s.ReplaceContent(kind, recs); err != nil {
					t.Fatal(err)
				}
			} else if got, err := s.PutContent(kind, recs); err != nil || got != want {
				t.Fatalf("PutContent: got %d, %v; want %d", got, err, want)
			}
		},
		"link": func(t *rapid.T) {
			tip := anyBlock(t, "tip")
			n := rapid.IntRange(1, 12).Draw(t, "run")
			var run []Link
			for _, h := range m.chain(tip.Hash) {
				if len(run) < n && h != testGenesis.Hash {
					run = append(run, m.byHash[h].link)
				}
			}
			slices.Reverse(run)
			fresh := run
			for len(fresh) > 0 && m.linked[fresh[0].Hash] {
				fresh = fresh[1:]
			}
			var want error
			if len(fresh) > 0 && !m.linked[fresh[0].Parent] {
				want = ErrNotLinked
			}
			for _, l := range fresh {
				if want == nil && !m.held[l.Hash] {
					want = ErrNotFound
				}
			}
			old := m.head
			if want == nil && len(fresh) > 0 {
				for _, l := range fresh {
					m.linked[l.Hash] = true
				}
				if last := fresh[len(fresh)-1]; last.TD.Gt(&m.head.TD) {
					m.head = last
				}
			}
			link := s.Link
			if want != ErrNotFound && rapid.Bool().Draw(t, "known to be held") {
				link = s.LinkHeld
			}
			move, err := link(run)
			if !errors.Is(err, want) {
				t.Fatalf("Link: %v, want %v", err, want)
			}
			ancestor := old.Number
			oldChain := m.chain(old.Hash)
			for _, h := range m.chain(m.head.Hash) {
				if slices.Contains(oldChain, h) {
					ancestor = m.byHash[h].link.Number
					break
				}
			}
			wantMove := Move{
				Old: Head{old.Number, old.Hash, old.TD}, New: Head{m.head.Number, m.head.Hash, m.head.TD},
				Ancestor: ancestor, Reorged: ancestor < old.Number,
			}
			if move != wantMove {
				t.Fatalf("Link: %+v, want %+v", move, wantMove)
			}
		},
		"ancestors": func(t *rapid.T) {
			b := anyBlock(t, "of")
			max := rapid.IntRange(0, 20).Draw(t, "max")
			got, err := s.AppendAncestors(nil, b.Hash, max)
			if !m.linked[b.Hash] {
				if !errors.Is(err, ErrNotFound) {
					t.Fatalf("AppendAncestors of a block that is not linked: %v", err)
				}
				return
			}
			want := m.chain(b.Hash)[1:]
			want = want[:min(max, len(want))]
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("AppendAncestors: %x, %v; want %x", got, err, want)
			}
		},
		"start plan": func(t *rapid.T) {
			p := Plan{Head: common.Hash{rapid.Byte().Draw(t, "head")}, Number: 9, TD: *uint256.NewInt(5)}
			if err := s.StartPlan(p); err != nil {
				t.Fatal(err)
			}
			p.Len = 1
			m.plan, m.hashes = &p, []common.Hash{p.Head}
		},
		"append plan": func(t *rapid.T) {
			hashes := planOf(rapid.Byte().Draw(t, "seed"), rapid.IntRange(0, 1100).Draw(t, "hashes"))
			complete := rapid.IntRange(0, 9).Draw(t, "complete") == 0
			err := s.AppendPlan(hashes, complete)
			switch {
			case m.plan == nil:
				if !errors.Is(err, ErrNoPlan) {
					t.Fatal(err)
				}
			case m.plan.Complete:
				if err == nil {
					t.Fatal("a complete plan grew")
				}
			default:
				if err != nil {
					t.Fatal(err)
				}
				m.hashes = append(m.hashes, hashes...)
				m.plan.Len, m.plan.Complete = uint64(len(m.hashes)), complete
			}
		},
		"drop plan": func(t *rapid.T) {
			if err := s.DropPlan(); err != nil {
				t.Fatal(err)
			}
			m.plan, m.hashes = nil, nil
		},
		"plan hashes": func(t *rapid.T) {
			from, to := rapid.IntRange(0, 3000).Draw(t, "from"), rapid.IntRange(0, 3000).Draw(t, "to")
			got, err := s.PlanHashes(nil, uint64(from), uint64(to))
			lo := min(from, len(m.hashes))
			if want := m.hashes[lo:max(lo, min(to, len(m.hashes)))]; err != nil || !slices.Equal(got, want) {
				t.Fatalf("PlanHashes(%d, %d): %d hashes, %v; want %d", from, to, len(got), err, len(want))
			}
		},
		"reopen": func(t *rapid.T) {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
		},
		"power loss": func(t *rapid.T) {
			lost := vfs.CrashCloneCfg{
				UnsyncedDataPercent: rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "percent of unsynced data kept"),
				RNG:                 rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)),
			}
			after := disk.CrashClone(lost)
			if err := s.Close(); err != nil { // on the old disk
				t.Fatal(err)
			}
			disk, opts.FS = after, after
			s = open()
			if m.plan == nil {
				return
			}
			// Of the plan, the end may be lost unless it is complete, and marks.
			p, ok := s.Plan()
			if !ok || p.Head != m.plan.Head || p.Len < 1 || p.Len > m.plan.Len || m.plan.Complete && (!p.Complete || p.Len != m.plan.Len) {
				t.Fatalf("plan %+v, %v, was %+v", p, ok, *m.plan)
			}
			m.plan, m.hashes = &p, m.hashes[:p.Len]
		},
		"": func(t *rapid.T) {
			if got, want := s.Head(), (Head{m.head.Number, m.head.Hash, m.head.TD}); got != want {
				t.Fatalf("head %+v, want %+v", got, want)
			}
			if s.Blocks() != uint64(len(m.held)) {
				t.Fatalf("%d blocks, want %d", s.Blocks(), len(m.held))
			}
			if p, ok := s.Plan(); ok != (m.plan != nil) || ok && p != *m.plan {
				t.Fatalf("plan %+v, want %+v", p, m.plan)
			}
			if steps++; steps%sparse == 0 {
				agreeOnAll(t)
			}
			if n := s.Chunks(); n != m.chunks() {
				t.Fatalf("%d chunks, want %d", n, m.chunks())
			}
			want := m.chain(m.head.Hash)
			slices.Reverse(want)
			var got []common.Hash
			for h, err := range s.CanonicalHashes(0, 1<<40) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, h)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("canonical chain %x, want %x", got, want)
			}
		},
	})
	agreeOnAll(t)
}

func agree(s *Store, m *model, b *block) error {
	held, err := s.Has(b.Hash)
	if err != nil || held != m.held[b.Hash] {
		return fmt.Errorf("Has(%x): %v, %v", b.Hash, held, err)
	}
	raw, err := s.AppendRaw(nil, b.Hash)
	if held && (err != nil || !slices.Equal(raw, b.Raw)) || !held && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("AppendRaw(%x): %d bytes, %v", b.Hash, len(raw), err)
	}
	for _, k := range []Kind{Receipts, Chunk} {
		want, held := m.other[content{k, b.Hash}]
		if got, err := s.HasContent(k, b.Hash); err != nil || got != held {
			return fmt.Errorf("HasContent(%v, %x): %v, %v", k, b.Hash, got, err)
		}
		raw, err := s.AppendContent(nil, k, b.Hash)
		if held && (err != nil || !slices.Equal(raw, want)) || !held && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("AppendContent(%v, %x): %d bytes, %v", k, b.Hash, len(raw), err)
		}
	}
	l, ok, err := s.Linked(b.Hash)
	if err != nil || ok != m.linked[b.Hash] || ok && l != b.link {
		return fmt.Errorf("Linked(%x): %+v, %v, %v", b.Hash, l, ok, err)
	}
	return nil
}
