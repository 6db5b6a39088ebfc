package txindex

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

const (
	// batchTxs and batchBlocks bound what is noted in one step: some megabytes of memory,
	// and after a crash that much is read again. Bigger steps are not faster.
	batchTxs    = 32 << 10
	batchBlocks = 16 << 10

	// maxCandidates is how many blocks are looked into for one transaction. Two hints
	// for one transaction come from a reorg or from a chance of one in thousands of
	// millions; sixteen would take somebody who makes hashes with a common prefix of 64
	// bits, and each is a block to be read for whoever asks.
	maxCandidates = 16
)

// Store is where blocks and the notes are; *store.Store is one.
type Store interface {
	Head() store.Head
	Canonical(number uint64) (common.Hash, error)
	CanonicalHashes(from, to uint64) iter.Seq2[common.Hash, error]
	Linked(common.Hash) (store.Link, bool, error)
	AppendRaw(dst []byte, hash common.Hash) ([]byte, error)
	PutTxRefs(refs []store.TxRef, upTo store.Head) error
	TxCursor() (store.Head, error)
	TxNumbers(hash common.Hash, most int) ([]uint64, error)
}

// Index is an index of the transactions of a store. Find and Reached are safe for
// concurrent use, also while Run runs.
type Index struct {
	net     *chain.Network
	store   Store
	wake    chan struct{} // one slot
	reached atomic.Uint64
}

// New returns the index of a store as it was left. Blocks of 2014 have none: their
// transactions have no hash that anybody asks for.
func New(net *chain.Network, st Store) (*Index, error) {
	if net.Format != chain.FormatFrontier {
		return nil, fmt.Errorf("txindex: transactions of %s are not found by hash", net.Name)
	}
	x := &Index{net: net, store: st, wake: make(chan struct{}, 1)}
	at, err := x.cursor()
	x.reached.Store(at.Number)
	return x, err
}

// Poke tells that the head has moved. It does not block.
func (x *Index) Poke() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// Reached returns the number of the last block whose transactions are found.
func (x *Index) Reached() uint64 { return x.reached.Load() }

// Run follows the head until the context is done, when it returns nil, or until the store
// fails.
func (x *Index) Run(ctx context.Context) error {
	for {
		if err := x.CatchUp(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-x.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// CatchUp notes what is missing up to the head. It must not run twice at a time.
func (x *Index) CatchUp(ctx context.Context) error {
	for {
		at, err := x.cursor()
		if err != nil {
			return err
		}
		x.reached.Store(at.Number)
		if at.Number >= x.store.Head().Number {
			return nil
		}
		if err := x.step(ctx, at); err != nil {
			return err
		}
	}
}

// cursor returns the last block that was looked at and still is canonical.
func (x *Index) cursor() (store.Head, error) {
	at, err := x.store.TxCursor()
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return at, err
	}
	for at.Number > 0 {
		h, err := x.store.Canonical(at.Number)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return at, err
		}
		if h == at.Hash {
			break
		}
		l, linked, err := x.store.Linked(at.Hash)
		if err != nil {
			return at, err
		}
		if !linked { // what it rested on is lost: what is noted again does no harm
			return store.Head{}, nil
		}
		at = store.Head{Number: l.Number - 1, Hash: l.Parent}
	}
	return at, nil
}

// step notes the transactions of the next blocks.
func (x *Index) step(ctx context.Context, at store.Head) error {
	var (
		raw    []byte
		leaves [][]byte
		hashes []common.Hash
		refs   []store.TxRef
	)
	// The genesis block has no transactions.
	for h, err := range x.store.CanonicalHashes(at.Number+1, at.Number+batchBlocks) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if raw, err = x.store.AppendRaw(raw[:0], h); err != nil {
			return fmt.Errorf("txindex: block %d: %w", at.Number+1, err)
		}
		b, err := x.net.ParseBlockAs(h, raw)
		if err != nil {
			return fmt.Errorf("txindex: block %d: %w", at.Number+1, err)
		}
		if at.Number > 0 && b.Parent != at.Hash {
			return nil // a reorg, which the cursor has to see first
		}
		leaves = leaves[:0]
		for leaf, err := range b.Transactions() {
			if err != nil {
				return fmt.Errorf("txindex: block %d: %w", b.Number, err)
			}
			leaves = append(leaves, leaf)
		}
		hashes = chain.Keccak256s(hashes[:0], leaves...)
		for _, tx := range hashes {
			refs = append(refs, store.TxRef{Hash: tx, Number: b.Number})
		}
		at = store.Head{Number: b.Number, Hash: h}
		if len(refs) >= batchTxs {
			break
		}
	}
	return x.store.PutTxRefs(refs, at)
}

// Find returns the canonical block that a transaction is in, and its place there. It
// reports false if it is in none up to block [Index.Reached].
func (x *Index) Find(tx common.Hash) (block common.Hash, at int, ok bool, err error) {
	numbers, err := x.store.TxNumbers(tx, maxCandidates)
	if err != nil {
		return block, 0, false, err
	}
	var raw []byte
	for _, n := range numbers {
		h, err := x.store.Canonical(n)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return block, 0, false, err
		}
		if raw, err = x.store.AppendRaw(raw[:0], h); err != nil {
			return block, 0, false, fmt.Errorf("txindex: block %d: %w", n, err)
		}
		b, err := x.net.ParseBlockAs(h, raw)
		if err != nil {
			return block, 0, false, fmt.Errorf("txindex: block %d: %w", n, err)
		}
		i := 0
		for leaf, err := range b.Transactions() {
			if err != nil {
				return block, 0, false, fmt.Errorf("txindex: block %d: %w", n, err)
			}
			if chain.Keccak256(leaf) == tx {
				return h, i, true, nil
			}
			i++
		}
	}
	return block, 0, false, nil
}
