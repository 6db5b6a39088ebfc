package peer

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/wire"
)

// The tests of this package are stories: a scripted peer talks over a connection
// in memory, in virtual time, to a session, and says what it expects of it.
//
//	tell(t, func(p *other) {
//		p.greet()
//		p.send(wire.Ping{})
//		p.expect("Pong")
//	})
//
// Blocks go by their numbers: those of toyChain, and those that nobody has, from
// 1000 on. At the end of each story the session must end, with all its
// goroutines, and the handler must have heard of it in the right order.

func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// toyBlock is a block with a number for a header, and pad bytes besides.
func toyBlock(n, pad int) []byte {
	b, err := rlp.EncodeToBytes([]any{[]any{uint64(n)}, bytes.Repeat([]byte{0xff}, pad), []any{}})
	if err != nil {
		panic(err)
	}
	return b
}

func toyHash(n int) common.Hash {
	h, err := chain.HashOf(toyBlock(n, 0))
	if err != nil {
		panic(err)
	}
	return h
}

// numbers finds the number of a hash again.
var numbers = func() map[common.Hash]int {
	m := make(map[common.Hash]int)
	for n := range 9000 {
		m[toyHash(n)] = n
	}
	return m
}()

func toyHashes(ns ...int) (hs []common.Hash) {
	for _, n := range ns {
		hs = append(hs, toyHash(n))
	}
	return hs
}

func hashList(ns ...int) (list wire.HashList) {
	for _, n := range ns {
		list = wire.AppendHash(list, toyHash(n))
	}
	return list
}

func rawList(ns ...int) (list wire.RawList) {
	for _, n := range ns {
		list = append(list, toyBlock(n, 0)...)
	}
	return list
}

// toyChain holds the blocks 0 to top, each the child of the one before. Those
// in missing are not held.
type toyChain struct {
	top     int
	pad     int
	missing map[int]bool
}

func (c toyChain) number(h common.Hash) (int, bool) {
	n, ok := numbers[h]
	return n, ok && n <= c.top && !c.missing[n]
}

func (c toyChain) AppendAncestors(dst []common.Hash, h common.Hash, max int) ([]common.Hash, error) {
	n, ok := c.number(h)
	for ; ok && n > 0 && max > 0; max-- {
		n--
		dst = append(dst, toyHash(n))
	}
	return dst, nil
}

func (c toyChain) AppendBlocks(dst []byte, hashes []common.Hash, most, limit int) ([]byte, error) {
	return appendBlocks(dst, hashes, most, limit, func(h common.Hash) []byte {
		if n, ok := c.number(h); ok {
			return toyBlock(n, c.pad)
		}
		return nil
	})
}

// appendBlocks is Chain.AppendBlocks for blocks in memory.
func appendBlocks(dst []byte, hashes []common.Hash, most, limit int, block func(common.Hash) []byte) ([]byte, error) {
	start, n := len(dst), 0
	for _, h := range hashes {
		raw := block(h)
		if raw == nil {
			continue
		}
		if n == most || n > 0 && len(dst)-start+len(raw) > limit {
			break
		}
		dst = append(dst, raw...)
		n++
	}
	return dst, nil
}

// listener is a handler that writes down what it hears.
type listener struct {
	heard  chan string // has room for all of a story; closed after left
	joined int
	left   int
	cause  error  // of Left
	wrong  string // an order that must not be
	// busy, if set, is received from in every call but Left, or until the
	// session ends.
	busy chan struct{}
	// then, if set, is called in every call but Left.
	then func(s *Session, a *Answer)
}

func (l *listener) note(ctx context.Context, s *Session, a *Answer, format string, args ...any) {
	if l.joined == 0 || l.left > 0 {
		l.wrong = fmt.Sprintf(format, args...) + " outside of joined and left"
	}
	l.heard <- fmt.Sprintf(format, args...)
	if l.then != nil {
		l.then(s, a)
	}
	if l.busy != nil {
		select {
		case <-l.busy:
		case <-ctx.Done():
		}
	}
}

func (l *listener) Joined(ctx context.Context, s *Session) {
	l.joined++
	l.note(ctx, s, nil, "joined")
}

func (l *listener) Hashes(ctx context.Context, s *Session, start common.Hash, hashes []common.Hash) {
	l.note(ctx, s, nil, "hashes below %d:%s", numbers[start], showHashes(hashes))
}

func (l *listener) Blocks(ctx context.Context, s *Session, a Answer) {
	text := fmt.Sprintf("answer %d:%s", a.ID, showBlocks(a.Blocks))
	if a.Closed {
		text += ", closed"
	}
	if a.Scattered {
		text += ", scattered"
	}
	if a.At.IsZero() {
		text += ", but when?"
	}
	l.note(ctx, s, &a, "%s", text)
}

func (l *listener) Announced(ctx context.Context, s *Session, blocks []Block) {
	l.note(ctx, s, nil, "announced:%s", showBlocks(blocks))
}

func (l *listener) Left(s *Session, cause error) {
	l.left++
	l.cause = cause
	close(l.heard)
}

func showHashes(hs []common.Hash) (text string) {
	for _, h := range hs {
		if n, ok := numbers[h]; ok {
			text += fmt.Sprintf(" %d", n)
		} else {
			text += fmt.Sprintf(" %x", h[:3])
		}
	}
	return text
}

func showBlocks(blocks []Block) string {
	var hs []common.Hash
	for _, b := range blocks {
		if h, err := chain.HashOf(b.Raw); err != nil || h != b.Hash {
			return " one that has changed"
		}
		hs = append(hs, b.Hash)
	}
	return showHashes(hs)
}

// show is a message as the stories write it.
func show(m wire.Message) string {
	text := m.ID().String()
	switch m := m.(type) {
	case wire.Disconnect:
		text += fmt.Sprintf(" %#x", uint64(m.Reason))
	case wire.GetBlockHashes:
		text += fmt.Sprintf("%s %d", showHashes([]common.Hash{m.Start}), m.Max)
	case wire.BlockHashes:
		text += showHashes(slices.Collect(m.All()))
	case wire.GetBlocks:
		text += showHashes(slices.Collect(m.All()))
	case wire.Blocks:
		var hs []common.Hash
		for raw := range m.All() {
			h, _ := chain.HashOf(raw)
			hs = append(hs, h)
		}
		text += showHashes(hs)
	case wire.Head:
		text += fmt.Sprintf(" %x… with %v", m.Hash[:2], &m.TD)
	case wire.GetContent:
		text += fmt.Sprintf(" %v:%s", m.Kind, showThings(slices.Collect(m.All())))
	case wire.Content:
		text += fmt.Sprintf(" %v:", m.Kind)
		for p := range m.Payloads.All() {
			if len(p) == 0 {
				text += " -"
			} else {
				text += showThings([]common.Hash{chain.Keccak256(p)})
			}
		}
	}
	return text
}

// other is the scripted peer at the other end of a session.
type other struct {
	*testing.T
	conn    *memConn
	in      *wire.Reader
	read    uint64 // bytes that in has read from conn
	session *Session
	heard   *listener
	cancel  context.CancelCauseFunc // of the context that the session runs in
	result  chan error              // Run's, one slot
	over    bool                    // result has been taken
	cause   error
}

// scene is what a story begins with; the zero scene will do for most.
type scene struct {
	room   int                     // bytes in each direction of the connection
	config func(*Config)           // changes it
	chain  Chain                   // what the session serves
	busy   bool                    // its handler waits in each call
	then   func(*Session, *Answer) // called in each call of its handler, see listener
	before func(*Session)          // called before Run
}

func tell(t *testing.T, story func(p *other)) {
	t.Helper()
	scene{}.tell(t, story)
}

func (sc scene) tell(t *testing.T, story func(p *other)) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		p := sc.begin(t)
		defer func() { // also if the story has failed
			p.conn.Close()
			if !p.over && p.Failed() {
				p.cancel(nil)
			}
			p.ended()
			p.cancel(nil)
		}()
		story(p)
		p.conn.Close()
		p.ended()
		p.check()
	})
}

var (
	ourNode   = wire.NodeID{1: 1}
	theirNode = wire.NodeID{2: 2}
)

func (sc scene) begin(t *testing.T) *other {
	t.Helper()
	ours, theirs := memPipe(max(sc.room, 64))
	if sc.room == 0 {
		ours, theirs = memPipe(1 << 20)
	}
	p := &other{
		T: t, conn: theirs, result: make(chan error, 1),
		heard: &listener{heard: make(chan string, 1<<14), then: sc.then},
	}
	p.in = wire.NewReader(readCounter{theirs, &p.read})
	if sc.busy {
		p.heard.busy = make(chan struct{})
	}
	if sc.chain == nil {
		sc.chain = toyChain{top: 40}
	}
	cfg := testConfig(ourNode, sc.chain, p.heard)
	if sc.config != nil {
		sc.config(cfg)
	}
	p.session = New(ours, true, cfg)
	if sc.before != nil {
		sc.before(p.session)
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancelCause(t.Context())
	go func() { p.result <- p.session.Run(ctx) }()
	return p
}

type readCounter struct {
	io.Reader
	read *uint64
}

func (c readCounter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	*c.read += uint64(n)
	return n, err
}

func testConfig(node wire.NodeID, c Chain, h Handler) *Config {
	return &Config{
		Genesis: toyHash(0), Client: "shoal/test", Node: node, Port: 30303,
		Status: func() Status { return Status{Head: toyHash(40)} },
		Hashes: chain.HashesOf, Chain: c, Handler: h,
	}
}

// check is asserted at the end of each story.
func (p *other) check() {
	p.Helper()
	l := p.heard
	if l.wrong != "" {
		p.Error(l.wrong)
	}
	if l.joined > 1 || l.left != l.joined {
		p.Errorf("joined %d times, left %d times", l.joined, l.left)
	}
	if l.joined > 0 && l.cause != p.cause {
		p.Errorf("left with %v, but Run returns %v", l.cause, p.cause)
	}
	if l.joined > 0 {
		for event := range l.heard {
			p.Errorf("heard %q at the end", event)
		}
	}
}

// hello is a Hello that the session finds in order.
func hello() wire.Hello {
	return wire.Hello{
		Version: wire.Version, Client: "Ethereum(++)/v0.6.8", Caps: 7, Port: 30303,
		Node: theirNode, Best: toyHash(0), Genesis: toyHash(0),
	}
}

// send sends messages in one go.
func (p *other) send(ms ...wire.Message) {
	p.Helper()
	var frames []byte
	for _, m := range ms {
		frames = wire.AppendFrame(frames, m)
	}
	p.sendRaw(frames)
}

func (p *other) sendRaw(b []byte) {
	p.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.Fatalf("sending: %v", err)
	}
}

// flood sends a message over and over until the session closes or n are sent, and
// returns how many were.
func (p *other) flood(n int, m wire.Message) int {
	frame := wire.AppendFrame(nil, m)
	for i := range n {
		if _, err := p.conn.Write(frame); err != nil {
			return i
		}
	}
	return n
}

// sendHex sends a payload, in hexadecimal with spaces, in a frame.
func (p *other) sendHex(payload string) {
	p.Helper()
	b := unhex(payload)
	p.sendRaw(append([]byte{0x22, 0x40, 0x08, 0x91, 0, 0, byte(len(b) >> 8), byte(len(b))}, b...))
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// expect waits for messages.
func (p *other) expect(want ...string) {
	p.Helper()
	for _, want := range want {
		m, err := p.in.Next()
		if err != nil {
			p.Fatalf("got %v, want %s; %v", err, want, p.why())
		}
		if got := show(m); got != want {
			p.Fatalf("got %s, want %s", got, want)
		}
	}
}

// why tells the end of the session if it is over.
func (p *other) why() string {
	synctest.Wait()
	if !p.over && len(p.result) == 0 {
		return "the session goes on"
	}
	return fmt.Sprintf("the session has ended: %v", p.ended())
}

// expectHello waits for the session's Hello and returns it.
func (p *other) expectHello() wire.Hello {
	p.Helper()
	m, err := p.in.Next()
	if err != nil {
		p.Fatalf("got %v, want Hello", err)
	}
	h, ok := m.(wire.Hello)
	if !ok {
		p.Fatalf("got %s, want Hello", show(m))
	}
	return h
}

// expectEnd waits for the session to send no more.
func (p *other) expectEnd() {
	p.Helper()
	if m, err := p.in.Next(); err != io.EOF {
		p.Fatalf("got %v %v, want the end", m, err)
	}
}

// expectDisconnect waits for a Disconnect, which must be the last thing that the
// session sends, and closes too.
func (p *other) expectDisconnect(reason wire.Reason) {
	p.Helper()
	p.expect(show(wire.Disconnect{Reason: reason}))
	p.expectEnd()
	p.conn.Close()
}

// expectSilence lets time pass, in which nothing may come.
func (p *other) expectSilence(d time.Duration) {
	p.Helper()
	if n := p.read - p.in.Bytes(); n > 0 {
		p.Fatalf("%d bytes have come, want silence", n)
	}
	p.conn.SetReadDeadline(time.Now().Add(d))
	b := make([]byte, 64)
	if n, err := p.conn.Read(b); n > 0 || !strings.Contains(err.Error(), "timeout") {
		p.Fatalf("got %x %v, want silence", b[:n], err)
	}
	p.conn.SetReadDeadline(time.Time{})
}

// expectHeard waits for events of the handler.
func (p *other) expectHeard(want ...string) {
	p.Helper()
	for _, want := range want {
		select {
		case got, ok := <-p.heard.heard:
			if !ok {
				p.Fatalf("the session has left, want %q", want)
			}
			if got != want {
				p.Fatalf("heard %q, want %q", got, want)
			}
		case <-time.After(time.Hour):
			p.Fatalf("nothing heard, want %q", want)
		}
	}
}

// expectNothingHeard waits until everything stands still.
func (p *other) expectNothingHeard() {
	p.Helper()
	synctest.Wait()
	select {
	case got, ok := <-p.heard.heard:
		p.Fatalf("heard %q (%v), want nothing", got, ok)
	default:
	}
}

// greet does the handshake.
func (p *other) greet() {
	p.Helper()
	p.send(hello())
	p.expectHello()
	p.expectHeard("joined")
}

// ended waits for the end of the session and returns its cause.
func (p *other) ended() error {
	if !p.over {
		p.cause, p.over = <-p.result, true
	}
	return p.cause
}

// endedBy waits for the end of the session, which must be for the given cause.
func (p *other) endedBy(want error) {
	p.Helper()
	cause := p.ended()
	if v, ok := errors.AsType[*Violation](want); ok {
		got, ok := errors.AsType[*Violation](cause)
		if !ok || got.Reason != v.Reason || !strings.Contains(got.Error(), v.What) {
			p.Fatalf("ended by %v, want a violation %q with reason %v", cause, v.What, v.Reason)
		}
		return
	}
	if d, ok := errors.AsType[*Disconnected](want); ok {
		if got, ok := errors.AsType[*Disconnected](cause); !ok || *got != *d {
			p.Fatalf("ended by %v, want %v", cause, d)
		}
		return
	}
	if !errors.Is(cause, want) {
		p.Fatalf("ended by %v, want %v", cause, want)
	}
}

func violation(reason wire.Reason, what string) error { return &Violation{Reason: reason, What: what} }
