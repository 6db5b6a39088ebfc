package downloader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// ReceiptStore is where blocks, their receipts and a [ReceiptCursor] are; *store.Store
// is one.
type ReceiptStore interface {
	Head() store.Head
	Canonical(number uint64) (common.Hash, error)
	CanonicalHashes(from, to uint64) iter.Seq2[common.Hash, error]
	AppendAncestors(dst []common.Hash, of common.Hash, most int) ([]common.Hash, error)
	AppendRaw(dst []byte, hash common.Hash) ([]byte, error)
	HasContent(store.Kind, common.Hash) (bool, error)
	PutContent(store.Kind, []store.Record) (int, error)
	Meta(key string) ([]byte, error)
	SetMeta(key string, value []byte) error
}

// receiptsMeta is the name of the cursor in the store: number(8) hash(32).
const receiptsMeta = "downloader/receipts"

// forkStep is how many ancestors are looked at in one step when the cursor has been left
// behind on a branch. Most reorgs are shorter; a longer one takes some steps more.
const forkStep = 64

// ReceiptCursor finds the blocks of the canonical chain whose receipts are missing, and
// remembers on disk below which block there are none, so that each block is looked at
// once. It is not safe for concurrent use.
type ReceiptCursor struct {
	net   *chain.Network
	store ReceiptStore
	// number and hash are those of the last block up to which nothing is missing. The
	// genesis block has no transactions, hence no receipts.
	number uint64
	hash   common.Hash
}

// MissingReceipts are receipts that are wanted.
type MissingReceipts struct {
	Number uint64      // of a block that has them
	Parent common.Hash // of that block
	Root   common.Hash // their name
	Size   int         // what they may weigh, in bytes
}

// receiptSize is what a receipt weighs that has logged nothing: its bloom filter and some
// numbers. What others log is not known before.
const receiptSize = 270

// NewReceiptCursor returns the cursor of a store.
func NewReceiptCursor(net *chain.Network, st ReceiptStore) (*ReceiptCursor, error) {
	c := &ReceiptCursor{net: net, store: st}
	value, err := st.Meta(receiptsMeta)
	switch {
	case errors.Is(err, store.ErrNotFound):
		c.hash, err = st.Canonical(0)
		return c, err
	case err != nil:
		return nil, err
	case len(value) != 8+common.HashLength:
		return nil, fmt.Errorf("downloader: the cursor of receipts has %d bytes", len(value))
	}
	c.number, c.hash = binary.BigEndian.Uint64(value), common.Hash(value[8:])
	return c, c.Align()
}

// Align moves the cursor down to the canonical chain, if a reorg has left it on a branch.
func (c *ReceiptCursor) Align() error {
	if on, err := c.canonical(c.number, c.hash); on || err != nil {
		return err
	}
	for c.number > 0 {
		hashes, err := c.store.AppendAncestors(nil, c.hash, forkStep)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if len(hashes) == 0 { // not linked any more: what it rested on is lost
			c.number = 0
		}
		for _, h := range hashes {
			c.number, c.hash = c.number-1, h
			if on, err := c.canonical(c.number, h); on || err != nil {
				return err
			}
		}
	}
	var err error
	c.hash, err = c.store.Canonical(0)
	return err
}

func (c *ReceiptCursor) canonical(number uint64, hash common.Hash) (bool, error) {
	h, err := c.store.Canonical(number)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return h == hash, err
}

// At returns the last block up to which no receipts are missing, without its total
// difficulty.
func (c *ReceiptCursor) At() store.Head { return store.Head{Number: c.number, Hash: c.hash} }

// Missing calls visit with what is missing behind a block and up to the head, by the number
// of the block, until it returns false. It returns the last block that it has looked at, of
// which only number and hash are set, or the one before the first if there are none. It
// reads each block on the way. Receipts that several blocks share are visited with each of
// them until they are stored.
func (c *ReceiptCursor) Missing(behind store.Head, visit func(MissingReceipts) bool) (last store.Head, err error) {
	last = behind
	var raw []byte
	for h, err := range c.store.CanonicalHashes(behind.Number+1, c.store.Head().Number) {
		if err != nil {
			return last, fmt.Errorf("downloader: looking for receipts behind block %d: %w", last.Number, err)
		}
		if raw, err = c.store.AppendRaw(raw[:0], h); err != nil {
			return last, fmt.Errorf("downloader: reading block %x for its receipts: %w", h, err)
		}
		b, err := c.net.ParseBlockAs(h, raw)
		if err != nil {
			return last, fmt.Errorf("downloader: reading block %x for its receipts: %w", h, err)
		}
		last = store.Head{Number: b.Number, Hash: h}
		if !b.HasReceipts() {
			continue
		}
		held, err := c.store.HasContent(store.Receipts, b.ReceiptRoot)
		if err != nil {
			return last, err
		}
		if !held && !visit(MissingReceipts{b.Number, b.Parent, b.ReceiptRoot, receiptSize * count(b)}) {
			break
		}
	}
	return last, nil
}

// count returns how many transactions a block has.
func count(b *chain.Block) (n int) {
	for range b.Transactions() {
		n++
	}
	return n
}

// Advance says that no receipts are missing up to a block, which was canonical when that was
// found. It is durable when it returns, which costs a sync: every few thousand blocks are
// often enough.
func (c *ReceiptCursor) Advance(at store.Head) error {
	value := append(binary.BigEndian.AppendUint64(nil, at.Number), at.Hash[:]...)
	if err := c.store.SetMeta(receiptsMeta, value); err != nil {
		return err
	}
	c.number, c.hash = at.Number, at.Hash
	return nil
}
