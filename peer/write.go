package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/wire"
)

// write is the session's writer.
func (s *Session) write(ctx context.Context, greeted <-chan struct{}) error {
	defer s.foreseeing.Wait()
	err := s.writeQueue(ctx, greeted)
	if errors.Is(err, ErrClosed) {
		// The reader may still find what was said before the connection was
		// closed: perhaps why.
		select {
		case <-ctx.Done():
		case <-time.After(closeTimeout):
		}
	}
	return err
}

// writeQueue sends our Hello, then, once the other side's was good, whatever is
// queued.
func (s *Session) writeQueue(ctx context.Context, greeted <-chan struct{}) error {
	caps := wire.CapPeers | wire.CapTransactions | wire.CapChain
	if s.cfg.Exchange != nil {
		caps |= wire.CapContent
	}
	err := s.out.Write(wire.Hello{
		Version: wire.Version, Network: *uint256.NewInt(s.cfg.Network), Client: s.cfg.Client,
		Caps: caps, Port: s.cfg.Port, Node: s.cfg.Node,
		TD: s.told.TD, Best: s.told.Head, Genesis: s.cfg.Genesis,
	})
	if err != nil {
		return err
	}
	select {
	case <-greeted: // A25: nothing but Hello until then
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	tick := time.NewTicker(s.cfg.pingInterval() / 3)
	defer tick.Stop()
	var pinged time.Time
	due := time.NewTimer(0) // when a request may be served that came too fast
	defer due.Stop()
	for {
		if err := s.flush(ctx); err != nil {
			return err
		}
		due.Stop()
		if s.serving != nil {
			due.Reset(time.Until(s.servingAt))
		}
		select {
		case <-s.wake:
		case <-due.C:
		case <-tick.C:
			s.forget()
			switch silent := s.silence(); {
			case silent >= s.cfg.idleTimeout():
				return ErrTimeout
			case silent >= s.cfg.pingInterval() && time.Since(pinged) >= s.cfg.pingInterval():
				pinged = time.Now()
				if err := s.out.Write(wire.Ping{}); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// flush writes until nothing is queued.
func (s *Session) flush(ctx context.Context) error {
	for ctx.Err() == nil {
		m, ok, err := s.next()
		if err != nil || !ok {
			return err
		}
		err = s.out.Write(m)
		if s.answering != nil {
			answers.Put(s.answering)
			s.answering = nil
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// answers reuses the memory of answers with blocks. Few are made at a time, while there
// may be many sessions.
var answers = sync.Pool{New: func() any { return new([]byte) }}

// next returns what is to be written next: pongs, then our own requests, which
// are small and bring work, then answers, those with hashes first.
func (s *Session) next() (wire.Message, bool, error) {
	s.mu.Lock()
	if s.mu.pongs > 0 {
		s.mu.pongs--
		s.mu.Unlock()
		return wire.Pong{}, true, nil
	}
	if len(s.mu.ours) > 0 {
		m := s.mu.ours[0]
		s.mu.ours = s.mu.ours[1:]
		if isAnnouncement(m) {
			s.mu.announced--
		}
		s.mu.Unlock()
		return m, true, nil
	}
	if list := s.mu.transactions; len(list) > 0 {
		s.mu.transactions = nil
		s.mu.Unlock()
		return wire.Transactions{RawList: list}, true, nil
	}
	if m := s.mu.head; m != nil {
		s.mu.head = nil
		s.mu.Unlock()
		return m, true, nil
	}
	if s.serving == nil && len(s.mu.serve) > 0 {
		s.serving = s.mu.serve[0]
		s.mu.serve = s.mu.serve[1:]
		s.mu.serveFirst = max(s.mu.serveFirst-1, 0)
		s.mu.serveBytes -= wire.FrameSize(s.serving)
		now := time.Now()
		s.servingAt = now.Add(s.limit.delay(s.serving, now))
	}
	s.mu.Unlock()
	if s.serving == nil || time.Now().Before(s.servingAt) {
		return nil, false, nil
	}
	request := s.serving
	s.serving = nil
	m, err := s.answer(request)
	return m, true, err
}

// answer makes the answer to a request of the other side. An error is ours: the
// store cannot be read.
func (s *Session) answer(request wire.Message) (wire.Message, error) {
	switch r := request.(type) {
	case wire.GetBlockHashes:
		return s.answerHashes(r)
	case wire.GetBlocks:
		hashes := slices.AppendSeq(make([]common.Hash, 0, r.Len()), r.All())
		s.answering = answers.Get().(*[]byte)
		limit := s.cfg.Upload.answerBytes(serveBytes)
		var err error
		if *s.answering, err = s.cfg.Chain.AppendBlocks((*s.answering)[:0], hashes, serveBlocks, limit); err != nil {
			return nil, fmt.Errorf("peer: serving blocks: %w", err)
		}
		return wire.Blocks{RawList: *s.answering}, nil
	case wire.GetContent:
		return s.answerContent(r)
	case wire.GetPeers:
		var list wire.RawList
		if s.cfg.Directory != nil {
			for _, p := range s.cfg.Directory.Peers(s) {
				list = wire.AppendPeer(list, p)
			}
		}
		return wire.Peers{Entries: list}, nil
	case wire.GetTransactions:
		var list wire.RawList
		if s.cfg.Relay != nil {
			list = s.cfg.Relay.Pending(s)
		}
		return wire.Transactions{RawList: list}, nil // A33: also if there are none
	}
	panic(fmt.Sprintf("peer: %v is not a request", request.ID()))
}
