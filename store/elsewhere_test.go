package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-cmp/cmp"
)

// attic holds what is elsewhere, by kind and hash; what is taken out is gone.
type attic struct {
	content map[content][]byte
	numbers map[content]uint64
	err     error
}

func (a *attic) add(k Kind, recs []Record) {
	for _, r := range recs {
		a.content[content{k, r.Hash}], a.numbers[content{k, r.Hash}] = r.Raw, r.Number
	}
}

func (a *attic) AppendElsewhere(dst []byte, k Kind, h common.Hash, number uint64) ([]byte, error) {
	raw, ok := a.content[content{k, h}]
	switch {
	case a.err != nil:
		return append(dst, "half of it"...), a.err
	case !ok:
		return dst, fmt.Errorf("%w: no such content", ErrGone)
	case a.numbers[content{k, h}] != number:
		return dst, fmt.Errorf("asked for number %d, it was registered with %d", number, a.numbers[content{k, h}])
	}
	return append(dst, raw...), nil
}

// TestElsewhere: blocks and receipts that are registered are linked and read like those
// that were put, among which they are, also after a restart; what is gone is put again.
func TestElsewhere(t *testing.T) {
	dir, there := t.TempDir(), &attic{content: map[content][]byte{}, numbers: map[content]uint64{}}
	s := openTest(t, dir, Options{Elsewhere: there})
	prev := Link{Hash: testGenesis.Hash, TD: testGenesis.TD}
	var recs, out, receipts []Record
	var links []Link
	for n := uint64(1); n <= 30; n++ {
		h := common.Hash{0: 7, 30: byte(n % 5), 31: byte(n)}
		recs = append(recs, Record{Hash: h, Number: n, Raw: fmt.Appendf(nil, "block %d", n)})
		l := Link{Hash: h, Parent: prev.Hash, Number: n}
		l.TD.AddUint64(&prev.TD, 5)
		links, prev = append(links, l), l
		if n%3 > 0 {
			out = append(out, recs[n-1])
			receipts = append(receipts, Record{Hash: common.Hash{1: byte(n)}, Number: n, Raw: fmt.Appendf(nil, "receipts %d", n)})
		}
	}
	there.add(Block, out)
	there.add(Receipts, receipts)
	if yes, err := s.HasElsewhere(); yes || err != nil {
		t.Errorf("a new store has something elsewhere: %v", err)
	}
	for range 2 { // the second time nothing is new
		want := len(out)
		if s.Blocks() > 1 {
			want = 0
		}
		if n, err := s.Register(Block, out); n != want || err != nil {
			t.Fatalf("registered %d, %v; want %d", n, err, want)
		}
		if _, err := s.Register(Receipts, receipts); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(recs); err != nil { // those that are not registered
			t.Fatal(err)
		}
	}
	if _, err := s.Register(Chunk, out); err == nil {
		t.Error("a chunk was registered")
	}
	if m, err := s.Link(links); err != nil || m.New.Number != 30 {
		t.Fatalf("head %v, %v", m.New, err)
	}
	var hashes []common.Hash
	for _, r := range recs {
		hashes = append(hashes, r.Hash)
	}
	check := func() {
		t.Helper()
		if s.Blocks() != 31 || s.Head().Number != 30 {
			t.Errorf("%d blocks, head %d", s.Blocks(), s.Head().Number)
		}
		var want, got []string
		for _, r := range recs {
			checkContent(t, s, Block, &r)
			want = append(want, string(r.Raw))
		}
		for _, r := range receipts {
			checkContent(t, s, Receipts, &r)
		}
		if err := s.Each(hashes, func(raw []byte) error { got = append(got, string(raw)); return nil }); err != nil || !cmp.Equal(want, got) {
			t.Errorf("Each: %v %s", err, cmp.Diff(want, got))
		}
		all, err := s.AppendBlocks(nil, hashes, 30, 1<<20)
		if joined := string(all); err != nil || len(joined) < 30*7 || joined[:14] != "block 1block 2" {
			t.Errorf("AppendBlocks: %q, %v", all, err)
		}
	}
	check()
	reopen := func(o Options) {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openTest(t, dir, o)
	}
	reopen(Options{Elsewhere: there})
	check()

	lost := out[3]
	delete(there.content, content{Block, lost.Hash})
	_, err := s.AppendRaw(nil, lost.Hash)
	if _, corrupt := errors.AsType[*CorruptError](err); !corrupt {
		t.Errorf("what is gone: %v", err)
	}
	if all, err := s.AppendBlocks(nil, []common.Hash{lost.Hash, hashes[0]}, 2, 1<<20); err != nil || string(all) != "block 1" {
		t.Errorf("what is gone is not left out: %q, %v", all, err)
	}
	there.content[content{Block, out[4].Hash}] = []byte("short")
	if _, err := s.AppendRaw(nil, out[4].Hash); err == nil {
		t.Error("another length was taken")
	}
	there.add(Block, out[4:5])
	if err := s.Replace([]Record{lost}); err != nil {
		t.Fatal(err)
	}
	check()

	there.err = errors.New("the link is down")
	if b, err := s.AppendRaw([]byte("x"), out[0].Hash); !errors.Is(err, there.err) || string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
	reopen(Options{})
	if yes, err := s.HasElsewhere(); !yes || err != nil {
		t.Errorf("it is forgotten that something is elsewhere: %v", err)
	}
	if _, err := s.AppendRaw(nil, out[0].Hash); !errors.Is(err, ErrElsewhere) {
		t.Errorf("nowhere to read from: %v", err)
	}
	if err := s.Each(hashes[1:], func([]byte) error { return nil }); err == nil {
		t.Error("nowhere to read from")
	}
}
