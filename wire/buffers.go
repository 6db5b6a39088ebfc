package wire

import "sync"

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

	smallSizes  = bufferStep / smallStep
	bufferSizes = smallSizes + maxBuffer/bufferStep - 1
)

// buffers has those that are free, of each size. The garbage collector takes what has not
// been used for a while.
var buffers [bufferSizes]sync.Pool

// sizeOf returns how big the buffers of a place in buffers are.
func sizeOf(place int) int {
	if place < smallSizes {
		return (place + 1) * smallStep
	}
	return (place - smallSizes + 2) * bufferStep
}

// placeOf returns where the smallest buffers are that hold n bytes, at least one and at
// most maxBuffer.
func placeOf(n int) int {
	if n <= bufferStep {
		return (n - 1) / smallStep
	}
	return smallSizes - 1 + (n-1)/bufferStep
}

// newBuffer returns an empty buffer for n bytes, at least one: a free one if there is one
// that is not much too big.
func newBuffer(n int) []byte {
	if n > maxBuffer {
		return make([]byte, 0, n)
	}
	place := placeOf(n)
	size := sizeOf(place)
	for i := place; i < bufferSizes && sizeOf(i) <= size+size/4; i++ {
		if b, ok := buffers[i].Get().(*[]byte); ok {
			return (*b)[:0]
		}
	}
	return make([]byte, 0, size)
}

// Free gives back a buffer that [Reader.Detach] has returned and that nobody looks into
// any more: it will be written over. It may be called from any goroutine, once.
func Free(buf []byte) {
	if n := cap(buf); n > 0 && n <= maxBuffer {
		if place := placeOf(n); sizeOf(place) == n {
			buffers[place].Put(&buf)
		}
	}
}
