package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/golang/snappy"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
)

// Era1Name returns the name that an era1 file is published under: network, epoch, and
// the first four bytes of the accumulator root.
func Era1Name(network string, epoch uint64, root common.Hash) string {
	return fmt.Sprintf("%s-%05d-%x.era1", network, epoch, root[:4])
}

// Era1Writer writes one era1 file, byte for byte as the published ones are. The file
// appears with [Era1Writer.Commit], whole and under its name, or not at all. It holds
// one block at a time. It is not safe for concurrent use.
type Era1Writer struct {
	dir, network string
	out          *Draft
	packed       bytes.Buffer // an entry, compressed
	snap         *snappy.Writer
	body         []byte // reused
	at           int64  // size of the file so far
	first        uint64 // number of the first block
	starts       []int64
	acc          accumulator
	err          error // sticky: what broke the writer, or errDone
}

// CreateEra1 starts a file in a directory that exists.
func CreateEra1(dir, network string) (*Era1Writer, error) {
	if st, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	} else if !st.IsDir() {
		return nil, fmt.Errorf("archive: %s is not a directory", dir)
	}
	out, err := NewDraft(filepath.Join(dir, network+".era1"))
	if err != nil {
		return nil, fmt.Errorf("archive: creating an era1 file: %w", err)
	}
	w := &Era1Writer{dir: dir, network: network, out: out}
	w.snap = snappy.NewBufferedWriter(&w.packed)
	w.entry(typeVersion, nil)
	return w, w.failed()
}

// Append writes a block, the list of its receipts and its total difficulty. Blocks come
// in the order of their numbers, at most 8192 of them. The receipts must be those of
// the block; neither is kept.
func (w *Era1Writer) Append(b *chain.Block, receipts []byte, td *uint256.Int) error {
	if len(w.starts) == 0 {
		w.first = b.Number
	}
	switch want := w.first + uint64(len(w.starts)); {
	case w.err != nil:
		return w.failed()
	case len(w.starts) == maxEra1Blocks:
		w.err = fmt.Errorf("more than %d blocks", maxEra1Blocks)
		return w.failed()
	case b.Number != want:
		w.err = fmt.Errorf("block %d where block %d should be", b.Number, want)
		return w.failed()
	}
	content, _, err := rlp.SplitList(b.Raw())
	if err != nil {
		return fmt.Errorf("archive: block %d: %w", b.Number, err)
	}
	header := b.Header.Raw()
	w.body = appendListHeader(w.body[:0], len(content)-len(header))
	w.body = append(w.body, content[len(header):]...)

	w.starts = append(w.starts, w.at)
	w.pack(typeHeader, header)
	w.pack(typeBody, w.body)
	w.pack(typeReceipts, receipts)
	le := td.Bytes32()
	slices.Reverse(le[:])
	w.entry(typeTD, le[:])
	w.acc.add(b.Hash, td)
	return w.failed()
}

// pack writes a compressed entry. Each is a stream of snappy's framing format of its
// own.
func (w *Era1Writer) pack(typ uint16, content []byte) {
	w.packed.Reset()
	w.snap.Reset(&w.packed)
	w.snap.Write(content) // what fails here, fails below: a buffer takes everything
	if err := w.snap.Flush(); err != nil && w.err == nil {
		w.err = err
	}
	w.entry(typ, w.packed.Bytes())
}

// entry writes an entry.
func (w *Era1Writer) entry(typ uint16, payload []byte) {
	if w.err != nil {
		return
	}
	var head [8]byte
	binary.LittleEndian.PutUint16(head[0:], typ)
	binary.LittleEndian.PutUint32(head[2:], uint32(len(payload)))
	if _, w.err = w.out.Write(head[:]); w.err == nil {
		_, w.err = w.out.Write(payload)
	}
	w.at += int64(len(head) + len(payload))
}

// Commit writes accumulator and block index, makes the file durable and gives it its
// name. If it fails, also because of an earlier error of Append, nothing is left
// behind.
func (w *Era1Writer) Commit() (Era1File, error) {
	if len(w.starts) == 0 && w.err == nil {
		w.err = errors.New("no blocks to be written")
	}
	root := w.acc.root()
	w.entry(typeAccumulator, root[:])
	index := binary.LittleEndian.AppendUint64(nil, w.first)
	for _, start := range w.starts {
		index = binary.LittleEndian.AppendUint64(index, uint64(start-w.at))
	}
	index = binary.LittleEndian.AppendUint64(index, uint64(len(w.starts)))
	w.entry(typeIndex, index)
	if w.err != nil {
		err := w.failed()
		w.Abort()
		return Era1File{}, err
	}
	f := Era1File{
		Path:  filepath.Join(w.dir, Era1Name(w.network, w.first/maxEra1Blocks, root)),
		First: w.first, Blocks: uint64(len(w.starts)), Root: root, Bytes: w.at,
	}
	w.err = w.out.Commit(f.Path)
	if w.err != nil {
		return Era1File{}, w.failed()
	}
	w.err = errDone
	return f, nil
}

// Abort gives up and removes what has been written. After Commit or Abort it
// does nothing.
func (w *Era1Writer) Abort() error {
	err := w.out.Abort()
	w.err = errDone
	if err != nil {
		return fmt.Errorf("archive: removing the unfinished era1 file: %w", err)
	}
	return nil
}

func (w *Era1Writer) failed() error {
	if w.err == nil {
		return nil
	}
	return fmt.Errorf("archive: writing an era1 file in %s: %w", w.dir, w.err)
}

// Era1File is an era1 file that has been written.
type Era1File struct {
	Path   string
	First  uint64 // number of its first block
	Blocks uint64
	Root   common.Hash // accumulator root
	Bytes  int64
}
