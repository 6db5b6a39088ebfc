package api

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/shoalnet/shoal/chain"
)

// The limits of a filter of eth_getLogs.
const (
	// maxLogTerms is how many addresses, and how many topics for each place, a filter may
	// name. Each is looked up in the bloom filter of each block: with all of them, that is
	// what takes the time.
	maxLogTerms = 1000

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
