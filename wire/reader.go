package wire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"
)

const (
	// readAhead is the size of the small buffer in which frame heads are looked
	// at. Several small messages come in with one system call through it; of a
	// big one only this much is copied twice. Ten times as much would cost a
	// hundred peers 4 MiB, and copies most blocks of 2014 once more.
	readAhead = 4 << 10

	// firstChunk is as much as is set aside for a payload before any of it has
	// arrived; from there the buffer doubles when it is full. A peer that only
	// claims 10 MiB costs us this. At ten times as much, it costs ten times as
	// much; at a tenth, usual answers of many blocks are moved more often.
	firstChunk = 64 << 10

	// keepBuffer is the biggest buffer that a Reader keeps for the next message, or
	// sets aside for it because the one before was as long. Nearly every message
	// fits; one that does not should not occupy memory for the rest of an idle
	// session. At ten times as much, a hundred peers could pin 1 GiB.
	keepBuffer = 1 << 20
)

// Reader reads messages from a stream of frames. It reads a few KiB ahead of the
// message that it returns. It is not safe for concurrent use, except for Bytes
// and Frames.
type Reader struct {
	br   *bufio.Reader
	buf  []byte // the last payload; its capacity is reused
	last int    // length of the last payload
	err  error  // of the last Next; sticks

	bytes, frames atomic.Uint64
}

// NewReader returns a Reader of the frames in r.
func NewReader(r io.Reader) *Reader {
	return &Reader{br: bufio.NewReaderSize(r, readAhead)}
}

// Next reads one frame and returns its message, a view over the Reader's buffer:
// it is valid until the next call of Next, unless [Reader.Detach] follows.
//
// The error is io.EOF if the stream ends between two frames,
// io.ErrUnexpectedEOF if it ends inside of one, a [*FormatError] if the frame is
// malformed, or whatever the stream returns. After an error the stream is out of
// step for good (A37), and Next returns the same error for ever.
func (r *Reader) Next() (Message, error) {
	if r.err != nil {
		return nil, r.err
	}
	m, err := r.next()
	if err != nil {
		r.err = err
		r.buf = nil
		return nil, err
	}
	r.frames.Add(1)
	return m, nil
}

func (r *Reader) next() (Message, error) {
	if cap(r.buf) > keepBuffer {
		Free(r.Detach()) // before waiting, which may be long
	}
	n, err := r.head()
	if err != nil {
		return nil, err
	}
	if err := r.body(n); err != nil {
		return nil, err
	}
	return Parse(r.buf)
}

// head waits for the beginning of a frame, checks all that can be known from it,
// and returns the length of the payload. It consumes the token and the length.
func (r *Reader) head() (n int, err error) {
	head, err := r.br.Peek(len(token))
	if len(head) == 0 {
		return 0, err // io.EOF, if the stream ends here
	}
	if string(head) != token[:len(head)] { // A37: no resynchronisation
		return 0, &FormatError{What: fmt.Sprintf("token %x, want %x", head, token)}
	}
	if err != nil {
		return 0, unexpectedEOF(err)
	}
	if head, err = r.peek(frameHead); err != nil {
		return 0, err
	}
	length := binary.BigEndian.Uint32(head[len(token):])
	if length > MaxFrame { // A35
		return 0, &FormatError{
			Offset: len(token),
			What:   fmt.Sprintf("payload of %d bytes, want at most %d", length, MaxFrame),
		}
	}
	n = int(length)
	if head, err = r.peek(frameHead + min(n, maxHead)); err != nil {
		return 0, err
	}
	var d decoder
	d.payload = head[frameHead:]
	if _, err := d.head(d.payload, n); err != nil {
		return 0, err
	}
	r.consume(r.br.Discard(frameHead))
	return n, nil
}

// body reads the payload of n bytes into buf.
func (r *Reader) body(n int) error {
	// As much as the peer has sent before, it may well send again.
	if first := min(n, max(firstChunk, min(r.last, keepBuffer))); cap(r.buf) < first {
		Free(r.buf)
		r.buf = newBuffer(max(first, readAhead))
	}
	r.last = n
	r.buf = r.buf[:0]
	for len(r.buf) < n {
		have := len(r.buf)
		if have == cap(r.buf) {
			// Not sized by what is claimed, but by what came.
			grown := append(newBuffer(min(n, 2*have)), r.buf...)
			Free(r.buf)
			r.buf = grown
		}
		got, err := r.consume(io.ReadAtLeast(r.br, r.buf[have:min(n, cap(r.buf))], 1))
		r.buf = r.buf[:have+got]
		if err != nil {
			return unexpectedEOF(err)
		}
	}
	return nil
}

// peek returns the next n bytes, which must be there: the frame has begun.
func (r *Reader) peek(n int) ([]byte, error) {
	b, err := r.br.Peek(n)
	if err != nil {
		return nil, unexpectedEOF(err)
	}
	return b, nil
}

func (r *Reader) consume(n int, err error) (int, error) {
	r.bytes.Add(uint64(n))
	return n, err
}

func unexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Detach hands the buffer under the last message over to the caller, so that its
// views may travel on without a copy; the Reader takes another one for the next
// message. It returns the payload, or nil if there is no message to detach. The
// buffer may be bigger than the payload, so a small message is better copied.
// When done with it, the caller may give it to [Free].
func (r *Reader) Detach() []byte {
	buf := r.buf
	r.buf = nil
	return buf
}

// Bytes returns how many bytes of frames have been read, counted as they arrive:
// it moves while a big frame is on its way. What has been read ahead does not
// count. It is safe to call at any time.
func (r *Reader) Bytes() uint64 { return r.bytes.Load() }

// Frames returns how many frames have been read. It is safe to call at any time.
func (r *Reader) Frames() uint64 { return r.frames.Load() }
