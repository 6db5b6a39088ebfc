package swarm

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/store"
)

func openDisk(t *testing.T, disk vfs.FS) *store.Store {
	t.Helper()
	genesis := store.Genesis{Record: store.Record{Hash: common.Hash{1}, Raw: []byte("genesis")}}
	s, err := store.Open("db", store.Options{FS: disk, Network: "test", Genesis: genesis, SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStores: both kinds of store do the same.
func TestStores(t *testing.T) {
	disk := openDisk(t, vfs.NewMem())
	defer disk.Close()
	for name, s := range map[string]Store{"memory": new(Memory), "disk": OnDisk(disk)} {
		t.Run(name, func(t *testing.T) {
			var chunks []Chunk
			for n := range 5 {
				p := append(make([]byte, 8), factBytes(int64(1000*n))...)
				a, err := Address(p)
				if err != nil {
					t.Fatal(err)
				}
				chunks = append(chunks, Chunk{a, p})
			}
			for range 2 { // twice is once
				if err := s.PutChunks(chunks); err != nil {
					t.Fatal(err)
				}
			}
			full, err := s.Size()
			if err != nil || full < 10_000 {
				t.Errorf("%d bytes, %v", full, err)
			}
			if err := s.DeleteChunks([]common.Hash{chunks[3].Address, {9}}); err != nil {
				t.Fatal(err)
			}
			if err := s.Reclaim(); err != nil {
				t.Fatal(err)
			}
			for i, c := range chunks {
				has, err := s.Has(c.Address)
				if err != nil || has != (i != 3) {
					t.Errorf("chunk %d: %v, %v", i, has, err)
				}
				got, err := s.AppendChunk([]byte("before "), c.Address)
				switch {
				case i == 3 && (!errors.Is(err, ErrNotHeld) || string(got) != "before "):
					t.Errorf("chunk %d: %q, %v", i, got, err)
				case i != 3 && (err != nil || !bytes.Equal(got[7:], c.Payload)):
					t.Errorf("chunk %d: %d bytes, %v", i, len(got), err)
				}
			}
			if n := len(held(t, s)); n != 4 {
				t.Errorf("%d chunks", n)
			}
			n := 0
			if err := s.Chunks(func(common.Hash) bool { n++; return n < 2 }); err != nil || n != 2 {
				t.Errorf("stopped after %d chunks, %v", n, err)
			}
			if v, err := s.Value("x"); err != nil || v != nil {
				t.Errorf("%q, %v", v, err)
			}
			if err := s.SetValue("x", []byte("y")); err != nil {
				t.Fatal(err)
			}
			if v, err := s.Value("x"); err != nil || string(v) != "y" {
				t.Errorf("%q, %v", v, err)
			}
		})
	}
}

// TestOnDisk: files are there after the store was closed and opened; within a quota old
// ones make room, on disk too.
func TestOnDisk(t *testing.T) {
	fs := vfs.NewMem()
	s := openDisk(t, fs)
	content := factBytes(2 << 20)
	ref, _, err := New(OnDisk(s), Options{}).Put(t.Context(), "kept", bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openDisk(t, fs)
	defer s.Close()
	f := New(OnDisk(s), Options{Quota: 8 << 20})
	for i := range 8 {
		other := factBytes(3<<20 + int64(i))[i+1:] // none has a chunk of another
		ref, _, err := f.Put(t.Context(), "other", bytes.NewReader(other))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Unpin(ref); err != nil {
			t.Fatal(err)
		}
	}
	if size, err := s.ChunkBytes(); err != nil || size > 8<<20 {
		t.Errorf("%d bytes on disk, %v", size, err)
	}
	x, err := f.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if got, err := io.ReadAll(x); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
