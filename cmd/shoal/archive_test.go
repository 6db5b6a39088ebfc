package main

import (
	"bytes"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// hasArchive makes a directory with one archive, under its own name.
func hasArchive(t *testing.T, dir, file string) {
	t.Helper()
	if file == "" {
		t.Skip("the archive of real blocks is absent")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// serveArchives runs a node on archives as they are, has another one sync from it, and
// compares what comes out at the far end with the archive.
func serveArchives(t *testing.T, network *chain.Network, place, file string) {
	t.Helper()
	dir := t.TempDir()
	p, addr := startNode(t, "--datadir", dir+"/a", "--archive", place, "--listen", "127.0.0.1:0", "--http-addr", "127.0.0.1:0")
	shoal(t, "sync", "--datadir", dir+"/b", "--network", network.Name, "--peer", addr, "--receipts")
	c := dialNode(t, p)
	r, err := archive.Open(file, network, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for want, err := range r.Blocks() {
		if err != nil {
			t.Fatal(err)
		}
		if want.Number%97 > 0 {
			continue
		}
		got, err := c.BlockByNumber(t.Context(), new(big.Int).SetUint64(want.Number))
		if err != nil {
			t.Fatal(err)
		}
		if enc, err := rlp.EncodeToBytes(got); err != nil || !bytes.Equal(enc, want.Raw()) {
			t.Fatalf("block %d is not that of the archive: %v", want.Number, err)
		}
	}
	p.interrupt(t)
	p.exits(t, exitOK)
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	shoal(t, "export", "--datadir", dir+"/b", "--format", "era1", dir+"/out/b")
	shoal(t, "export", "--datadir", dir+"/a", "--archive", place, "--format", "era1", dir+"/out/a")
	for _, out := range []string{"a", "b"} {
		if got, err := os.ReadFile(filepath.Join(dir, "out", out, filepath.Base(file))); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the archive that comes out of %s is another one: %v", out, err)
		}
	}
	if size := fileSize(dir + "/a/segments/000001.seg"); size > 1<<16 {
		t.Errorf("the node has copied %d bytes of blocks", size)
	}
	// Without the archives there are no blocks.
	p = start(t, "node", "--datadir", dir+"/a", "--listen", "127.0.0.1:0")
	p.exits(t, exitUsage)
	p.await(t, `say where these are with (--archive)`)
	shoal(t, "status", "--datadir", dir+"/a")
}

// TestArchiveDirectory: archives in a directory are served as they are.
func TestArchiveDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hasArchive(t, dir, sepoliaFile())
	serveArchives(t, chain.Sepolia, dir, sepoliaFile())
}

// TestArchiveWebServer: archives on a web server are served as they are.
func TestArchiveWebServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hasArchive(t, dir, mainnetFile())
	web := httptest.NewServer(http.StripPrefix("/era1/", http.FileServer(http.Dir(dir))))
	defer web.Close()
	serveArchives(t, chain.Mainnet, web.URL+"/era1/", mainnetFile())
}

// TestSyncBeyondArchives: a node goes on where its archives end, with blocks of peers, and
// finds the transactions and the receipts of both.
func TestSyncBeyondArchives(t *testing.T) {
	t.Parallel()
	file, blocks := signedArchive(t)
	dir := t.TempDir()
	last := blocks[len(blocks)-1]
	raw, err := rlp.EncodeToBytes(last.block)
	if err != nil {
		t.Fatal(err)
	}
	head, err := chain.Dev.ParseBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	w, err := archive.Create(dir + "/more.rlp")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for b := range chaingen.Generate(chaingen.Config{Seed: 2, Blocks: 200, Parent: head}) {
		if err := w.Append(b.Raw()); err != nil {
			t.Fatal(err)
		}
		head = b
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	shoal(t, "import", "--datadir", dir+"/source", "--network", "dev", file, dir+"/more.rlp")
	s, addr := startNode(t, "--datadir", dir+"/source", "--listen", "127.0.0.1:0")
	p, _ := startNode(t, "--datadir", dir+"/a", "--archive", filepath.Dir(file), "--peer", addr,
		"--listen", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--tx-index")
	c := dialNode(t, p)
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if n, err := c.BlockNumber(t.Context()); err == nil && n == head.Number {
			break
		} else if time.Since(began) > patience {
			t.Fatalf("the head is %d, %v", n, err)
		}
	}
	awaitIndex(t, c)
	for i, want := range last.receipts {
		got, err := c.TransactionReceipt(t.Context(), last.block.Transactions()[i].Hash())
		if err != nil || got.BlockHash != last.block.Hash() || got.CumulativeGasUsed != want.CumulativeGasUsed || len(got.Logs) != len(want.Logs) {
			t.Errorf("receipt %d out of the archive: %+v, %v", i, got, err)
		}
	}
	for _, node := range []*process{p, s} {
		node.interrupt(t)
		node.exits(t, exitOK)
	}
	shoal(t, "export", "--datadir", dir+"/a", "--archive", filepath.Dir(file), dir+"/a.rlp")
	got, err := os.ReadFile(dir + "/a.rlp")
	if want := export(t, dir+"/source"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the chain that comes out is another one: %v", err)
	}
}

// TestArchiveBucket: archives in a bucket of a real object store are served as they are.
func TestArchiveBucket(t *testing.T) {
	server := os.Getenv("SHOAL_TEST_S3")
	if server == "" {
		t.Skip("SHOAL_TEST_S3 does not name a versitygw, which .ci/run builds from tools/versitygw")
	}
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/history/of/sepolia", 0o755); err != nil {
		t.Fatal(err)
	}
	hasArchive(t, dir+"/history/of/sepolia", sepoliaFile())
	t.Setenv("AWS_ACCESS_KEY_ID", "operator")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
	t.Setenv("AWS_REGION", "us-east-1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	p, err := launch(exec.Command(server, "--access", "operator", "--secret", "not-a-secret", "--port", addr, "posix", dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the object store wrote:\n%s", tail(p.all.String()))
		}
	})
	t.Setenv("AWS_ENDPOINT_URL", "http://"+addr)
	serveArchives(t, chain.Sepolia, "s3://history/of/sepolia", sepoliaFile())
	// With wrong keys nothing is served, and it is said why.
	t.Setenv("AWS_SECRET_ACCESS_KEY", "another")
	q := start(t, "node", "--datadir", t.TempDir(), "--network", "sepolia", "--listen", "127.0.0.1:0", "--archive", fmt.Sprintf("s3://history/of/sepolia?endpoint=http://%s", addr))
	q.exits(t, exitFailure)
	q.await(t, `depot: refused: listing in s3://history/of/sepolia/: (.+)`)
}
