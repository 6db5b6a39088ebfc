package pool_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoalnet/shoal/pool"
)

// twin is a deliberately dumb pool: it decides nothing, it only keeps in maps
// what must be true and refuses what must not happen.
type twin struct {
	state    map[int]string             // key to wanted, in flight, held
	holders  map[int]map[uint64]bool    // key to the requests that it is in flight in
	requests map[uint64]*twinRequest    // unanswered ones
	open     map[string]map[uint64]bool // by peer
	serves   map[string][]pool.Class    // by peer
	last     map[int]bool               // keys that are not wanted again
	expected map[pool.Class]int         // keys that are still to come
}

// classOf is the class in which a key is wanted.
func classOf(key int) pool.Class { return pool.Class(key / 20 % 3) }

type twinRequest struct {
	peer string
	keys []int
	late bool
}

func newTwin() *twin {
	return &twin{map[int]string{}, map[int]map[uint64]bool{}, map[uint64]*twinRequest{}, map[string]map[uint64]bool{}, map[string][]pool.Class{}, map[int]bool{}, map[pool.Class]int{}}
}

func (w *twin) reserved(r pool.Request[string, int]) error {
	if w.open[r.Peer] == nil {
		return fmt.Errorf("request to %s, who has left", r.Peer)
	}
	if len(r.Keys) == 0 {
		return fmt.Errorf("request without keys")
	}
	if !slices.Contains(w.serves[r.Peer], r.Class) {
		return fmt.Errorf("%s is asked for class %d, and serves %v", r.Peer, r.Class, w.serves[r.Peer])
	}
	seen := map[int]bool{}
	for _, k := range r.Keys {
		if seen[k] {
			return fmt.Errorf("key %d twice in one request", k)
		}
		seen[k] = true
		if classOf(k) != r.Class {
			return fmt.Errorf("key %d of class %d in a request of class %d", k, classOf(k), r.Class)
		}
		switch w.state[k] {
		case "wanted":
		case "in flight":
			if len(w.holders[k]) != 1 {
				return fmt.Errorf("key %d is in flight %d times already", k, len(w.holders[k]))
			}
			for id := range w.holders[k] {
				if w.requests[id].peer == r.Peer {
					return fmt.Errorf("key %d asked of %s twice", k, r.Peer)
				}
			}
			if n := w.expected[r.Class]; n > 0 {
				return fmt.Errorf("key %d asked twice while %d more of its class are to come", k, n)
			}
			for other, s := range w.state {
				if s == "wanted" && slices.Contains(w.serves[r.Peer], classOf(other)) {
					return fmt.Errorf("key %d asked twice of %s while %d waits", k, r.Peer, other)
				}
			}
		default:
			return fmt.Errorf("key %d is %q and asked of %s", k, w.state[k], r.Peer)
		}
	}
	for _, k := range r.Keys {
		w.state[k] = "in flight"
		if w.holders[k] == nil {
			w.holders[k] = map[uint64]bool{}
		}
		w.holders[k][r.ID] = true
	}
	w.requests[r.ID] = &twinRequest{peer: r.Peer, keys: slices.Clone(r.Keys)}
	w.open[r.Peer][r.ID] = true
	return nil
}

// giveBack ends a request for its keys.
func (w *twin) giveBack(id uint64) (n int) {
	for _, k := range w.requests[id].keys {
		if !w.holders[k][id] {
			continue
		}
		delete(w.holders[k], id)
		if w.state[k] == "in flight" {
			n++
			if len(w.holders[k]) == 0 {
				w.again(k)
			}
		}
	}
	return n
}

// again makes a key wanted, unless it was cancelled meanwhile.
func (w *twin) again(k int) {
	w.state[k] = "wanted"
	if w.last[k] {
		w.forget(k)
	}
}

func (w *twin) forget(k int) {
	delete(w.state, k)
	delete(w.holders, k)
	delete(w.last, k)
}

func (w *twin) leave(peer string) {
	for id := range w.open[peer] {
		w.giveBack(id)
		delete(w.requests, id)
	}
	delete(w.open, peer)
	delete(w.serves, peer)
}

func (w *twin) join(peer string, classes []pool.Class) {
	if w.open[peer] == nil {
		w.open[peer] = map[uint64]bool{}
		w.serves[peer] = classes
	}
}

func (w *twin) late(peer string) {
	for id := range w.open[peer] {
		w.requests[id].late = true
		w.giveBack(id)
	}
}

func (w *twin) arrive(peer string, k int) pool.Verdict {
	switch w.state[k] {
	case "wanted", "in flight":
		w.state[k] = "held"
		w.disown(peer, k)
		return pool.Useful
	}
	return pool.Duplicate
}

// disown takes a peer off the holders of a key.
func (w *twin) disown(peer string, k int) {
	for id := range w.holders[k] {
		if w.requests[id].peer == peer {
			delete(w.holders[k], id)
		}
	}
}

// reject makes a held key wanted, unless another peer is still asked for it.
func (w *twin) reject(peer string, k int) {
	w.disown(peer, k)
	if len(w.holders[k]) > 0 {
		w.state[k] = "in flight"
		return
	}
	w.again(k)
}

func (w *twin) counts() (wanted, flying, held int) {
	for _, s := range w.state {
		switch s {
		case "wanted":
			wanted++
		case "in flight":
			flying++
		case "held":
			held++
		}
	}
	return
}

func TestAgainstTwin(t *testing.T) { rapid.Check(t, agreeWithTwin) }

func FuzzZ2PoolAgreesWithTwin(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agreeWithTwin)) }

// agreeWithTwin drives the pool with random events and checks after each that it
// agrees with the twin.
func agreeWithTwin(t *rapid.T) {
	var (
		now   = time.Unix(1_409_400_000, 0)
		p     = pool.New[string, int](pool.Config{HeldBytes: 100_000})
		w     = newTwin()
		names = []string{"a", "b", "c", "d"}

		everything = []pool.Class{0, 1, 2}
	)
	step := func() {
		for _, l := range p.Expire(now) {
			if !l.Kept {
				w.late(l.Peer)
			}
		}
		for _, r := range p.Reserve(now) {
			if err := w.reserved(r); err != nil {
				t.Fatal(err)
			}
		}
		s := p.Stats()
		wanted, flying, held := w.counts()
		if s.Wanted != wanted || s.InFlight != flying || s.Held != held {
			t.Fatalf("pool has %d wanted, %d in flight, %d held; the twin %d, %d, %d",
				s.Wanted, s.InFlight, s.Held, wanted, flying, held)
		}
		for c := range everything {
			var mine [3]int
			for k, s := range w.state {
				if classOf(k) == pool.Class(c) {
					mine[slices.Index([]string{"wanted", "in flight", "held"}, s)]++
				}
			}
			if got := s.Classes[c]; [3]int{got.Wanted, got.InFlight, got.Held} != mine {
				t.Fatalf("class %d: pool has %+v; the twin %v", c, got, mine)
			}
			asked, twins := map[string]int{}, map[string]int{}
			p.EachInFlight(pool.Class(c), func(peer string, k int) { asked[fmt.Sprint(peer, k)]++ })
			for k, s := range w.state {
				for id := range w.holders[k] {
					if s == "in flight" && classOf(k) == pool.Class(c) {
						twins[fmt.Sprint(w.requests[id].peer, k)]++
					}
				}
			}
			if !maps.Equal(asked, twins) {
				t.Fatalf("class %d: in flight are %v; by the twin %v", c, asked, twins)
			}
		}
		if len(w.open) == 0 && s.InFlightBytes != 0 || s.InFlightBytes < 0 || s.HeldBytes < 0 {
			t.Fatalf("bytes are wrong: %+v", s)
		}
		if at, ok := p.NextDeadline(); ok && !at.After(now) {
			t.Fatal("the next deadline is not in the future")
		}
	}
	pick := func(t *rapid.T) (string, uint64, *twinRequest) {
		ids := slices.Sorted(maps.Keys(w.requests))
		if len(ids) == 0 {
			return "", 0, nil
		}
		// The oldest of some peer: answers come in order.
		id := rapid.SampledFrom(ids).Draw(t, "request")
		peer := w.requests[id].peer
		id = slices.Min(slices.Collect(maps.Keys(w.open[peer])))
		return peer, id, w.requests[id]
	}
	deliver := func(peer string, id uint64, keys []int, closed bool) {
		var items []pool.Item[int]
		for _, k := range keys {
			items = append(items, pool.Item[int]{Key: k, Size: 100 + k%1000})
		}
		got := slices.Clone(p.Deliver(now, peer, id, items, closed))
		for i, k := range keys {
			if want := w.arrive(peer, k); got[i] != want {
				t.Fatalf("key %d is %v, want %v", k, got[i], want)
			}
		}
		if closed {
			w.giveBack(id)
			delete(w.requests, id)
			delete(w.open[peer], id)
			// What was given up ahead of an answered request is over.
			for old := range w.open[peer] {
				if old < id && w.requests[old].late {
					delete(w.requests, old)
					delete(w.open[peer], old)
				}
			}
		}
		step()
	}
	t.Repeat(map[string]func(*rapid.T){
		"join": func(t *rapid.T) {
			n := rapid.SampledFrom(names).Draw(t, "peer")
			classes := rapid.SliceOfDistinct(rapid.SampledFrom(everything), rapid.ID[pool.Class]).Draw(t, "serves")
			p.Join(now, n, classes...)
			w.join(n, classes)
			step()
		},
		"leave": func(t *rapid.T) {
			n := rapid.SampledFrom(names).Draw(t, "peer")
			p.Leave(n)
			w.leave(n)
			step()
		},
		"want": func(t *rapid.T) {
			from := rapid.IntRange(0, 300).Draw(t, "from")
			for k := from; k < from+rapid.IntRange(1, 60).Draw(t, "n"); k++ {
				if isNew := p.Want(classOf(k), k, int64(rapid.IntRange(-1, 400).Draw(t, "rank")), 0); isNew != (w.state[k] == "") {
					t.Fatalf("Want(%d) says new: %v", k, isNew)
				}
				if w.state[k] == "" {
					w.state[k] = "wanted"
				}
				delete(w.last, k)
			}
			step()
		},
		"answer": func(t *rapid.T) {
			peer, id, r := pick(t)
			if r == nil {
				return // nothing is asked
			}
			keys := slices.Clone(r.keys)
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0: // nothing at all
				keys = nil
			case 1: // a beginning
				keys = keys[:rapid.IntRange(0, len(keys)).Draw(t, "n")]
			case 2: // a part, in any order
				keys = rapid.Permutation(keys).Draw(t, "order")
				keys = keys[:rapid.IntRange(0, len(keys)).Draw(t, "n")]
			}
			deliver(peer, id, keys, true)
		},
		"part of an answer": func(t *rapid.T) {
			peer, id, r := pick(t)
			if r == nil {
				return
			}
			deliver(peer, id, r.keys[:rapid.IntRange(1, len(r.keys)).Draw(t, "n")], false)
		},
		"done": func(t *rapid.T) {
			for _, k := range slices.Sorted(maps.Keys(w.state)) {
				if w.state[k] == "held" && rapid.Bool().Draw(t, "done") {
					p.Done(k)
					w.forget(k)
				}
			}
			step()
		},
		"reject": func(t *rapid.T) {
			n := rapid.SampledFrom(names).Draw(t, "peer")
			for _, k := range slices.Sorted(maps.Keys(w.state)) {
				if w.state[k] == "held" && rapid.IntRange(0, 9).Draw(t, "dice") == 0 {
					p.Reject(now, n, k)
					w.reject(n, k)
				}
			}
			step()
		},
		"expect": func(t *rapid.T) {
			class := rapid.SampledFrom(everything).Draw(t, "class")
			w.expected[class] = rapid.IntRange(0, 2).Draw(t, "keys")
			p.Expect(class, w.expected[class])
			step()
		},
		"brief": func(t *rapid.T) {
			n := rapid.SampledFrom(names).Draw(t, "peer")
			p.Brief(n, rapid.Bool().Draw(t, "brief"))
			p.Busy(now, n, int64(rapid.IntRange(0, 100_000).Draw(t, "bytes")))
			if rapid.Bool().Draw(t, "free") {
				p.Free(now, n, 1000)
			}
			step()
		},
		"cancel": func(t *rapid.T) {
			k := rapid.IntRange(0, 300).Draw(t, "key")
			if known := p.Cancel(k); known != (w.state[k] != "") {
				t.Fatalf("Cancel(%d) says known: %v", k, known)
			}
			w.forget(k)
			step()
		},
		"cancel all": func(t *rapid.T) {
			class := rapid.SampledFrom(everything).Draw(t, "class")
			p.CancelWanted(class)
			for k, s := range w.state {
				switch {
				case classOf(k) != class:
				case s == "wanted":
					w.forget(k)
				default:
					w.last[k] = true
				}
			}
			step()
		},
		"wait": func(t *rapid.T) {
			now = now.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
			step()
		},
		"wait for the deadline": func(t *rapid.T) {
			if at, ok := p.NextDeadline(); ok {
				now = at
				step()
			}
		},
	})

	// Whatever happened before: with one honest peer everything arrives.
	for _, n := range names {
		p.Leave(n)
		w.leave(n)
	}
	for _, k := range slices.Sorted(maps.Keys(w.state)) {
		if w.state[k] == "held" {
			p.Done(k)
			delete(w.state, k)
		}
	}
	p.Join(now, "honest", everything...)
	w.join("honest", everything)
	for range 10_000 {
		step()
		if p.Len() == 0 {
			return
		}
		ids := slices.Sorted(maps.Keys(w.open["honest"]))
		now = now.Add(10 * time.Millisecond)
		if len(ids) == 0 {
			continue
		}
		keys := w.requests[ids[0]].keys
		deliver("honest", ids[0], keys, true)
		for _, k := range keys {
			p.Done(k)
			delete(w.state, k)
		}
	}
	t.Fatalf("not done with one honest peer: %+v", p.Stats())
}
