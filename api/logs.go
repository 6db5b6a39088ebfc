package api

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
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

	// maxLogTerms is how many addresses, and how many topics for each place, a filter may
	// name. Each is looked up in the bloom filter of each block: with all of them, that is
	// what takes the time.
	maxLogTerms = 1000

	// maxLogSearches is how many searches go on at the same time; others wait.
	maxLogSearches = 4

	// maxLogTopics is how many topics a log has at the most.
	maxLogTopics = 4
)

// logFilter says which logs are wanted (schema Filter). An empty list of addresses, or of
// topics for a place, is any.
type logFilter struct {
	block     *common.Hash // of the only block
	from, to  rpc.BlockNumber
	addresses []common.Address
	topics    [][]common.Hash
}

// UnmarshalJSON reads a filter object.
func (f *logFilter) UnmarshalJSON(data []byte) error {
	var in struct {
		BlockHash          *common.Hash
		FromBlock, ToBlock *rpc.BlockNumber
		Address            oneOrMore[common.Address]
		Topics             []oneOrMore[common.Hash]
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	if in.BlockHash != nil && (in.FromBlock != nil || in.ToBlock != nil) {
		return errors.New("blockHash goes without fromBlock and toBlock")
	}
	if len(in.Topics) > maxLogTopics {
		return fmt.Errorf("topics for %d places: a log has at most %d", len(in.Topics), maxLogTopics)
	}
	*f = logFilter{block: in.BlockHash, from: rpc.LatestBlockNumber, to: rpc.LatestBlockNumber, addresses: in.Address}
	if in.FromBlock != nil {
		f.from = *in.FromBlock
	}
	if in.ToBlock != nil {
		f.to = *in.ToBlock
	}
	for _, place := range in.Topics {
		f.topics = append(f.topics, place)
	}
	return nil
}

// oneOrMore is what may be given as null, a value or a list of values.
type oneOrMore[T any] []T

// UnmarshalJSON reads any of them.
func (l *oneOrMore[T]) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*l = make([]T, 1)
		return json.Unmarshal(data, &(*l)[0])
	}
	if err := json.Unmarshal(data, (*[]T)(l)); err != nil {
		return err
	}
	if len(*l) > maxLogTerms {
		return fmt.Errorf("%d alternatives: at most %d are looked for", len(*l), maxLogTerms)
	}
	return nil
}

// bloomBits are the bits that an address or a topic sets in a bloom filter (Yellow Paper,
// section 4.3.1).
type bloomBits [3]uint16

func bitsOf(term []byte) (bits bloomBits) {
	h := chain.Keccak256(term)
	for i := range bits {
		bits[i] = binary.BigEndian.Uint16(h[2*i:]) % types.BloomBitLength
	}
	return bits
}

func (b bloomBits) in(bloom *types.Bloom) bool {
	for _, bit := range b {
		if bloom[types.BloomByteLength-1-bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
	}
	return true
}

// sieve is a filter as far as a bloom filter tells: of each list, one must be in it.
type sieve [][]bloomBits

func (f *logFilter) sieve() (s sieve) {
	add := func(n int, term func(i int) []byte) {
		if n == 0 {
			return // any
		}
		list := make([]bloomBits, n)
		for i := range list {
			list[i] = bitsOf(term(i))
		}
		s = append(s, list)
	}
	add(len(f.addresses), func(i int) []byte { return f.addresses[i][:] })
	for _, place := range f.topics {
		add(len(place), func(i int) []byte { return place[i][:] })
	}
	return s
}

// passes reports whether a block with this bloom filter can have a log that is wanted.
func (s sieve) passes(bloom *types.Bloom) bool {
	for _, list := range s {
		if !slices.ContainsFunc(list, func(b bloomBits) bool { return b.in(bloom) }) {
			return false
		}
	}
	return true
}

func (f *logFilter) wants(l *types.Log) bool {
	if len(f.addresses) > 0 && !slices.Contains(f.addresses, l.Address) || len(f.topics) > len(l.Topics) {
		return false
	}
	for i, place := range f.topics {
		if len(place) > 0 && !slices.Contains(place, l.Topics[i]) {
			return false
		}
	}
	return true
}

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
