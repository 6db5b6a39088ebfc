package chaingen

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
)

// appendHeader appends the RLP of a header, whose list header is written last,
// into bytes left free for it.
func appendHeader(dst []byte, format chain.Format, h *chain.Header) []byte {
	start := len(dst)
	b := append(dst, 0, 0, 0)
	b = appendString(b, h.Parent[:])
	b = appendString(b, h.UnclesHash[:])
	b = appendString(b, h.Coinbase[:])
	b = appendString(b, h.StateRoot[:])
	if format == chain.FormatPoC6 {
		if h.TxRoot == types.EmptyTxsHash {
			b = appendString(b, nil)
		} else {
			b = appendString(b, h.TxRoot[:])
		}
		b = appendUint256(b, &h.Difficulty)
		b = rlp.AppendUint64(b, h.Number)
		b = appendUint256(b, &h.MinGasPrice)
		b = rlp.AppendUint64(b, h.GasLimit)
		b = rlp.AppendUint64(b, h.GasUsed)
		b = rlp.AppendUint64(b, h.Time)
		b = appendString(b, h.Extra)
		b = appendString(b, h.Nonce)
	} else {
		var bloom types.Bloom
		b = appendString(b, h.TxRoot[:])
		b = appendString(b, h.ReceiptRoot[:])
		b = appendString(b, bloom[:])
		b = appendUint256(b, &h.Difficulty)
		b = rlp.AppendUint64(b, h.Number)
		b = rlp.AppendUint64(b, h.GasLimit)
		b = rlp.AppendUint64(b, h.GasUsed)
		b = rlp.AppendUint64(b, h.Time)
		b = appendString(b, h.Extra)
		b = appendString(b, h.MixDigest[:])
		b = appendString(b, h.Nonce)
		if h.Items == 16 {
			b = appendUint256(b, &h.BaseFee)
		}
	}
	return closeList(b, start)
}

// txList is the transactions of a block: their content as it stands in the
// block, and where each starts and ends. It is a types.DerivableList.
type txList struct {
	content []byte
	items   [][2]int
	payload []byte // random bytes, reused
}

func (l *txList) Len() int { return len(l.items) }

// EncodeIndex writes what the transactions trie holds for transaction i.
func (l *txList) EncodeIndex(i int, w *bytes.Buffer) {
	w.Write(l.content[l.items[i][0]:l.items[i][1]])
}

// meanTx is the size of a transaction if only the size of the block is given.
// Real ones are mostly smaller; this is a little more than their hashes cost.
const meanTx = 1000

// fill makes n transactions of together about size bytes. If n is 0 their
// number follows from the size.
func (l *txList) fill(format chain.Format, rng *rand.ChaCha8, n, size int) {
	l.content, l.items = l.content[:0], l.items[:0]
	size = max(size, 0)
	if n == 0 {
		n = (size + meanTx/2) / meanTx
		if n == 0 && size >= minTx {
			n = 1
		}
	}
	for i := range n {
		start := len(l.content)
		// What is left is shared evenly, so that rounding does not add up.
		share := max(size-start, 0) / (n - i)
		if format == chain.FormatPoC6 {
			l.appendPoC6(rng, uint64(i), share)
		} else {
			l.content = l.appendTx(l.content, rng, share)
		}
		l.items = append(l.items, [2]int{start, len(l.content)})
	}
}

const (
	// fixedTx is the size of the fields of a transaction other than its
	// payload; minTx that of a whole transaction without payload.
	fixedTx = 4 + 6 + 3 + 21 + 9 + 1 + 33 + 33
	minTx   = 2 + fixedTx + 1
)

// appendTx appends a legacy transaction of about size bytes:
// [nonce, gas price, gas, to, value, data, v, r, s] (Yellow Paper, section 4.2).
func (l *txList) appendTx(dst []byte, rng *rand.ChaCha8, size int) []byte {
	var f [3 + 5 + 20 + 8 + 1 + 32 + 32]byte
	rng.Read(f[:])
	nonce, price, to, value, v, r, s := f[:3], f[3:8], f[8:28], f[28:36], 27+f[36]&1, f[37:69], f[69:101]
	for _, scalar := range [][]byte{nonce, price, value, r, s} {
		scalar[0] |= 1 // no leading zero
	}
	// The list header and that of the data have three bytes each from 256 bytes
	// of data on.
	n := max(size-fixedTx-6, 0)
	if cap(l.payload) < n {
		l.payload = make([]byte, n)
	}
	data := l.payload[:n]
	rng.Read(data)

	start := len(dst)
	b := append(dst, 0, 0, 0)
	b = appendString(b, nonce)
	b = appendString(b, price)
	b = rlp.AppendUint64(b, txGas)
	b = appendString(b, to)
	b = appendString(b, value)
	b = appendString(b, data)
	b = append(b, v)
	b = appendString(b, r)
	b = appendString(b, s)
	return closeList(b, start)
}

// appendPoC6 appends an entry of the transaction list of 2014: [transaction,
// state root after it, gas used so far] (protocol 30 specification, section 4).
func (l *txList) appendPoC6(rng *rand.ChaCha8, index uint64, size int) {
	var root [32]byte
	rng.Read(root[:])
	start := len(l.content)
	b := append(l.content, 0, 0, 0)
	b = l.appendTx(b, rng, size-40)
	b = appendString(b, root[:])
	b = rlp.AppendUint64(b, (index+1)*txGas)
	l.content = closeList(b, start)
}

// closeList puts the list header in front of the content that starts three
// bytes after start, and moves the content if the header is shorter. Content of
// 64 KiB and more is moved up.
func closeList(b []byte, start int) []byte {
	n := len(b) - start - 3
	var head [9]byte
	h := appendListHeader(head[:0], n)
	for extra := len(h) - 3; extra > 0; extra-- {
		b = append(b, 0)
	}
	copy(b[start+len(h):], b[start+3:start+3+n])
	copy(b[start:], h)
	return b[:start+len(h)+n]
}

// appendListHeader appends the header of an RLP list of that many bytes (Yellow
// Paper, appendix B).
func appendListHeader(b []byte, size int) []byte { return appendLength(b, 0xc0, size) }

// appendString appends an RLP string.
func appendString(b, s []byte) []byte {
	if len(s) == 1 && s[0] < 0x80 {
		return append(b, s[0])
	}
	return append(appendLength(b, 0x80, len(s)), s...)
}

func appendLength(b []byte, base byte, size int) []byte {
	if size < 56 {
		return append(b, base+byte(size))
	}
	var be [8]byte
	binary.BigEndian.PutUint64(be[:], uint64(size))
	digits := be[:]
	for digits[0] == 0 {
		digits = digits[1:]
	}
	b = append(b, base+55+byte(len(digits)))
	return append(b, digits...)
}

// appendUint256 appends a scalar.
func appendUint256(b []byte, x *uint256.Int) []byte {
	be := x.Bytes32()
	return appendString(b, be[32-x.ByteLen():])
}
