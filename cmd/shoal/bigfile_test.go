package main

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/swarm"
)

const (
	// fileEnv is how many bytes the file of TestBigFile has.
	fileEnv = "SHOAL_TEST_FILE_BYTES"

	// fileBytes is how many it has if that is not set.
	fileBytes = 16 << 20

	// fileMemory is what a process may use to put, serve or get a file, whatever its
	// size.
	fileMemory = 384 << 20
)

// TestBigFile: a file goes through put, three nodes and get. The get is killed when it has
// received half. What was stored then is not fetched again, and of the rest hardly anything twice. No
// process uses more memory for a bigger file. With
//
//	SHOAL_TEST_FILE_BYTES=1073741824 go test -run TestBigFile -v ./cmd/shoal
//
// the file has a gibibyte.
func TestBigFile(t *testing.T) {
	t.Parallel()
	size := int64(fileBytes)
	if text := os.Getenv(fileEnv); text != "" {
		var err error
		if size, err = strconv.ParseInt(text, 10, 64); err != nil {
			t.Fatalf("%s is %q, want a number of bytes", fileEnv, text)
		}
	}
	root := t.TempDir()
	file, sum := makeFile(t, filepath.Join(root, "file"), size)

	var proxies []*proxy
	var nodes []*process
	get := []string{"get", "--datadir", filepath.Join(root, "got"), "-o", filepath.Join(root, "copy"), "--json"}
	ref := ""
	for i := range 3 {
		dir := filepath.Join(root, strconv.Itoa(i))
		put := start(t, "put", "--datadir", dir, file)
		put.succeedSlowly(t)
		put.frugal(t)
		ref = strings.TrimSpace(put.stdout.String())
		node, addr := startNode(t, "--datadir", dir, "--listen", "127.0.0.1:0")
		p := newProxy(t, addr)
		p.rate.Store(size / 6) // two seconds for all: time to kill
		nodes, proxies = append(nodes, node), append(proxies, p)
		get = append(get, "--peer", p.addr())
	}
	get = append(get, ref)
	chunks := storedChunks(t, filepath.Join(copyOf(t, filepath.Join(root, "0"))))

	// The first get is killed when half has come. From then on it gets next to nothing, so
	// that it cannot end before it is killed, and what has come has time to be written.
	half, once := make(chan bool), new(sync.Once)
	counts := make([]atomic.Int64, len(proxies))
	for i, p := range proxies {
		p.watch(func(n int64) {
			counts[i].Store(n)
			if counts[0].Load()+counts[1].Load()+counts[2].Load() > int64(len(chunks)/2) {
				once.Do(func() {
					for _, p := range proxies {
						p.rate.Store(1000)
					}
					close(half)
				})
			}
		})
	}
	killed := start(t, get...)
	select {
	case <-half:
	case <-killed.ended:
		t.Fatalf("it ended before it was killed:\n%s", tail(killed.all.String()))
	}
	killed.writes(t, filepath.Join(root, "got", "chunks"), size*3/8)
	killed.kill()
	killed.frugal(t)
	for _, p := range proxies {
		p.settle(t)
		p.begin(nil)
		p.watch(nil)
		p.rate.Store(0)
	}
	if _, err := os.Stat(filepath.Join(root, "copy")); !os.IsNotExist(err) {
		t.Errorf("half a file: %v", err)
	}
	stored := storedChunks(t, filepath.Join(root, "got"))
	if len(stored) < len(chunks)/4 {
		t.Errorf("%d of %d chunks were stored when it was killed", len(stored), len(chunks))
	}

	// The second one goes on.
	again := start(t, get...)
	again.succeedSlowly(t)
	again.frugal(t)
	came, twice := map[common.Hash]bool{}, 0
	for _, p := range proxies {
		p.settle(t)
		_, _, delivered := p.counts()
		for _, h := range delivered {
			if stored[h] {
				t.Fatalf("chunk %x was stored, and fetched again", h)
			}
			if came[h] {
				twice++
			}
			came[h] = true
		}
		t.Logf("a node has sent %d chunks", len(delivered))
	}
	t.Logf("%d chunks, %d stored when it was killed, %d fetched after that, %d of them twice", len(chunks), len(stored), len(came), twice)
	if len(came)+len(stored) != len(chunks) {
		t.Error("want all of the others, and no more")
	}
	if most := len(came)/100 + 64<<10/swarm.ChunkSize; twice > most { // what the pool may spend on those who stall
		t.Errorf("at most %d may come twice", most)
	}
	if got := sumOf(t, filepath.Join(root, "copy")); !bytes.Equal(got, sum) {
		t.Errorf("the copy is not the file: %x, want %x", got, sum)
	}
	for _, n := range nodes {
		n.interrupt(t)
		n.exits(t, exitOK)
		n.frugal(t)
	}
}

// makeFile writes a file of so many bytes of no pattern, and returns its digest.
func makeFile(t testing.TB, name string, size int64) (file string, sum []byte) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8([32]byte{4}), size); err != nil {
		t.Fatal(err)
	}
	return name, h.Sum(nil)
}

func sumOf(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return h.Sum(nil)
}

// writes waits until the files of a directory have so many bytes.
func (p *process) writes(t testing.TB, dir string, bytes int64) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		n, err := sizeOf(dir)
		if err != nil {
			t.Fatal(err)
		}
		if n >= bytes {
			return
		}
		p.alive(t)
		if time.Since(began) > patience {
			t.Fatalf("%d bytes are in %s, want %d; it wrote:\n%s", n, dir, bytes, tail(p.all.String()))
		}
	}
}

// storedChunks returns the chunks in a data directory that no process uses.
func storedChunks(t testing.TB, dir string) map[common.Hash]bool {
	t.Helper()
	st, err := store.Open(dir, store.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	all := map[common.Hash]bool{}
	if err := swarm.OnDisk(st).Chunks(func(h common.Hash) bool { all[h] = true; return true }); err != nil {
		t.Fatal(err)
	}
	return all
}

// succeedSlowly waits for a good end, however long it takes.
func (p *process) succeedSlowly(t testing.TB) {
	t.Helper()
	<-p.ended
	p.succeed(t)
}

// frugal fails if a process that has ended has used much memory. It is counted from before
// it became shoal, when it still shared what this test has: if the test has used as much, the
// count says nothing of the process. On its own the test uses little.
func (p *process) frugal(t testing.TB) {
	t.Helper()
	usage, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		t.Fatal(err)
	}
	if usage.Maxrss <= own.Maxrss {
		t.Logf("shoal %s has used no more than this test, %d MiB", p.cmd.Args[1], own.Maxrss>>10)
		return
	}
	t.Logf("shoal %s has used %d MiB", p.cmd.Args[1], usage.Maxrss>>10)
	if mem := int64(usage.Maxrss) << 10; mem > fileMemory {
		t.Errorf("shoal %s has used %d MiB, the limit is %d", p.cmd.Args[1], mem>>20, fileMemory>>20)
	}
}
