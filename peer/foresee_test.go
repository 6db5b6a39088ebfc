package peer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/wire"
)

// notedChain notes what is read of a chain, and takes its time for it.
type notedChain struct {
	toyChain
	takes time.Duration

	mu    sync.Mutex
	reads []string
	busy  int
	most  int // at the same time
}

func (c *notedChain) AppendAncestors(dst []common.Hash, h common.Hash, n int) ([]common.Hash, error) {
	c.mu.Lock()
	c.reads = append(c.reads, fmt.Sprintf("%d below %d", n, numbers[h]))
	c.busy++
	c.most = max(c.most, c.busy)
	c.mu.Unlock()
	time.Sleep(c.takes)
	c.mu.Lock()
	c.busy--
	c.mu.Unlock()
	return c.toyChain.AppendAncestors(dst, h, n)
}

// read returns what has been read since it was called last.
func (c *notedChain) read() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.reads = nil }()
	return c.reads
}

// TestTheNextHashesAreForeseen: but only for who walks, and no more than one list of them.
func TestTheNextHashesAreForeseen(t *testing.T) {
	c := &notedChain{toyChain: toyChain{top: 40}}
	scene{chain: c}.tell(t, func(p *other) {
		p.greet()
		for _, step := range []struct {
			start int
			max   uint64
			want  string
			reads []string
		}{
			{40, 3, " 39 38 37", []string{"3 below 40"}},
			{37, 3, " 36 35 34", []string{"3 below 37", "3 below 34"}}, // it walks
			{34, 3, " 33 32 31", []string{"3 below 31"}},
			{31, 2, " 30 29", []string{"2 below 29"}},                     // less than was foreseen
			{29, 4, " 28 27 26 25", []string{"4 below 29", "4 below 25"}}, // more
			{30, 4, " 29 28 27 26", []string{"4 below 30"}},               // something else
			{30, 4, " 29 28 27 26", []string{"4 below 30"}},
			{26, 8, " 25 24 23 22 21 20 19 18", []string{"8 below 26", "8 below 18"}},
			{18, 8, " 17 16 15 14 13 12 11 10", []string{"8 below 10"}},
			{10, 8, " 9 8 7 6 5 4 3 2", []string{"8 below 2"}},
			{2, 8, " 1 0", nil}, // the end
			{1000, 8, "", []string{"8 below 1000"}},
		} {
			p.send(wire.GetBlockHashes{Start: toyHash(step.start), Max: step.max})
			p.expect("BlockHashes" + step.want)
			if reads := c.read(); !slices.Equal(reads, step.reads) {
				t.Errorf("after %d below %d: read %q, want %q", step.max, step.start, reads, step.reads)
			}
		}
	})
}

// TestForesightChangesNoAnswer: whatever is asked, in whatever order.
func TestForesightChangesNoAnswer(t *testing.T) {
	const seed = 1
	rnd := rand.New(rand.NewPCG(seed, 0))
	c := &notedChain{toyChain: toyChain{top: 1000}, takes: time.Millisecond}
	scene{chain: c}.tell(t, func(p *other) {
		p.greet()
		start, max := c.top, 10
		for step := range 500 {
			switch rnd.IntN(8) {
			case 0:
				start = rnd.IntN(c.top + 10)
			case 1:
				max = rnd.IntN(100)
			case 2:
				time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
			}
			want, _ := c.toyChain.AppendAncestors(nil, toyHash(start), max)
			p.send(wire.GetBlockHashes{Start: toyHash(start), Max: uint64(max)})
			m, err := p.in.Next()
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Collect(m.(wire.BlockHashes).All()); !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: %d below %d is %v, want %v", seed, step, max, start, showHashes(got), showHashes(want))
			}
			if len(want) > 0 {
				start = numbers[want[len(want)-1]]
			}
		}
		if c.read(); c.most > 1 {
			t.Errorf("%d lists were made at the same time", c.most)
		}
	})
}

// TestForeseenHashesAreForgotten: they are not kept for who does not come back.
func TestForeseenHashesAreForgotten(t *testing.T) {
	c := &notedChain{toyChain: toyChain{top: 40}}
	scene{chain: c}.tell(t, func(p *other) {
		p.greet()
		p.send(wire.GetBlockHashes{Start: toyHash(40), Max: 3}, wire.GetBlockHashes{Start: toyHash(37), Max: 3})
		p.expect("BlockHashes 39 38 37", "BlockHashes 36 35 34")
		time.Sleep(10 * time.Second)
		c.read()
		p.send(wire.GetBlockHashes{Start: toyHash(34), Max: 3})
		p.expect("BlockHashes 33 32 31")
		if reads := c.read(); len(reads) != 2 {
			t.Errorf("read %q, want what was asked for and what comes next", reads)
		}
	})
}

// TestAThrottledAnswerIsNotForeseen: it has time, and may be shorter next time.
func TestAThrottledAnswerIsNotForeseen(t *testing.T) {
	c := &notedChain{toyChain: toyChain{top: 40}}
	scene{chain: c, config: func(cfg *Config) { cfg.Upload = NewThrottle(1 << 20) }}.tell(t, func(p *other) {
		p.greet()
		p.send(wire.GetBlockHashes{Start: toyHash(40), Max: 3}, wire.GetBlockHashes{Start: toyHash(37), Max: 3})
		p.expect("BlockHashes 39 38 37", "BlockHashes 36 35 34")
		if reads := c.read(); len(reads) != 2 {
			t.Errorf("read %q, want what was asked for", reads)
		}
	})
}

// TestTheEndWaitsForForesight: when Run returns, the chain may be closed.
func TestTheEndWaitsForForesight(t *testing.T) {
	c := &notedChain{toyChain: toyChain{top: 40}, takes: time.Second}
	scene{chain: c}.tell(t, func(p *other) {
		p.greet()
		p.send(wire.GetBlockHashes{Start: toyHash(40), Max: 3}, wire.GetBlockHashes{Start: toyHash(37), Max: 3})
		p.expect("BlockHashes 39 38 37", "BlockHashes 36 35 34")
		p.conn.Close()
		p.ended()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.busy > 0 {
			t.Error("a list is still being made")
		}
	})
}
