package chain

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
)

// Header is the parsed view of a block header. Extra aliases the bytes that
// the header was parsed from.
type Header struct {
	Hash        common.Hash // keccak256 of the header's RLP
	Parent      common.Hash
	UnclesHash  common.Hash
	Coinbase    common.Address
	StateRoot   common.Hash // zero where the 2014 format says "empty trie"
	TxRoot      common.Hash // zero where the 2014 format says "no transactions"
	ReceiptRoot common.Hash // not in the 2014 format
	Difficulty  uint256.Int
	Number      uint64
	GasLimit    uint64
	GasUsed     uint64
	Time        uint64 // seconds since 1970
	Extra       []byte
	MixDigest   common.Hash // not in the 2014 format
	Nonce       []byte      // 8 bytes; 32 in the 2014 format
	MinGasPrice uint256.Int // the 2014 format only
	BaseFee     uint256.Int // since London
	Items       int         // number of items that the header list has

	raw []byte
}

// Raw returns the RLP of the header, aliasing the bytes it was parsed from.
func (h *Header) Raw() []byte { return h.raw }

// Detach forgets what aliases the bytes that the header was parsed from, which it would
// keep in memory: Raw, Extra and Nonce are nil then.
func (h *Header) Detach() { h.raw, h.Extra, h.Nonce = nil, nil, nil }

// fields reads the items of a header, or of another list, one after the other. The
// first error sticks, so that a format reads as a list of its fields.
type fields struct {
	of   string // what the list is, for errors
	rest []byte
	err  error
}

func (f *fields) fail(item, what string, err error) {
	if f.err == nil {
		f.err = &FormatError{Item: f.of + ": " + item, What: what, Err: err}
	}
}

// bytes reads a string of at most limit bytes.
func (f *fields) bytes(item string, limit int) []byte {
	if f.err != nil {
		return nil
	}
	b, rest, err := rlp.SplitString(f.rest)
	if err != nil {
		f.fail(item, "not a canonical RLP string", err)
		return nil
	}
	if len(b) > limit {
		f.fail(item, "too long", nil)
		return nil
	}
	f.rest = rest
	return b
}

// list reads a list and returns its content.
func (f *fields) list(item string) []byte {
	if f.err != nil {
		return nil
	}
	content, rest, err := rlp.SplitList(f.rest)
	if err != nil {
		f.fail(item, "not a canonical RLP list", err)
		return nil
	}
	f.rest = rest
	return content
}

// fixed reads a string of exactly len(dst) bytes.
func (f *fields) fixed(item string, dst []byte) {
	b := f.bytes(item, len(dst))
	if f.err == nil && len(b) != len(dst) {
		f.fail(item, "wrong length", nil)
		return
	}
	copy(dst, b)
}

// root reads a digest that the 2014 format leaves empty for an empty trie.
func (f *fields) root(item string, dst *common.Hash) {
	b := f.bytes(item, len(dst))
	if f.err == nil && len(b) != 0 && len(b) != len(dst) {
		f.fail(item, "neither empty nor 32 bytes", nil)
		return
	}
	copy(dst[:], b)
}

// uint64 reads a canonical scalar that must fit 64 bits.
func (f *fields) uint64(item string) (x uint64) {
	b := f.scalar(item, 8)
	for _, c := range b {
		x = x<<8 | uint64(c)
	}
	return x
}

// uint256 reads a canonical scalar of at most 256 bits.
func (f *fields) uint256(item string, dst *uint256.Int) {
	dst.SetBytes(f.scalar(item, 32))
}

func (f *fields) scalar(item string, limit int) []byte {
	b := f.bytes(item, limit)
	if f.err == nil && len(b) > 0 && b[0] == 0 {
		f.fail(item, "integer with a leading zero", nil)
		return nil
	}
	return b
}

// end is called after the last field.
func (f *fields) end() error {
	if f.err == nil && len(f.rest) > 0 {
		f.fail("end", "more items than the format has", nil)
	}
	return f.err
}

// maxExtra bounds the extra data that any format may carry. The rule of each
// network is stricter (32 bytes on mainnet, 1024 in 2014); 1 MiB is only what
// keeps a header a header.
const maxExtra = 1 << 20

// parseHeader reads exactly one header from raw.
func parseHeader(f Format, raw []byte, h *Header) error {
	content, rest, err := rlp.SplitList(raw)
	if err != nil {
		return &FormatError{Item: "header", What: "not a canonical RLP list", Err: err}
	}
	if len(rest) > 0 {
		return &FormatError{Item: "header", What: "bytes after its end"}
	}
	if h.Items, err = rlp.CountValues(content); err != nil {
		return &FormatError{Item: "header", What: "not a list of RLP items", Err: err}
	}
	fs := fields{of: "header", rest: content}
	f.header(&fs, h)
	if err := fs.end(); err != nil {
		return err
	}
	h.raw = raw
	return nil
}
