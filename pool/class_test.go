package pool_test

import (
	"slices"
	"testing"
	"time"

	"github.com/shoalnet/shoal/pool"
)

// wantOf wants keys of a class, with their numbers as ranks.
func (s *script) wantOf(class pool.Class, from, to int) {
	for k := from; k < to; k++ {
		s.pool.Want(class, k, int64(k), 1000)
	}
}

// measured lets a peer answer what it is asked for until its rate is known.
func (s *script) measured(peer string) {
	for range 3 {
		s.reserve()
		s.wait(10 * time.Millisecond)
		s.answerAll(peer)
	}
}

func TestARequestIsOfOneClassAndTheLowestRankChoosesIt(t *testing.T) {
	s := newScript(t, pool.Config{})
	s.pool.Join(s.now, "a", blocks, receipts)
	s.wantOf(receipts, 0, 1)
	s.wantOf(blocks, 1, 4)
	s.wantOf(receipts, 4, 6)
	var got [][]int
	for range 3 {
		for _, r := range s.pool.Reserve(s.now) {
			if isBlock := r.Keys[0] >= 1 && r.Keys[0] < 4; isBlock != (r.Class == blocks) {
				t.Fatalf("keys %v are of class %d", r.Keys, r.Class)
			}
			s.open["a"] = append(s.open["a"], r)
			got = append(got, r.Keys)
		}
		s.wait(10 * time.Millisecond)
		s.answerAll("a")
	}
	want := [][]int{{0}, {1, 2, 3}, {4, 5}}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Fatalf("requests %v, want %v", got, want)
	}
}

func TestAPeerIsNotAskedForWhatItDoesNotServe(t *testing.T) {
	s := newScript(t, pool.Config{}, "a") // serves blocks
	s.wantOf(chunks, 0, 100)
	if got := s.reserve(); len(got) != 0 {
		t.Fatalf("asked for %v", got)
	}
	if st, _ := s.pool.PeerStats(s.now, "a"); st.Why != pool.WhyNothingWanted {
		t.Fatalf("why is %q, with nothing that it serves wanted", st.Why)
	}
	s.want(100, 101)
	s.wantKeys(s.reserve()["a"], 100)
}

func TestALimitInOneClassIsNoneInAnother(t *testing.T) {
	s := newScript(t, pool.Config{})
	s.pool.Join(s.now, "a", blocks, receipts)
	s.want(0, 1000)
	s.measured("a")
	s.reserve()
	s.wait(10 * time.Millisecond)
	for len(s.open["a"]) > 0 {
		s.answer("a", s.open["a"][0].Keys[:3]...)
	}
	for _, r := range s.pool.Reserve(s.now) {
		if len(r.Keys) > 3 {
			t.Fatalf("asked for %d blocks at once of a server that answers 3", len(r.Keys))
		}
		s.open["a"] = append(s.open["a"], r)
	}
	s.pool.CancelWanted(blocks)
	s.wantOf(receipts, 1000, 2000)
	s.answerAll("a")
	most := 0
	for _, r := range s.pool.Reserve(s.now) {
		most = max(most, len(r.Keys))
	}
	if most <= 3 {
		t.Fatalf("asked for %d receipts at once, because of its limit in blocks", most)
	}
}

func TestAPeerWithoutReceiptsStillBringsBlocks(t *testing.T) {
	s := newScript(t, pool.Config{})
	s.pool.Join(s.now, "a", blocks, receipts)
	s.wantOf(receipts, 0, 9) // more urgent
	s.want(100, 109)
	for len(s.open["a"]) > 0 || len(s.reserve()["a"]) > 0 {
		r := s.open["a"][0]
		if r.Class == receipts {
			s.answer("a") // it has none
			continue
		}
		s.wait(10 * time.Millisecond)
		s.answer("a", r.Keys...)
	}
	if n := s.pool.Stats().Classes[blocks].Useful; n != 9 {
		t.Fatalf("%d blocks have come, want 9", n)
	}
}

// TestTheTailOfAClassIsMoved: what nobody else needs to do is not a reason to leave the
// end of a class to a peer that has fallen silent.
func TestTheTailOfAClassIsMoved(t *testing.T) {
	s := newScript(t, pool.Config{}, "slow", "fast")
	s.want(0, 200)
	for range 6 {
		s.reserve()
		s.wait(10 * time.Millisecond)
		s.answerAll("slow")
		s.answerAll("fast")
	}
	s.wantOf(chunks, 1000, 1100) // for which there is nobody
	s.want(200, 300)
	s.reserve()
	for range 100 {
		s.answerAll("fast")
		at, ok := s.pool.NextDeadline()
		if !ok {
			break
		}
		s.now = at
		s.reserve()
		if s.pool.Stats().Hedged > 0 {
			return
		}
	}
	t.Fatalf("nothing is moved: %+v", s.pool.Stats())
}

func TestCancellingAClassLeavesTheOthers(t *testing.T) {
	s := newScript(t, pool.Config{})
	s.want(0, 10)
	s.wantOf(chunks, 10, 30)
	s.pool.CancelWanted(blocks)
	if s.pool.Len() != 20 || s.pool.Wanted(blocks) != 0 || s.pool.Wanted(chunks) != 20 {
		t.Fatalf("%d keys are left, %d blocks, %d chunks", s.pool.Len(), s.pool.Wanted(blocks), s.pool.Wanted(chunks))
	}
}

// TestAPeerThatSaysWhatItLacksIsNotAskedAgain: nor is it taken for one that answers
// little at a time, or for one that has nothing.
func TestAPeerThatSaysWhatItLacksIsNotAskedAgain(t *testing.T) {
	s := newScript(t, pool.Config{}, "half")
	s.want(0, 3)
	s.measured("half")
	s.want(10, 12)
	s.wantKeys(s.reserve()["half"], 10, 11)
	s.wait(10 * time.Millisecond)
	verdicts := s.pool.Deliver(s.now, "half", s.open["half"][0].ID, []pool.Item[int]{{Key: 10, Size: 1000}, {Key: 11, Absent: true}}, true)
	if want := []pool.Verdict{pool.Useful, pool.Lacking}; !slices.Equal(verdicts, want) {
		t.Errorf("verdicts %v, want %v", verdicts, want)
	}
	delete(s.open, "half")
	if got := s.reserve(); len(got) != 0 {
		t.Fatalf("asked again for %v", got)
	}
	s.want(20, 22)
	s.wantKeys(s.reserve()["half"], 20, 21)
	s.pool.Join(s.now, "other", blocks)
	s.wantKeys(s.reserve()["other"], 11)
}

// TestABlockIsABlockWhateverAFileSays: who lists the hash of a block among the chunks of
// a file does not keep it from being fetched.
func TestABlockIsABlockWhateverAFileSays(t *testing.T) {
	s := newScript(t, pool.Config{})
	s.pool.Want(chunks, 7, 1, 0)
	s.pool.Join(s.now, "a", blocks)
	if got := s.reserve(); len(got) != 0 {
		t.Fatalf("asked for %v", got)
	}
	if !s.pool.Want(blocks, 7, 9, 0) {
		t.Error("a block is known because a chunk of its name is wanted")
	}
	s.wantKeys(s.reserve()["a"], 7)
	if s.pool.Want(chunks, 7, 1, 0) {
		t.Error("a chunk is new although a block of its name is wanted")
	}
	if n := s.answer("a", 7); n != 1 || s.pool.Len() != 0 {
		t.Errorf("%d useful, and %d keys are left", n, s.pool.Len())
	}
}
