package peer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/wire"
)

// read is the session's reader, after the handshake.
func (s *Session) read(ctx context.Context) error {
	for {
		m, err := s.in.Next()
		if err != nil {
			return s.readError(err)
		}
		switch m.ID() {
		case wire.IDBlocks, wire.IDBlockHashes, wire.IDContent:
		default:
			s.other.Add(uint64(wire.FrameSize(m)))
		}
		if err := s.receive(ctx, m); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// receive deals with one message.
func (s *Session) receive(ctx context.Context, m wire.Message) error {
	switch m := m.(type) {
	case wire.GetBlockHashes:
		return s.put(m)
	case wire.GetBlocks:
		m.HashList = slices.Clone(m.HashList) // it outlives the reader's buffer
		return s.put(m)
	case wire.BlockHashes:
		return s.hashes(ctx, m)
	case wire.Blocks:
		return s.blocks(ctx, m)
	case wire.GetContent:
		if s.Exchanges() { // else it is as any message that nobody knows
			m.HashList = slices.Clone(m.HashList)
			return s.put(m)
		}
	case wire.Content:
		return s.content(ctx, m)
	}
	if err := s.limit.unasked(wire.FrameSize(m), time.Now()); err != nil {
		return err
	}
	switch m := m.(type) {
	case wire.Hello: // A26
		return &Violation{Reason: wire.ReasonBadProtocol, What: "a second Hello"}
	case wire.Disconnect:
		return &Disconnected{Reason: m.Reason, Remote: true}
	case wire.Ping:
		s.mu.Lock()
		s.mu.pongs = min(s.mu.pongs+1, maxPongs)
		s.mu.Unlock()
		s.poke()
	case wire.GetPeers, wire.GetTransactions:
		return s.put(m)
	case wire.Transactions:
		if s.cfg.Relay != nil {
			s.cfg.Relay.Received(s, m.RawList)
		}
	case wire.Head:
		if s.Exchanges() && s.cfg.Exchange.Head != nil { // else it is as any message that nobody knows
			s.cfg.Exchange.Head(ctx, s, Status{TD: m.TD, Head: m.Hash})
		}
	case wire.Peers:
		s.mu.Lock()
		asked := s.mu.peersAsked
		s.mu.peersAsked = false
		s.mu.Unlock()
		if asked && s.cfg.Directory != nil {
			s.cfg.Directory.Heard(s, slices.Collect(m.All()))
		}
	}
	// Pong has done its work by arriving. Peers that nobody asked for, dead and unknown
	// ids (A27) are passed over.
	return nil
}

// put sets a request of the other side aside for the writer.
func (s *Session) put(m wire.Message) error {
	s.mu.Lock()
	if m.ID() == wire.IDGetBlockHashes {
		// Small, and the other side knows no blocks to ask for without it. Answers
		// of one kind stay in order.
		s.mu.serve = slices.Insert(s.mu.serve, s.mu.serveFirst, m)
		s.mu.serveFirst++
	} else {
		s.mu.serve = append(s.mu.serve, m)
	}
	s.mu.serveBytes += wire.FrameSize(m)
	over := len(s.mu.serve) > maxPending || s.mu.serveBytes > maxPendingBytes
	s.mu.Unlock()
	if over {
		return &Violation{Reason: wire.ReasonUselessPeer, What: "more requests than it reads answers"}
	}
	s.poke()
	return nil
}

// unasked counts an answer to nothing (A8).
func (s *Session) unasked(what string) error {
	if s.unsolicited++; s.unsolicited > maxUnsolicited {
		return &Violation{Reason: wire.ReasonUselessPeer, What: what + " that nobody asked for, again and again"}
	}
	return nil
}

// hashes takes a BlockHashes: the answer to the oldest GetBlockHashes.
func (s *Session) hashes(ctx context.Context, m wire.BlockHashes) error {
	s.mu.Lock()
	if len(s.mu.hashRequests) == 0 {
		s.mu.Unlock()
		return s.unasked("hashes")
	}
	r := s.mu.hashRequests[0]
	s.mu.hashRequests = s.mu.hashRequests[1:]
	s.mu.Unlock()
	n := m.Len()
	if uint64(n) > r.max { // A8
		return &Violation{Reason: wire.ReasonBadProtocol, What: fmt.Sprintf("%d hashes in answer to a request for %d", n, r.max)}
	}
	hashes := make([]common.Hash, n)
	for i := range hashes {
		hashes[i] = m.At(i)
	}
	if n > 0 && hashes[0] == r.start { // A4: a server that begins with the block itself
		hashes = hashes[1:]
	}
	s.cfg.Handler.Hashes(ctx, s, r.start, hashes)
	return nil
}

// keep makes a view over the reader's buffer the caller's, who may give back the buffer
// that he gets with it. There may be none.
func (s *Session) keep(list []byte) (kept, buf []byte) {
	if len(list) == 0 {
		return list, nil
	}
	buf = s.in.Detach()
	if cap(buf) > 2*len(buf) { // too much buffer for it
		list = slices.Clone(list)
		wire.Free(buf)
		return list, nil
	}
	return list, buf
}

// blocks takes a Blocks: an answer, an announcement, or both in one.
func (s *Session) blocks(ctx context.Context, m wire.Blocks) error {
	at := time.Now()
	kept, buf := s.keep(m.RawList)
	list := wire.RawList(kept)
	raws := slices.AppendSeq(make([][]byte, 0, list.Len()), list.All())
	hashes, err := s.cfg.Hashes(make([]common.Hash, 0, len(raws)), raws...)
	if err != nil {
		return &Violation{Reason: wire.ReasonBadProtocol, What: "a block that is none", Err: err}
	}
	blocks := make([]Block, len(raws))
	for i, raw := range raws {
		blocks[i] = Block{hashes[i], raw}
	}
	s.mu.Lock()
	answers, rest, matched := s.mu.asked.match(blocks)
	s.mu.Unlock()
	if !matched && len(blocks) == 0 {
		return s.unasked("an empty Blocks")
	}
	for _, a := range answers {
		a.At = at
		if len(answers) == 1 && len(rest) == 0 && buf != nil {
			a.Free = func() { wire.Free(buf) }
		}
		s.cfg.Handler.Blocks(ctx, s, a)
	}
	if len(rest) > 0 {
		size := 0
		for _, b := range rest {
			size += len(b.Raw)
		}
		if err := s.limit.unasked(size, at); err != nil {
			return err
		}
		s.cfg.Handler.Announced(ctx, s, rest)
	}
	return nil
}
