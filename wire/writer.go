package wire

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// Writer writes messages to a stream as frames. It is not safe for concurrent
// use, except for Bytes and Frames.
type Writer struct {
	w   io.Writer
	err error // of the stream; sticks

	bytes, frames atomic.Uint64
}

// frames reuses the buffers of all Writers: a few are written at a time, while there may
// be many Writers. What is not used for a while is given back.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// NewWriter returns a Writer of frames to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes one frame with m, in a single call of the underlying Write. It
// does not retain m.
//
// A message that a [Reader] would refuse, because it is over its [Limit] or its
// items are not what they should be, is not written; the error says why. That is
// the caller's mistake, and never a [*FormatError], which blames a peer. Other
// errors are those of the stream: after one it is unknown how much of the frame
// has left, and Write returns the same error for ever.
func (w *Writer) Write(m Message) error {
	if w.err != nil {
		return w.err
	}
	if n, limit := FrameSize(m)-frameHead, m.Limit(); n > limit.Bytes {
		return fmt.Errorf("wire: writing %v: payload of %d bytes exceeds limit of %d", m.ID(), n, limit.Bytes)
	}
	buf := frames.Get().(*[]byte)
	defer frames.Put(buf)
	*buf = AppendFrame((*buf)[:0], m)
	frame := *buf
	if _, err := Parse(frame[frameHead:]); err != nil {
		return fmt.Errorf("wire: writing %v: %v", m.ID(), err) // not wrapped: ours, not theirs
	}
	n, err := w.w.Write(frame)
	if err == nil && n < len(frame) {
		err = io.ErrShortWrite
	}
	w.bytes.Add(uint64(n))
	if err != nil {
		w.err = err
		return err
	}
	w.frames.Add(1)
	return nil
}

// Bytes returns how many bytes have been written. It is safe to call at any
// time.
func (w *Writer) Bytes() uint64 { return w.bytes.Load() }

// Frames returns how many frames have been written whole. It is safe to call at
// any time.
func (w *Writer) Frames() uint64 { return w.frames.Load() }
