package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"pgregory.net/rapid"
)

// nearRun draws a number up to most that is mostly close to where a run begins.
func nearRun(t *rapid.T, most int, what string) int {
	n := rapid.IntRange(0, most).Draw(t, what)
	if rapid.IntRange(0, 3).Draw(t, "anywhere") > 0 {
		n = int(runOf(uint64(n))) + rapid.IntRange(-2, 2).Draw(t, "beside")
	}
	return min(max(n, 0), most)
}

// The canonical chain is what a slice of blocks would be, however it is cut and grown, and
// has no other keys than it needs.
func TestCanonAgreesWithSlice(t *testing.T) {
	s := openTest(t, "data", Options{FS: vfs.NewMem()})
	rapid.Check(t, func(t *rapid.T) {
		b := s.db.NewIndexedBatch() // forgotten afterwards
		defer b.Close()
		if err := b.DeleteRange([]byte{prefixCanon}, prefixEnd(prefixCanon), nil); err != nil {
			t.Fatal(err)
		}
		var chain []Link
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				from := nearRun(t, len(chain), "from")
				bits := rapid.IntRange(1, 240).Draw(t, "bits of difficulty")
				var td uint256.Int
				if from > 0 {
					td = chain[from-1].TD
				}
				var run []Link
				for i := range nearRun(t, 3*canonRun, "length") {
					var d uint256.Int
					d.SetUint64(rapid.Uint64Range(1, 1<<40).Draw(t, "difficulty"))
					td.Add(&td, d.Lsh(&d, uint(max(0, bits-41))))
					l := Link{Number: uint64(from + i), TD: td}
					binary.BigEndian.PutUint64(l.Hash[:], rapid.Uint64().Draw(t, "hash"))
					run = append(run, l)
				}
				if err := setCanon(b, b, uint64(from), run, uint64(max(0, len(chain)-1))); err != nil {
					t.Fatal(err)
				}
				chain = append(chain[:from:from], run...)
			},
			"part": func(t *rapid.T) {
				from := nearRun(t, len(chain)+canonRun, "from")
				end := nearRun(t, len(chain)+canonRun, "end")
				checkCanon(t, canonUp(b, uint64(from), uint64(end)), chain, from, end)
			},
			"one": func(t *rapid.T) {
				n := nearRun(t, len(chain)+canonRun, "number")
				h, err := getCanon(b, uint64(n))
				switch {
				case n >= len(chain):
					if !errors.Is(err, ErrNotFound) {
						t.Fatalf("block %d of a chain of %d: %v", n, len(chain), err)
					}
				case err != nil || h != headOf(&chain[n]):
					t.Fatalf("block %d: %+v, %v; want %+v", n, h, err, chain[n])
				}
			},
			"": func(t *rapid.T) {
				checkCanon(t, canonUp(b, 0, math.MaxUint64), chain, 0, len(chain))
				var down []canon
				for c, err := range canonDown(b, math.MaxUint64) {
					if err != nil {
						t.Fatal(err)
					}
					down = append(down, canon{c.number, slices.Clone(c.hashes), slices.Clone(c.tds), c.width})
				}
				slices.Reverse(down)
				checkCanon(t, func(yield func(canon, error) bool) {
					for _, c := range down {
						if !yield(c, nil) {
							return
						}
					}
				}, chain, 0, len(chain))
				if want := (len(chain) + canonRun - 1) / canonRun; len(down) != want {
					t.Fatalf("%d runs for %d blocks, want %d", len(down), len(chain), want)
				}
				last, err := getLast(b)
				if len(chain) == 0 && !errors.Is(err, ErrNotFound) || len(chain) > 0 && (err != nil || last != headOf(&chain[len(chain)-1])) {
					t.Fatalf("the last of %d: %+v, %v", len(chain), last, err)
				}
			},
		})
	})
}

func headOf(l *Link) Head { return Head{l.Number, l.Hash, l.TD} }

// checkCanon compares runs with the blocks from ≤ n < end of a chain.
func checkCanon(t *rapid.T, runs func(func(canon, error) bool), chain []Link, from, end int) {
	at := from
	for c, err := range runs {
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.len() {
			if at >= min(end, len(chain)) || c.head(i) != headOf(&chain[at]) || c.hash(i) != chain[at].Hash {
				t.Fatalf("from %d to %d of %d: block %d is %+v", from, end, len(chain), at, c.head(i))
			}
			at++
		}
	}
	if want := max(from, min(end, len(chain))); at != want {
		t.Fatalf("from %d to %d of %d: ended at %d, want %d", from, end, len(chain), at, want)
	}
}

// FuzzCanon: whatever is under a key is refused, or is a run all of which can be read.
func FuzzCanon(f *testing.F) {
	chain := links(branch(genesisLink(), 1, canonRun, 1<<40))
	for _, n := range []int{1, 2, canonRun} {
		v := appendCanon(nil, canon{}, chain[:n])
		f.Add(uint64(canonRun), v)
		f.Add(uint64(1), v)
		f.Add(uint64(math.MaxUint64-canonRun+1), v)
		f.Add(uint64(0), v[:len(v)-1])
		f.Add(uint64(0), append(v, 0))
	}
	f.Add(uint64(0), []byte{})
	f.Add(uint64(0), append([]byte{33}, make([]byte, 65)...))
	f.Add(uint64(0), appendCanon(nil, canon{}, links(branch(genesisLink(), 1, canonRun+1, 1))))
	f.Fuzz(func(t *testing.T, number uint64, v []byte) {
		c, err := decodeCanon(number, v)
		if err != nil {
			return
		}
		if c.number%canonRun != 0 || c.len() < 1 || c.len() > canonRun || c.end() < c.number {
			t.Fatalf("%d blocks from %d on", c.len(), c.number)
		}
		var hashes []byte
		for i := range c.len() {
			if one := c.part(c.number+uint64(i), c.number+uint64(i)+1); one.len() != 1 || one.head(0) != c.head(i) {
				t.Fatalf("block %d of %d is two", i, c.len())
			}
			h := c.hash(i)
			hashes = append(hashes, h[:]...)
		}
		if !bytes.HasPrefix(v[1:], hashes) {
			t.Fatal("the hashes are not in a row")
		}
		last := c.head(c.len() - 1)
		if last.TD.ByteLen() != c.width { // else it is what we would have written
			return
		}
		if again := appendCanon(nil, c, nil); !bytes.Equal(again, v) {
			t.Fatalf("%x, and again %x", v, again)
		}
	})
}

// Damage of the canonical chain that has got past the checksums of the index is an error
// wherever it is met, and nothing is made of it.
func TestCorruptCanonIsAnError(t *testing.T) {
	main := branch(genesisLink(), 1, 3*canonRun, 10)
	fork := branch(main[canonRun/2].link, 2, 4*canonRun, 10)
	middle := canonKey(canonRun)
	for name, damage := range map[string]func(v []byte) []byte{
		"gone":        func([]byte) []byte { return nil },
		"short":       func(v []byte) []byte { return v[:len(v)-1] },
		"a block off": func(v []byte) []byte { return appendCanon(nil, canon{}, links(main[canonRun-1:2*canonRun-2])) },
		"wide":        func(v []byte) []byte { return append([]byte{255}, v[1:]...) },
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, "data", Options{FS: vfs.NewMem()})
			mustPut(t, s, main, len(main))
			mustPut(t, s, fork, len(fork))
			mustLink(t, s, main)
			v, err := get(s.db, middle[:], copied)
			if err != nil {
				t.Fatal(err)
			}
			if v = damage(v); v == nil {
				err = s.db.Delete(middle[:], nil)
			} else {
				err = s.db.Set(middle[:], v, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, ancestors := s.AppendAncestors(nil, s.Head().Hash, 5*canonRun)
			var up error
			for _, err := range s.CanonicalHashes(0, math.MaxUint64) {
				up = errors.Join(up, err)
			}
			before := s.Head()
			_, reorg := s.Link(links(fork))
			for what, err := range map[string]error{"AppendAncestors": ancestors, "CanonicalHashes": up, "Link": reorg} {
				if err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "index is corrupt") {
					t.Errorf("%s: %v", what, err)
				}
			}
			if s.Head() != before {
				t.Error("the head has moved")
			}
		})
	}
}

// A chain grows, is cut and turns to another branch beside every border of a run.
func TestLinkAcrossRuns(t *testing.T) {
	for _, at := range []int{1, canonRun - 2, canonRun - 1, canonRun, 2*canonRun - 1} {
		for _, over := range []int{1, 2, canonRun + 1} {
			for _, heavy := range []int{1, 2, canonRun + 1} {
				t.Run(fmt.Sprintf("%d blocks, fork at %d, %d heavier ones", at+over, at, heavy), func(t *testing.T) {
					disk := vfs.NewMem()
					s := openTest(t, "data", Options{FS: disk})
					main := branch(genesisLink(), 1, at+over, 1)
					fork := branch(main[at-1].link, 2, heavy, 1<<20) // one outweighs main
					mustPut(t, s, main, len(main))
					mustPut(t, s, fork, len(fork))
					mustLink(t, s, main[:at])
					for i := range main[at:] {
						mustLink(t, s, main[at+i:at+i+1])
					}
					want := Move{Old: s.Head(), New: headOf(&fork[heavy-1].link), Ancestor: uint64(at), Reorged: true}
					if got := mustLink(t, s, fork); got != want {
						t.Fatalf("Link: %+v, want %+v", got, want)
					}
					wantChain := []common.Hash{testGenesis.Hash}
					for _, b := range slices.Concat(main[:at], fork) {
						wantChain = append(wantChain, b.Hash)
					}
					for range 2 {
						if got := checkConsistent(t, s); !slices.Equal(got, wantChain) {
							t.Fatalf("a chain of %d, want %d", len(got), len(wantChain))
						}
						for _, b := range main[at:] {
							if l, ok, err := s.Linked(b.Hash); err != nil || !ok || l != b.link {
								t.Fatalf("Linked(%d that has left): %+v, %v, %v", b.Number, l, ok, err)
							}
						}
						if err := s.Close(); err != nil {
							t.Fatal(err)
						}
						s = openTest(t, "data", Options{FS: disk})
					}
				})
			}
		}
	}
}

// countKeys counts the index keys with a prefix.
func countKeys(t testing.TB, r pebble.Reader, prefix byte) (n int) {
	t.Helper()
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: prefixEnd(prefix)})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}
