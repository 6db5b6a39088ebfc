package pool

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// TestKeySetAgainstMap adds and removes keys at random and compares with a map.
func TestKeySetAgainstMap(t *testing.T) {
	s := newKeySet[int]()
	twin := map[int]uint32{}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 200_000 {
		key := rnd.IntN(6000)
		i := s.find(key)
		if i != twin[key] {
			t.Fatalf("key %d has slot %d, want %d", key, i, twin[key])
		}
		switch {
		case i == 0:
			i = s.add(key)
			s.slot(i).state = held
			twin[key] = i
		case rnd.IntN(3) == 0: // more keys than not
			s.remove(i)
			s.release(i)
			delete(twin, key)
			if s.has(i, key) {
				t.Fatalf("slot %d still has key %d", i, key)
			}
		}
		if s.n != len(twin) {
			t.Fatalf("%d keys, want %d", s.n, len(twin))
		}
	}
	if int(s.used) > 6001 {
		t.Errorf("%d slots were used for at most 6000 keys at a time", s.used)
	}
}

// TestKeysAreSmall: a million keys take 60 MB at the most (row P16).
func TestKeysAreSmall(t *testing.T) {
	const keys = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := New[int, [32]byte](Config{})
	for n := range keys {
		p.Want(0, [32]byte{byte(n), byte(n >> 8), byte(n >> 16)}, int64(n), 0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(p)
	if got := float64(after.HeapAlloc-before.HeapAlloc) / keys; got > 60 {
		t.Errorf("%.1f bytes for each key, want 60 at the most", got)
	}
}

// TestCancelledKeysLeaveNothingBehind: not even behind a key that nobody has.
func TestCancelledKeysLeaveNothingBehind(t *testing.T) {
	p := New[int, int](Config{})
	p.Want(0, -1, -1, 0)
	for n := range 100_000 {
		p.Want(0, n, int64(n), 0)
		p.Cancel(n)
	}
	if p.Len() != 1 || p.keys.used > 2*staleKeys {
		t.Errorf("%d keys, and %d slots", p.Len(), p.keys.used)
	}
	for n := range 100_000 {
		p.Want(0, n, int64(-n), 0) // and with a rank that is lowered all the time
		p.Want(0, 1, int64(-n), 0)
	}
	if got := p.Len(); got != 100_001 || p.keys.used > 3*100_001 {
		t.Errorf("%d keys, and %d slots", got, p.keys.used)
	}
	now := time.Unix(1_409_400_000, 0)
	p.Join(now, 1, 0)
	if first := p.Reserve(now)[0].Keys[0]; first != 99_999 && first != 1 {
		t.Errorf("key %d comes first", first)
	}
}
