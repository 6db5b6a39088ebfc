package wire

import (
	"iter"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// RawList is a sequence of RLP items laid end to end, each complete with its
// header. In a parsed message it is a view over the payload, and its items are
// known to be well-formed at the top: the header of each is canonical and its
// length fits; what is inside is for others to check. Build one with
// append(list, item...).
type RawList []byte

// Len returns the number of items. It walks the list.
func (l RawList) Len() int {
	n, err := rlp.CountValues(l)
	if err != nil {
		return n - 1 // CountValues counts the bad one
	}
	return n
}

// All returns the items in order, each a view with its header. On a list that
// did not come from a parsed message it stops where the RLP ends to be one.
func (l RawList) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := []byte(l); len(rest) > 0; {
			_, _, after, err := rlp.Split(rest)
			if err != nil {
				return
			}
			n := len(rest) - len(after)
			if !yield(rest[:n:n]) {
				return
			}
			rest = after
		}
	}
}

// HashList is a sequence of hashes as on the wire, each the byte a0 and 32
// bytes. In a parsed message it is a view over the payload. Build one with
// [AppendHash] or [HashListOf].
type HashList []byte

// AppendHash appends a hash to a list, and returns the extended list.
func AppendHash(list HashList, h common.Hash) HashList { return appendHash(list, h) }

// HashListOf returns a list of hashes.
func HashListOf(hashes []common.Hash) HashList {
	list := make(HashList, 0, hashItem*len(hashes))
	for i := range hashes {
		list = appendHash(list, hashes[i])
	}
	return list
}

// Len returns the number of hashes.
func (l HashList) Len() int { return len(l) / hashItem }

// At returns the hash at index i, which must be below Len.
func (l HashList) At(i int) common.Hash {
	return common.Hash(l[i*hashItem+1 : (i+1)*hashItem])
}

// All returns the hashes in order.
func (l HashList) All() iter.Seq[common.Hash] {
	return func(yield func(common.Hash) bool) {
		for i := range l.Len() {
			if !yield(l.At(i)) {
				return
			}
		}
	}
}

// Transactions carries complete signed transactions, asked for or not (section
// 2.5). Each is an RLP list, or a string if it is of a typed kind.
type Transactions struct{ RawList }

// ID returns [IDTransactions].
func (Transactions) ID() ID { return IDTransactions }

// Limit returns the limit of everything that a node may have pending.
func (Transactions) Limit() Limit {
	return Limit{Bytes: transactionsBytes, Items: MaxTransactions}
}

// AppendItems appends the transactions.
func (m Transactions) AppendItems(dst []byte) []byte { return append(dst, m.RawList...) }

func (m Transactions) itemsLen() int { return len(m.RawList) }

// Blocks carries complete blocks, each an RLP list: the answer to a [GetBlocks],
// or an announcement (sections 2.7 and 3). Their order means nothing (A12).
type Blocks struct{ RawList }

// ID returns [IDBlocks].
func (Blocks) ID() ID { return IDBlocks }

// Limit returns the limit of the biggest answer.
func (Blocks) Limit() Limit { return Limit{Bytes: MaxFrame, Items: MaxBlocks} }

// AppendItems appends the blocks.
func (m Blocks) AppendItems(dst []byte) []byte { return append(dst, m.RawList...) }

func (m Blocks) itemsLen() int { return len(m.RawList) }

func parseBlocks(d *decoder) (Message, error) {
	list := RawList(d.rest)
	for len(d.rest) > 0 {
		kind, _, after, err := rlp.Split(d.rest)
		if err != nil || kind != rlp.List {
			return nil, d.fail("block is not a list", err)
		}
		d.rest = after
	}
	return Blocks{list}, nil
}

// BlockHashes answers a [GetBlockHashes]: hashes of blocks, youngest first, each
// the child of the one after it (section 2.6).
type BlockHashes struct{ HashList }

// ID returns [IDBlockHashes].
func (BlockHashes) ID() ID { return IDBlockHashes }

// Limit returns the limit of the longest list of hashes.
func (BlockHashes) Limit() Limit { return Limit{Bytes: hashesBytes, Items: MaxHashes} }

// AppendItems appends the hashes.
func (m BlockHashes) AppendItems(dst []byte) []byte { return append(dst, m.HashList...) }

func (m BlockHashes) itemsLen() int { return len(m.HashList) }

// GetBlocks asks for blocks by hash (section 2.7). The answer is a [Blocks] with
// those that the peer has, as many as it cares to send.
type GetBlocks struct{ HashList }

// ID returns [IDGetBlocks].
func (GetBlocks) ID() ID { return IDGetBlocks }

// Limit returns the limit of the longest list of hashes.
func (GetBlocks) Limit() Limit { return Limit{Bytes: hashesBytes, Items: MaxHashes} }

// AppendItems appends the hashes.
func (m GetBlocks) AppendItems(dst []byte) []byte { return append(dst, m.HashList...) }

func (m GetBlocks) itemsLen() int { return len(m.HashList) }

// parseHashes takes all items, which must be hashes of full width.
func parseHashes(d *decoder) (HashList, error) {
	list := HashList(d.rest)
	for len(d.rest) > 0 {
		if d.skipHash() {
			continue
		}
		if d.kindNext() == rlp.List { // A2
			return nil, d.fail("hashes nested in a list, want them flat", nil)
		}
		if _, err := d.hash("hash"); err != nil {
			return nil, err
		}
	}
	return list, nil
}
