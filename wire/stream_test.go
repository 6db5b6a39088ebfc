package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// countReader counts what is read from it, and remembers the biggest request.
type countReader struct {
	r       io.Reader
	n       int
	biggest int
}

func (c *countReader) Read(p []byte) (int, error) {
	c.biggest = max(c.biggest, len(p))
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// endless is a stream of zeros that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// claim returns the beginning of a frame with a payload of n bytes, good as far
// as list header and id.
func claim(id ID, n int) []byte {
	b := binary.BigEndian.AppendUint32([]byte(token), uint32(n))
	for header := 1; header <= 5; header++ {
		if head := appendListHead(nil, n-header); len(head) == header {
			return rlp.AppendUint64(append(b, head...), uint64(id))
		}
	}
	panic("no such list")
}

func list(n int, item ...byte) []byte { return bytes.Repeat(item, n) }

var hashItemG = append([]byte{0xa0}, hashG[:]...)

// TestLimits: at its limit a message passes, one over it does not.
func TestLimits(t *testing.T) {
	block := append(appendListHead(nil, 1<<16), make([]byte, 1<<16)...)
	full := MaxFrame - 5 - 1 // of the payload, what is left to one block, with its header
	for _, test := range []struct {
		name string
		m    Message
		ok   bool
	}{
		{"hashes at the limit", BlockHashes{list(MaxHashes, hashItemG...)}, true},
		{"hashes over", BlockHashes{list(MaxHashes+1, hashItemG...)}, false},
		{"wanted at the limit", GetBlocks{list(MaxHashes, hashItemG...)}, true},
		{"wanted over", GetBlocks{list(MaxHashes+1, hashItemG...)}, false},
		{"blocks at the limit", Blocks{list(MaxBlocks, 0xc0)}, true},
		{"blocks over", Blocks{list(MaxBlocks+1, 0xc0)}, false},
		{"block of a full frame", Blocks{append(appendListHead(nil, full-4+1), make([]byte, full-4+1)...)}, true},
		{"block over a full frame", Blocks{append(appendListHead(nil, full-4+2), make([]byte, full-4+2)...)}, false},
		{"blocks over a full frame", Blocks{list(MaxFrame>>16, block...)}, false},
		{"transactions at the limit", Transactions{list(MaxTransactions, 0xc0)}, true},
		{"transactions over", Transactions{list(MaxTransactions+1, 0xc0)}, false},
		{"transactions over in bytes", Transactions{list(transactionsBytes>>16, block...)}, false},
		{"peers at the limit", Peers{list(MaxPeers, demoPeers()[:76]...)}, true},
		{"peers over", Peers{list(MaxPeers+1, 0xc0)}, false},
		{"peers over in bytes", Peers{list(2, block...)}, false},
		{"addresses at the limit", GetContent{255, list(MaxContent, hashItemG...)}, true},
		{"addresses over", GetContent{1, list(MaxContent+1, hashItemG...)}, false},
		{"payloads at the limit", Content{255, list(MaxContent, 0x80)}, true},
		{"payloads over", Content{1, list(MaxContent+1, 0x80)}, false},
		{"payload of a full frame", Content{1, AppendPayload(nil, make([]byte, full-1-4+1))}, true},
		{"payload over a full frame", Content{1, AppendPayload(nil, make([]byte, full-1-4+2))}, false},
		{"unknown at the limit", Unknown{0x42, list(unknownItems, 1)}, true},
		{"unknown over", Unknown{0x42, list(unknownItems+1, 1)}, false},
		{"unknown over in bytes", Unknown{0x42, block}, false},
	} {
		frame := AppendFrame(nil, test.m)
		m, err := NewReader(bytes.NewReader(frame)).Next()
		if test.ok {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			} else if !bytes.Equal(AppendFrame(nil, m), frame) {
				t.Errorf("%s: not the same when read and encoded again", test.name)
			}
		} else if _, ok := errors.AsType[*FormatError](err); !ok {
			t.Errorf("%s: %v, want a FormatError", test.name, err)
		}

		// What a Reader refuses, a Writer does not write; and it goes on.
		var out bytes.Buffer
		w := NewWriter(&out)
		err = w.Write(test.m)
		if (err == nil) != test.ok || (out.Len() > 0) != test.ok {
			t.Errorf("%s: Write = %v, with %d bytes written", test.name, err, out.Len())
		}
		if _, ok := errors.AsType[*FormatError](err); ok {
			t.Errorf("%s: Write = %v, which is a FormatError", test.name, err)
		}
		if err := w.Write(Ping{}); err != nil {
			t.Errorf("%s: Write after it: %v", test.name, err)
		}
	}
	limit := 4 + 1 + 33*8192 // section 1.4: 1+33n in the list
	if got := FrameSize(BlockHashes{list(MaxHashes, hashItemG...)}) - frameHead; got != limit || got != (BlockHashes{}).Limit().Bytes {
		t.Errorf("full BlockHashes has %d bytes, want %d", got, limit)
	}
}

// TestRefusesBeforeBuffering: what the first bytes of a frame give away is
// refused without reading further, even of a stream that never ends.
func TestRefusesBeforeBuffering(t *testing.T) {
	for _, test := range []struct {
		name string
		head []byte
		want string
	}{
		{"wrong token", []byte("GET / HTTP/1.1\r\n"), "token 47455420, want 22400891"},
		{"token shifted", unhex("002240089100000002c102"), "token 00224008"},
		{"N = 0", unhex("2240089100000000"), "empty payload"},
		{"N = 4 GiB", unhex("22400891ffffffff"), "payload of 4294967295 bytes, want at most 10485760"},
		{"N = 4 GiB - 8", unhex("22400891fffffff8fbfffffff313"), "want at most 10485760"},
		{"N one over", claim(IDBlocks, MaxFrame+1), "want at most 10485760"},
		{"one hash over", claim(IDBlockHashes, hashesBytes+1), "BlockHashes: payload of 270342 bytes, want at most 270341"},
		{"one wanted over", claim(IDGetBlocks, hashesBytes+1), "GetBlocks: payload"},
		{"transactions over", claim(IDTransactions, transactionsBytes+1), "Transactions: payload"},
		{"peers over", claim(IDPeers, peersBytes+1), "Peers: payload"},
		{"hello over", claim(IDHello, helloBytes+1), "Hello: payload of 2049 bytes, want at most 2048"},
		{"big ping", claim(IDPing, MaxFrame), "Ping: payload of 10485760 bytes, want at most 2"},
		{"big disconnect", claim(IDDisconnect, 12), "Disconnect: payload"},
		{"big GetBlockHashes", claim(IDGetBlockHashes, getBlockHashesBytes+1), "GetBlockHashes: payload"},
		{"big unknown", claim(0x42, unknownBytes+1), "message 0x42: payload"},
		{"wide unknown", claim(1<<64-1, MaxFrame), "message 0xffffffffffffffff: payload"},
		{"string", unhex("2240089100a00000 82"), "payload is a string"},
		{"list shorter than N", unhex("2240089100a00000 c102"), "list of 2 bytes in a payload of 10485760"},
		{"list longer than N", unhex("2240089100100000 fa100000 13"), "list of 1048580 bytes"},
	} {
		c := &countReader{r: io.MultiReader(bytes.NewReader(test.head), endless{})}
		r := NewReader(c)
		_, err := r.Next()
		if _, ok := errors.AsType[*FormatError](err); !ok || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
		if c.n > readAhead || c.biggest > readAhead || r.Bytes() != 0 || cap(r.buf) != 0 {
			t.Errorf("%s: read %d bytes, in pieces of up to %d, buffered %d; want at most the read-ahead", test.name, c.n, c.biggest, cap(r.buf))
		}
		if _, again := r.Next(); again != err {
			t.Errorf("%s: second Next = %v, want the same error", test.name, again)
		}
	}
}

// TestClaimCostsLittle: a length without data behind it makes the buffer grow
// with the data, not with the length.
func TestClaimCostsLittle(t *testing.T) {
	for _, sent := range []int{0, 1, 1000, firstChunk, firstChunk + 1, 300_000, 1 << 20} {
		c := &countReader{r: io.MultiReader(bytes.NewReader(claim(IDBlocks, MaxFrame)), io.LimitReader(endless{}, int64(sent)))}
		r := NewReader(c)
		if _, err := r.head(); err != nil {
			if sent < maxHead && err == io.ErrUnexpectedEOF {
				continue
			}
			t.Fatal(err)
		}
		if err := r.body(MaxFrame); err != io.ErrUnexpectedEOF {
			t.Fatalf("%d bytes sent: %v, want %v", sent, err, io.ErrUnexpectedEOF)
		}
		if most := max(firstChunk, 2*(sent+maxHead)); cap(r.buf) > most || c.biggest > most {
			t.Errorf("%d bytes sent: buffer of %d, want at most %d", sent, cap(r.buf), most)
		}
		if want := uint64(c.n); r.Bytes() != want {
			t.Errorf("%d bytes sent: %d counted, want %d", sent, r.Bytes(), want)
		}
	}
}

// TestDetach: detached messages outlive the next ones, attached ones do not.
func TestDetach(t *testing.T) {
	var stream []byte
	for i := range byte(4) {
		stream = AppendFrame(stream, Blocks{list(100, 0xc1, i)})
	}
	r := NewReader(bytes.NewReader(stream))
	if b := r.Detach(); b != nil {
		t.Errorf("detached %x before the first message", b)
	}
	next := func() RawList {
		t.Helper()
		m, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		return m.(Blocks).RawList
	}
	first := next()
	payload := r.Detach()
	if &payload[len(payload)-1] != &first[len(first)-1] {
		t.Error("the message is not a view over the detached payload")
	}
	if b := r.Detach(); b != nil {
		t.Error("detached twice")
	}
	second := next()
	if !bytes.Equal(first, list(100, 0xc1, 0)) {
		t.Error("a detached message changed with the next one")
	}
	third := next()
	if &second[0] != &third[0] {
		t.Error("the buffer is not reused")
	}
	r.Detach()
	next()
	if !bytes.Equal(third, list(100, 0xc1, 2)) {
		t.Error("a detached message changed with the next one")
	}
	if r.Frames() != 4 || r.Bytes() != uint64(len(stream)) {
		t.Errorf("counted %d frames, %d bytes; want 4, %d", r.Frames(), r.Bytes(), len(stream))
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("at the end: %v, want %v", err, io.EOF)
	}
	if b := r.Detach(); b != nil {
		t.Error("detached after the end")
	}
}

// TestBuffers: a big buffer is not kept, none is much bigger than what is in it, and
// steady reading does not allocate buffers.
func TestBuffers(t *testing.T) {
	big := AppendFrame(nil, Blocks{append(appendListHead(nil, 2<<20), make([]byte, 2<<20)...)})
	ping := AppendFrame(nil, Ping{})
	r := NewReader(bytes.NewReader(bytes.Join([][]byte{ping, big, ping, big}, nil)))
	next := func() {
		t.Helper()
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	next()
	if cap(r.buf) > readAhead {
		t.Errorf("buffer of %d bytes for a Ping", cap(r.buf))
	}
	next()
	if want := len(big) - frameHead; cap(r.buf) >= want+bufferStep {
		t.Errorf("buffer of %d bytes for a payload of %d", cap(r.buf), want)
	}
	next()
	if cap(r.buf) > readAhead {
		t.Errorf("buffer of %d bytes for a Ping, after a big message", cap(r.buf))
	}
	next()
	if _, err := r.Next(); err != io.EOF || r.buf != nil {
		t.Errorf("at the end: %v, with a buffer of %d bytes", err, cap(r.buf))
	}

	pings := NewReader(&repeat{frame: ping})
	if got := testing.AllocsPerRun(100, func() {
		if _, err := pings.Next(); err != nil {
			t.Error(err)
		}
	}); got > 0 {
		t.Errorf("reading a Ping allocates %v times", got)
	}
	w := NewWriter(io.Discard)
	if got := testing.AllocsPerRun(100, func() {
		if err := w.Write(Ping{}); err != nil {
			t.Error(err)
		}
	}); got > 0 {
		t.Errorf("writing a Ping allocates %v times", got)
	}
}

// repeat is a stream of one frame, again and again.
type repeat struct {
	frame []byte
	at    int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.frame[r.at:])
	r.at = (r.at + n) % len(r.frame)
	return n, nil
}

// failWriter takes n bytes in all, then returns err.
type failWriter struct {
	n     int
	err   error
	calls int
}

func (f *failWriter) Write(p []byte) (int, error) {
	f.calls++
	n := min(len(p), f.n)
	f.n -= n
	if n < len(p) {
		return n, f.err
	}
	return n, nil
}

func TestStreamErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct{ err, want error }{{broken, broken}, {nil, io.ErrShortWrite}} {
		f := &failWriter{n: 15, err: test.err}
		w := NewWriter(f)
		for i, want := range []error{nil, test.want, test.want} {
			if err := w.Write(Ping{}); err != want {
				t.Errorf("Write %d = %v, want %v", i, err, want)
			}
		}
		if f.calls != 2 || w.Bytes() != 15 || w.Frames() != 1 {
			t.Errorf("%d calls, %d bytes, %d frames; want 2, 15, 1", f.calls, w.Bytes(), w.Frames())
		}
	}
	frame := AppendFrame(nil, demoHello())
	for n := range frame {
		r := NewReader(io.MultiReader(bytes.NewReader(frame[:n]), errReader{broken}))
		if _, err := r.Next(); err != broken {
			t.Errorf("after %d bytes: %v, want %v", n, err, broken)
		}
	}
	r := NewReader(strings.NewReader("\x22\x41"))
	if _, err := r.Next(); err == nil || err == io.ErrUnexpectedEOF {
		t.Errorf("half a wrong token: %v, want a FormatError", err)
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func BenchmarkReadBlocks(b *testing.B) {
	block := append(appendListHead(nil, 1020), make([]byte, 1020)...)
	frame := AppendFrame(nil, Blocks{list(1024, block...)})
	for _, detach := range []bool{false, true} {
		name := "reused"
		if detach {
			name = "detached"
		}
		b.Run(name, func(b *testing.B) {
			benchRead(b, frame, func(r *Reader) {
				if detach {
					Free(r.Detach())
				}
			})
		})
	}
}

func BenchmarkReadHashes(b *testing.B) {
	benchRead(b, AppendFrame(nil, BlockHashes{HashListOf(make([]common.Hash, MaxHashes))}), func(*Reader) {})
}

// benchRead reads a frame again and again, and has each message used.
func benchRead(b *testing.B, frame []byte, use func(*Reader)) {
	r := NewReader(&repeat{frame: frame})
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Next(); err != nil {
			b.Fatal(err)
		}
		use(r)
	}
}

func BenchmarkWriteHashes(b *testing.B) {
	benchWrite(b, BlockHashes{HashListOf(make([]common.Hash, MaxHashes))})
}

func BenchmarkWriteBlocks(b *testing.B) {
	block := append(appendListHead(nil, 1020), make([]byte, 1020)...)
	benchWrite(b, Blocks{list(1000, block...)})
}

// benchWrite writes a message again and again.
func benchWrite(b *testing.B, m Message) {
	w := NewWriter(io.Discard)
	b.SetBytes(int64(FrameSize(m)))
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(m); err != nil {
			b.Fatal(err)
		}
	}
}
