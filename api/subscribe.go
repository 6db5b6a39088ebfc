package api

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"
)

// ethSubscriptions is what the namespace eth offers to those who stay connected.
type ethSubscriptions struct{ s *Server }

const (
	// maxSubscriptions bounds the subscriptions of all callers; each is a
	// goroutine and looks at every new head.
	maxSubscriptions = 1000

	// maxHeads bounds how many headers follow from one move of the head: while a
	// chain is linked the head moves by thousands, and whoever wants those blocks
	// asks for them by number. The youngest are told.
	maxHeads = 64
)

var errTooManySubscriptions = &codedError{-32005, "too many subscriptions"}

// NewHeads is the subscription newHeads: the header of each new block of the
// canonical chain, after a reorg from the first one that is new.
func (a ethSubscriptions) NewHeads(ctx context.Context) (*rpc.Subscription, error) {
	last := a.s.cfg.Store.Head().Hash
	return a.subscribe(ctx, func(tell func(any)) error {
		fresh, err := a.s.newHeads(last)
		if err != nil {
			return err
		}
		for _, h := range fresh {
			tell(h)
			last = h.Hash
		}
		return nil
	})
}

// newHeads returns the headers from the head down to what was the head before,
// or to what the canonical chain shares with it, oldest first.
func (s *Server) newHeads(before common.Hash) ([]*headerJSON, error) {
	known := map[common.Hash]bool{before: true}
	head := s.cfg.Store.Head()
	if head.Hash == before {
		return nil, nil
	}
	old, err := s.cfg.Store.AppendAncestors(nil, before, maxHeads)
	if err != nil {
		return nil, err
	}
	for _, h := range old {
		known[h] = true
	}
	line, err := s.cfg.Store.AppendAncestors([]common.Hash{head.Hash}, head.Hash, maxHeads-1)
	if err != nil {
		return nil, err
	}
	var list []*headerJSON
	for _, h := range line {
		if known[h] {
			break
		}
		b, td, err := s.block(h)
		if err != nil {
			return nil, err
		}
		shaped := shapeHeader(b.Header(), h, td)
		list = append([]*headerJSON{&shaped}, list...)
	}
	return list, nil
}

// Syncing is the subscription syncing: each time that a sync begins or ends.
func (a ethSubscriptions) Syncing(ctx context.Context) (*rpc.Subscription, error) {
	var syncing *bool
	return a.subscribe(ctx, func(tell func(any)) error {
		status := a.s.syncStatus()
		now := status != nil
		if syncing != nil && *syncing == now || syncing == nil && !now {
			syncing = &now
			return nil
		}
		syncing = &now
		if now {
			tell(struct {
				Syncing bool        `json:"syncing"`
				Status  *syncStatus `json:"status"`
			}{true, status})
		} else {
			tell(false)
		}
		return nil
	})
}

// subscribe calls a function at once and whenever something has changed, until the
// caller is gone. What the function tells goes to the caller; an error ends it.
func (a ethSubscriptions) subscribe(ctx context.Context, look func(tell func(any)) error) (*rpc.Subscription, error) {
	notifier, ok := rpc.NotifierFromContext(ctx)
	if !ok {
		return nil, rpc.ErrNotificationsUnsupported
	}
	select {
	case a.s.subscribers <- struct{}{}:
	default:
		return nil, errTooManySubscriptions
	}
	sub := notifier.CreateSubscription()
	go func() { // ends with the connection; Stop closes all of them
		defer func() { <-a.s.subscribers }()
		var gone error
		tell := func(v any) { gone = errors.Join(gone, notifier.Notify(sub.ID, v)) }
		for gone == nil {
			changed := a.s.cfg.Tracker.changed() // before looking: nothing is missed
			if err := look(tell); err != nil {
				a.s.cfg.Logger.Warn("a subscription ends", "err", err)
				return
			}
			select {
			case <-changed:
			case <-sub.Err():
				return
			}
		}
	}()
	return sub, nil
}
