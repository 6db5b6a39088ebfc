package wire

import "sync"

// Payloads of many blocks are read into buffers that serve again and again: they are most
// of what a sync takes, and left to the garbage collector it would be twice as much. How
// long a buffer is used is not known where it is filled, so whoever is done with one gives
// it back, to [Free]. What is never given back is collected as anything else.

const (
	// bufferStep is by how much buffers differ in size. Ten times more, and answers of
	// some hundred kilobytes would each hold as much again for nothing; ten times
	// less, and there would mostly be none of the size that is looked for.
	bufferStep = 64 << 10

	// bufferSizes is how many sizes there are. The biggest holds what servers of ours
	// answer with at most, 2 MiB and a block.
	bufferSizes = 36
)

// buffers has those that are free, of each size. The garbage collector takes what has not
// been used for a while.
var buffers [bufferSizes]sync.Pool

// newBuffer returns an empty buffer for n bytes: a free one if there is one that is not
// much too big.
func newBuffer(n int) []byte {
	steps := (n + bufferStep - 1) / bufferStep
	if n < bufferStep/2 || steps > bufferSizes {
		return make([]byte, 0, n)
	}
	for i := steps - 1; i < min(steps+steps/4, bufferSizes); i++ {
		if b, ok := buffers[i].Get().(*[]byte); ok {
			return (*b)[:0]
		}
	}
	return make([]byte, 0, steps*bufferStep)
}

// Free gives back a buffer that [Reader.Detach] has returned and that nobody looks into
// any more: it will be written over. It may be called from any goroutine, once.
func Free(buf []byte) {
	if n := cap(buf) / bufferStep; n > 0 && n <= bufferSizes && cap(buf)%bufferStep == 0 {
		buffers[n-1].Put(&buf)
	}
}
