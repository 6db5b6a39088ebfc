package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// seedFrames returns frames and streams to begin fuzzing with: those of the
// specification, odd ones, and the recorded sessions where they are present.
func seedFrames(f *testing.F) [][]byte {
	f.Helper()
	var seeds [][]byte
	for _, v := range slices.Concat(vectors, contentVectors) {
		seeds = append(seeds, unhex(v.frame))
	}
	for _, s := range []string{
		"2240089100000003c20100",           // reason as byte 00
		"2240089100000003c21480",           // dead id
		"2240089100000000",                 // nothing
		"22400891ffffffff",                 // 4 GiB
		"2240089100a00000fa9ffffc13",       // 10 MiB claimed
		"2240089100000002c1022240",         // and a piece of the next
		"2240089100000006c417c3a00120",     // nested
		"224008910000000ac988ffffffffffff", // wide id
	} {
		seeds = append(seeds, unhex(s))
	}
	names, err := filepath.Glob(sharedPath("transcripts/*.bin"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, b[:min(len(b), 4096)])
	}
	return seeds
}

// FuzzParse (Z1): whatever parses encodes to the same bytes, is within its limit, and
// nothing panics, neither in parsing nor in looking at the result.
func FuzzParse(f *testing.F) {
	for _, seed := range seedFrames(f) {
		f.Add(seed[frameHead:])
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := Parse(payload)
		if err != nil {
			if _, ok := errors.AsType[*FormatError](err); !ok || err.Error() == "" {
				t.Fatalf("%v is not a FormatError", err)
			}
			return
		}
		frame := AppendFrame(nil, m)
		if !bytes.Equal(frame[frameHead:], payload) {
			t.Fatalf("%#v parsed from\n%x encodes to\n%x", m, payload, frame[frameHead:])
		}
		if limit := m.Limit(); len(payload) > limit.Bytes || limit != LimitOf(m.ID()) || FrameSize(m) != len(frame) {
			t.Fatalf("%v of %d bytes, limit %v", m.ID(), len(payload), limit)
		}
		var items int
		switch m := m.(type) {
		case Peers:
			for p := range m.All() {
				if again, ok := parsePeerAddr(AppendPeer(nil, p)); !ok || again != p {
					t.Fatalf("%v encodes as %v", p, again)
				}
			}
			items = m.Entries.Len()
		case Blocks:
			items = m.Len()
			for range m.All() {
				items--
			}
			if items != 0 {
				t.Fatalf("length and number of blocks differ by %d", items)
			}
			items = m.Len()
		case Transactions:
			items = m.Len()
		case BlockHashes:
			items = sameHashes(t, m.HashList)
		case GetBlocks:
			items = sameHashes(t, m.HashList)
		case GetContent:
			items = 1 + sameHashes(t, m.HashList)
		case Content:
			items = 1
			var again PayloadList
			for p := range m.Payloads.All() {
				items++
				again = AppendPayload(again, p)
			}
			if !bytes.Equal(again, m.Payloads) || items != 1+m.Payloads.Len() {
				t.Fatalf("%d payloads\n%x rebuilt as\n%x", items-1, m.Payloads, again)
			}
		case Unknown:
			items = RawList(m.Items).Len()
		}
		if items > m.Limit().Items {
			t.Fatalf("%v with %d items, limit %d", m.ID(), items, m.Limit().Items)
		}
	})
}

// sameHashes rebuilds a list from its hashes, and returns its length.
func sameHashes(t *testing.T, list HashList) int {
	t.Helper()
	var again HashList
	for h := range list.All() {
		again = AppendHash(again, h)
	}
	if !bytes.Equal(again, list) {
		t.Fatalf("hashes\n%x rebuilt as\n%x", list, again)
	}
	return list.Len()
}

// FuzzReader (Z1): any stream is read without a panic and within bounded memory, and
// the messages read from it encode to the bytes that were read.
func FuzzReader(f *testing.F) {
	for i, seed := range seedFrames(f) {
		f.Add(seed, byte(i), i%3 == 0)
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece byte, detach bool) {
		p := &pieces{stream: stream, size: int(piece) + 1}
		r := NewReader(p)
		var again []byte
		for {
			m, err := r.Next()
			if most := max(firstChunk, 2*len(stream)); cap(r.buf) > most || p.biggest > most {
				t.Fatalf("buffer of %d bytes for a stream of %d", max(cap(r.buf), p.biggest), len(stream))
			}
			if err != nil {
				_, format := errors.AsType[*FormatError](err)
				if !format && err != io.EOF && err != io.ErrUnexpectedEOF {
					t.Fatalf("unexpected error %v", err)
				}
				if (err == io.EOF) != (len(again) == len(stream)) {
					t.Fatalf("%v after %d of %d bytes", err, len(again), len(stream))
				}
				break
			}
			again = AppendFrame(again, m)
			if r.Bytes() != uint64(len(again)) {
				t.Fatalf("read %d bytes, which encode to %d", r.Bytes(), len(again))
			}
			if detach {
				Free(r.Detach())
			}
		}
		if !bytes.HasPrefix(stream, again) {
			t.Fatalf("stream\n%x encodes to\n%x", stream, again)
		}
	})
}

// pieces delivers a stream in pieces of up to size bytes, and remembers how much
// was asked for at most.
type pieces struct {
	stream  []byte
	size    int
	biggest int
}

func (p *pieces) Read(b []byte) (int, error) {
	p.biggest = max(p.biggest, len(b))
	if len(p.stream) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.stream)
	p.stream = p.stream[n:]
	return n, nil
}
