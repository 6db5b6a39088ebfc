package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Error says where and why reading a chain file ended early. Every error of a
// [Reader] is one, except io.EOF at the end. Blocks that were handed out
// before it are good and stay good.
type Error struct {
	File string // as given to [Open] or [NewReader]
	// Number is the number of the block concerned: the one after the last
	// good block, which for the first block of a file is what the block says.
	Number uint64
	// NumberKnown is false if not even the first block could be read. Number
	// is 0 then.
	NumberKnown bool
	// Behind: what is wrong comes behind the last block, whose number is one less
	// than Number: the accumulator or the index of an era1 file.
	Behind bool
	// Offset is where the record concerned starts in the (decompressed)
	// stream: a block, a hex line, an era1 entry. It is -1 if the file could
	// not be opened.
	Offset int64
	// Err is the cause. It wraps io.ErrUnexpectedEOF if the file is truncated,
	// and the error of package chain if the block is wrong.
	Err error
}

func (e *Error) Error() string {
	switch {
	case e.Offset < 0:
		return fmt.Sprintf("archive: opening %s: %v", e.File, e.Err)
	case e.Behind:
		return fmt.Sprintf("archive: %s: behind block %d, at offset %d: %v", e.File, e.Number-1, e.Offset, e.Err)
	case !e.NumberKnown:
		return fmt.Sprintf("archive: %s: first block, at offset %d: %v", e.File, e.Offset, e.Err)
	}
	return fmt.Sprintf("archive: %s: block %d, at offset %d: %v", e.File, e.Number, e.Offset, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// openError is the error for a file that could not be opened. The path of a
// PathError would stand in the sentence twice.
func openError(file string, err error) *Error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return &Error{File: file, Offset: -1, Err: err}
}

// recordError is an error at a place other than the start of the record that
// is being read.
type recordError struct {
	off int64
	err error
}

func (e *recordError) Error() string { return e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

// at puts err at offset off.
func at(off int64, err error) error { return &recordError{off, err} }

// readError turns what an io.Reader returned while item was being read into a
// sentence. The end of the file is not expected there.
func readError(item string, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("truncated: the file ends inside %s: %w", item, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("reading %s: %w", item, err)
}
