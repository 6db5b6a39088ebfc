package node_test

import (
	"cmp"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloudflare/circl/simd/keccakf1600"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/wire"
)

const (
	stageAnswer = 1 << 20 // bytes of an answer, about as much as fast peers send at once
	stageWrite  = 8 << 20 // bytes that are put at once, as the downloader does
	stageCheck  = 32      // blocks that one core takes at once, as in the downloader
	stageLinks  = 8192    // blocks that are linked at once
	keccakBlock = 136     // bytes that one permutation of keccak-256 absorbs
)

// BenchmarkStages takes the same blocks through each stage of a sync alone, and through
// what cannot be avoided in it, in the same run: "read" as a share of reading the bytes
// from a socket and splitting them; "hash" and "check", on all cores, as a share of the
// permutations of keccak-256 that the headers, or the transactions, need; "put" as a
// share of a durable append to a file. "link" has nothing to compare with, but each has
// its blocks/s. Blocks of 600 bytes have no transactions, and nothing to be permuted.
func BenchmarkStages(b *testing.B) {
	g, err := chain.Dev.GenesisBlock()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range benchChains[:2] {
		s := staged{forStore: forStore{td: g.Difficulty}}
		for x := range chaingen.Generate(c.Config) {
			s.add(b, x)
		}
		for recs := range slices.Chunk(s.records, stageCheck) {
			p := &part{}
			for _, r := range recs {
				p.raw, p.hashes = append(p.raw, r.Raw), append(p.hashes, r.Hash)
			}
			s.parts = append(s.parts, p)
		}
		ofHeaders := func(*testing.B) time.Duration { return permute(s.ofHeaders) }
		ofBodies := func(*testing.B) time.Duration { return permute(s.ofBodies) }
		if s.ofBodies == 0 {
			ofBodies = nil
		}
		for _, stage := range []struct {
			name          string
			ours, ceiling func(*testing.B) time.Duration
		}{
			{"read", s.read, s.readRaw},
			{"hash", s.hash, ofHeaders},
			{"check", s.check, ofBodies},
			{"put", s.put, s.appendRaw},
			{"link", s.link, nil},
		} {
			b.Run(c.name+"/"+stage.name, func(b *testing.B) {
				var ours, ceiling time.Duration
				for b.Loop() {
					ours += stage.ours(b)
					if stage.ceiling != nil {
						ceiling += stage.ceiling(b)
					}
				}
				b.ReportMetric(float64(len(s.records)*b.N)/ours.Seconds(), "blocks/s")
				b.ReportMetric(float64(s.bytes*b.N)/1e6/ours.Seconds(), "MB/s")
				if ceiling > 0 {
					b.ReportMetric(ceiling.Seconds()/ours.Seconds(), "of-ceiling")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// staged is blocks on their way through the stages.
type staged struct {
	forStore
	parts     []*part // of the same blocks
	bytes     int
	ofHeaders int // permutations to hash all headers
	ofBodies  int // permutations to hash all transactions
}

func (s *staged) add(b *testing.B, x *chain.Block) {
	s.forStore.add(x)
	s.bytes += len(x.Raw())
	s.ofHeaders += len(x.Header.Raw())/keccakBlock + 1
	for tx, err := range x.Transactions() {
		if err != nil {
			b.Fatal(err)
		}
		s.ofBodies += len(tx)/keccakBlock + 1
	}
}

// runs hands the blocks on in runs of so many, and some bytes.
func (s *staged) runs(most, bytes int, do func([]store.Record)) {
	for rest := s.records; len(rest) > 0; {
		n, size := 0, 0
		for ; n < min(len(rest), most) && size < bytes; n++ {
			size += len(rest[n].Raw)
		}
		do(rest[:n])
		rest = rest[n:]
	}
}

// serveOnce has a function write to whoever connects first, and returns the address.
func serveOnce(b *testing.B, write func(net.Conn)) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		defer l.Close()
		if conn, err := l.Accept(); err == nil {
			defer conn.Close()
			write(conn)
		}
	}()
	return l.Addr().String()
}

// read has the blocks come in answers.
func (s *staged) read(b *testing.B) time.Duration {
	var answers []wire.Blocks
	s.runs(wire.MaxBlocks, stageAnswer, func(recs []store.Record) {
		answers = append(answers, wire.Blocks{RawList: joined(recs)})
	})
	addr := serveOnce(b, func(conn net.Conn) {
		w := wire.NewWriter(conn)
		for _, m := range answers {
			if err := w.Write(m); err != nil {
				b.Error(err)
			}
		}
	})
	return timed(func() {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		r := wire.NewReader(conn)
		for n := 0; n < len(s.records); {
			m, err := r.Next()
			if err != nil {
				b.Fatal(err)
			}
			for range m.(wire.Blocks).All() {
				n++
			}
			wire.Free(r.Detach())
		}
	})
}

func (s *staged) readRaw(b *testing.B) time.Duration {
	all := joined(s.records)
	took, _ := timeSocket(b, serveOnce(b, func(conn net.Conn) { conn.Write(all) }))
	return took
}

// joined is all blocks, one after the other.
func joined(recs []store.Record) (all []byte) {
	for _, r := range recs {
		all = append(all, r.Raw...)
	}
	return all
}

func (s *staged) hash(b *testing.B) time.Duration {
	return timeEach(b, s.parts, func(p *part) { p.hash(b) })
}

// check parses blocks and checks what they say of themselves, as the downloader does.
func (s *staged) check(b *testing.B) time.Duration {
	return timeEach(b, s.parts, func(p *part) {
		var x chain.Block
		for i, raw := range p.raw {
			if err := cmp.Or(x.ReparseAs(chain.Dev.Format, p.hashes[i], raw), chain.Dev.CheckBlock(&x)); err != nil {
				b.Error(err)
			}
		}
	})
}

// permute does so many permutations of keccak-256, four at once, on all cores.
func permute(n int) time.Duration {
	return timed(func() {
		var wg sync.WaitGroup
		cores := runtime.GOMAXPROCS(0)
		for range cores {
			wg.Go(func() {
				var state keccakf1600.StateX4
				state.Initialize(false)
				for range n / 4 / cores {
					state.Permute()
				}
			})
		}
		wg.Wait()
	})
}

func (s *staged) put(b *testing.B) time.Duration {
	st := openBench(b, filepath.Join(b.TempDir(), "store"))
	defer st.Close()
	return timed(func() { s.fill(b, st) })
}

func (s *staged) fill(b *testing.B, st *store.Store) {
	s.runs(len(s.records), stageWrite, func(recs []store.Record) {
		if _, err := st.Put(recs); err != nil {
			b.Fatal(err)
		}
	})
}

func (s *staged) appendRaw(b *testing.B) time.Duration {
	return timeDisk(b, filepath.Join(b.TempDir(), "raw"), s.parts)
}

func (s *staged) link(b *testing.B) time.Duration {
	st := openBench(b, filepath.Join(b.TempDir(), "store"))
	defer st.Close()
	s.fill(b, st)
	return timed(func() {
		for links := range slices.Chunk(s.links, stageLinks) {
			if _, err := st.LinkHeld(links); err != nil {
				b.Fatal(err)
			}
		}
	})
}
