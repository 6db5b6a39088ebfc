package api

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/shoalnet/shoal/chain"
)

// The limits of eth_getLogs.
const (
	// maxLogBlocks is how many blocks one call may look through. Each is read for the
	// bloom filter in its header: ten thousand are a second of one core and up to some
	// hundred megabytes of the disk. Ten times as many would not be answered before the
	// server gives up (writeTimeout).
	maxLogBlocks = 10_000

	// maxLogs is how many logs one answer may have: about ten megabytes. Who needs more
	// asks for fewer blocks at a time, as the error says.
	maxLogs = 10_000

	// maxLogSearches is how many searches go on at the same time; others wait.
	maxLogSearches = 4
)

// errTooMuch is the answer to what would cost too much (EIP-1474).
func errTooMuch(format string, args ...any) error {
	return &codedError{-32005, fmt.Sprintf(format, args...)}
}

// GetLogs is eth_getLogs.
func (a ethAPI) GetLogs(ctx context.Context, f logFilter) (any, error) {
	if a.s.cfg.Network.Format != chain.FormatFrontier {
		return nil, errOldFormat
	}
	select {
	case a.s.searches <- struct{}{}:
		defer func() { <-a.s.searches }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	out := []*logJSON{}
	if f.block != nil {
		b, _, err := a.s.block(*f.block)
		if err == nil && b == nil {
			err = errNoBlock
		}
		if err != nil {
			return nil, err
		}
		return a.search(out, b, &f)
	}
	from, to, err := a.span(&f)
	if err != nil {
		return nil, err
	}
	var raw []byte
	sieve := f.sieve()
	for h, err := range a.s.cfg.Store.CanonicalHashes(from, to) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if raw, err = a.s.cfg.Store.AppendRaw(raw[:0], h); err != nil {
			return nil, fmt.Errorf("api: block %x: %w", h, err)
		}
		view, err := a.s.cfg.Network.ParseBlockAs(h, raw)
		if err != nil {
			return nil, fmt.Errorf("api: a stored block: %w", err)
		}
		var header types.Header
		if err := rlp.DecodeBytes(view.Header.Raw(), &header); err != nil {
			return nil, fmt.Errorf("api: a stored header: %w", err)
		}
		if !sieve.passes(&header.Bloom) {
			continue
		}
		b, err := decode(raw)
		if err != nil {
			return nil, err
		}
		if out, err = a.search(out, b, &f); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// span returns the numbers of the blocks that are to be looked through; what is above the
// head has no logs.
func (a ethAPI) span(f *logFilter) (from, to uint64, err error) {
	head := a.s.cfg.Store.Head().Number
	number := func(n rpc.BlockNumber) (uint64, error) {
		switch {
		case n == rpc.LatestBlockNumber:
			return head, nil
		case n == rpc.EarliestBlockNumber:
			return 0, nil
		case n >= 0:
			return uint64(n), nil
		}
		_, _, err := a.s.resolve(n)
		if err == nil {
			err = &codedError{-32602, "there are no pending logs: nobody mines here"}
		}
		return 0, err
	}
	if from, err = number(f.from); err != nil {
		return 0, 0, err
	}
	if to, err = number(f.to); err != nil {
		return 0, 0, err
	}
	if from > to {
		return 0, 0, &codedError{-32602, fmt.Sprintf("fromBlock %d is above toBlock %d", from, to)}
	}
	to = min(to, head)
	if from <= to && to-from >= maxLogBlocks {
		return 0, 0, errTooMuch("%d blocks are too many for one call: ask for at most %d", to-from+1, maxLogBlocks)
	}
	return from, to, nil
}

// search appends the logs of a block that are wanted.
func (a ethAPI) search(out []*logJSON, b *types.Block, f *logFilter) ([]*logJSON, error) {
	list, err := a.s.receipts(b)
	if err != nil {
		return out, err
	}
	nth := 0
	for i, r := range list {
		for _, l := range r.Logs {
			if f.wants(l) {
				if len(out) == maxLogs {
					return out, errTooMuch("more than %d logs up to block %d: ask for fewer blocks", maxLogs, b.NumberU64())
				}
				out = append(out, shapeLog(b, i, nth, l))
			}
			nth++
		}
	}
	return out, nil
}
