package peer

import (
	"context"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/wire"
)

// Exchange is the content exchange of a node (docs/content-exchange.md): which
// kinds of content its sessions give and take by address.
type Exchange struct {
	// Kinds are those that are known. Whoever asks for others is told that none
	// of it is held.
	Kinds map[wire.ContentKind]Kind
	// Answer is called with the answer to a [Session.GetContent], as the methods
	// of [Handler] are: by the session's reader, which waits for it.
	Answer func(ctx context.Context, s *Session, a ContentAnswer)
	// Head is called in the same way when the other side says which chain it has now; nil:
	// nobody is told.
	Head func(ctx context.Context, s *Session, now Status)
}

// Kind is one kind of content.
type Kind struct {
	// Addresses appends the addresses of payloads to dst. An error means that one
	// of them is no content of this kind.
	Addresses func(dst []common.Hash, payloads ...[]byte) ([]common.Hash, error)
	// Source is what is served; nil: nothing. It must be safe for concurrent use.
	Source ContentSource
}

// ContentSource is content of one kind that a session serves.
type ContentSource interface {
	// Payloads calls yield for each address in order, with what is held under it
	// or with nothing, until yield returns false. The payload is good until yield
	// returns.
	Payloads(addrs []common.Hash, yield func(payload []byte) bool) error
}

// Item is content under its address, which is known to be right.
type Item struct {
	Address common.Hash
	Payload []byte
}

// ContentAnswer is what came for a GetContent, exactly once for each. Addresses
// that are in neither list were passed over: the answer had no room for them.
type ContentAnswer struct {
	ID     uint64 // as given to GetContent
	Kind   wire.ContentKind
	Items  []Item        // whoever is told of the answer owns them
	Absent []common.Hash // the peer says that it does not hold these
	At     time.Time     // when it had arrived
}

// maxPayload is the most that is served under one address: beside it a frame still
// has room for all that may stand before it. What is bigger cannot be sent at all,
// so it is as if it were not held.
const maxPayload = wire.MaxFrame - 4096

type contentRequest struct {
	id    uint64
	kind  wire.ContentKind
	addrs []common.Hash
}

// Exchanges reports whether both sides exchange content. It is valid from
// Config.Admit on.
func (s *Session) Exchanges() bool {
	return s.cfg.Exchange != nil && s.hello.Caps.Has(wire.CapContent)
}

// GetContent asks for content under at most [wire.MaxContent] addresses. The answer
// comes to Exchange.Answer with the id. It panics unless [Session.Exchanges], and if
// the kind is none of ours: nothing of it may be sent to a client of 2014.
func (s *Session) GetContent(id uint64, kind wire.ContentKind, addrs []common.Hash) {
	if !s.Exchanges() || s.cfg.Exchange.Kinds[kind].Addresses == nil {
		panic(fmt.Sprintf("peer: asking %v for %v, which it must not be asked for", s.RemoteAddr(), kind))
	}
	r := contentRequest{id, kind, append([]common.Hash(nil), addrs...)}
	s.mu.Lock()
	s.mu.contentRequests = append(s.mu.contentRequests, r)
	s.mu.ours = append(s.mu.ours, wire.GetContent{Kind: kind, HashList: wire.HashListOf(addrs)})
	s.mu.Unlock()
	s.poke()
}

// TellHead tells the other side which chain we have now. If it has not been sent yet, it
// takes the place of what was to be told before. It panics unless [Session.Exchanges].
func (s *Session) TellHead(now Status) {
	if !s.Exchanges() {
		panic(fmt.Sprintf("peer: telling %v of a head, which it would not understand", s.RemoteAddr()))
	}
	s.mu.Lock()
	s.mu.head = wire.Head{TD: now.TD, Hash: now.Head}
	s.mu.Unlock()
	s.poke()
}

// content takes a Content: the answer to the oldest GetContent (X3).
func (s *Session) content(ctx context.Context, m wire.Content) error {
	at := time.Now()
	s.mu.Lock()
	if len(s.mu.contentRequests) == 0 { // X5
		s.mu.Unlock()
		return lie("content that nobody asked for", nil)
	}
	r := s.mu.contentRequests[0]
	s.mu.contentRequests = s.mu.contentRequests[1:]
	s.mu.Unlock()
	if m.Kind != r.kind { // X4
		return lie(fmt.Sprintf("%v in answer to a request for %v", m.Kind, r.kind), nil)
	}
	a := ContentAnswer{ID: r.id, Kind: r.kind, At: at}
	var payloads [][]byte
	n := 0
	payload, _ := s.keep(m.Payloads)
	for p := range wire.PayloadList(payload).All() {
		switch {
		case n == len(r.addrs): // X4
			return lie(fmt.Sprintf("more than %d items in answer to a request for as many", n), nil)
		case len(p) == 0: // X1
			a.Absent = append(a.Absent, r.addrs[n])
		default:
			payloads = append(payloads, p)
			a.Items = append(a.Items, Item{r.addrs[n], p}) // X2
		}
		n++
	}
	if n == 0 {
		a.Absent = r.addrs
	}
	addrs, err := s.cfg.Exchange.Kinds[r.kind].Addresses(make([]common.Hash, 0, len(payloads)), payloads...)
	if err != nil { // X4
		return lie(fmt.Sprintf("%v that is none", r.kind), err)
	}
	for i, addr := range addrs {
		if want := a.Items[i].Address; addr != want { // X4
			return lie(fmt.Sprintf("%v with the address %x in the place of %x", r.kind, addr, want), nil)
		}
	}
	s.cfg.Exchange.Answer(ctx, s, a)
	return nil
}

func lie(what string, cause error) error {
	return &Violation{Reason: wire.ReasonBadProtocol, What: what, Err: cause, Lie: true}
}

// answerContent makes the answer to a GetContent.
func (s *Session) answerContent(m wire.GetContent) (wire.Message, error) {
	answer := wire.Content{Kind: m.Kind}
	source := s.cfg.Exchange.Kinds[m.Kind].Source
	if source == nil {
		return answer, nil // X8
	}
	addrs := make([]common.Hash, 0, m.Len())
	for a := range m.All() {
		addrs = append(addrs, a)
	}
	sent, left, room := false, len(addrs), s.cfg.Upload.answerBytes(serveBytes)
	err := source.Payloads(addrs, func(p []byte) bool {
		if len(p) > maxPayload {
			p = nil
		}
		if sent && len(p) > 0 && len(answer.Payloads)+len(p) > room { // X6
			return false
		}
		sent = sent || len(p) > 0
		answer.Payloads = wire.AppendPayload(answer.Payloads, p)
		left--
		return left > 0
	})
	if err != nil {
		return nil, fmt.Errorf("peer: serving %v: %w", m.Kind, err)
	}
	return answer, nil
}
