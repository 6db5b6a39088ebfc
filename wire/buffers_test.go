package wire

import (
	"math/rand/v2"
	"testing"
)

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
