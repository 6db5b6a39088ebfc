package pool_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoalnet/shoal/pool"
)

// world is a small deterministic network in virtual time around a real pool:
// peers answer their requests one after the other, each at its own rate, after
// half a round trip each way.
type world struct {
	t     testing.TB
	now   time.Time
	pool  *pool.Pool[int, int]
	peers []*simPeer
	queue events
	seq   int
	size  func(key int) int
	trace []string

	cap    float64   // bytes a second that we read of all that comes, 0: all
	freeAt time.Time // when what has come is read

	held     map[int]bool // delivered once
	asked    map[int]int  // times handed out
	received int64
}

type simPeer struct {
	id       int
	rate     float64       // bytes a second
	delay    time.Duration // one way
	most     int           // items it answers at once, 0 for all
	has      func(key int) bool
	stallAt  time.Time // from then on it answers nothing
	think    time.Duration
	freeAt   time.Time // when its link is free again
	gone     bool
	answered int
}

type event struct {
	at  time.Time
	seq int
	run func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func newWorld(t testing.TB, cfg pool.Config, size int) *world {
	return &world{
		t: t, now: time.Unix(1_409_400_000, 0), pool: pool.New[int, int](cfg),
		size: func(int) int { return size }, held: map[int]bool{}, asked: map[int]int{},
	}
}

func (w *world) add(p *simPeer) *simPeer {
	p.id = len(w.peers)
	w.peers = append(w.peers, p)
	w.pool.Join(w.now, p.id, 0)
	return p
}

func (w *world) at(at time.Time, run func()) {
	w.seq++
	heap.Push(&w.queue, event{at, w.seq, run})
}

// send carries a request to its peer and the answer back.
func (w *world) send(r pool.Request[int, int]) {
	w.trace = append(w.trace, fmt.Sprint(w.now.UnixNano(), r.Peer, r.Keys))
	p := w.peers[r.Peer]
	for _, k := range r.Keys {
		if w.held[k] {
			w.t.Fatalf("key %d was delivered and is asked again", k)
		}
		w.asked[k]++
	}
	keys := r.Keys
	w.at(w.now.Add(p.delay), func() {
		var items []pool.Item[int]
		bytes := 0
		for _, k := range keys {
			if p.has != nil && !p.has(k) {
				continue
			}
			if p.most > 0 && len(items) == p.most {
				break
			}
			items = append(items, pool.Item[int]{Key: k, Size: w.size(k)})
			bytes += w.size(k)
		}
		start := w.now
		if p.freeAt.After(start) {
			start = p.freeAt
		}
		end := start.Add(p.think).Add(time.Duration(float64(bytes) / p.rate * float64(time.Second)))
		if !p.stallAt.IsZero() && end.After(p.stallAt) {
			return
		}
		p.freeAt = end
		w.at(end.Add(p.delay), func() {
			w.read(bytes, func() {
				if p.gone {
					return
				}
				p.answered += len(items)
				for i, v := range w.pool.Deliver(w.now, p.id, r.ID, items, true) {
					if v == pool.Useful {
						if w.held[items[i].Key] {
							w.t.Fatalf("key %d was useful twice", items[i].Key)
						}
						w.held[items[i].Key] = true
						w.received += int64(items[i].Size)
						w.pool.Done(items[i].Key)
					}
				}
			})
		})
	})
}

// read reads what has come, in its turn if there is a cap.
func (w *world) read(bytes int, then func()) {
	if w.cap == 0 {
		then()
		return
	}
	if w.freeAt.Before(w.now) {
		w.freeAt = w.now
	}
	w.freeAt = w.freeAt.Add(time.Duration(float64(bytes) / w.cap * float64(time.Second)))
	w.at(w.freeAt, then)
}

// run goes on until every wanted key is delivered and returns how long it took.
func (w *world) run(limit time.Duration) time.Duration {
	w.t.Helper()
	start := w.now
	for {
		w.pool.Expire(w.now)
		for _, r := range w.pool.Reserve(w.now) {
			w.send(r)
		}
		if w.pool.Len() == 0 {
			return w.now.Sub(start)
		}
		next, ok := w.pool.NextDeadline()
		if ok && !next.After(w.now) {
			w.t.Fatalf("the pool asks to be called at %v, which is not in the future", next.Sub(start))
		}
		switch {
		case len(w.queue) > 0 && (!ok || !w.queue[0].at.After(next)):
			e := heap.Pop(&w.queue).(event)
			w.now = e.at
			e.run()
		case ok:
			w.now = next
		default:
			w.t.Fatalf("nothing left to happen with %d keys open: %+v", w.pool.Len(), w.pool.Stats())
		}
		if w.now.Sub(start) > limit {
			w.t.Fatalf("not done after %v: %+v", limit, w.pool.Stats())
		}
	}
}

const mbit = 1e6 / 8

// TestEfficiency runs whole downloads in virtual time and compares them with
// the time that the peers' links allow.
func TestEfficiency(t *testing.T) {
	mixed := []float64{1, 2, 4, 8, 16, 32, 64, 128}
	equal := []float64{20, 20, 20, 20, 20, 20, 20, 20}
	tests := []struct {
		name  string
		rates []float64 // Mbit/s
		size  int
		delay time.Duration
		most  int
		want  float64
	}{
		{"equal peers", equal, 20_000, 25 * time.Millisecond, 0, 0.97},
		{"rates from 1 to 128 Mbit/s", mixed, 20_000, 25 * time.Millisecond, 0, 0.95},
		{"tiny blocks", equal, 600, 25 * time.Millisecond, 0, 0.95},
		{"round trip of 200 ms", equal, 20_000, 100 * time.Millisecond, 0, 0.95},
		{"servers that answer 16 at once", equal, 20_000, 25 * time.Millisecond, 16, 0.95},
		{"a single peer", []float64{50}, 20_000, 25 * time.Millisecond, 0, 0.97},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, pool.Config{}, tt.size)
			sum := 0.0
			for _, r := range tt.rates {
				w.add(&simPeer{rate: r * mbit, delay: tt.delay, most: tt.most})
				sum += r * mbit
			}
			n := int(sum * 10 / float64(tt.size)) // ten seconds of work
			for k := range n {
				w.pool.Want(0, k, int64(k), 0)
			}
			took := w.run(10 * time.Minute)
			s := w.pool.Stats()
			eff := float64(s.UsefulBytes) / sum / took.Seconds()
			t.Logf("efficiency %.3f, %d requests, %d duplicates, %d late", eff, s.Requests, s.Duplicates, s.Late)
			if eff < tt.want {
				t.Errorf("efficiency %.3f, want at least %.2f", eff, tt.want)
			}
			if s.Duplicates != 0 || s.Hedged != 0 {
				t.Errorf("%d duplicates and %d keys asked twice without any fault", s.Duplicates, s.Hedged)
			}
		})
	}
}

// TestFaults runs downloads in which peers fail, and bounds both the time and
// what is transferred twice.
func TestFaults(t *testing.T) {
	tests := []struct {
		name      string
		spoil     func(w *world, i int, p *simPeer)
		inflation float64
	}{
		{"two of eight stall", func(w *world, i int, p *simPeer) {
			if i < 2 {
				p.stallAt = w.now.Add(5 * time.Second)
			}
		}, 1.12},
		{"two of eight stall at the end", func(w *world, i int, p *simPeer) {
			if i < 2 {
				p.stallAt = w.now.Add(19 * time.Second)
			}
		}, 1.15},
		{"four of eight slow down to 1 %", func(w *world, i int, p *simPeer) {
			if i < 4 {
				w.at(w.now.Add(5*time.Second), func() { p.rate /= 100 })
			}
		}, 1.15},
		{"two of eight drip one block a second", func(w *world, i int, p *simPeer) {
			if i < 2 {
				p.most, p.think = 1, time.Second
			}
		}, 1.10},
		{"half of the peers hold half of the blocks", func(w *world, i int, p *simPeer) {
			if i < 4 {
				p.has = func(k int) bool { return k%2 == 0 }
			}
		}, 1.15},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, pool.Config{}, 20_000)
			for i := range 8 {
				tt.spoil(w, i, w.add(&simPeer{rate: 20 * mbit, delay: 25 * time.Millisecond}))
			}
			for k := range 20_000 {
				w.pool.Want(0, k, int64(k), 0)
			}
			took := w.run(10 * time.Minute)
			// The ideal: what each peer could have brought until its fault,
			// and the rest by the others.
			ideal := idealTime(w, 20_000*20_000)
			s := w.pool.Stats()
			dup := float64(s.DuplicateBytes) / float64(s.UsefulBytes)
			t.Logf("inflation %.3f, duplicates %.2f %%, hedged %d, late %d", took.Seconds()/ideal, 100*dup, s.Hedged, s.Late)
			if got := took.Seconds() / ideal; got > tt.inflation {
				t.Errorf("takes %.2f times the ideal time, want at most %.2f", got, tt.inflation)
			}
			if dup > 0.01 {
				t.Errorf("%.2f %% transferred twice, want at most 1 %%", 100*dup)
			}
		})
	}
}

// idealTime is a fluid model: every link full until its fault. Peers that slow
// down at five seconds are recognised by their rate, those that drip by their
// limit.
func idealTime(w *world, bytes float64) float64 {
	const full = 20 * mbit
	start := time.Unix(1_409_400_000, 0)
	for t := 0.0; ; t += 0.01 {
		sum := 0.0
		for _, p := range w.peers {
			switch {
			case !p.stallAt.IsZero():
				sum += full * min(t, p.stallAt.Sub(start).Seconds())
			case p.most == 1:
				sum += 20_000 * t
			case p.rate < full:
				sum += full*min(t, 5) + p.rate*max(0, t-5)
			default:
				sum += full * t
			}
		}
		if sum >= bytes {
			return t
		}
	}
}

// TestReplay: the same events give the same decisions.
func TestReplay(t *testing.T) {
	run := func(seed uint64) []string {
		w := newWorld(t, pool.Config{Rand: rand.New(rand.NewPCG(seed, 0))}, 0)
		r := rand.New(rand.NewPCG(seed, 1))
		w.size = func(k int) int { return 500 + k*7919%30_000 }
		for range 16 {
			p := w.add(&simPeer{
				rate: (1 + 40*r.Float64()) * mbit, delay: time.Duration(r.IntN(100)) * time.Millisecond, most: r.IntN(200),
			})
			if r.IntN(4) == 0 {
				p.stallAt = w.now.Add(time.Duration(r.IntN(3000)) * time.Millisecond)
			}
		}
		w.add(&simPeer{rate: 5 * mbit, delay: 10 * time.Millisecond})
		for k := range 3000 {
			w.pool.Want(0, k, int64(k), 0)
		}
		w.run(time.Hour)
		return w.trace
	}
	for seed := range uint64(20) {
		a, b := run(seed), run(seed)
		if len(a) != len(b) {
			t.Fatalf("seed %d: %d requests, then %d", seed, len(a), len(b))
		}
		for i := range a {
			if a[i] != b[i] {
				t.Fatalf("seed %d: request %d was %s, then %s", seed, i, a[i], b[i])
			}
		}
	}
}
