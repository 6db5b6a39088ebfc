package wire

import (
	"math/rand/v2"
	"testing"
)

// TestFreeIsBounded: whatever is given back, and however much at once, little of it is
// kept, and that is what came last.
func TestFreeIsBounded(t *testing.T) {
	const seed = 1
	rnd := rand.New(rand.NewPCG(seed, 0))
	var f freeList
	for step := range 1000 {
		size := smallStep // at first, so that their number is the bound
		if step > 500 {
			size = roundUp(1 + rnd.IntN(maxBuffer))
		}
		if rnd.IntN(4) == 0 {
			f.take(size)
		}
		buf := make([]byte, 0, size)
		f.give(buf)
		sum := 0
		for _, b := range f.list {
			sum += cap(b)
		}
		if sum != f.bytes || sum > freeBytes || len(f.list) > freeBuffers {
			t.Fatalf("seed %d, step %d: %d buffers of %d bytes, counted as %d", seed, step, len(f.list), sum, f.bytes)
		}
		got := f.take(size)
		if cap(got) != size || &got[:1][0] != &buf[:1][0] {
			t.Fatalf("seed %d, step %d: the buffer that was given back last is not found", seed, step)
		}
		f.give(got)
	}
}

// TestFree: what is handed out is big enough and not much bigger, and nobody else has
// it, whatever is given back in between.
func TestFree(t *testing.T) {
	const seed = 1
	rnd := rand.New(rand.NewPCG(seed, 0))
	type owned struct {
		buf  []byte
		mark byte
	}
	var all []owned
	for step := range 500 {
		if len(all) > 20 || len(all) > 0 && rnd.IntN(3) == 0 {
			i := rnd.IntN(len(all))
			for _, b := range all[i].buf {
				if b != all[i].mark {
					t.Fatalf("seed %d, step %d: somebody else has written into a buffer", seed, step)
				}
			}
			Free(all[i].buf)
			all = append(all[:i], all[i+1:]...)
			continue
		}
		n := 1 + rnd.IntN(1<<uint(rnd.IntN(23)))
		buf := newBuffer(n)
		if len(buf) != 0 || cap(buf) < n || cap(buf) > n+n/4+2*bufferStep {
			t.Fatalf("seed %d, step %d: a buffer of %d bytes for %d", seed, step, cap(buf), n)
		}
		buf, mark := buf[:n], byte(step)
		for i := range buf {
			buf[i] = mark
		}
		all = append(all, owned{buf, mark})
	}
	Free(nil)
	Free(make([]byte, 100))
}
