package node

import (
	"context"
	"errors"
	"net"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/wire"
)

// handler hands what sessions receive to the downloader.
type handler Node

func (h *handler) Joined(ctx context.Context, s *peer.Session) {
	hello := s.Hello()
	(*Node)(h).introduce(s)
	h.relay.join(s)
	if !hello.Caps.Has(wire.CapChain) {
		h.cfg.emit(NoChain{s.RemoteAddr().String()}) // A39
		return
	}
	h.down.Join(ctx, remote{s}, downloader.Claim{TD: hello.TD, Head: hello.Best, Content: s.Exchanges()})
}

func (h *handler) Hashes(ctx context.Context, s *peer.Session, start common.Hash, hashes []common.Hash) {
	h.down.Hashes(ctx, remote{s}, start, hashes)
}

func (h *handler) Blocks(ctx context.Context, s *peer.Session, a peer.Answer) {
	h.down.Blocks(ctx, remote{s}, downloader.Answer{
		ID: a.ID, Blocks: blocks(a.Blocks), Free: a.Free, Closed: a.Closed, At: a.At, Scattered: a.Scattered,
	})
}

func (h *handler) Announced(ctx context.Context, s *peer.Session, list []peer.Block) {
	h.down.Announced(ctx, remote{s}, blocks(list))
}

// Left is told even though the session's context is over: the downloader must not
// go on waiting for it.
func (h *handler) Left(s *peer.Session, _ error) {
	h.relay.leave(s)
	h.down.Leave(h.ctx, remote{s})
}

func blocks(list []peer.Block) []downloader.Block {
	out := make([]downloader.Block, len(list))
	for i, b := range list {
		out[i] = downloader.Block(b)
	}
	return out
}

// remote is a session as the downloader knows it. Two are equal if their sessions
// are.
type remote struct{ *peer.Session }

func (r remote) String() string {
	if a, ok := r.RemoteAddr().(*net.TCPAddr); ok {
		return a.String()
	}
	return r.Hello().Node.String()
}

// Drop implements downloader.Peer.
func (r remote) Drop(o *downloader.Offence) {
	reason := wire.ReasonUselessPeer
	if o.Kind == downloader.Lie {
		reason = wire.ReasonBadProtocol
	}
	r.Fail(&peer.Violation{Reason: reason, What: "dropped by the downloader", Err: o})
}

// served is the store as sessions serve it.
type served struct{ store *store.Store }

func (c served) AppendAncestors(dst []common.Hash, hash common.Hash, max int) ([]common.Hash, error) {
	hashes, err := c.store.AppendAncestors(dst, hash, max)
	if errors.Is(err, store.ErrNotFound) {
		return dst, nil
	}
	return hashes, err
}

func (c served) AppendBlocks(dst []byte, hashes []common.Hash, most, limit int) ([]byte, error) {
	return c.store.AppendBlocks(dst, hashes, most, limit)
}
