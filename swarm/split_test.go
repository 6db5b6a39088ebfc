package swarm

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/crypto/sha3"
	"pgregory.net/rapid"
)

// facts is what the Swarm client computes; testdata/bee.json says how it was made.
type facts struct {
	Files []struct {
		Size      int64
		Reference string
		Chunks    int
	}
	Chunks []struct{ Payload, Address string }
}

func readFacts(t *testing.T) (f facts) {
	t.Helper()
	b, err := os.ReadFile("testdata/bee.json")
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// factContent is the content of the files of which there are facts.
type factContent struct{ at, size int64 }

func (c *factContent) Read(p []byte) (int, error) {
	if c.at == c.size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), c.size-c.at)
	for i := range n {
		p[i] = byte(uint32(c.at+i) * 2654435761 >> 24)
	}
	c.at += n
	return int(n), nil
}

func factBytes(size int64) []byte {
	b := make([]byte, size)
	io.ReadFull(&factContent{size: size}, b)
	return b
}

// naiveAddress is the address by the words of the definition.
func naiveAddress(payload []byte) common.Hash {
	keccak := func(parts ...[]byte) []byte {
		h := sha3.NewLegacyKeccak256()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	padded := make([]byte, ChunkSize)
	copy(padded, payload[8:])
	var tree func(b []byte) []byte
	tree = func(b []byte) []byte {
		if len(b) == 32 {
			return b
		}
		return keccak(tree(b[:len(b)/2]), tree(b[len(b)/2:]))
	}
	return common.Hash(keccak(payload[:8], tree(padded)))
}

// naiveSplit is a file's tree with all of it in memory, level by level.
func naiveSplit(content []byte) (common.Hash, map[common.Hash][]byte) {
	chunks := map[common.Hash][]byte{}
	add := func(span uint64, data []byte) ref {
		p := append(binary.LittleEndian.AppendUint64(nil, span), data...)
		a, _ := Address(p) // which has a naive twin of its own
		chunks[a] = p
		return ref{a, span}
	}
	var level []ref
	for rest := content; len(rest) > 0 || level == nil; {
		n := min(len(rest), ChunkSize)
		level = append(level, add(uint64(n), rest[:n]))
		rest = rest[n:]
	}
	for len(level) > 1 {
		var above []ref
		for rest := level; len(rest) > 0; {
			n := min(len(rest), 128)
			if n == 1 {
				above = append(above, rest[0])
			} else {
				var data []byte
				var span uint64
				for _, r := range rest[:n] {
					data = append(data, r.addr[:]...)
					span += r.span
				}
				above = append(above, add(span, data))
			}
			rest = rest[n:]
		}
		level = above
	}
	return level[0].addr, chunks
}

func TestAddressFacts(t *testing.T) {
	for _, c := range readFacts(t).Chunks {
		p, err := hex.DecodeString(c.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Address(p); err != nil || hex.EncodeToString(got[:]) != c.Address {
			t.Errorf("%.40s…: address %x, %v; want %s", c.Payload, got, err, c.Address)
		}
	}
}

// TestAddress: every length of a payload has the address of the definition, and no
// other length has any.
func TestAddress(t *testing.T) {
	content := append([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"), factBytes(ChunkSize)...)
	for n := SpanSize; n <= MaxPayload; n++ {
		if n > 200 && n%37 > 1 {
			continue
		}
		if got, err := Address(content[:n]); err != nil || got != naiveAddress(content[:n]) {
			t.Fatalf("%d bytes: %x, %v; want %x", n, got, err, naiveAddress(content[:n]))
		}
	}
	for _, bad := range [][]byte{nil, content[:7], append(content, 0)} {
		if _, err := Address(bad); err == nil {
			t.Errorf("a payload of %d bytes has an address", len(bad))
		}
		if got, err := Addresses([]common.Hash{{1}}, content[:9], bad); err == nil || len(got) != 2 {
			t.Errorf("a payload of %d bytes among others has an address", len(bad))
		}
	}
}

// big says whether to take files of three levels of addresses too, which takes a minute
// with the race detector: SHOAL_TEST_BIG=1.
var big = os.Getenv("SHOAL_TEST_BIG") != ""

// TestSplitFacts: the references are those of the Swarm client, and so are the
// numbers of chunks.
func TestSplitFacts(t *testing.T) {
	for _, f := range readFacts(t).Files {
		if !big && f.Size > 20_000_000 {
			continue
		}
		seen := map[common.Hash]bool{}
		got, size, err := Split(&factContent{size: f.Size}, func(chunks []Chunk) error {
			for _, c := range chunks {
				seen[c.Address] = true
			}
			return nil
		})
		if err != nil || int64(size) != f.Size || hex.EncodeToString(got[:]) != f.Reference || len(seen) != f.Chunks {
			t.Errorf("%d bytes: %x of %d bytes in %d chunks, %v; want %s in %d", f.Size, got, size, len(seen), err, f.Reference, f.Chunks)
		}
	}
}

// TestSplit: however a stream comes, its tree is that of the naive twin; each chunk
// comes after those below it, and is what its address says.
func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(
			rapid.Int64Range(0, 3*ChunkSize),
			rapid.Int64Range(126*ChunkSize, 131*ChunkSize),
			rapid.Int64Range(0, 140*ChunkSize),
		).Draw(t, "size")
		content := factBytes(size)
		if rapid.Bool().Draw(t, "zeros") {
			clear(content)
		}
		var r io.Reader = bytes.NewReader(content)
		if rapid.Bool().Draw(t, "halves") {
			r = iotest.HalfReader(r)
		}
		want, chunks := naiveSplit(content)
		done := map[common.Hash]bool{}
		got, n, err := Split(r, func(batch []Chunk) error {
			for _, c := range batch {
				if !bytes.Equal(chunks[c.Address], c.Payload) {
					t.Fatalf("chunk %x has %d bytes, want %d", c.Address, len(c.Payload), len(chunks[c.Address]))
				}
				for rest := c.Payload[8:]; span(c.Payload) > ChunkSize && len(rest) > 0; rest = rest[32:] {
					if !done[common.Hash(rest[:32])] {
						t.Fatalf("chunk %x comes before one below it", c.Address)
					}
				}
				done[c.Address] = true
				clear(c.Payload) // good no longer
			}
			return nil
		})
		if err != nil || got != want || n != uint64(size) || len(done) != len(chunks) {
			t.Fatalf("%x of %d bytes in %d chunks, %v; want %x in %d", got, n, len(done), err, want, len(chunks))
		}
	})
}

func TestSplitErrors(t *testing.T) {
	bad := errors.New("bad")
	if _, _, err := Split(iotest.ErrReader(bad), func([]Chunk) error { return nil }); !errors.Is(err, bad) {
		t.Errorf("reading ends by %v, want %v", err, bad)
	}
	for _, size := range []int64{0, 5, 1 << 20, 5 << 20} {
		calls := 0
		_, _, err := Split(&factContent{size: size}, func([]Chunk) error {
			calls++
			return bad
		})
		if !errors.Is(err, bad) || calls != 1 {
			t.Errorf("%d bytes: ends by %v after %d calls, want %v after the first", size, err, calls, bad)
		}
	}
}

// TestSplitMemory: a long stream is split in the memory of a short one.
func TestSplitMemory(t *testing.T) {
	measure := func(size int64) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, _, err := Split(&factContent{size: size}, func([]Chunk) error { return nil }); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if short, long := measure(2<<20), measure(16<<20); long > 2*short {
		t.Errorf("%d bytes allocated for 2 MiB, %d for 16 MiB", short, long)
	}
}

// FuzzAddress: any payload has the address of the definition.
func FuzzAddress(f *testing.F) {
	for _, n := range []int64{8, 9, 39, 40, 41, 72, 73, 4103, 4104, 4105} {
		f.Add(factBytes(n))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, err := Address(payload)
		if ok := len(payload) >= SpanSize && len(payload) <= MaxPayload; ok != (err == nil) {
			t.Fatalf("%d bytes: %v", len(payload), err)
		}
		if err == nil && got != naiveAddress(payload) {
			t.Fatalf("%x has the address %x, want %x", payload, got, naiveAddress(payload))
		}
	})
}

// BenchmarkAddress compares with one digest after the other, in the same run.
func BenchmarkAddress(b *testing.B) {
	payload := factBytes(MaxPayload)
	b.Run("four at a time", func(b *testing.B) {
		b.SetBytes(ChunkSize)
		for b.Loop() {
			Address(payload)
		}
	})
	b.Run("naive", func(b *testing.B) {
		b.SetBytes(ChunkSize)
		for b.Loop() {
			naiveAddress(payload)
		}
	})
}
