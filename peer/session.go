package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/wire"
)

// Session is a session with one peer. Its methods are safe for concurrent use.
type Session struct {
	cfg     *Config
	conn    net.Conn
	inbound bool
	log     *slog.Logger
	in      *wire.Reader
	out     *wire.Writer
	ctx     context.Context  // from Run on; ends the session
	over    func() time.Time // from Run on; once ctx is done: until when all must be closed
	hello   wire.Hello       // set before Config.Admit
	told    Status           // what our Hello says; set by Run
	limit   limiter

	// What moves is alive. Both are times since born, which clocks that are set
	// do not change.
	born    time.Time
	waiting atomic.Int64  // since when the reader waits for bytes; negative while it does not
	other   atomic.Uint64 // bytes of whole messages that were no answers
	moved   atomic.Int64  // when a write was over that had to wait for the other side, or for the throttle

	wake chan struct{} // one slot; filled when there is something to write

	mu struct {
		sync.Mutex
		cancel       context.CancelCauseFunc // from Run on
		early        error                   // why it was ended before Run
		ours         []wire.Message          // requests and announcements, in order
		announced    int                     // announcements among them
		pongs        int
		serve        []wire.Message // requests of the other side, oldest first, but hashes before all else
		serveFirst   int            // how many of them are for hashes
		serveBytes   int
		asked        asked
		hashRequests []hashRequest
		transactions wire.RawList // that are to be sent
		peersAsked   bool         // a GetPeers has not been answered
		head         wire.Message // a Head that is to be sent; nil: there is none

		contentRequests []contentRequest // not yet answered, oldest first
	}

	unsolicited int // reader only

	// Writer only: the next request to be served, and when.
	serving   wire.Message // nil: none
	servingAt time.Time
	answering *[]byte // the memory of the answer that is being written; nil: none is

	// Writer only: the walk of the other side, see foresee.go.
	walked     common.Hash    // the last hash of the last answer, if that was a full one
	foreseen   *ancestors     // the answer to the question that is likely to come; nil: none is
	foreseeing sync.WaitGroup // who makes it
}

type hashRequest struct {
	start common.Hash
	max   uint64
}

// New returns a session over a connection, which it will own. The session does
// nothing before Run.
func New(conn net.Conn, inbound bool, cfg *Config) *Session {
	s := &Session{
		cfg: cfg, conn: conn, inbound: inbound, wake: make(chan struct{}, 1), born: time.Now(), limit: newLimiter(),
		log: cfg.logger().With("peer", conn.RemoteAddr().String()),
	}
	limitUnsent(conn)
	s.in = wire.NewReader(watchedReader{s})
	s.out = wire.NewWriter(pacedWriter{s})
	return s
}

// Inbound reports whether the other side dialled.
func (s *Session) Inbound() bool { return s.inbound }

// Hello returns what the other side said of itself. It is valid from
// Config.Admit on.
func (s *Session) Hello() wire.Hello { return s.hello }

// Told returns the chain that our Hello has told of. It is valid from Handler.Joined on.
func (s *Session) Told() Status { return s.told }

// RemoteAddr returns the address of the other side.
func (s *Session) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }

// Since returns when the session began.
func (s *Session) Since() time.Time { return s.born }

// Received returns how many bytes have come in. It moves while a big answer is
// arriving.
func (s *Session) Received() uint64 { return s.in.Bytes() }

// Answered returns how many bytes of what has come in are of answers, or may be: of a message
// that is still arriving nobody knows. It falls when that turns out to be something else, so who only
// asks does not seem to be about to answer.
func (s *Session) Answered() uint64 {
	other := s.other.Load() // first: what it counts is in the other counter already
	all := s.in.Bytes()
	return all - min(other, all) // other messages count as we would write them
}

// Sent returns how many bytes have gone out.
func (s *Session) Sent() uint64 { return s.out.Bytes() }

// Disconnect ends the session with a reason that the other side is told.
func (s *Session) Disconnect(reason wire.Reason) { s.end(&Disconnected{Reason: reason}) }

// Fail ends the session because the other side broke a rule that only the caller
// can see.
func (s *Session) Fail(v *Violation) { s.end(v) }

func (s *Session) end(cause error) {
	s.mu.Lock()
	cancel := s.mu.cancel
	if cancel == nil && s.mu.early == nil {
		s.mu.early = cause
	}
	s.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
}

// Run runs the session until it ends and returns the cause, which is never nil.
// It is called once. Cancelling the context ends the session with "quitting".
func (s *Session) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.ctx = ctx
	s.told = s.cfg.Status()
	s.over = sync.OnceValue(func() time.Time {
		if !owed(context.Cause(ctx)) {
			return past
		}
		return time.Now().Add(closeTimeout)
	})
	s.mu.Lock()
	s.mu.cancel = cancel
	early := s.mu.early
	s.mu.Unlock()
	if early != nil {
		cancel(early)
	}
	s.waiting.Store(-1)
	s.conn.SetReadDeadline(time.Now().Add(s.cfg.handshakeTimeout()))

	var wg sync.WaitGroup
	greeted := make(chan struct{}) // closed by the reader when Hello was good
	wg.Go(func() { cancel(s.write(ctx, greeted)) })
	cut := make(chan struct{}) // closed when nobody waits for the other side any more
	wg.Go(func() {
		<-ctx.Done()
		s.conn.SetReadDeadline(past)
		s.conn.SetWriteDeadline(s.over())
		close(cut)
	})
	joined := false
	err := s.greet()
	if err == nil {
		s.conn.SetReadDeadline(time.Time{})
		if ctx.Err() == nil { // else that has undone the cut
			joined = true
			close(greeted)
			s.cfg.Handler.Joined(ctx, s)
			err = s.read(ctx)
		}
	}
	cancel(err)
	<-cut
	cause := context.Cause(ctx)
	if cause == context.Canceled || cause == context.DeadlineExceeded {
		cause = &Disconnected{Reason: wire.ReasonQuitting}
	}
	s.close(cause, &wg)
	s.log.Debug("session over", "cause", cause)
	if joined {
		s.cfg.Handler.Left(s, cause)
	}
	return cause
}

// past is a deadline that ends a wait at once.
var past = time.Unix(1, 0)

// close lets the writer finish its frame, says goodbye and closes the connection,
// all until over. The other side is given time to read the reason: closing with
// unread bytes would make TCP throw it away. And what it sends is read to
// nowhere, or one that first writes and then reads would not come to it.
func (s *Session) close(cause error, writer *sync.WaitGroup) {
	if !owed(cause) {
		writer.Wait()
		s.conn.Close()
		return
	}
	s.conn.SetReadDeadline(s.over())
	var drain sync.WaitGroup
	drain.Go(func() { io.Copy(io.Discard, watchedReader{s}) })
	writer.Wait()
	if s.out.Write(wire.Disconnect{Reason: reasonFor(cause)}) == nil {
		if c, ok := s.conn.(interface{ CloseWrite() error }); ok && c.CloseWrite() == nil {
			drain.Wait() // until it closes, too
		}
	}
	s.conn.Close()
	drain.Wait()
}

// greet waits for the other side's Hello and checks it, in the order of the
// specification (8.1).
func (s *Session) greet() error {
	m, err := s.in.Next()
	if err != nil {
		return s.readError(err)
	}
	var hello wire.Hello
	switch m := m.(type) {
	case wire.Hello:
		hello = m
	case wire.Disconnect:
		return &Disconnected{Reason: m.Reason, Remote: true}
	default:
		return &Violation{Reason: wire.ReasonBadProtocol, What: fmt.Sprintf("first message is %v, not Hello", m.ID())}
	}
	hello.Extra = nil // aliases the reader's buffer
	s.hello = hello
	switch {
	case hello.Node.IsZero():
		return &Violation{Reason: wire.ReasonIncompatible, What: "its node id is zero"}
	case hello.Node == s.cfg.Node:
		return ErrSelf
	}
	if s.cfg.Admit != nil {
		if err := s.cfg.Admit(s); err != nil {
			return err
		}
	}
	switch {
	case hello.Genesis != s.cfg.Genesis:
		return &Violation{Reason: wire.ReasonWrongGenesis, What: fmt.Sprintf("its genesis block is %x…, ours is %x…", hello.Genesis[:4], s.cfg.Genesis[:4])}
	case hello.Version != wire.Version:
		return &Violation{Reason: wire.ReasonIncompatible, What: fmt.Sprintf("it speaks protocol %d, we speak %d", hello.Version, wire.Version)}
	case !hello.Network.IsUint64() || hello.Network.Uint64() != s.cfg.Network:
		return &Violation{Reason: wire.ReasonIncompatible, What: fmt.Sprintf("its network id is %v, ours is %d", &hello.Network, s.cfg.Network)}
	}
	return nil
}

// readError turns an error of the reader into the cause of the session's end.
func (s *Session) readError(err error) error {
	if f, ok := errors.AsType[*wire.FormatError](err); ok {
		return &Violation{Reason: f.Reason(), What: "malformed message", Err: err}
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrTimeout
	}
	return fmt.Errorf("%w: reading: %w", ErrClosed, err) // reset, most likely
}
