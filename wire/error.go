package wire

import (
	"fmt"
	"strings"
)

// FormatError says that bytes are not a message of the protocol: a wrong token,
// a length over the limit, RLP that is not canonical, a shape that the type does
// not have. It is always the sender's fault, except where a Reader is given
// something else than a peer's stream. Errors of the stream itself, such as
// io.ErrUnexpectedEOF, are not FormatErrors.
type FormatError struct {
	Kind   ID     // the message concerned, if HasID
	HasID  bool   // whether the bytes were good as far as the id
	Offset int    // where in the frame, counted from the token; the payload begins at 8
	What   string // what was found, and what was wanted
	Err    error  // the cause, or nil

	generation bool // a Hello of another generation of the protocol
}

// Error returns the error in one line, as "wire: Ping: payload of 3 bytes, want
// at most 2, at byte 10".
func (e *FormatError) Error() string {
	var b strings.Builder
	b.WriteString("wire: ")
	if e.HasID {
		fmt.Fprintf(&b, "%v: ", e.Kind)
	}
	fmt.Fprintf(&b, "%s, at byte %d", e.What, e.Offset)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause, or nil.
func (e *FormatError) Unwrap() error { return e.Err }

// Reason returns the reason to disconnect with in answer: [ReasonIncompatible]
// for a Hello of another generation of the protocol (A1, A22),
// [ReasonBadProtocol] for everything else.
func (e *FormatError) Reason() Reason {
	if e.generation {
		return ReasonIncompatible
	}
	return ReasonBadProtocol
}
