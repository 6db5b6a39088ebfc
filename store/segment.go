package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
)

// The segment format, drawn in the package doc. These are the disk format.
const (
	segmentMagic  = "shoalseg"
	segmentFormat = 1
	segmentHeader = 64
	recordHeader  = 52
)

const (
	// defaultSegmentSize trades the number of files (a terabyte is 4000 of
	// them, each kept open once read) against the scan after a power loss,
	// which covers about one segment: a third of a second.
	defaultSegmentSize = 256 << 20
	// maxSegmentSize keeps every record's start within 32 bits.
	maxSegmentSize = 1 << 31
	// maxRecord bounds one record. Blocks are far smaller; the bound keeps a
	// damaged length from being believed.
	maxRecord = 1 << 28
	// writeChunk is how much of a Put is gathered before it is handed to the
	// file. Larger only costs memory; ten times smaller shows as system calls.
	writeChunk = 1 << 20
	// scanChunk is the unit of reading during recovery.
	scanChunk = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func segmentName(n uint32) string { return fmt.Sprintf("%06d.seg", n) }

func parseSegmentName(name string) (uint32, bool) {
	digits, ok := strings.CutSuffix(name, ".seg")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n == 0 || segmentName(uint32(n)) != name {
		return 0, false
	}
	return uint32(n), true
}

func appendSegmentHeader(b []byte, segment uint32, genesis common.Hash) []byte {
	start := len(b)
	b = append(b, segmentMagic...)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, segmentFormat)
	b = binary.BigEndian.AppendUint32(b, segment)
	b = append(b, genesis[:]...)
	b = append(b, make([]byte, 12)...)
	binary.BigEndian.PutUint32(b[start+8:], crc32.Checksum(b[start+12:], castagnoli))
	return b
}

// checkSegmentHeader reports whether b is an intact header of the segment. A
// header of another genesis or of a newer format is intact but an error.
func checkSegmentHeader(b []byte, file string, segment uint32, genesis common.Hash) (intact bool, err error) {
	if len(b) < segmentHeader || string(b[:8]) != segmentMagic ||
		binary.BigEndian.Uint32(b[8:]) != crc32.Checksum(b[12:segmentHeader], castagnoli) {
		return false, nil
	}
	if v := binary.BigEndian.Uint32(b[12:]); v > segmentFormat {
		return false, fmt.Errorf("%w: %s has segment format %d, this program knows up to %d; use a newer version of the program",
			ErrFormat, file, v, segmentFormat)
	}
	if binary.BigEndian.Uint32(b[16:]) != segment {
		return false, nil
	}
	if got := common.Hash(b[20:52]); got != genesis {
		return false, fmt.Errorf("%w: %s was written for genesis %x, not %x; choose another data directory",
			ErrNetwork, file, got, genesis)
	}
	return true, nil
}

func appendRecord(b []byte, k Kind, r *Record) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Raw)))
	b = append(b, byte(k), 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, r.Number)
	b = append(b, r.Hash[:]...)
	b = append(b, r.Raw...)
	binary.BigEndian.PutUint32(b[start:], crc32.Checksum(b[start+4:], castagnoli))
	return b
}

func recordLength(b []byte) uint32    { return binary.BigEndian.Uint32(b[4:]) }
func recordKind(b []byte) Kind        { return Kind(b[8]) }
func recordNumber(b []byte) uint64    { return binary.BigEndian.Uint64(b[12:]) }
func recordHash(b []byte) common.Hash { return common.Hash(b[20:52]) }
func recordIntact(b []byte) bool {
	return binary.BigEndian.Uint32(b) == crc32.Checksum(b[4:], castagnoli)
}
func recordSize(length int) int64 { return recordHeader + int64(length) }

// segmentFiles opens segment files for reading and keeps them open, because
// serving a thousand blocks must not cost a thousand opens. Safe for concurrent
// use; close must not run while a read does (the store's gate sees to that).
type segmentFiles struct {
	fs   vfs.FS
	dir  string
	ends byte // prefix of the index keys that say where full segments end
	mu   struct {
		sync.RWMutex
		open map[uint32]vfs.File
	}
}

func (f *segmentFiles) path(segment uint32) string {
	return f.fs.PathJoin(f.dir, segmentName(segment))
}

func (f *segmentFiles) file(segment uint32) (vfs.File, error) {
	f.mu.RLock()
	file := f.mu.open[segment]
	f.mu.RUnlock()
	if file != nil {
		return file, nil
	}
	fresh, err := f.fs.Open(f.path(segment), vfs.RandomReadsOption)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if file := f.mu.open[segment]; file != nil { // another reader was faster
		fresh.Close()
		return file, nil
	}
	if f.mu.open == nil {
		f.mu.open = make(map[uint32]vfs.File)
	}
	f.mu.open[segment] = fresh
	return fresh, nil
}

func (f *segmentFiles) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	for _, file := range f.mu.open {
		err = errors.Join(err, file.Close())
	}
	f.mu.open = nil
	return err
}

// list returns the segments present, ascending.
func (f *segmentFiles) list() ([]uint32, error) {
	names, err := f.fs.List(f.dir)
	if err != nil {
		return nil, fmt.Errorf("store: list segments: %w", err)
	}
	var segments []uint32
	for _, name := range names {
		if n, ok := parseSegmentName(name); ok {
			segments = append(segments, n)
		}
	}
	slices.Sort(segments)
	return segments, nil
}

// size is the length of the file; a missing file has length 0.
func (f *segmentFiles) size(segment uint32) (int64, error) {
	info, err := f.fs.Stat(f.path(segment))
	if isNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	return info.Size(), nil
}

// appendRaw appends the raw bytes of the content at p, checking all of the
// record. It reads header and bytes at once and then closes the gap: moving a
// block in memory costs less than a second system call.
func (f *segmentFiles) appendRaw(dst []byte, k Kind, h common.Hash, p place) ([]byte, error) {
	corrupt := func(reason string) error {
		return &CorruptError{File: f.path(p.segment), Offset: int64(p.offset), Kind: k, Hash: h, Reason: reason}
	}
	if p.length > maxRecord {
		return dst, corrupt("the index gives an impossible length")
	}
	file, err := f.file(p.segment)
	if isNotExist(err) {
		return dst, corrupt("the file is missing")
	}
	if err != nil {
		return dst, fmt.Errorf("store: read %v %x: %w", k, h, err)
	}
	start, size := len(dst), int(recordSize(int(p.length)))
	dst = slices.Grow(dst, size)
	b := dst[start : start+size]
	if n, err := file.ReadAt(b, int64(p.offset)); n < size {
		if err == nil || errors.Is(err, io.EOF) {
			return dst[:start], corrupt(fmt.Sprintf("the file ends after %d of %d bytes", n, size))
		}
		return dst[:start], fmt.Errorf("store: read %v %x: %w", k, h, err)
	}
	switch {
	case !recordIntact(b):
		return dst[:start], corrupt("checksum does not match")
	case recordLength(b) != p.length || recordKind(b) != k || recordHash(b) != h:
		return dst[:start], corrupt("the record there is another one")
	}
	copy(b, b[recordHeader:])
	return dst[:start+int(p.length)], nil
}

// scan calls visit for each intact record of the segment from offset on, with
// the record's bytes valid during the call, and returns the offset behind the
// last one. It ends without error at the first thing that is not an intact
// record: that is how a torn tail looks. It never looks for records behind it,
// since raw bytes come from strangers and may look like anything.
func (f *segmentFiles) scan(segment uint32, offset, size int64, visit func(offset int64, record []byte) error) (int64, error) {
	file, err := f.fs.Open(f.path(segment), vfs.SequentialReadsOption)
	if err != nil {
		return offset, fmt.Errorf("store: scan segment: %w", err)
	}
	defer file.Close()
	var buf []byte                        // bytes of the file
	at := offset                          // where buf starts in the file
	fill := func(n int64) (bool, error) { // makes at least n bytes available at offset
		if offset+n > size {
			return false, nil
		}
		if offset+n <= at+int64(len(buf)) {
			return true, nil
		}
		want := min(max(n, scanChunk), size-offset)
		buf, at = slices.Grow(buf[:0], int(want))[:want], offset
		got, err := file.ReadAt(buf, offset)
		buf = buf[:got]
		if err != nil && !errors.Is(err, io.EOF) {
			return false, fmt.Errorf("store: scan %s: %w", f.path(segment), err)
		}
		return int64(got) >= n, nil
	}
	for {
		if ok, err := fill(recordHeader); !ok {
			return offset, err
		}
		length := recordLength(buf[offset-at:])
		if length > maxRecord {
			return offset, nil
		}
		n := recordSize(int(length))
		if ok, err := fill(n); !ok {
			return offset, err
		}
		record := buf[offset-at:][:n]
		if !recordIntact(record) {
			return offset, nil
		}
		if err := visit(offset, record); err != nil {
			return offset, err
		}
		offset += n
	}
}
