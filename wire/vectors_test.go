package wire

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// diff compares messages; an empty list is an empty list, nil or not.
func diff(got, want Message) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

func TestVectors(t *testing.T) {
	for _, v := range slices.Concat(vectors, contentVectors) {
		frame := unhex(v.frame)
		if got := AppendFrame(nil, v.m); !bytes.Equal(got, frame) {
			t.Errorf("%s: encoded as\n%x, want\n%x", v.name, got, frame)
		}
		if got := FrameSize(v.m); got != len(frame) {
			t.Errorf("%s: FrameSize = %d, want %d", v.name, got, len(frame))
		}
		got, err := Parse(frame[frameHead:])
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		if d := diff(got, v.m); d != "" {
			t.Errorf("%s: parsed (-want +got):\n%s", v.name, d)
		}
	}
}

// TestSharedVectors checks that the frames above are those in the shared data,
// all of them: each is built from typed values in TestVectors.
func TestSharedVectors(t *testing.T) {
	var shared struct {
		Block1 string `json:"block1_rlp"`
		Frames map[string]string
	}
	if err := json.Unmarshal(readShared(t, "data/wire-vectors.json"), &shared); err != nil {
		t.Fatal(err)
	}
	ours := map[string]string{}
	for _, v := range vectors {
		ours[v.name] = strings.Join(strings.Fields(v.frame), "")
	}
	if d := cmp.Diff(shared.Frames, ours); d != "" {
		t.Errorf("frames (-shared +ours):\n%s", d)
	}
	if shared.Block1 != hexBlk {
		t.Errorf("block 1 differs from the shared one")
	}
}

// TestTranscripts reads recorded sessions of the clients of 2014 and writes them
// again, byte for byte. The counts are those of the text beside each recording.
func TestTranscripts(t *testing.T) {
	facts := map[string]struct {
		messages map[ID]int
		blocks   int // in all Blocks together
		hashes   int // in all BlockHashes together
	}{
		"cpp-pv30-tiny6.c2s.bin":        {map[ID]int{IDHello: 1, IDDisconnect: 1, IDPing: 1, IDPong: 1, IDGetPeers: 1, IDPeers: 1, IDBlocks: 2, IDGetTransactions: 1, IDGetBlockHashes: 1, IDGetBlocks: 1}, 4, 0},
		"cpp-pv30-tiny6.s2c.bin":        {map[ID]int{IDHello: 1, IDPing: 1, IDPong: 1, IDGetPeers: 1, IDPeers: 1, IDBlocks: 1, IDGetTransactions: 1, IDBlockHashes: 1}, 6, 6},
		"cpp-pv30-sync500.c2s.bin":      {map[ID]int{IDHello: 1, IDDisconnect: 1, IDPing: 1, IDPong: 1, IDGetPeers: 1, IDPeers: 1, IDBlocks: 7, IDGetTransactions: 1, IDGetBlockHashes: 16, IDGetBlocks: 32}, 0, 0},
		"cpp-pv30-sync500.s2c.bin":      {map[ID]int{IDHello: 1, IDPing: 1, IDPong: 1, IDGetPeers: 1, IDPeers: 1, IDBlocks: 32, IDGetTransactions: 1, IDBlockHashes: 16}, 500, 500},
		"cpp-pv30-live-mining.c2s.bin":  {map[ID]int{IDHello: 1, IDDisconnect: 1, IDPing: 1, IDPong: 1, IDGetPeers: 2, IDPeers: 2, IDGetTransactions: 1, IDGetBlockHashes: 1, IDGetBlocks: 1}, 0, 0},
		"cpp-pv30-live-mining.s2c.bin":  {map[ID]int{IDHello: 1, IDPing: 1, IDPong: 1, IDGetPeers: 2, IDPeers: 2, IDBlocks: 26, IDGetTransactions: 1, IDBlockHashes: 1}, 0, 0},
		"py-pv30-from-cpp-pv30.c2s.bin": {map[ID]int{IDHello: 1, IDPong: 1, IDPeers: 7, IDTransactions: 1, IDGetTransactions: 1, IDGetBlockHashes: 1, IDGetBlocks: 32}, 0, 0},
		"py-pv30-from-cpp-pv30.s2c.bin": {map[ID]int{IDHello: 1, IDPing: 1, IDGetPeers: 7, IDBlocks: 32, IDGetTransactions: 1, IDBlockHashes: 1}, 499, 500},
	}
	deliver := map[string]func(io.Reader) io.Reader{
		"whole":    func(r io.Reader) io.Reader { return r },
		"one byte": iotest.OneByteReader,
		"halves":   iotest.HalfReader,
		"late EOF": iotest.DataErrReader,
		"odd":      func(r io.Reader) io.Reader { return &oddReader{r: r} },
	}
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		want := facts[name]
		t.Run(name, func(t *testing.T) {
			stream := readShared(t, "transcripts/"+name)
			for how, wrap := range deliver {
				r := NewReader(wrap(bytes.NewReader(stream)))
				var out bytes.Buffer
				w := NewWriter(&out)
				messages := map[ID]int{}
				blocks, hashes := 0, 0
				for {
					m, err := r.Next()
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatalf("%s: message %d: %v", how, r.Frames(), err)
					}
					messages[m.ID()]++
					switch m := m.(type) {
					case Hello:
						if m.Version != Version || m.Caps != 7 || m.Genesis != hashG || m.Node.IsZero() {
							t.Errorf("Hello = %+v, want version 30, all capabilities, genesis %x", m, hashG)
						}
					case Blocks:
						blocks += m.Len()
					case BlockHashes:
						hashes += m.Len()
					case Unknown:
						t.Errorf("%s: %v, want only known messages", how, m.Kind)
					}
					if err := w.Write(m); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(out.Bytes(), stream) {
					t.Errorf("%s: written again, the session has other bytes", how)
				}
				if n := uint64(len(stream)); r.Bytes() != n || w.Bytes() != n || w.Frames() != r.Frames() {
					t.Errorf("%s: read %d bytes, wrote %d, want %d", how, r.Bytes(), w.Bytes(), n)
				}
				if d := cmp.Diff(want.messages, messages); d != "" {
					t.Errorf("%s: messages (-want +got):\n%s", how, d)
				}
				if want.blocks > 0 && blocks != want.blocks {
					t.Errorf("%s: %d blocks, want %d", how, blocks, want.blocks)
				}
				if want.hashes > 0 && hashes != want.hashes {
					t.Errorf("%s: %d hashes, want %d", how, hashes, want.hashes)
				}
			}
		})
	}
	if all, _ := filepath.Glob(sharedPath("transcripts/*.bin")); len(all) > 0 && len(all) != len(facts) {
		t.Errorf("%d recordings in the shared data, %d known here", len(all), len(facts))
	}
}

// oddReader delivers 1, 4, 7, ... bytes at a time.
type oddReader struct {
	r io.Reader
	n int
}

func (o *oddReader) Read(p []byte) (int, error) {
	n := o.n%64*3 + 1
	o.n++
	return o.r.Read(p[:min(n, len(p))])
}

// TestPrefixes cuts every frame, and every payload, at every place.
func TestPrefixes(t *testing.T) {
	for _, v := range slices.Concat(vectors, contentVectors) {
		frame := unhex(v.frame)
		for n := range frame {
			r := NewReader(bytes.NewReader(frame[:n]))
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if m, err := r.Next(); err != want {
				t.Errorf("%s: first %d bytes: Next = %v, %v; want %v", v.name, n, m, err, want)
			}
			if _, err := r.Next(); err != want {
				t.Errorf("%s: first %d bytes: second Next = %v, want %v again", v.name, n, err, want)
			}
			if n < frameHead {
				continue
			}
			if m, err := Parse(frame[frameHead:n]); err == nil {
				t.Errorf("%s: first %d bytes of the payload parse as %v", v.name, n-frameHead, m)
			}
		}
	}
}

// TestHelloRoundTrip: any Hello within its limits is read as it was written.
func TestHelloRoundTrip(t *testing.T) {
	bytesOf := func(t *rapid.T, name string, least, most int) []byte {
		return rapid.SliceOfN(rapid.Byte(), least, most).Draw(t, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := Hello{
			Version: rapid.Uint64().Draw(t, "version"),
			Client:  string(bytesOf(t, "client", 0, 80)),
			Caps:    Caps(rapid.Uint64().Draw(t, "caps")),
			Port:    rapid.Uint16().Draw(t, "port"),
			Node:    NodeID(bytesOf(t, "node", 64, 64)),
			Best:    [32]byte(bytesOf(t, "best", 32, 32)),
			Genesis: [32]byte(bytesOf(t, "genesis", 32, 32)),
			Extra:   AppendHash(nil, [32]byte(bytesOf(t, "extra", 32, 32))),
		}
		want.Network.SetBytes(bytesOf(t, "network", 0, 32))
		want.TD.SetBytes(bytesOf(t, "difficulty", 0, 32))
		got, err := NewReader(bytes.NewReader(AppendFrame(nil, want))).Next()
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(got, want); d != "" {
			t.Fatalf("read (-want +got):\n%s", d)
		}
	})
}
