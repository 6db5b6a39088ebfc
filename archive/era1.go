package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ethereum/go-ethereum/rlp"
	"github.com/golang/snappy"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
)

// Types of era1 entries; see the package comment.
const (
	typeVersion     = 0x3265
	typeHeader      = 0x03
	typeBody        = 0x04
	typeReceipts    = 0x05
	typeTD          = 0x06
	typeAccumulator = 0x07
	typeIndex       = 0x3266
)

// entryNames are the entries in the words of error messages.
var entryNames = map[uint16]string{
	typeVersion:     "version entry",
	typeHeader:      "header entry",
	typeBody:        "body entry",
	typeReceipts:    "receipts entry",
	typeTD:          "total difficulty entry",
	typeAccumulator: "accumulator entry",
	typeIndex:       "block index",
}

// maxEra1Blocks is how many blocks an era1 file may have: the capacity of the
// list that the accumulator is the root of.
const maxEra1Blocks = 8192

// era1 is the state of reading an era1 file.
type era1 struct {
	*Reader
	unsnap *snappy.Reader
	header []byte      // decompressed, reused
	body   []byte      // decompressed, reused
	recs   []byte      // receipts, decompressed, reused
	td     uint256.Int // of the last block
	first  uint64      // number of the first block
	starts []int64     // where each block starts, to be compared with the index
	acc    accumulator
}

func newEra1(r *Reader) *era1 {
	return &era1{Reader: r, unsnap: snappy.NewReader(nil)}
}

// next reads one block. Entries of unknown type between blocks and before the
// accumulator are skipped, as the format asks.
func (e *era1) next() (Block, error) {
	if e.src.off == 0 {
		if _, err := e.entry(typeVersion, 0, 0); err != nil {
			return Block{}, e.fail(nil, 0, err)
		}
	}
	for {
		start := e.src.off
		typ, n, err := e.entryHeader("an entry: header or accumulator should follow")
		if err != nil {
			return Block{}, e.fail(nil, start, err)
		}
		switch _, known := entryNames[typ]; {
		case typ == typeHeader:
			return e.block(start, n)
		case typ == typeAccumulator:
			if err := e.end(start, n); err != nil {
				return Block{}, e.fail(nil, start, err)
			}
			return Block{}, io.EOF
		case known:
			err = fmt.Errorf("corrupted: %s where a header or the accumulator should be", entryNames[typ])
			return Block{}, e.fail(nil, start, err)
		}
		if err := e.src.skip(n); err != nil {
			return Block{}, e.fail(nil, start, readError(fmt.Sprintf("an entry of unknown type 0x%04x", typ), err))
		}
	}
}

// entryHeader reads the eight bytes in front of a payload.
func (e *era1) entryHeader(item string) (typ uint16, n int64, err error) {
	var b [8]byte
	if _, err := io.ReadFull(&e.src, b[:]); err != nil {
		return 0, 0, readError(item, err)
	}
	if binary.LittleEndian.Uint16(b[6:]) != 0 {
		return 0, 0, errors.New("corrupted: not an entry: its reserved bytes are not zero")
	}
	return binary.LittleEndian.Uint16(b[0:]), int64(binary.LittleEndian.Uint32(b[2:])), nil
}

// entry reads the entry header that must come next and returns the length of
// the payload, which is between least and most.
func (e *era1) entry(want uint16, least, most int64) (int64, error) {
	start := e.src.off
	name := entryNames[want]
	typ, n, err := e.entryHeader("the " + name)
	switch {
	case err != nil:
		return 0, at(start, err)
	case typ != want:
		return 0, at(start, fmt.Errorf("corrupted: entry of type 0x%04x where the %s should be", typ, name))
	}
	return n, e.checkSize(start, want, n, least, most)
}

func (e *era1) checkSize(start int64, typ uint16, n, least, most int64) error {
	if n < least || n > most {
		return at(start, fmt.Errorf("corrupted: %s of %d bytes: %d to %d are accepted", entryNames[typ], n, least, most))
	}
	return nil
}

// block reads what is left of a block whose header entry starts at start and
// has n bytes.
func (e *era1) block(start, n int64) (blk Block, err error) {
	var b *chain.Block
	defer func() {
		// Errors of parse are complete already.
		if _, done := err.(*Error); err != nil && !done {
			err = e.fail(b, start, err)
		}
	}()
	if len(e.starts) == maxEra1Blocks {
		return blk, fmt.Errorf("corrupted: more than %d blocks in an era1 file", maxEra1Blocks)
	}
	if err := e.checkSize(start, typeHeader, n, 0, MaxBlock); err != nil {
		return blk, err
	}
	raw, err := e.joined(n)
	if err != nil {
		return blk, err
	}
	if b, err = e.parse(raw, start); err != nil {
		return blk, err
	}
	blk = Block{Block: b, Offset: start}
	if blk.Receipts, err = e.receipts(b); err != nil {
		return Block{}, err
	}
	if blk.TD, err = e.totalDifficulty(b); err != nil {
		return Block{}, err
	}
	if len(e.starts) == 0 {
		e.first = b.Number
	}
	e.starts = append(e.starts, start)
	e.acc.add(b.Hash, blk.TD)
	return blk, nil
}

// joined reads the header, whose entry has n bytes, and the body of a block.
func (e *era1) joined(n int64) (raw []byte, err error) {
	if e.header, err = e.unpack(e.header[:0], typeHeader, n); err != nil {
		return nil, err
	}
	bodyStart := e.src.off
	if n, err = e.entry(typeBody, 0, MaxBlock); err != nil {
		return nil, err
	}
	if e.body, err = e.unpack(e.body[:0], typeBody, n); err != nil {
		return nil, at(bodyStart, err)
	}
	return join(e.header, e.body)
}

// join makes the RLP of a block from that of its header and body. The content
// is copied as it is.
func join(header, body []byte) ([]byte, error) {
	if _, rest, err := rlp.SplitList(header); err != nil || len(rest) > 0 {
		return nil, errors.New("corrupted: the header entry is not one RLP list")
	}
	content, rest, err := rlp.SplitList(body)
	if err != nil || len(rest) > 0 {
		return nil, errors.New("corrupted: the body entry is not one RLP list")
	}
	size := len(header) + len(content)
	total := int(rlp.ListSize(uint64(size)))
	if total > MaxBlock {
		return nil, fmt.Errorf("corrupted: a block of %d bytes: at most %d are accepted", total, MaxBlock)
	}
	raw := appendListHeader(make([]byte, 0, total), size)
	raw = append(raw, header...)
	return append(raw, content...), nil
}

// appendListHeader appends the RLP header of a list with that many bytes of
// content (Yellow Paper, appendix B).
func appendListHeader(b []byte, size int) []byte {
	if size < 56 {
		return append(b, 0xc0+byte(size))
	}
	var be [8]byte
	binary.BigEndian.PutUint64(be[:], uint64(size))
	digits := be[:]
	for digits[0] == 0 {
		digits = digits[1:]
	}
	b = append(b, 0xf7+byte(len(digits)))
	return append(b, digits...)
}

// unpack appends to dst what the next n bytes decompress to.
func (e *era1) unpack(dst []byte, typ uint16, n int64) ([]byte, error) {
	packed := io.LimitedReader{R: &e.src, N: n}
	e.unsnap.Reset(&packed)
	for {
		if len(dst) > MaxBlock {
			return dst, fmt.Errorf("corrupted: %s decompresses to more than %d bytes", entryNames[typ], MaxBlock)
		}
		if len(dst) == cap(dst) {
			// Double, but not beyond the one byte that is too much.
			dst = slices.Grow(dst, min(max(len(dst), 1024), MaxBlock+1-len(dst)))
		}
		m, err := e.unsnap.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+m]
		switch {
		case err == nil:
		case packed.N > 0 && e.src.err != nil:
			// The stream ended, not the entry; snappy calls that corrupt.
			return dst, readError("the "+entryNames[typ], e.src.err)
		case err == io.EOF:
			return dst, nil
		default:
			return dst, fmt.Errorf("corrupted: %s: %w", entryNames[typ], err)
		}
	}
}

// receipts reads the receipts entry of b, or skips it if nobody wants it.
func (e *era1) receipts(b *chain.Block) ([]byte, error) {
	start := e.src.off
	n, err := e.entry(typeReceipts, 0, MaxBlock)
	if err != nil {
		return nil, err
	}
	if e.opts.Receipts {
		if e.recs, err = e.unpack(e.recs[:0], typeReceipts, n); err != nil {
			return nil, at(start, err)
		}
		if err := b.CheckReceipts(e.recs); err != nil {
			return nil, at(start, fmt.Errorf("corrupted: receipts and header do not match: %w", err))
		}
		return slices.Clone(e.recs), nil
	}
	if err := e.src.skip(n); err != nil {
		return nil, at(start, readError("the "+entryNames[typeReceipts], err))
	}
	return nil, nil
}

// totalDifficulty reads the TD entry of b and checks it against that of the
// block before.
func (e *era1) totalDifficulty(b *chain.Block) (*uint256.Int, error) {
	start := e.src.off
	if _, err := e.entry(typeTD, 32, 32); err != nil {
		return nil, err
	}
	var le [32]byte
	if _, err := io.ReadFull(&e.src, le[:]); err != nil {
		return nil, at(start, readError("the "+entryNames[typeTD], err))
	}
	slices.Reverse(le[:])
	td := new(uint256.Int).SetBytes32(le[:])

	if len(e.starts) == 0 && b.Number > 0 {
		// Nothing to compare with. But the parent has some difficulty too.
		work, err := e.net.TotalDifficulty(new(uint256.Int), b)
		if err == nil && !td.Gt(&work) {
			err = fmt.Errorf("wrong total difficulty: %s, but the block alone has %s", td.Dec(), work.Dec())
		}
		if err != nil {
			return nil, at(start, err)
		}
	} else {
		want, err := e.net.TotalDifficulty(&e.td, b)
		if err == nil && !td.Eq(&want) {
			err = fmt.Errorf("wrong total difficulty: %w", &chain.RuleError{
				Rule: chain.RuleTotalDifficulty, Number: b.Number, Hash: b.Hash, Have: td.Dec(), Want: want.Dec(),
			})
		}
		if err != nil {
			return nil, at(start, err)
		}
	}
	e.td = *td
	return td, nil
}

// end reads what follows the last block: the accumulator, whose entry header
// has been read already, the block index and the end of the file.
func (e *era1) end(start, n int64) error {
	if len(e.starts) == 0 {
		return errors.New("an era1 file without blocks")
	}
	e.behind = true
	if err := e.checkSize(start, typeAccumulator, n, 32, 32); err != nil {
		return err
	}
	if _, err := io.ReadFull(&e.src, e.root[:]); err != nil {
		return readError("the "+entryNames[typeAccumulator], err)
	}
	if want := e.acc.root(); e.root != want {
		return fmt.Errorf("corrupted: accumulator root is %x, but the blocks have %x", e.root, want)
	}
	indexStart := e.src.off
	if err := e.index(indexStart); err != nil {
		return at(indexStart, err)
	}
	switch _, err := e.src.peek(1); err {
	case io.EOF:
		return nil
	case nil:
		return at(e.src.off, errors.New("corrupted: bytes after the block index"))
	default:
		return at(e.src.off, readError("the end of the file", err))
	}
}

// index reads the block index and compares it with the blocks.
func (e *era1) index(start int64) error {
	count := uint64(len(e.starts))
	size := int64(8 + 8*count + 8)
	if n, err := e.entry(typeIndex, 0, 1<<32); err != nil {
		return err
	} else if n != size {
		return fmt.Errorf("corrupted: block index of %d bytes, but for %d blocks it is %d bytes", n, count, size)
	}
	check := func(item string, want uint64) error {
		var b [8]byte
		if _, err := io.ReadFull(&e.src, b[:]); err != nil {
			return readError("the "+entryNames[typeIndex], err)
		}
		if have := binary.LittleEndian.Uint64(b[:]); have != want {
			return fmt.Errorf("corrupted: block index: %s is %d, want %d", item, int64(have), int64(want))
		}
		return nil
	}
	if err := check("the number of the first block", e.first); err != nil {
		return err
	}
	for i, at := range e.starts {
		if err := check(fmt.Sprintf("the offset of block %d", e.first+uint64(i)), uint64(at-start)); err != nil {
			return err
		}
	}
	return check("the number of blocks", count)
}
