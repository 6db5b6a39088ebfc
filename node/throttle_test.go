package node_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/internal/memnet"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/wire"
)

// heavy is a chain of n blocks of the given size.
func heavy(t testing.TB, n, size int) *testbed.Branch {
	t.Helper()
	return testbed.NewBranch(t, chain.Dev, nil, 0, slices.Collect(chaingen.Generate(chaingen.Config{Seed: 1, Blocks: uint64(n), Size: size})))
}

// sample is how many bytes had passed at a time.
type sample struct {
	at    time.Time
	bytes uint64
}

// kept fails if in any ten seconds of the samples more has passed than the rate
// allows, or less than 0.98 of it.
func kept(t *testing.T, what string, perSec float64, samples []sample) {
	t.Helper()
	const window = 10 * time.Second
	least, most, n := 1.0, 0.0, 0
	for i, from := range samples {
		j := slices.IndexFunc(samples[i:], func(s sample) bool { return s.at.Sub(from.at) >= window })
		if j < 0 {
			break
		}
		to := samples[i+j]
		share := float64(to.bytes-from.bytes) / perSec / to.at.Sub(from.at).Seconds()
		least, most, n = min(least, share), max(most, share), n+1
	}
	t.Logf("%s: from %.4f to %.4f of the rate in %d windows of ten seconds", what, least, most, n)
	if n == 0 || least < 0.98 || most > 1 {
		t.Errorf("%s: from %.4f to %.4f of the rate has passed in %d windows", what, least, most, n)
	}
}

// TestP27DownloadLimit: peers that could send several times as much fill what they
// may, to 0.98 and never beyond. None of them is late because of it, and no more is
// asked for than passes in a round trip and half a second.
func TestP27DownloadLimit(t *testing.T) {
	const size = 4000
	for _, tt := range []struct {
		limit  int64
		rate   memnet.BytesPerSec // of each of 8 peers
		blocks int
	}{
		{300_000, 200_000, 1500},
		{50_000, 200_000, 280},
		{1_000_000, 0, 4500},
	} {
		t.Run(fmt.Sprint(tt.limit), func(t *testing.T) {
			c := heavy(t, tt.blocks, size)
			inBubble(t, func(t *testing.T, w *world) {
				var addrs []string
				for i := range 8 {
					r := w.rogue(fmt.Sprint("peer ", i), c).listen()
					r.host.SetUpload(tt.rate)
					r.host.SetDelay(20 * ms)
					addrs = append(addrs, r.addr)
				}
				v := w.node("victim", nil, func(c *node.Config) { c.Download = tt.limit }, addrs...)
				v.settled(c)
				v.fair()
				var samples []sample
				inFlight, capped, peers := int64(0), 0, 0
				for _, p := range eventsOf[downloader.Progress](v) {
					s := sample{at: p.At}
					for _, q := range p.Peers {
						s.bytes += q.Received
						peers++
						if q.Why == pool.WhyCapped {
							capped++
						}
					}
					inFlight = max(inFlight, p.Pool.InFlightBytes)
					if p.Pool.Wanted > 0 && p.Pool.Useful > 100 { // before the tail
						samples = append(samples, s)
					}
				}
				kept(t, "downloaded", float64(tt.limit), samples)
				if most := int64(float64(tt.limit)*(0.06+0.5)) + 4*size; inFlight > most {
					t.Errorf("%d bytes were in flight, want at most %d", inFlight, most)
				}
				if late := eventsOf[downloader.Late](v); len(late) > 0 {
					t.Errorf("late: %v", late)
				}
				if capped < peers/2 {
					t.Errorf("peers were capped %d of %d times", capped, peers)
				}
			})
		})
	}
}

// reader counts what a script's node sends.
func (s *script) reader(got func(wire.Message)) {
	s.w.wg.Go(func() {
		for {
			m, err := s.in.Next()
			if err != nil {
				return
			}
			switch m.(type) {
			case wire.Ping:
				s.out.Write(wire.Pong{})
			default:
				got(m)
			}
		}
	})
}

// hashesOf returns the hashes of blocks as they travel.
func hashesOf(blocks []*chain.Block) wire.HashList {
	var all []common.Hash
	for _, b := range blocks {
		all = append(all, b.Hash)
	}
	return wire.HashListOf(all)
}

// TestUploadLimit: what a node serves keeps to its limit, is shared evenly among
// those who ask for a lot whether they ask early or often, and who asks for one block
// gets it at once.
func TestUploadLimit(t *testing.T) {
	const limit, size, greedy = 400_000, 2000, 4
	c := heavy(t, 600, size)
	inBubble(t, func(t *testing.T, w *world) {
		v := w.node("server", c, func(c *node.Config) { c.Upload = limit })
		var all []*script
		for i := range greedy {
			s := w.script(v)
			all = append(all, s)
			s.reader(func(m wire.Message) {
				// Each answer is asked for again; the first one has a hundred
				// requests in its pipe, the others one or two.
				if m.ID() == wire.IDBlocks {
					s.out.Write(wire.GetBlocks{HashList: hashesOf(c.Blocks[1:600])})
				}
			})
			for range []int{100, 2, 1, 1}[i] {
				s.send(wire.GetBlocks{HashList: hashesOf(c.Blocks[1:600])})
			}
		}
		modest := w.script(v)
		var answered atomic.Int64
		came := make(chan struct{}, 1)
		modest.reader(func(m wire.Message) {
			if b, ok := m.(wire.Blocks); ok && b.Len() == 1 {
				answered.Add(1)
				came <- struct{}{}
			}
		})
		time.Sleep(time.Second)
		var samples []sample
		before := make([]uint64, greedy)
		for i, s := range all {
			before[i] = s.in.Bytes()
		}
		for range 400 {
			began := time.Now()
			modest.send(wire.GetBlocks{HashList: hashesOf(c.Blocks[300:301])})
			<-came
			if took := time.Since(began); took > 100*ms {
				t.Errorf("a single block took %v", took)
			}
			time.Sleep(50 * ms)
			s := sample{at: time.Now(), bytes: modest.in.Bytes()}
			for _, g := range all {
				s.bytes += g.in.Bytes()
			}
			samples = append(samples, s)
		}
		kept(t, "uploaded", limit, samples)
		least, most := uint64(1<<62), uint64(0)
		for i, s := range all {
			got := s.in.Bytes() - before[i]
			least, most = min(least, got), max(most, got)
		}
		if float64(least) < 0.95*float64(most) {
			t.Errorf("the greedy ones got between %d and %d bytes", least, most)
		}
	})
}

// TestUploadLimitAndSync: a node that serves all that its limit allows, and meanwhile
// syncs from those whom it serves, is not deaf to itself: its own requests go out in
// time, and whoever answers is not late. Those that only ask are, however much they ask.
func TestUploadLimitAndSync(t *testing.T) {
	c := heavy(t, 3000, 2000)
	trunk := testbed.NewBranch(t, chain.Dev, nil, 0, c.Blocks[1:1001])
	inBubble(t, func(t *testing.T, w *world) {
		v := w.node("victim", trunk, func(c *node.Config) { c.Upload = 60_000 })
		for range 3 {
			s := w.script(v)
			s.reader(func(m wire.Message) {
				if m.ID() == wire.IDBlocks {
					s.out.Write(wire.GetBlocks{HashList: hashesOf(c.Blocks[1:600])})
				}
			})
			s.send(wire.GetBlocks{HashList: hashesOf(c.Blocks[1:600])})
		}
		time.Sleep(5 * time.Second)
		r := w.rogue("a peer that wants something too", c)
		r.host.SetUpload(500_000)
		r.Joined = func(ctx context.Context, s *peer.Session) {
			var all []common.Hash
			for _, b := range trunk.Blocks[1:] {
				all = append(all, b.Hash)
			}
			for id := range uint64(100) {
				s.GetBlocks(id, all)
			}
		}
		w.wg.Go(func() { r.dial(v) })
		v.settled(c)
		for _, late := range eventsOf[downloader.Late](v) {
			if hostOf(late.Peer) == r.ip {
				t.Errorf("late: %v", late)
			}
		}
		v.fair()
	})
}
