package archive

import (
	"bufio"
	"io"
	"slices"
	"sync/atomic"
)

// readAhead is the size of the read and write buffers. At 64 KiB a system call
// is small change beside hashing the same bytes; at ten times as much the
// buffers would be most of what a reader holds.
const readAhead = 64 << 10

// exactAlloc is up to which size a record is allocated at once when the file
// claims that size. Above it the buffer doubles as the bytes really arrive, so
// that a file of ten bytes that claims a block of 16 MiB costs 1 MiB, while
// nearly every real block still gets a buffer of exactly its size.
const exactAlloc = 1 << 20

// counter counts the bytes that are read from the file.
type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// source is the decompressed stream of a file and the position in it.
type source struct {
	r   *bufio.Reader
	off int64 // of the next byte
	err error // last error of r, io.EOF included
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.off += int64(n)
	if err != nil {
		s.err = err
	}
	return n, err
}

// peek returns the next n bytes without consuming them, fewer only with an
// error. They are valid until the next call.
func (s *source) peek(n int) ([]byte, error) { return s.r.Peek(n) }

// bytes returns the next n bytes in a fresh slice. The caller has checked n
// against a limit. The error is io.ErrUnexpectedEOF if the stream ends earlier.
func (s *source) bytes(n int) ([]byte, error) {
	b := make([]byte, 0, min(n, exactAlloc))
	for len(b) < n {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(len(b), n-len(b)))
		}
		m, err := io.ReadFull(s, b[len(b):min(cap(b), n)])
		b = b[:len(b)+m]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// skip drops the next n bytes.
func (s *source) skip(n int64) error {
	for n > 0 {
		m, err := s.r.Discard(int(min(n, 1<<30)))
		s.off += int64(m)
		n -= int64(m)
		if err != nil {
			s.err = err
			return err
		}
	}
	return nil
}
