package chain

import (
	"iter"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// Block is a block as raw RLP plus a parsed view over the same bytes. It is
// immutable after ParseBlock and then safe for concurrent use.
type Block struct {
	Header
	format Format
	raw    []byte // the whole block
	txs    []byte // content of the transaction list
	uncles []byte // the uncle list with its list header, as hashed
}

// ParseBlock views raw, which must be exactly one block of the format, as a
// block. The result aliases raw, which must not change afterwards. It checks
// structure only: see [Network.CheckBlock] for what else must hold before the
// block is accepted. Errors are *[FormatError].
func ParseBlock(f Format, raw []byte) (*Block, error) {
	b := new(Block)
	if err := b.parse(f, raw); err != nil {
		return nil, err
	}
	b.Hash = Keccak256(b.Header.raw)
	return b, nil
}

// ParseBlockAs is [ParseBlock] for a block whose hash is known, because [HashOf] has
// returned it for the very same bytes: it is not computed again.
func ParseBlockAs(f Format, hash common.Hash, raw []byte) (*Block, error) {
	b := new(Block)
	if err := b.ReparseAs(f, hash, raw); err != nil {
		return nil, err
	}
	return b, nil
}

// ReparseAs is [ParseBlockAs] into the memory of a block that nobody uses any more: for
// those who look at many and keep none. After an error it is still nobody's.
func (b *Block) ReparseAs(f Format, hash common.Hash, raw []byte) error {
	err := b.parse(f, raw)
	b.Hash = hash
	return err
}

// parse is ParseBlock without the hash.
func (b *Block) parse(f Format, raw []byte) error {
	*b = Block{format: f, raw: raw}
	content, rest, err := rlp.SplitList(raw)
	if err != nil {
		return &FormatError{Item: "block", What: "not a canonical RLP list", Err: err}
	}
	if len(rest) > 0 {
		return &FormatError{Item: "block", What: "bytes after its end"}
	}
	header, content, err := cutList(content, "header")
	if err != nil {
		return err
	}
	if err := parseHeader(f, header, &b.Header); err != nil {
		return err
	}
	txs, content, err := cutList(content, "transactions")
	if err != nil {
		return err
	}
	if b.txs, _, err = rlp.SplitList(txs); err != nil {
		return &FormatError{Item: "transactions", What: "not a canonical RLP list", Err: err}
	}
	if b.uncles, content, err = cutList(content, "uncles"); err != nil {
		return err
	}
	if len(content) > 0 {
		return &FormatError{Item: "block", What: "more than header, transactions and uncles: not a proof-of-work block"}
	}
	return nil
}

// cutList splits the list at the front of b, with its list header, off b.
func cutList(b []byte, item string) (list, rest []byte, err error) {
	_, rest, err = rlp.SplitList(b)
	if err != nil {
		return nil, nil, &FormatError{Item: item, What: "not a canonical RLP list", Err: err}
	}
	return b[:len(b)-len(rest)], rest, nil
}

// ParseHeader views raw, which must be exactly one header of the format, as a
// header. The result aliases raw. Errors are *[FormatError].
func ParseHeader(f Format, raw []byte) (*Header, error) {
	h := new(Header)
	if err := parseHeader(f, raw, h); err != nil {
		return nil, err
	}
	h.Hash = Keccak256(raw)
	return h, nil
}

// Raw returns the RLP of the whole block. The caller must not change it.
func (b *Block) Raw() []byte { return b.raw }

// Format returns the format that the block was parsed as.
func (b *Block) Format() Format { return b.format }

// Uncles yields the uncle headers of the body. It stops after the first error,
// a *[FormatError].
func (b *Block) Uncles() iter.Seq2[*Header, error] {
	return func(yield func(*Header, error) bool) {
		rest, _, err := rlp.SplitList(b.uncles)
		for err == nil && len(rest) > 0 {
			var raw []byte
			if raw, rest, err = cutList(rest, "uncles"); err != nil {
				break
			}
			var h *Header
			if h, err = ParseHeader(b.format, raw); err != nil {
				err = &FormatError{Item: "uncles", What: "an entry is not a header", Err: err}
				break
			}
			if !yield(h, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// Transactions yields each entry of the transaction list as the
// transactions trie holds it: a legacy transaction's list, a typed
// transaction's envelope, in the 2014 format the whole entry. The slices alias
// the block. It stops after the first error, a *[FormatError].
func (b *Block) Transactions() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		rest := b.txs
		for len(rest) > 0 {
			kind, content, next, err := rlp.Split(rest)
			if err != nil {
				yield(nil, &FormatError{Item: "transactions", What: "not a canonical RLP item", Err: err})
				return
			}
			leaf, err := b.format.txLeaf(kind, rest[:len(rest)-len(next)], content)
			if !yield(leaf, err) || err != nil {
				return
			}
			rest = next
		}
	}
}

// HashOf returns the hash of the block in raw, the digest of its header,
// without looking at anything else: the rest may be junk. Errors are
// *[FormatError].
func HashOf(raw []byte) (common.Hash, error) {
	header, err := cutHeader(raw)
	if err != nil {
		return common.Hash{}, err
	}
	return Keccak256(header), nil
}

// HashesOf appends what [HashOf] returns for each of the blocks to dst, in about half
// the time. The error is that of the first block that has one; then dst is
// returned as it was.
func HashesOf(dst []common.Hash, blocks ...[]byte) ([]common.Hash, error) {
	headers := make([][]byte, len(blocks))
	for i, raw := range blocks {
		var err error
		if headers[i], err = cutHeader(raw); err != nil {
			return dst, err
		}
	}
	return Keccak256s(dst, headers...), nil
}

// cutHeader returns the header of the block in raw, with its list header.
func cutHeader(raw []byte) ([]byte, error) {
	content, rest, err := rlp.SplitList(raw)
	if err != nil {
		return nil, &FormatError{Item: "block", What: "not a canonical RLP list", Err: err}
	}
	if len(rest) > 0 {
		return nil, &FormatError{Item: "block", What: "bytes after its end"}
	}
	header, _, err := cutList(content, "header")
	return header, err
}
