package node

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/swarm"
	"github.com/shoalnet/shoal/wire"
)

// Content other than blocks goes the same ways as blocks: from sessions to the downloader,
// and from the store to sessions. The kinds have the same numbers in the store as on the
// wire.

// exchange says which content the sessions of a node give and take.
func (n *Node) exchange() *peer.Exchange {
	return &peer.Exchange{
		Kinds: map[wire.ContentKind]peer.Kind{
			wire.ContentChunk:    {Addresses: swarm.Addresses, Source: n.files},
			wire.ContentReceipts: {Addresses: receiptsRoots, Source: receipts{n.cfg.Store}},
		},
		Answer: func(ctx context.Context, s *peer.Session, a peer.ContentAnswer) {
			items := make([]store.Record, len(a.Items))
			for i, x := range a.Items {
				items[i] = store.Record{Hash: x.Address, Raw: x.Payload}
			}
			n.down.Content(ctx, remote{s}, downloader.ContentAnswer{
				ID: a.ID, Kind: store.Kind(a.Kind), Items: items, Absent: a.Absent, At: a.At,
			})
		},
		Head: func(ctx context.Context, s *peer.Session, now peer.Status) {
			if s.Hello().Caps.Has(wire.CapChain) { // else it has not joined
				n.down.Claims(ctx, remote{s}, downloader.Claim{TD: now.TD, Head: now.Head})
			}
		},
	}
}

// Told implements downloader.Peer.
func (r remote) Told() common.Hash { return r.Session.Told().Head }

// TellHead implements downloader.Peer.
func (r remote) TellHead(now downloader.Claim) {
	r.Session.TellHead(peer.Status{TD: now.TD, Head: now.Head})
}

// GetContent implements downloader.Peer.
func (r remote) GetContent(id uint64, kind store.Kind, addrs []common.Hash) {
	r.Session.GetContent(id, wire.ContentKind(kind), addrs)
}

func receiptsRoots(dst []common.Hash, payloads ...[]byte) ([]common.Hash, error) {
	for _, p := range payloads {
		root, err := chain.ReceiptsRoot(p)
		if err != nil {
			return dst, err
		}
		dst = append(dst, root)
	}
	return dst, nil
}

// receipts are those in the store as sessions serve them.
type receipts struct{ store *store.Store }

func (r receipts) Payloads(addrs []common.Hash, yield func([]byte) bool) error {
	var buf []byte
	for _, a := range addrs {
		var err error
		buf, err = r.store.AppendContent(buf[:0], store.Receipts, a)
		if _, corrupt := errors.AsType[*store.CorruptError](err); err != nil && !corrupt && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if !yield(buf) {
			break
		}
	}
	return nil
}

// chunks are the chunks of files, as the downloader brings and keeps them.
type chunks Node

// Want implements swarm.Source.
func (c *chunks) Want(_ *swarm.Files, wants []swarm.Want) {
	list := make([]downloader.Want, len(wants))
	for i, w := range wants {
		list[i] = downloader.Want{Address: w.Address, Rank: w.Rank, Size: swarm.MaxPayload}
	}
	c.down.Want(store.Chunk, list)
}

// Cancel implements swarm.Source.
func (c *chunks) Cancel(_ *swarm.Files, addrs []common.Hash) { c.down.Cancel(store.Chunk, addrs) }

// Keep implements downloader.Keeper.
func (c *chunks) Keep(records []store.Record) error {
	list := make([]swarm.Chunk, len(records))
	for i, r := range records {
		list[i] = swarm.Chunk{Address: r.Hash, Payload: r.Raw}
	}
	err := c.files.Deliver(c.ctx, list)
	if errors.Is(err, swarm.ErrFull) || store.NoRoom(err) {
		c.cfg.emit(FilesFull{err})
		return nil // those who wait for them know
	}
	return err
}

// Files are the files that the node keeps, serves, and fetches from its peers.
func (n *Node) Files() *swarm.Files { return n.files }
