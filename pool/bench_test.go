package pool_test

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/shoalnet/shoal/pool"
)

// hash is a key as big as that of a block.
type hash [32]byte

func hashOf(n int) (h hash) {
	binary.LittleEndian.PutUint64(h[:], uint64(n)*0x9e3779b97f4a7c15)
	return h
}

// BenchmarkMemory measures what a pool takes for each key that waits in it.
func BenchmarkMemory(b *testing.B) {
	const keys = 1_000_000
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		p := pool.New[int, hash](pool.Config{})
		for n := range keys {
			p.Want(blocks, hashOf(n), int64(n), 0)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(p)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/keys, "bytes/key")
}

// BenchmarkScheduler measures what the pool costs for each block of 600 bytes, with so
// many keys in it and so many peers, who together bring two gigabits a second.
func BenchmarkScheduler(b *testing.B) {
	for _, size := range []struct{ peers, keys int }{
		{4, 1000}, {16, 1000}, {64, 1000}, {256, 1000},
		{16, 32_768}, {256, 32_768}, {4096, 32_768},
		{16, 1_000_000}, {256, 1_000_000}, {4096, 1_000_000},
	} {
		b.Run(fmt.Sprintf("peers=%d/pool=%d", size.peers, size.keys), func(b *testing.B) {
			l := newLine(size.peers, size.keys)
			for l.done < size.keys { // all peers are measured
				l.step()
			}
			start := l.done
			b.ResetTimer()
			for range b.N {
				for l.done-start < 1 {
					l.step()
				}
				start++
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/block")
			b.ReportMetric(float64(l.done)/float64(l.pool.Stats().Requests), "blocks/request")
		})
	}
}

// line is a pool with peers that answer one request after the other, and that is kept
// full.
type line struct {
	pool   *pool.Pool[int, hash]
	now    time.Time
	rate   float64 // of each peer
	free   []time.Time
	queue  answers
	wanted int
	done   int
	items  []pool.Item[hash]
}

type answer struct {
	at      time.Time
	request pool.Request[int, hash]
}

type answers []answer

func (a answers) Len() int           { return len(a) }
func (a answers) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a answers) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *answers) Push(x any)        { *a = append(*a, x.(answer)) }
func (a *answers) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	*a = (*a)[:last]
	return x
}

func newLine(peers, keys int) *line {
	l := &line{
		pool: pool.New[int, hash](pool.Config{}), now: time.Unix(1_409_400_000, 0),
		rate: 250e6 / float64(peers), free: make([]time.Time, peers),
	}
	for peer := range peers {
		l.pool.Join(l.now, peer, blocks)
	}
	for range keys {
		l.want()
	}
	return l
}

func (l *line) want() {
	l.pool.Want(blocks, hashOf(l.wanted), int64(l.wanted), 0)
	l.wanted++
}

// step goes to the next event.
func (l *line) step() {
	l.pool.Expire(l.now)
	for _, r := range l.pool.Reserve(l.now) {
		const size = 600
		at := l.free[r.Peer]
		if first := l.now.Add(40 * time.Millisecond); at.Before(first) {
			at = first
		}
		l.free[r.Peer] = at.Add(time.Duration(float64(len(r.Keys)*size) / l.rate * float64(time.Second)))
		heap.Push(&l.queue, answer{l.free[r.Peer], r})
	}
	if at, ok := l.pool.NextDeadline(); ok && (len(l.queue) == 0 || at.Before(l.queue[0].at)) {
		l.now = at
		return
	}
	a := heap.Pop(&l.queue).(answer)
	l.now = a.at
	l.items = l.items[:0]
	for _, k := range a.request.Keys {
		l.items = append(l.items, pool.Item[hash]{Key: k, Size: 600})
	}
	for i, v := range l.pool.Deliver(l.now, a.request.Peer, a.request.ID, l.items, true) {
		if v == pool.Useful {
			l.pool.Done(l.items[i].Key)
			l.want()
			l.done++
		}
	}
}
