package wire

import (
	"slices"
	"sync"
)

// Payloads of many blocks are read into buffers that serve again and again: they are most
// of what a sync takes, and left to the garbage collector it would be twice as much. How
// long a buffer is used is not known where it is filled, so whoever is done with one gives
// it back, to [Free]. What is never given back is collected as anything else.

const (
	// smallStep is by how much buffers of up to bufferStep differ in size, and the least
	// size. Many slow peers answer with a block or two at a time; a tenth of it would
	// mostly have none of the size that is looked for.
	smallStep = 4 << 10

	// bufferStep is by how much bigger buffers differ in size. Ten times more, and answers
	// of some hundred kilobytes would each hold as much again for nothing; ten times
	// less, and there would mostly be none of the size that is looked for.
	bufferStep = 64 << 10

	// maxBuffer is the biggest that is kept: it holds what servers of ours answer with at
	// most, 2 MiB and a block.
	maxBuffer = 36 * bufferStep

	// freeBytes and freeBuffers bound what waits to be used again: all that one write to
	// the store sets free at once. At a tenth of it, most buffers would be made anew,
	// which is a fifth of all that a sync allocates. At ten times as much, what a busy
	// moment has taken would be kept for good. A buffer is looked for among all of them,
	// so ten times their number would take microseconds.
	freeBytes   = 8 << 20
	freeBuffers = 256
)

// buffers are the free ones. They are not left to a sync.Pool: the collector empties it
// every other time, and it runs the more often the less memory there is.
var buffers freeList

// freeList is free buffers. It is safe for concurrent use.
type freeList struct {
	mu    sync.Mutex
	list  [][]byte // in the order in which they were given back
	bytes int      // of all of them
}

// take returns the youngest buffer of the given size or a quarter more, nil if there is
// none.
func (f *freeList) take(size int) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, buf := range slices.Backward(f.list) {
		if n := cap(buf); n >= size && n <= size+size/4 {
			f.list = slices.Delete(f.list, i, i+1)
			f.bytes -= n
			return buf[:0]
		}
	}
	return nil
}

// give adds a buffer. The oldest make room for it: of their size there seems to be no need.
func (f *freeList) give(buf []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, buf)
	f.bytes += cap(buf)
	n := 0
	for f.bytes > freeBytes || len(f.list)-n > freeBuffers {
		f.bytes -= cap(f.list[n])
		n++
	}
	f.list = slices.Delete(f.list, 0, n)
}

// roundUp returns how big the smallest buffer is that holds n bytes, which are at least
// one and at most maxBuffer.
func roundUp(n int) int {
	step := bufferStep
	if n <= bufferStep {
		step = smallStep
	}
	return (n + step - 1) / step * step
}

// newBuffer returns an empty buffer for n bytes, at least one: a free one if there is one
// that is not much too big.
func newBuffer(n int) []byte {
	if n > maxBuffer {
		return make([]byte, 0, n)
	}
	size := roundUp(n)
	if buf := buffers.take(size); buf != nil {
		return buf
	}
	return make([]byte, 0, size)
}

// Free gives back a buffer that [Reader.Detach] has returned and that nobody looks into
// any more: it will be written over. It may be called from any goroutine, once.
func Free(buf []byte) {
	if n := cap(buf); n > 0 && n <= maxBuffer && n == roundUp(n) {
		buffers.give(buf)
	}
}
