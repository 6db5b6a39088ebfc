package archive

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
)

// nextRLP reads one block of an RLP stream.
func (r *Reader) nextRLP() (Block, error) {
	start := r.src.off
	if _, err := r.src.peek(1); err == io.EOF {
		return Block{}, io.EOF
	}
	n, err := r.listSize()
	if err != nil {
		return Block{}, r.fail(nil, start, err)
	}
	raw, err := r.src.bytes(n)
	if err != nil {
		return Block{}, r.fail(nil, start, readError("a block", err))
	}
	b, err := r.parse(raw, start)
	if err != nil {
		return Block{}, err
	}
	return Block{Block: b, Offset: start}, nil
}

// listSize returns the size of the RLP list that comes next, list header
// included, without consuming it. Whether the size is in canonical form is
// left to the parser.
func (r *Reader) listSize() (int, error) {
	p, err := r.src.peek(1)
	if err != nil {
		return 0, readError("a block", err)
	}
	switch c := p[0]; {
	case c < 0xc0:
		return 0, fmt.Errorf("corrupted: a block is an RLP list, and no list starts with 0x%02x", c)
	case c <= 0xf7:
		return 1 + int(c-0xc0), nil
	case c > 0xf7+4:
		return 0, fmt.Errorf("corrupted: a block of more than 4 GiB: at most %d bytes are accepted", MaxBlock)
	default:
		head, err := r.src.peek(1 + int(c-0xf7))
		if err != nil {
			return 0, readError("the size of a block", err)
		}
		var size int64
		for _, c := range head[1:] {
			size = size<<8 | int64(c)
		}
		if size += int64(len(head)); size > MaxBlock {
			return 0, fmt.Errorf("corrupted: a block of %d bytes: at most %d are accepted", size, MaxBlock)
		}
		return int(size), nil
	}
}

// hexLines reads a file of one block in hexadecimal a line, with or without
// "0x" in front. Blank lines are skipped.
type hexLines struct {
	*Reader
	line []byte // reused
}

func (h *hexLines) next() (Block, error) {
	for {
		start := h.src.off
		err := h.readLine()
		if err != nil && err != io.EOF {
			return Block{}, h.fail(nil, start, err)
		}
		digits := bytes.TrimSpace(h.line)
		if len(digits) == 0 {
			if err == io.EOF {
				return Block{}, io.EOF
			}
			continue
		}
		digits = bytes.TrimPrefix(digits, []byte("0x"))
		raw := make([]byte, hex.DecodedLen(len(digits)))
		if _, err := hex.Decode(raw, digits); err != nil {
			return Block{}, h.fail(nil, start, fmt.Errorf("corrupted or truncated line: %w", err))
		}
		b, err := h.parse(raw, start)
		if err != nil {
			return Block{}, err
		}
		return Block{Block: b, Offset: start}, nil
	}
}

// readLine reads up to the end of the line or of the file. With the latter it
// returns io.EOF.
func (h *hexLines) readLine() error {
	h.line = h.line[:0]
	for {
		part, err := h.src.r.ReadSlice('\n')
		h.src.off += int64(len(part))
		if len(h.line)+len(part) > 2*MaxBlock {
			return fmt.Errorf("a line of more than %d hex digits", 2*MaxBlock)
		}
		h.line = append(h.line, part...)
		switch err {
		case nil, io.EOF:
			return err
		case bufio.ErrBufferFull:
			continue
		}
		return readError("a line", err)
	}
}
