package pool_test

import (
	"testing"
	"time"

	"github.com/shoalnet/shoal/pool"
)

// TestABriefPipeHoldsARoundTrip: and a full one much more.
func TestABriefPipeHoldsARoundTrip(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	s.want(0, 20_000)
	drain := func() pool.PeerStats {
		for range 30 { // a round trip of 40 ms, then 100 kB/s for each request
			s.reserve()
			s.wait(40 * time.Millisecond)
			for len(s.open["a"]) > 0 {
				s.wait(time.Duration(len(s.open["a"][0].Keys)) * 10 * time.Millisecond)
				s.answer("a", s.open["a"][0].Keys...)
			}
		}
		s.reserve()
		st, _ := s.pool.PeerStats(s.now, "a")
		return st
	}
	long := func(st pool.PeerStats) time.Duration {
		return time.Duration(float64(st.InFlightBytes) / float64(st.Rate) * float64(time.Second))
	}
	const key = 10 * time.Millisecond // of work, which is not divided
	if st := drain(); long(st) < st.RoundTrip+300*time.Millisecond {
		t.Errorf("a full pipe has %v of work at a round trip of %v", long(st), st.RoundTrip)
	}
	s.pool.Brief("a", true)
	if st := drain(); long(st) > st.RoundTrip+key || long(st) < st.RoundTrip/2 {
		t.Errorf("a brief pipe has %v of work at a round trip of %v", long(st), st.RoundTrip)
	}
	s.pool.Brief("a", false)
	if st := drain(); long(st) < st.RoundTrip+300*time.Millisecond {
		t.Errorf("a pipe that is not brief any more has %v of work at a round trip of %v", long(st), st.RoundTrip)
	}
}

// TestWhatElseAPeerSendsDoesNotCountAsTime: a link that is busy with something else in between
// is no slower for it.
func TestAnswersAsideDoNotCountAsTime(t *testing.T) {
	rate := func(told bool) pool.BytesPerSec {
		s := newScript(t, pool.Config{}, "a")
		s.want(0, 20_000)
		for range 10 {
			s.reserve()
			for len(s.open["a"]) > 0 {
				s.wait(80 * time.Millisecond) // hashes come
				if told {
					s.pool.Free(s.now, "a", 8000)
				}
				s.wait(time.Duration(len(s.open["a"][0].Keys)) * 10 * time.Millisecond)
				s.answer("a", s.open["a"][0].Keys...)
			}
		}
		st, _ := s.pool.PeerStats(s.now, "a")
		return st.Rate
	}
	if got := rate(true); got < 95e3 || got > 105e3 {
		t.Errorf("the rate is measured as %.0f, want 100000", got)
	}
	if got := rate(false); got > 95e3 {
		t.Errorf("the rate is measured as %.0f although nobody says what else has come", got)
	}
}

// TestABusyPeerHasLonger: by as long as what else it is asked for takes, and not for
// ever.
func TestABusyPeerHasLonger(t *testing.T) {
	for bytes, want := range map[int64]time.Duration{0: 0, 200_000: 2 * time.Second, 1e9: 4 * time.Second} {
		s := newScript(t, pool.Config{PeerBytes: 100_000}, "a", "b")
		s.want(0, 200_000)
		for range 10 {
			s.reserve()
			for len(s.open["a"]) > 0 { // 100 kB/s
				s.wait(time.Duration(len(s.open["a"][0].Keys)) * 10 * time.Millisecond)
				s.answer("a", s.open["a"][0].Keys...)
			}
			s.answerAll("b")
		}
		s.reserve()
		due := func() time.Duration {
			began := s.now
			for range 1000 {
				s.answerAll("b")
				for _, l := range s.pool.Expire(s.now) {
					if l.Peer == "a" {
						return s.now.Sub(began)
					}
				}
				s.reserve()
				s.wait(10 * time.Millisecond)
			}
			t.Fatal("it is never late")
			return 0
		}
		s.pool.Busy(s.now, "a", bytes)
		if got := due() - time.Second; got < want-50*time.Millisecond || got > want+500*time.Millisecond {
			t.Errorf("asked for %d bytes more, it is late %v later, want %v", bytes, got, want)
		}
	}
}

// TestWhatElseIsAnsweredTellsTheRoundTrip: a peer whose pipe is never empty shows it in no
// other way.
func TestWhatElseIsAnsweredTellsTheRoundTrip(t *testing.T) {
	s := newScript(t, pool.Config{}, "a")
	s.want(0, 20_000)
	s.pool.Busy(s.now, "a", 10_000)
	s.wait(300 * time.Millisecond) // of which the hashes take 100 ms, which nobody knows yet
	s.pool.Free(s.now, "a", 10_000)
	trip := func() time.Duration {
		st, _ := s.pool.PeerStats(s.now, "a")
		return st.RoundTrip
	}
	if got := trip(); got != 300*time.Millisecond {
		t.Errorf("the round trip is %v after the first answer, want what that took", got)
	}
	for range 20 {
		s.reserve()
		s.pool.Busy(s.now, "a", 10_000)
		s.wait(200 * time.Millisecond)
		for range min(2, len(s.open["a"])) {
			s.wait(time.Duration(len(s.open["a"][0].Keys)) * 10 * time.Millisecond)
			s.answer("a", s.open["a"][0].Keys...)
		}
		s.wait(100 * time.Millisecond)
		s.pool.Free(s.now, "a", 10_000)
	}
	if got := trip(); got > 250*time.Millisecond {
		t.Errorf("the round trip is taken for %v, want 200 ms about", got)
	}
}
