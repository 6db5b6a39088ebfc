package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// Exporter is what Export reads from; *store.Store is one.
type Exporter interface {
	CanonicalHashes(from, to uint64) iter.Seq2[common.Hash, error]
	AppendRaw(dst []byte, hash common.Hash) ([]byte, error)
}

// Export writes the blocks from number first to number last, both included, of
// the canonical chain, fewer if the chain ends before. It calls progress, if not
// nil, after each block. It neither commits nor aborts the writer.
func Export(ctx context.Context, from Exporter, first, last uint64, w *Writer, progress func()) error {
	var buf []byte
	for h, err := range from.CanonicalHashes(first, last) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if buf, err = from.AppendRaw(buf[:0], h); err != nil {
			return err
		}
		if err := w.Append(buf); err != nil {
			return err
		}
		if progress != nil {
			progress()
		}
	}
	return nil
}

// Epoch is how many blocks an era1 file has: those of epoch e begin with number
// e*Epoch. Only the last one under proof of work may have fewer.
const Epoch = maxEra1Blocks

// ErrNoReceipts: the receipts of a block that an era1 file needs are not here.
var ErrNoReceipts = errors.New("its receipts are not in the store: import an era1 file that has them, or sync with --receipts")

// Era1Exporter is what [ExportEra1] reads from; *store.Store is one.
type Era1Exporter interface {
	Exporter
	Linked(common.Hash) (store.Link, bool, error)
	AppendContent(dst []byte, kind store.Kind, hash common.Hash) ([]byte, error)
}

// Epochs returns the epochs from first to below end that lie completely between the
// blocks of number from and number to, both included. If to is the last block under
// proof of work, its epoch is complete too.
func Epochs(net *chain.Network, from, to uint64) (first, end uint64) {
	first, end = (from+Epoch-1)/Epoch, (to+1)/Epoch
	if last := net.LastBlock.Number; last > 0 && to >= last {
		end = last/Epoch + 1
	}
	return first, max(first, end)
}

// ExportEra1 writes an epoch of the canonical chain as an era1 file with the name that
// such files have, into a directory that exists. It calls progress, if not nil, after
// each block. Errors are those of the store, [ErrNoReceipts], and of the disk.
func ExportEra1(ctx context.Context, from Era1Exporter, net *chain.Network, epoch uint64, dir string, progress func()) (Era1File, error) {
	if net.Format != chain.FormatFrontier {
		return Era1File{}, fmt.Errorf("archive: era1 files have no place for the blocks of %s", net.Name)
	}
	w, err := CreateEra1(dir, net.Name)
	if err != nil {
		return Era1File{}, err
	}
	defer w.Abort()
	var (
		td            uint256.Int // of the block before
		raw, receipts []byte
		number        = epoch * Epoch
		last          = number + Epoch - 1
	)
	if net.LastBlock.Number > 0 {
		last = min(last, net.LastBlock.Number)
	}
	for h, err := range from.CanonicalHashes(number, last) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return Era1File{}, err
		}
		if raw, err = from.AppendRaw(raw[:0], h); err != nil {
			return Era1File{}, err
		}
		b, err := net.ParseBlockAs(h, raw)
		if err != nil {
			return Era1File{}, fmt.Errorf("archive: block %d: %w", number, err)
		}
		if number > 0 && number%Epoch == 0 {
			parent, _, err := from.Linked(b.Parent)
			if err != nil {
				return Era1File{}, err
			}
			td = parent.TD
		}
		if td, err = net.TotalDifficulty(&td, b); err != nil {
			return Era1File{}, err
		}
		if !b.HasReceipts() {
			receipts = append(receipts[:0], 0xc0)
		} else if receipts, err = from.AppendContent(receipts[:0], store.Receipts, b.ReceiptRoot); err != nil {
			if errors.Is(err, store.ErrNotFound) {
				err = fmt.Errorf("archive: block %d: %w", number, ErrNoReceipts)
			}
			return Era1File{}, err
		}
		if err := w.Append(b, receipts, &td); err != nil {
			return Era1File{}, err
		}
		if progress != nil {
			progress()
		}
		number++
	}
	if number <= last {
		return Era1File{}, fmt.Errorf("archive: epoch %d ends with block %d, and the chain has no block %d", epoch, last, number)
	}
	return w.Commit()
}
