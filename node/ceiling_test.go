package node_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

// serveEnv names, in the process that serves a benchmark, the store that it serves
// and how many nodes do.
const serveEnv = "SHOAL_BENCH_SERVE"

// serveBench runs nodes over the store in a directory in a process of their own, until
// the benchmark ends. It returns their addresses, and one that sends all blocks as
// they are, one after the other, to whoever connects.
func serveBench(b testing.TB, dir string, nodes int) (addrs []string, raw string) {
	b.Helper()
	args := []string{"-test.run=^TestServeBench$"}
	if f := flag.Lookup("test.cpuprofile"); f.Value.String() != "" {
		args = append(args, "-test.cpuprofile="+f.Value.String()+".server")
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", serveEnv, nodes, dir))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		io.Copy(io.Discard, out)
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	addrs = strings.Fields(line)
	if err != nil || len(addrs) != nodes+1 {
		b.Fatalf("the server says %q: %v", line, err)
	}
	return addrs[1:], addrs[0]
}

// TestServeBench is no test, but the process that serves a benchmark. It ends when its
// input does.
func TestServeBench(t *testing.T) {
	var nodes int
	var dir string
	if _, err := fmt.Sscan(os.Getenv(serveEnv), &nodes, &dir); err != nil {
		t.Skip("only BenchmarkSync needs it")
	}
	st, err := store.Open(dir, store.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := listen()
	addrs := []any{l.Addr()}
	all := sync.OnceValue(func() (all []byte) {
		for h, err := range st.CanonicalHashes(1, st.Head().Number) {
			if err == nil {
				all, err = st.AppendRaw(all, h)
			}
			if err != nil {
				t.Error(err)
			}
		}
		return all
	})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Write(all())
			conn.Close()
		}
	})
	defer l.Close()
	for range nodes {
		l := listen()
		addrs = append(addrs, l.Addr())
		n, err := node.New(node.Config{Network: chain.Dev, Store: st, Listener: l, Client: "bench"})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { n.Run(ctx) })
	}
	fmt.Println(addrs...)
	io.Copy(io.Discard, os.Stdin)
}

// stages is how long the ceiling takes, all of it at once and each stage alone.
type stages struct{ all, socket, hashes, roots, disk time.Duration }

func (s *stages) add(t stages) {
	s.all += t.all
	s.socket += t.socket
	s.hashes += t.hashes
	s.roots += t.roots
	s.disk += t.disk
}

func (s *stages) byName() iter.Seq2[string, time.Duration] {
	return func(yield func(string, time.Duration) bool) {
		_ = yield("socket", s.socket) && yield("hashes", s.hashes) && yield("roots", s.roots) && yield("disk", s.disk)
	}
}

const (
	ceilingRead = 256 << 10 // bytes that are handed on at once
	ceilingSync = 8 << 20   // bytes that are synced at once
)

// timeCeiling reads the blocks from the address and does what cannot be avoided.
func timeCeiling(b *testing.B, dir, addr string) (s stages) {
	b.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	s.all = timed(func() {
		checked := make(chan *part, 1)
		go func() {
			defer close(checked)
			each(b, func(out chan<- *part) { readParts(b, addr, out) }, checked, func(p *part) { p.hash(b); p.roots(b) })
		}()
		writeParts(b, filepath.Join(dir, "all"), checked)
	})
	var parts []*part
	s.socket, parts = timeSocket(b, addr)
	s.hashes = timeEach(b, parts, func(p *part) { p.hash(b) })
	s.roots = timeEach(b, parts, func(p *part) { p.roots(b) })
	s.disk = timeDisk(b, filepath.Join(dir, "disk"), parts)
	return s
}

func timed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

// timeSocket reads and splits all blocks from the address.
func timeSocket(b *testing.B, addr string) (took time.Duration, parts []*part) {
	took = timed(func() {
		got := make(chan *part, 1)
		go func() { defer close(got); readParts(b, addr, got) }()
		for p := range got {
			parts = append(parts, p)
		}
	})
	return took, parts
}

// timeEach does something with each part, on all cores.
func timeEach(b *testing.B, parts []*part, do func(*part)) time.Duration {
	return timed(func() {
		done := make(chan *part, 1)
		go func() { defer close(done); each(b, replay(parts), done, do) }()
		for range done {
		}
	})
}

// timeDisk appends all parts to a file.
func timeDisk(b *testing.B, path string, parts []*part) time.Duration {
	return timed(func() {
		c := make(chan *part, 1)
		go func() { defer close(c); replay(parts)(c) }()
		writeParts(b, path, c)
	})
}

func replay(parts []*part) func(chan<- *part) {
	return func(out chan<- *part) {
		for _, p := range parts {
			out <- p
		}
	}
}

// drain reads all blocks from the address, to nowhere.
func drain(b *testing.B, addr string) {
	b.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.Copy(io.Discard, conn); err != nil {
		b.Fatal(err)
	}
}

// part is some blocks that were read at once.
type part struct {
	raw    [][]byte
	hashes []common.Hash
}

func (p *part) hash(b *testing.B) {
	var err error
	if p.hashes, err = chain.HashesOf(p.hashes[:0], p.raw...); err != nil {
		b.Error(err)
	}
}

func (p *part) roots(b *testing.B) {
	for i, raw := range p.raw {
		x, err := chain.Dev.ParseBlockAs(p.hashes[i], raw)
		if err == nil {
			err = x.CheckBody()
		}
		if err != nil {
			b.Error(err)
		}
	}
}

// readParts reads blocks from the address and splits them.
func readParts(b *testing.B, addr string, out chan<- *part) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close()
	var rest []byte
	for err == nil {
		buf := make([]byte, ceilingRead)
		n := copy(buf, rest)
		var got int
		got, err = io.ReadFull(conn, buf[n:])
		rest = buf[:n+got]
		p := &part{}
		for len(rest) > 0 {
			_, _, after, err := rlp.Split(rest)
			if err != nil {
				break // the rest of it comes next
			}
			p.raw = append(p.raw, rest[:len(rest)-len(after)])
			rest = after
		}
		out <- p
	}
	if len(rest) > 0 {
		b.Errorf("%d bytes are left", len(rest))
	}
}

// each does something with each part, on all cores.
func each(b *testing.B, source func(chan<- *part), out chan<- *part, do func(*part)) {
	in := make(chan *part, 1)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for p := range in {
				do(p)
				out <- p
			}
		})
	}
	source(in)
	close(in)
	wg.Wait()
}

// writeParts appends the blocks to a file, each behind a checksum and its hash, durably.
func writeParts(b *testing.B, path string, in <-chan *part) {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var buf []byte
	flush := func() {
		if _, err := f.Write(buf); err != nil {
			b.Error(err)
		}
		if err := f.Sync(); err != nil {
			b.Error(err)
		}
		buf = buf[:0]
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	for p := range in {
		for i, raw := range p.raw {
			at := len(buf)
			buf = binary.BigEndian.AppendUint32(buf, 0)
			buf = binary.BigEndian.AppendUint32(buf, uint32(len(raw)))
			buf = append(append(buf, p.hashes[i][:]...), raw...)
			binary.BigEndian.PutUint32(buf[at:], crc32.Checksum(buf[at+4:], table))
		}
		if len(buf) >= ceilingSync {
			flush()
		}
	}
	flush()
}
