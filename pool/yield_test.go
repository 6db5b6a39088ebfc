package pool_test

import (
	"testing"
	"time"

	"github.com/shoalnet/shoal/pool"
)

// half answers a peer's oldest request as one does that has every other key.
func (s *script) half(peer string) {
	s.Helper()
	var has []int
	for _, k := range s.open[peer][0].Keys {
		if k%2 == 0 {
			has = append(has, k)
		}
	}
	s.answer(peer, has...)
}

// TestAPeerWithHalfOfTheKeysIsAskedForTwice: its pipe is as full as that of a peer that
// has them all.
func TestAPeerWithHalfOfTheKeysIsAskedForTwice(t *testing.T) {
	s := newScript(t, pool.Config{PeerBytes: 50_000}, "half", "whole")
	s.want(0, 100_000)
	for range 50 {
		s.reserve()
		s.wait(50 * time.Millisecond)
		for len(s.open["half"]) > 0 {
			s.half("half")
		}
		s.answerAll("whole")
	}
	s.reserve()
	half, _ := s.pool.PeerStats(s.now, "half")
	whole, _ := s.pool.PeerStats(s.now, "whole")
	if ratio := float64(half.InFlight) / float64(whole.InFlight); ratio < 1.8 || ratio > 2.2 {
		t.Errorf("%d keys are in flight at the half peer, %d at the whole one", half.InFlight, whole.InFlight)
	}
	if half.InFlightBytes > whole.InFlightBytes*5/4 {
		t.Errorf("%d bytes are expected of the half peer, %d of the whole one", half.InFlightBytes, whole.InFlightBytes)
	}
}

// TestMissesByChanceAreNoReasonToRest: who has half of all keys may well lack some that
// are asked for one by one; who has had all and has none of them rests.
func TestMissesByChanceAreNoReasonToRest(t *testing.T) {
	for _, peer := range []string{"half", "whole"} {
		s := newScript(t, pool.Config{PeerBytes: 50_000}, peer)
		s.want(0, 5000)
		for s.pool.Wanted(blocks) > 0 && s.now.Before(time.Unix(1_409_400_000+60, 0)) {
			s.reserve()
			s.wait(50 * time.Millisecond)
			for len(s.open[peer]) > 0 {
				if peer == "half" {
					s.half(peer)
				} else {
					s.answerAll(peer)
				}
			}
			if peer == "half" {
				s.pool.CancelWanted(blocks)
			}
		}
		asked := 0
		for k := 10_001; k < 10_001+2*6; k += 2 {
			s.pool.Want(blocks, k, int64(k), 1000)
			if len(s.reserve()[peer]) > 0 {
				asked++
				s.wait(20 * time.Millisecond)
				s.answer(peer)
			}
		}
		if rests := asked < 6; rests != (peer == "whole") {
			t.Errorf("the %s peer was asked %d times for a key that it does not have", peer, asked)
		}
	}
}

// TestAnAnswerThatEndsByChanceIsNoLimit: of two keys, a peer with half of all has the
// first one alone every fourth time.
func TestAnAnswerThatEndsByChanceIsNoLimit(t *testing.T) {
	s := newScript(t, pool.Config{PeerBytes: 50_000}, "half")
	s.want(0, 1000)
	for range 10 {
		s.reserve()
		s.wait(50 * time.Millisecond)
		for len(s.open["half"]) > 0 {
			s.half("half")
		}
	}
	s.pool.CancelWanted(blocks)
	s.pool.Want(blocks, 10_000, 1, 1000)
	s.pool.Want(blocks, 10_001, 2, 1000)
	s.wantKeys(s.reserve()["half"], 10_000, 10_001)
	s.wait(50 * time.Millisecond)
	s.answer("half", 10_000)
	s.pool.CancelWanted(blocks)
	s.want(20_000, 20_010)
	if got := len(s.reserve()["half"]); got != 10 {
		t.Errorf("asked for %d keys, want all 10", got)
	}
}
