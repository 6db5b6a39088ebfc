package swarm

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// providers is a Source in memory: peers that hold parts of what there is, each of
// which brings one batch after the other. It notes what it was asked for.
type providers struct {
	t     *testing.T
	files *Files // to be delivered to
	delay time.Duration
	batch int // chunks that a peer brings at once
	ctx   context.Context

	mu struct {
		sync.Mutex
		peers  []map[common.Hash][]byte
		wanted map[common.Hash]int64 // rank
		flying map[common.Hash]bool  // being brought
		asked  map[common.Hash]int   // how often
		most   int                   // wanted at a time
		cancel int                   // chunks that were cancelled
	}
	wake chan struct{} // one slot for each peer, filled when something is wanted
	wg   sync.WaitGroup
}

// share gives each chunk to some of n peers, at least one.
func share(chunks map[common.Hash][]byte, n int, seed uint64) []map[common.Hash][]byte {
	r := rand.New(rand.NewPCG(seed, 1))
	peers := make([]map[common.Hash][]byte, n)
	for i := range peers {
		peers[i] = map[common.Hash][]byte{}
	}
	for a, p := range chunks {
		peers[r.IntN(n)][a] = p
		for i := range peers {
			if r.IntN(2) == 0 {
				peers[i][a] = p
			}
		}
	}
	return peers
}

// newNode returns files whose source are peers with these parts. They work until the
// test ends.
func newNode(t *testing.T, store Store, peers ...map[common.Hash][]byte) (*Files, *providers) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &providers{t: t, delay: time.Millisecond, batch: 64, ctx: ctx, wake: make(chan struct{}, len(peers))}
	s.mu.peers = peers
	s.mu.wanted, s.mu.asked = map[common.Hash]int64{}, map[common.Hash]int{}
	s.mu.flying = map[common.Hash]bool{}
	s.files = New(store, Options{Source: s})
	for i := range peers {
		s.wg.Go(func() { s.bring(i) })
	}
	t.Cleanup(func() {
		cancel()
		s.wg.Wait()
	})
	return s.files, s
}

func (s *providers) Want(_ *Files, wants []Want) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range wants {
		if s.mu.flying[w.Address] {
			continue // no sooner than it comes
		}
		if _, ok := s.mu.wanted[w.Address]; !ok {
			s.mu.asked[w.Address]++
		}
		s.mu.wanted[w.Address] = w.Rank
	}
	s.mu.most = max(s.mu.most, len(s.mu.wanted))
	s.poke()
}

func (s *providers) poke() {
	for {
		select {
		case s.wake <- struct{}{}:
		default:
			return
		}
	}
}

func (s *providers) Cancel(_ *Files, addrs []common.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range addrs {
		delete(s.mu.wanted, a)
	}
	s.mu.cancel += len(addrs)
}

// bring is one peer: of what is wanted it takes those first that come first.
func (s *providers) bring(peer int) {
	for {
		s.mu.Lock()
		var have []Want
		for a, rank := range s.mu.wanted {
			if s.mu.peers[peer][a] != nil {
				have = append(have, Want{a, rank})
			}
		}
		slices.SortFunc(have, func(a, b Want) int { return int(a.Rank>>1 - b.Rank>>1) })
		var chunks []Chunk
		for _, w := range have[:min(len(have), s.batch)] {
			chunks = append(chunks, Chunk{w.Address, s.mu.peers[peer][w.Address]})
			delete(s.mu.wanted, w.Address)
			s.mu.flying[w.Address] = true
		}
		s.mu.Unlock()
		if len(chunks) == 0 {
			select {
			case <-s.wake:
				continue
			case <-s.ctx.Done():
				return
			}
		}
		time.Sleep(s.delay)
		if err := s.files.Deliver(s.ctx, chunks); err != nil && s.ctx.Err() == nil {
			s.t.Error(err)
		}
		s.mu.Lock()
		for _, c := range chunks {
			delete(s.mu.flying, c.Address)
		}
		s.mu.Unlock()
	}
}

// more gives peers further chunks.
func (s *providers) more(peer int, chunks map[common.Hash][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.mu.peers[peer], chunks)
	s.poke()
}

// once says what was asked for other than once.
func (s *providers) once(want int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, n := range s.mu.asked {
		if n != 1 {
			return fmt.Errorf("chunk %x was asked for %d times", a[:4], n)
		}
	}
	if len(s.mu.asked) != want {
		return fmt.Errorf("%d chunks were asked for, want %d", len(s.mu.asked), want)
	}
	return nil
}

// splitBytes returns the tree of some content.
func splitBytes(t testing.TB, content []byte) (common.Hash, map[common.Hash][]byte) {
	t.Helper()
	chunks := map[common.Hash][]byte{}
	ref, _, err := Split(bytes.NewReader(content), func(batch []Chunk) error {
		for _, c := range batch {
			chunks[c.Address] = slices.Clone(c.Payload)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ref, chunks
}

func held(t testing.TB, s Store) map[common.Hash]bool {
	t.Helper()
	m := map[common.Hash]bool{}
	if err := s.Chunks(func(a common.Hash) bool { m[a] = true; return true }); err != nil {
		t.Fatal(err)
	}
	return m
}
