package pool_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoalnet/shoal/pool"
)

// The classes of the tests.
const (
	blocks pool.Class = iota
	receipts
	chunks
)

// script drives a pool step by step in virtual time.
type script struct {
	*testing.T
	pool *pool.Pool[string, int]
	now  time.Time
	open map[string][]pool.Request[string, int] // unanswered, oldest first
}

func newScript(t *testing.T, cfg pool.Config, peers ...string) *script {
	s := &script{T: t, pool: pool.New[string, int](cfg), now: time.Unix(1_409_400_000, 0), open: map[string][]pool.Request[string, int]{}}
	for _, p := range peers {
		s.pool.Join(s.now, p, blocks)
	}
	return s
}

func (s *script) want(from, to int) {
	for k := from; k < to; k++ {
		s.pool.Want(blocks, k, int64(k), 1000)
	}
}

// reserve hands out work and returns who was asked for which keys.
func (s *script) reserve() map[string][]int {
	asked := map[string][]int{}
	for _, r := range s.pool.Reserve(s.now) {
		s.open[r.Peer] = append(s.open[r.Peer], r)
		asked[r.Peer] = append(asked[r.Peer], r.Keys...)
	}
	return asked
}

// answer answers a peer's oldest request with the given keys and calls Done for
// what was useful.
func (s *script) answer(peer string, keys ...int) (useful int) {
	s.Helper()
	if len(s.open[peer]) == 0 {
		s.Fatalf("%s was not asked for anything", peer)
	}
	r := s.open[peer][0]
	s.open[peer] = s.open[peer][1:]
	var items []pool.Item[int]
	for _, k := range keys {
		items = append(items, pool.Item[int]{Key: k, Size: 1000})
	}
	for i, v := range s.pool.Deliver(s.now, peer, r.ID, items, true) {
		if v == pool.Useful {
			useful++
			s.pool.Done(keys[i])
		}
	}
	return useful
}

// answerAll answers everything a peer was asked for.
func (s *script) answerAll(peer string) {
	for len(s.open[peer]) > 0 {
		s.answer(peer, s.open[peer][0].Keys...)
	}
}

// flow lets the time pass in which each of the peers sends so many keys, and answers
// what it has sent by then. It returns who is late.
func (s *script) flow(keys int, sent map[string]int) []pool.Late[string] {
	s.wait(time.Duration(keys) * time.Millisecond) // a megabyte a second
	for _, p := range slices.Sorted(maps.Keys(sent)) {
		sent[p] += keys
		for len(s.open[p]) > 0 && len(s.open[p][0].Keys) <= sent[p] {
			sent[p] -= len(s.open[p][0].Keys)
			s.answer(p, s.open[p][0].Keys...)
		}
		if len(s.open[p]) == 0 {
			sent[p] = 0
		}
	}
	late := s.pool.Expire(s.now)
	s.reserve()
	return late
}

func (s *script) wait(d time.Duration) { s.now = s.now.Add(d) }

func (s *script) wantKeys(got []int, want ...int) {
	s.Helper()
	if !slices.Equal(got, want) {
		s.Fatalf("asked for %v, want %v", got, want)
	}
}

func seq(from, to int) (s []int) {
	for k := from; k < to; k++ {
		s = append(s, k)
	}
	return s
}

func TestLowestRankFirst(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	s.pool.Want(blocks, 30, 30, 0)
	s.pool.Want(blocks, 10, 10, 0)
	s.pool.Want(blocks, 20, 20, 0)
	s.pool.Want(blocks, 99, -1, 0) // a probe
	s.wantKeys(s.reserve()["a"], 99, 10, 20, 30)
}

func TestLoweringARankOvertakes(t *testing.T) {
	s := newScript(t, pool.Config{})
	s.want(0, 100)
	if s.pool.Want(blocks, 50, -1, 0) {
		t.Fatal("a key that is known already is called new")
	}
	s.pool.Join(s.now, "a", blocks)
	if got := s.reserve()["a"]; got[0] != 50 || got[1] != 0 {
		t.Fatalf("asked for %v, want 50 before 0", got)
	}
}

func TestANewPeerIsTriedWithLittle(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	s.want(0, 1000)
	s.wantKeys(s.reserve()["a"], seq(0, 9)...)
	if more := s.reserve(); len(more) > 0 {
		t.Fatalf("asked for %v before anything was answered", more)
	}
}

func TestAShortAnswerReturnsTheRestAtOnce(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	s.want(0, 9)
	s.reserve()
	s.wait(10 * time.Millisecond)
	s.answer("a", 0)
	s.wait(10 * time.Millisecond)
	s.answer("a", 1, 2, 3)
	s.reserve()
	s.wantKeys(s.open["a"][0].Keys, 4, 5, 6) // three seem to be what it answers at once
}

func TestAnEmptyAnswerTeachesThatThePeerLacksTheKeys(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	s.want(0, 3)
	s.reserve()
	s.answer("a")
	s.answer("a")
	if got := s.reserve(); len(got) != 0 {
		t.Fatalf("asked again for %v", got)
	}
	// Another peer is asked at once, the first one again only later.
	s.pool.Join(s.now, "b", blocks)
	s.wantKeys(s.reserve()["b"], 0, 1, 2)
	s.pool.Leave("b")
	if got := s.reserve(); len(got) != 0 {
		t.Fatalf("asked again for %v", got)
	}
	began := s.now
	for {
		at, ok := s.pool.NextDeadline()
		if !ok {
			t.Fatal("the pool would sleep for ever")
		}
		s.now = at
		if got := s.reserve()["a"]; len(got) > 0 {
			s.wantKeys(got, 0, 1, 2)
			break
		}
	}
	if after := s.now.Sub(began); after < 5*time.Second || after > time.Minute {
		t.Fatalf("asked again after %v", after)
	}
}

func TestPassingOverAKeyTeachesThatThePeerLacksIt(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	s.want(0, 9)
	s.reserve()
	s.answer("a", 0)
	s.answer("a", 1, 3, 5) // 2 and 4 are passed over, 6 to 8 were cut off
	s.wantKeys(s.reserve()["a"], 6, 7, 8)
}

func TestRejectedContentIsAskedOfSomebodyElse(t *testing.T) {
	s := newScript(t, pool.Config{}, "a", "b")
	s.want(0, 1)
	r := s.pool.Reserve(s.now)[0]
	s.pool.Deliver(s.now, r.Peer, r.ID, []pool.Item[int]{{Key: 0, Size: 10}}, true)
	if got := s.reserve(); len(got) != 0 {
		t.Fatalf("asked for %v while it is being checked", got)
	}
	s.pool.Reject(s.now, r.Peer, 0)
	got := s.reserve()
	if len(got[r.Peer]) != 0 {
		t.Fatalf("asked of %s again, who sent what it is not", r.Peer)
	}
	if len(got) != 1 {
		t.Fatalf("asked of %v, want of the other peer", got)
	}
}

func TestALatePeerLosesItsWorkButItsAnswerCounts(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	s.want(0, 9)
	s.reserve()
	s.wait(3 * time.Second)
	s.pool.Join(s.now, "b", blocks)
	late := s.pool.Expire(s.now)
	if len(late) != 1 || late[0].Peer != "a" || late[0].Keys != 9 || late[0].Hopeless {
		t.Fatalf("late is %+v", late)
	}
	got := s.reserve()
	if len(got["a"]) != 0 {
		t.Fatalf("a late peer is asked for %v", got["a"])
	}
	s.wantKeys(got["b"], seq(0, 9)...)
	if n := s.answer("a", 0); n != 1 {
		t.Fatal("the late answer was not useful")
	}
	if n := s.answer("b", 0); n != 0 {
		t.Fatal("the same block was useful twice")
	}
	if d := s.pool.Stats().Duplicates; d != 1 {
		t.Fatalf("%d duplicates counted, want 1", d)
	}
}

// untilLate goes from deadline to deadline until a peer is reported as late.
func (s *script) untilLate() pool.Late[string] {
	s.Helper()
	for range 100 {
		at, ok := s.pool.NextDeadline()
		if !ok {
			s.Fatal("the pool would sleep for ever")
		}
		s.now = at
		late := s.pool.Expire(s.now)
		s.reserve()
		if len(late) > 0 {
			return late[0]
		}
	}
	s.Fatal("nobody is ever late")
	return pool.Late[string]{}
}

func TestALatePeerIsProbedUntilItIsHopeless(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	s.want(0, 1)
	s.reserve()
	s.pool.Join(s.now, "b", blocks) // lacks everything, but might have taken over
	for n := 1; ; n++ {
		late := s.untilLate()
		for len(s.open["b"]) > 0 {
			s.answer("b")
		}
		if late.Peer == "a" && late.Hopeless {
			break
		}
		if n > 20 {
			t.Fatal("a peer that never answers is never hopeless")
		}
	}
	if n := len(s.open["a"]); n < 3 {
		t.Fatalf("it was asked %d times", n)
	}
	// A single answer and it is as good as new.
	s.wait(time.Second)
	s.want(1, 100)
	s.answer("a", 0)
	if got := s.reserve()["a"]; len(got) < 2 {
		t.Fatalf("asked for %v after it is back", got)
	}
}

func TestALatePeerThatIsAloneKeepsItsWork(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	s.want(0, 9)
	s.reserve()
	for n := 1; ; n++ {
		late := s.untilLate()
		if late.Keys != 0 {
			t.Fatalf("%d keys were returned, with nobody to ask for them", late.Keys)
		}
		if late.Hopeless {
			break
		}
		if n > 20 {
			t.Fatal("it is never hopeless")
		}
	}
	if n := len(s.open["a"]); n != 2 {
		t.Fatalf("it was asked %d times, want 2", n)
	}
	s.answerAll("a")
	if st := s.pool.Stats(); st.Duplicates != 0 || st.Useful != 9 {
		t.Fatalf("stats are %+v", st)
	}
}

func TestAPeerWhoseAnswerIsArrivingIsNotLate(t *testing.T) {
	s := newScript(t, pool.Config{}, "a", "b")
	s.want(0, 1)
	s.reserve()
	at, _ := s.pool.NextDeadline()
	s.now = at
	s.pool.Alive(s.now, "a", 100_000)
	if late := s.pool.Expire(s.now); len(late) > 0 {
		t.Fatalf("%v late while its answer arrives", late)
	}
	at, _ = s.pool.NextDeadline()
	s.now = at
	s.pool.Alive(s.now, "a", 10) // a drip
	if late := s.pool.Expire(s.now); len(late) != 1 {
		t.Fatal("a drip of bytes keeps work for ever")
	}
}

func TestAPeerThatHasBecomeAHundredTimesSlowerIsLate(t *testing.T) {
	for _, c := range []struct {
		slower int64
		late   bool
	}{{2, false}, {100, true}} {
		s := newScript(t, pool.Config{PeerBytes: 100_000}, "a", "b", "c")
		s.want(0, 100_000)
		for range 50 {
			s.reserve()
			s.wait(50 * time.Millisecond)
			for _, n := range []string{"a", "b", "c"} {
				s.answerAll(n)
			}
		}
		s.reserve()
		// Its next answer arrives steadily from now on, and never ends.
		st, _ := s.pool.PeerStats(s.now, "a")
		const step = 50 * time.Millisecond
		bytes, counted, late := int64(0), int64(0), false
		for range 100 {
			s.wait(step)
			s.answerAll("b")
			s.answerAll("c")
			bytes += int64(float64(st.Rate)*step.Seconds()) / c.slower
			if s.pool.Alive(s.now, "a", bytes-counted) {
				counted = bytes
			}
			late = late || len(s.pool.Expire(s.now)) > 0
			s.reserve()
		}
		if late != c.late {
			t.Errorf("a peer that is %d times slower than it was: late is %v", c.slower, late)
		}
	}
}

// TestARateThatFallsExcusesNothing: what a peer was asked for while it was fast is late
// by what was promised then, also when its last answer has shown how slow it is.
func TestARateThatFallsExcusesNothing(t *testing.T) {
	s := newScript(t, pool.Config{}, "a", "b")
	s.want(0, 100_000)
	start := s.now
	for sent := map[string]int{"a": 0, "b": 0}; s.now.Before(start.Add(5 * time.Second)); {
		s.flow(20, sent)
	}
	st, _ := s.pool.PeerStats(s.now, "a")
	if len(s.open["a"]) < 2 {
		t.Fatalf("%d requests are open, want some", len(s.open["a"]))
	}
	head := s.open["a"][0]
	others := map[string]int{"b": 0}
	for range 13 {
		if late := s.flow(50, others); len(late) > 0 {
			t.Fatalf("%v after %v", late, s.now.Sub(start))
		}
	}
	s.answer("a", head.Keys...)
	slow, _ := s.pool.PeerStats(s.now, "a")
	if slow.Rate > st.Rate/2 {
		t.Fatalf("the rate is %v, it was %v: the delay is too small for this test", slow.Rate, st.Rate)
	}
	for s.now.Before(start.Add(9 * time.Second)) {
		s.pool.Alive(s.now, "a", 4096) // in 50 ms
		if late := s.flow(50, others); len(late) > 0 {
			return
		}
	}
	t.Error("a peer at a twelfth of its rate keeps its work")
}

// TestASlowPeerTakesOverWhatIsBigForIt: what somebody holds who does not answer and is not
// late either moves to an idle peer, also if that one brings less than a key in the time
// that a request should take.
func TestASlowPeerTakesOverWhatIsBigForIt(t *testing.T) {
	s := newScript(t, pool.Config{}, "slow", "holds")
	s.want(0, 20)
	for began := s.now; s.pool.Len() > 0; {
		s.reserve()
		s.wait(time.Second) // a key
		if r := s.open["slow"]; len(r) > 0 && len(r[0].Keys) == 1 {
			s.answerAll("slow")
		} else if len(r) > 0 {
			s.answer("slow", r[0].Keys[:1]...)
		}
		s.pool.Alive(s.now, "holds", 4096)
		s.pool.Expire(s.now)
		if s.now.Sub(began) > 2*time.Minute {
			t.Fatalf("%d keys are left after two minutes: %+v", s.pool.Len(), s.pool.Stats())
		}
	}
	if s.pool.Stats().Hedged == 0 {
		t.Error("nothing moved")
	}
}

// TestASilentPeerIsSuspectedAtTheEnd: when little is left and somebody has nothing to
// do, a peer that has fallen silent loses its work before its deadline, whatever the
// budget for duplicates allows; but not if nobody else has answered since.
func TestASilentPeerIsSuspectedAtTheEnd(t *testing.T) {
	for _, linkFails := range []bool{false, true} {
		s := newScript(t, pool.Config{Duplicates: 1e-9}, "a", "b", "c")
		s.want(0, 10_000)
		for sent := map[string]int{"a": 0, "b": 0, "c": 0}; s.pool.Wanted(blocks) > 0; {
			s.flow(20, sent)
		}
		st, _ := s.pool.PeerStats(s.now, "a")
		if st.InFlight < 2*64 {
			t.Fatalf("%d keys are in flight at the peer that falls silent: the budget could move them", st.InFlight)
		}
		silent := s.now
		others := map[string]int{"b": 0, "c": 0}
		if linkFails {
			s.answerAll("b")
			s.answerAll("c")
			clear(others)
		}
		var late []pool.Late[string]
		for len(late) == 0 && s.now.Sub(silent) < 800*time.Millisecond {
			late = s.flow(20, others)
		}
		if linkFails {
			if len(late) > 0 {
				t.Fatalf("%v after %v, when nobody has answered since", late, s.now.Sub(silent))
			}
			continue
		}
		if len(late) != 1 || late[0].Peer != "a" || late[0].Keys < st.InFlight/2 || late[0].Hopeless {
			t.Fatalf("%v after %v, want that a has lost its work without blame", late, s.now.Sub(silent))
		}
		for range 50 {
			s.flow(20, others)
		}
		if n := s.pool.Len(); n != 0 {
			t.Fatalf("%d keys are left", n)
		}
	}
}

func TestWhenMostPeersAreLateItIsOurOwnLink(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	s := newScript(t, pool.Config{PeerBytes: 100_000}, names...)
	s.want(0, 100_000)
	for range 20 {
		s.reserve()
		s.wait(20 * time.Millisecond)
		for _, n := range names {
			s.answerAll(n)
		}
	}
	s.reserve()
	s.wait(30 * time.Second)
	if late := s.pool.Expire(s.now); len(late) != 0 {
		t.Fatalf("%v are called late when everybody is", late)
	}
	if st := s.pool.Stats(); st.LinkSlow != 1 || st.LinkFactor != 2 {
		t.Fatalf("stats are %+v, want one stretch by 2", st)
	}
	// One that delivers while the others do not: now it is them.
	for range 40 {
		s.wait(20 * time.Millisecond)
		s.answerAll("a")
		s.reserve()
	}
	for range 100 {
		at, _ := s.pool.NextDeadline()
		if at.After(s.now.Add(20 * time.Millisecond)) {
			at = s.now.Add(20 * time.Millisecond)
		}
		s.now = at
		s.answerAll("a")
		if late := s.pool.Expire(s.now); len(late) > 0 {
			for _, l := range late {
				if l.Peer == "a" {
					t.Fatal("the peer that delivers is called late")
				}
			}
			return
		}
		s.reserve()
	}
	t.Fatalf("silent peers are never late while another one delivers: %+v", s.pool.Stats())
}

func TestSlowCheckingHoldsBackTheNetwork(t *testing.T) {
	s := newScript(t, pool.Config{HeldBytes: 500}, "a")
	s.want(0, 100)
	s.reserve()
	s.pool.Deliver(s.now, "a", s.open["a"][0].ID, []pool.Item[int]{{Key: 0, Size: 501}}, true)
	s.open["a"] = s.open["a"][1:]
	s.answerAll("a")
	if got := s.reserve(); len(got) != 0 {
		t.Fatalf("asked for %v while 501 bytes of 500 wait to be checked", got)
	}
	if st, _ := s.pool.PeerStats(s.now, "a"); st.Why != pool.WhyChecking {
		t.Fatalf("why is %q", st.Why)
	}
	s.pool.Done(0)
	if got := s.reserve(); len(got["a"]) == 0 {
		t.Fatal("not asked again after the check")
	}
}

// TestTheFirstHasNoSize: what follows is asked for like anything else.
func TestTheFirstHasNoSize(t *testing.T) {
	s := newScript(t, pool.Config{}, "a", "b")
	for k := range 1000 {
		s.pool.Want(blocks, k, int64(k), 0)
	}
	for range 1000 {
		s.reserve()
		s.wait(20 * time.Millisecond)
		for p, open := range s.open {
			for _, r := range open {
				var items []pool.Item[int]
				for _, k := range r.Keys {
					items = append(items, pool.Item[int]{Key: k, Size: min(k, 100)})
				}
				s.pool.Deliver(s.now, p, r.ID, items, true)
				for _, k := range r.Keys {
					s.pool.Done(k)
				}
			}
			delete(s.open, p)
		}
	}
	if n := s.pool.Len(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// TestTheTotalIsBounded: of content that is much smaller than what is known of it, no more
// is in flight and held than there may be in memory, whoever brings it and however slowly
// it is stored.
func TestTheTotalIsBounded(t *testing.T) {
	const (
		size    = 100
		key     = 256 // what each takes besides
		total   = 1_000_000
		request = 10_000 // the most that is asked for at once: two for each peer may be beyond it
	)
	s := newScript(t, pool.Config{TotalBytes: total, PeerBytes: request}, "a", "b", "c", "d")
	for k := range 100_000 {
		s.pool.Want(blocks, k, int64(k), size)
	}
	var held []int
	full := 0
	for s.pool.Len() > 0 {
		s.reserve()
		st := s.pool.Stats()
		sum := st.InFlightBytes + st.HeldBytes + key*int64(st.InFlight+st.Held)
		if most := int64(total + 2*4*(request+request/size*key)); sum > most {
			t.Fatalf("%d keys are in flight and %d held: %d bytes, of %d", st.InFlight, st.Held, sum, most)
		}
		s.wait(time.Millisecond)
		for p, open := range s.open {
			for _, r := range open {
				var items []pool.Item[int]
				for _, k := range r.Keys {
					items = append(items, pool.Item[int]{Key: k, Size: size})
				}
				s.pool.Deliver(s.now, p, r.ID, items, true)
				held = append(held, r.Keys...)
			}
			delete(s.open, p)
		}
		if st.Held > 0 && len(held) == st.Held { // nothing more has come: the disk has its turn
			if full++; sum < total {
				t.Fatalf("nothing is asked for although there are only %d bytes, of %d", sum, total)
			}
		}
		if len(held) == st.Held || st.Wanted == 0 {
			for _, k := range held {
				s.pool.Done(k)
			}
			held = held[:0]
		}
	}
	if full == 0 {
		t.Fatal("the bound was never reached")
	}
}

// TestPipesAreShortWhereTheProcessorIsTheLimit: of fast peers as much is asked for as they
// bring in a moment, unless it waits here; and again a while after that is over.
func TestPipesAreShortWhereTheProcessorIsTheLimit(t *testing.T) {
	const (
		size    = 20_000
		request = 4 * (size + 256)
		least   = 24 << 20
	)
	names := strings.Split("abcdefghijklmnop", "")
	s := newScript(t, pool.Config{RequestKeys: 4}, names...)
	next := 0
	// most is how much is in flight and held, at the most, in so many seconds in which
	// all is answered within 100 milliseconds and waits here for so long.
	most := func(lag, long time.Duration) (peak int64) {
		for end := s.now.Add(long); s.now.Before(end); {
			for ; s.pool.Wanted(blocks) < 10_000; next++ {
				s.pool.Want(blocks, next, int64(next), size)
			}
			s.reserve()
			st := s.pool.Stats()
			peak = max(peak, st.InFlightBytes+st.HeldBytes)
			s.wait(100 * time.Millisecond)
			at := s.now
			s.wait(lag)
			for _, p := range names {
				for _, r := range s.open[p] {
					var items []pool.Item[int]
					for _, k := range r.Keys {
						items = append(items, pool.Item[int]{Key: k, Size: size})
					}
					s.pool.Deliver(at, p, r.ID, items, true)
					for _, k := range r.Keys {
						s.pool.Done(k)
					}
				}
				delete(s.open, p)
			}
		}
		return peak
	}
	if peak := most(0, 5*time.Second); peak < 2*least {
		t.Fatalf("%d bytes of fast peers at the most", peak)
	}
	most(60*time.Millisecond, time.Second)
	if peak := most(60*time.Millisecond, 3*time.Second); peak > least+int64(len(names))*request {
		t.Fatalf("%d bytes are asked for of peers whose answers wait", peak)
	}
	most(0, 3*time.Second)
	if peak := most(0, 3*time.Second); peak < 2*least {
		t.Fatalf("%d bytes at the most after answers have waited", peak)
	}
}

func TestAServersLimitIsLearnt(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	s.want(0, 10_000)
	s.reserve()
	for range 50 {
		for len(s.open["a"]) > 0 {
			s.wait(5 * time.Millisecond)
			keys := s.open["a"][0].Keys
			s.answer("a", keys[:min(16, len(keys))]...)
		}
		s.reserve()
	}
	for _, r := range s.open["a"] {
		if len(r.Keys) > 20 {
			t.Fatalf("asked for %d keys at once of a server that answers 16", len(r.Keys))
		}
	}
}

func TestContentThatNobodyAskedForIsTakenIfWanted(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	s.want(0, 1)
	v := s.pool.Deliver(s.now, "a", 0, []pool.Item[int]{{Key: 0, Size: 10}, {Key: 7, Size: 10}}, false)
	if !slices.Equal(v, []pool.Verdict{pool.Useful, pool.Unrequested}) {
		t.Fatalf("verdicts %v", v)
	}
	if got := s.reserve(); len(got) != 0 {
		t.Fatalf("asked for %v, which is here", got)
	}
}

func TestOneRequestAtATime(t *testing.T) {
	s := newScript(t, pool.Config{PeerBytes: 100_000}, "a")
	s.pool.Single("a")
	s.want(0, 10_000)
	for range 30 {
		s.reserve()
		if n := len(s.open["a"]); n != 1 {
			t.Fatalf("%d requests open", n)
		}
		s.wait(time.Millisecond)
		s.answerAll("a")
	}
}

// hedged brings a script to where key 9 is asked of two peers, and returns their names,
// the slower one first.
func hedged(t *testing.T) (s *script, slow, fast string) {
	s = newScript(t, pool.Config{}, "a", "b")
	s.want(0, 10)
	for range 10 { // both are measured
		s.reserve()
		s.wait(50 * time.Millisecond)
		for _, p := range []string{"a", "b"} {
			if len(s.open[p]) > 0 && s.open[p][0].Keys[0] != 9 {
				s.answerAll(p)
			}
		}
	}
	for range 100 {
		at, ok := s.pool.NextDeadline()
		if !ok {
			break
		}
		s.now = at
		s.pool.Expire(s.now)
		if s.reserve(); len(s.open["a"]) > 0 && len(s.open["b"]) > 0 {
			if s.open["a"][0].ID < s.open["b"][0].ID {
				return s, "a", "b"
			}
			return s, "b", "a"
		}
	}
	t.Fatal("nobody is asked for what another does not bring")
	return nil, "", ""
}

// TestWhileMoreIsExpectedNothingIsAskedTwice: an idle peer waits for what is to come, and
// takes over from a silent one when nothing is any more.
func TestWhileMoreIsExpectedNothingIsAskedTwice(t *testing.T) {
	for _, expected := range []int{0, 1} {
		s := newScript(t, pool.Config{}, "slow", "fast")
		s.want(0, 200)
		for range 6 { // both are measured
			s.reserve()
			s.wait(10 * time.Millisecond)
			s.answerAll("slow")
			s.answerAll("fast")
		}
		s.want(200, 300)
		s.pool.Expect(blocks, expected)
		s.reserve()
		for range 20 {
			s.answerAll("fast")
			s.wait(40 * time.Millisecond)
			s.reserve()
		}
		if got := s.pool.Stats().Hedged > 0; got != (expected == 0) {
			t.Errorf("with %d keys to come, keys are asked twice: %t", expected, got)
		}
		s.pool.Expect(blocks, 0)
		if s.reserve(); s.pool.Stats().Hedged == 0 {
			t.Errorf("with nothing to come, nothing is asked twice: %+v", s.pool.Stats())
		}
	}
}

func TestRejectedContentStaysInFlightElsewhere(t *testing.T) {
	s, slow, fast := hedged(t)
	r := s.open[fast][0]
	s.pool.Deliver(s.now, fast, r.ID, []pool.Item[int]{{Key: 9, Size: 1000}}, true)
	s.pool.Reject(s.now, fast, 9)
	if st := s.pool.Stats(); st.Wanted != 0 || st.InFlight != 1 {
		t.Fatalf("%d wanted and %d in flight, want it in flight where it was", st.Wanted, st.InFlight)
	}
	if got := s.reserve(); len(got) != 0 {
		t.Fatalf("asked for %v, which %s is asked for already", got, slow)
	}
	if s.answer(slow, 9) != 1 {
		t.Fatal("the answer of the other peer was of no use")
	}
}

func TestBytesOfAnAnswerAddUpUntilTheyCount(t *testing.T) {
	s := newScript(t, pool.Config{}, "a", "b")
	s.want(0, 1)
	s.reserve()
	if s.pool.Alive(s.now, "a", 100) {
		t.Fatal("a hundred bytes count, and so would any drip")
	}
	if !s.pool.Alive(s.now, "a", 5000) {
		t.Fatal("five thousand bytes do not count")
	}
}

// TestTheFirstKeysTellWhatAllWeigh: that blocks weigh thirty times the hint is known as soon
// as some are here, so a slow peer is never asked for what it brings in seconds.
func TestTheFirstKeysTellWhatAllWeigh(t *testing.T) {
	w := newWorld(t, pool.Config{}, 20_000)
	w.add(&simPeer{rate: 20 * mbit, delay: 25 * time.Millisecond})
	slow := w.add(&simPeer{rate: mbit, delay: 25 * time.Millisecond})
	for k := range 1000 {
		w.pool.Want(blocks, k, int64(k), 0)
	}
	most := 0
	for n := range 200 {
		w.at(w.now.Add(time.Duration(n)*20*time.Millisecond), func() {
			s, _ := w.pool.PeerStats(w.now, slow.id)
			most = max(most, s.InFlight)
		})
	}
	w.run(10 * time.Minute)
	// Behind the eight of the second request there may be six times the key of the first.
	if most > 14 {
		t.Errorf("a peer of six blocks a second had %d in flight", most)
	}
	if s := w.pool.Stats(); s.Late > 0 || s.Duplicates > 0 {
		t.Errorf("%d times late, %d duplicates", s.Late, s.Duplicates)
	}
}
