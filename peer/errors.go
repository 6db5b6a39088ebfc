package peer

import (
	"errors"
	"fmt"

	"github.com/shoalnet/shoal/wire"
)

// Violation is an error of the other side: it broke the protocol. Only such an
// error may cost a peer its standing.
type Violation struct {
	Reason wire.Reason // what it is told in Disconnect
	What   string      // what it did
	Err    error       // cause, may be nil
	// Lie: it is proved that it sent what it was not asked for, which nobody does by
	// mistake.
	Lie bool
}

func (e *Violation) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("peer: %s: %v", e.What, e.Err)
	}
	return "peer: " + e.What
}

func (e *Violation) Unwrap() error { return e.Err }

// Disconnected ends a session in an orderly way: one of the sides said so.
type Disconnected struct {
	Reason wire.Reason
	Remote bool // the other side said so
}

func (e *Disconnected) Error() string {
	if e.Remote {
		return fmt.Sprintf("peer: it disconnected: %v", e.Reason)
	}
	return fmt.Sprintf("peer: we disconnected: %v", e.Reason)
}

// ErrSelf ends a session with ourselves. It is nobody's fault.
var ErrSelf = errors.New("peer: connected to myself")

// The ends of a session that are the world's fault.
var (
	// ErrTimeout: nothing came for longer than Config.IdleTimeout, not even an
	// answer to a ping; or no Hello in time; or what we sent was not read.
	ErrTimeout = errors.New("peer: silent for too long")
	// ErrClosed: the other side closed the connection without a word, which
	// is how most clients of 2014 refuse one; or the connection broke.
	ErrClosed = errors.New("peer: connection closed without a Disconnect")
)

// owed reports whether the other side is told why the session ends: not if it has
// left, and not if it is us.
func owed(cause error) bool {
	if d, ok := errors.AsType[*Disconnected](cause); ok && d.Remote {
		return false
	}
	return !errors.Is(cause, ErrClosed) && !errors.Is(cause, ErrSelf)
}

// reasonFor is what the other side is told when the session ends with a cause.
func reasonFor(cause error) wire.Reason {
	if v, ok := errors.AsType[*Violation](cause); ok {
		return v.Reason
	}
	if d, ok := errors.AsType[*Disconnected](cause); ok && !d.Remote {
		return d.Reason
	}
	if errors.Is(cause, ErrTimeout) {
		return wire.ReasonUselessPeer
	}
	return wire.ReasonQuitting
}
