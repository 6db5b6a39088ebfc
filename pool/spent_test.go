package pool_test

import (
	"testing"
	"time"

	"github.com/shoalnet/shoal/pool"
)

// wantSpent checks how a peer has spent its time, and that no time is missing.
func (s *script) wantSpent(peer string, joined time.Time, want map[pool.Why]time.Duration) {
	s.Helper()
	st, ok := s.pool.PeerStats(s.now, peer)
	if !ok {
		s.Fatalf("%s is not there", peer)
	}
	var sum time.Duration
	for why, got := range st.Spent {
		sum += got
		if got != want[pool.Why(why)] {
			s.Errorf("%s has spent %v with %q, want %v", peer, got, pool.Why(why), want[pool.Why(why)])
		}
	}
	if total := s.now.Sub(joined); sum != total {
		s.Errorf("%s has spent %v, and is here for %v", peer, sum, total)
	}
}

func TestTimeIsAccountedFor(t *testing.T) {
	s := newScript(t, pool.Config{HeldBytes: 500}, "a")
	joined := s.now
	s.reserve()
	s.wait(3 * time.Second) // nothing is wanted
	s.want(0, 1)
	s.reserve()
	s.wait(500 * time.Millisecond) // it transfers
	r := s.open["a"][0]
	s.pool.Deliver(s.now, "a", r.ID, []pool.Item[int]{{Key: 0, Size: 1000}}, true)
	s.want(1, 2)
	s.reserve()
	s.wait(250 * time.Millisecond) // that waits for the check
	s.pool.Done(0)
	s.reserve()
	s.wait(125 * time.Millisecond) // it transfers again
	s.wantSpent("a", joined, map[pool.Why]time.Duration{
		pool.WhyNothingWanted: 3 * time.Second,
		pool.WhyTransferring:  625 * time.Millisecond,
		pool.WhyChecking:      250 * time.Millisecond,
	})
}

func TestTheTimeOfALatePeerIsItsOwn(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	joined := s.now
	s.want(0, 1)
	s.reserve()
	s.pool.Join(s.now, "b", blocks)
	s.reserve()
	at, _ := s.pool.NextDeadline()
	took := at.Sub(s.now)
	s.now = at
	if late := s.pool.Expire(s.now); len(late) != 1 {
		t.Fatalf("%v are late", late)
	}
	s.reserve()
	s.wait(time.Second)
	s.wantSpent("a", joined, map[pool.Why]time.Duration{pool.WhyTransferring: took, pool.WhyLate: time.Second})
}
