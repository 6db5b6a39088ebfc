package depot_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/depot"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/store"
)

const sepoliaName = "sepolia-00000-643a00f7.era1"

// sepolia returns the directory with archives of Sepolia in the source of go-ethereum.
func sepolia(t testing.TB) string {
	t.Helper()
	to := t.TempDir() // without the archive of epoch 21, which stands on nothing
	if err := os.Symlink(testbed.Era1(t, sepoliaName), filepath.Join(to, sepoliaName)); err != nil {
		t.Fatal(err)
	}
	return to
}

// openStore opens a store that reads from a depot.
func openStore(t testing.TB, net *chain.Network, dir string, from store.Elsewhere) *store.Store {
	t.Helper()
	g, err := net.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(dir, store.Options{
		Network: net.Name, Genesis: store.Genesis{Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty}, Elsewhere: from,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func openDepot(t testing.TB, net *chain.Network, location string) *depot.Depot {
	t.Helper()
	source, err := depot.Open(location)
	if err != nil {
		t.Fatal(err)
	}
	d, err := depot.New(t.Context(), source, net, 0)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestServedAsTheyAre: archives of a directory, of web servers that list files in different
// ways, and of a bucket come out of a store that has none of their bytes as they are, to the
// byte.
func TestServedAsTheyAre(t *testing.T) {
	dir := sepolia(t)
	want, err := os.ReadFile(filepath.Join(dir, sepoliaName))
	if err != nil {
		t.Fatal(err)
	}
	list := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer list.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/era1/checksums.txt", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "0123abcd  %s\n89ef0123  mainnet-00007-01234567.era1\n", sepoliaName)
	})
	mux.Handle("/era1/", http.StripPrefix("/era1/", http.FileServer(http.Dir(dir))))
	sums := httptest.NewServer(mux)
	defer sums.Close()
	s3 := httptest.NewServer(bucketServer(dir))
	defer s3.Close()
	for name, location := range map[string]string{
		"directory": dir, "web server": list.URL, "list of checksums": sums.URL + "/era1/checksums.txt",
		"bucket": "s3://things/mirror?region=here&endpoint=" + s3.URL,
	} {
		t.Run(name, func(t *testing.T) {
			d := openDepot(t, chain.Sepolia, location)
			data := t.TempDir()
			st := openStore(t, chain.Sepolia, data, d)
			files := 0
			added, err := d.Index(t.Context(), st, archive.Options{}, func(string, *archive.Reader) { files++ })
			if err != nil || added != 8191 || files != 1 || st.Head().Number != 8191 {
				t.Fatalf("%d blocks of %d files, head %d, %v", added, files, st.Head().Number, err)
			}
			if added, err = d.Index(t.Context(), st, archive.Options{}, func(string, *archive.Reader) { files++ }); err != nil || added != 0 || files != 1 {
				t.Errorf("read again: %d blocks of %d files, %v", added, files, err)
			}
			out := t.TempDir()
			f, err := archive.ExportEra1(t.Context(), st, chain.Sepolia, 0, out, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(f.Path); err != nil || string(got) != string(want) || filepath.Base(f.Path) != sepoliaName {
				t.Errorf("%s is another file than %s: %v", f.Path, sepoliaName, err)
			}
			if seg, err := os.Stat(filepath.Join(data, "segments", "000001.seg")); err != nil || seg.Size() > 4096 {
				t.Errorf("blocks were copied: %v", err)
			}
		})
	}
}

// bucketServer serves a directory as mirror/ in the bucket things, as far as a reader needs
// it (Amazon S3 API: ListObjectsV2, HeadObject, GetObject).
func bucketServer(dir string) http.Handler {
	type content struct {
		Key  string
		Size int64
	}
	type result struct {
		XMLName     xml.Name `xml:"ListBucketResult"`
		Name        string
		IsTruncated bool
		Contents    []content
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch key, _ := strings.CutPrefix(r.URL.Path, "/things/"); {
		case key == "" && r.URL.Query().Get("prefix") == "mirror/":
			xml.NewEncoder(w).Encode(result{Name: "things", Contents: []content{
				{"mirror/README", 5}, {"mirror/old/" + sepoliaName, 5}, {"mirror/" + sepoliaName, 3267454},
			}})
		case strings.HasPrefix(key, "mirror/"):
			w.Header().Set("ETag", `"1"`)
			http.ServeFile(w, r, filepath.Join(dir, path.Base(key)))
		default:
			http.NotFound(w, r)
		}
	})
}

// epochs writes two archives of a generated chain, of which the second is short.
func epochs(t *testing.T) (dir string, blocks []*chain.Block) {
	t.Helper()
	dir = t.TempDir()
	g, err := chain.Dev.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	blocks = append(blocks, g)
	for b := range chaingen.Generate(chaingen.Config{Seed: 1, Blocks: archive.Epoch + 300, Shape: func(n uint64) (int, int) { return int(n % 2), 0 }}) {
		blocks = append(blocks, b)
	}
	var td uint256.Int
	var w *archive.Era1Writer
	for i, b := range blocks {
		if i%archive.Epoch == 0 {
			if w, err = archive.CreateEra1(dir, "dev"); err != nil {
				t.Fatal(err)
			}
		}
		if td, err = chain.Dev.TotalDifficulty(&td, b); err != nil {
			t.Fatal(err)
		}
		receipts := []byte{0xc0}
		if b.HasReceipts() {
			receipts = chaingen.Receipts(b)
		}
		if err := w.Append(b, receipts, &td); err != nil {
			t.Fatal(err)
		}
		if (i+1)%archive.Epoch == 0 || i == len(blocks)-1 {
			if _, err := w.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir, blocks
}

// TestSeveralArchives: one chain out of several files, in any order; files of other networks
// are passed over; an archive that comes later is read on the next start, and what is read
// is found again after it.
func TestSeveralArchives(t *testing.T) {
	dir, blocks := epochs(t)
	second := glob(t, dir, "dev-00001-*.era1")
	hidden := filepath.Join(t.TempDir(), filepath.Base(second))
	move(t, second, hidden)
	for _, other := range []string{"sepolia-00000-00000000.era1", "dev-00001-00000000.era1.tmp", "dev-1.era1"} {
		if err := os.WriteFile(filepath.Join(dir, other), []byte("no archive"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data := t.TempDir()
	d := openDepot(t, chain.Dev, dir)
	st := openStore(t, chain.Dev, data, d)
	if added, err := d.Index(t.Context(), st, archive.Options{}, nil); err != nil || added != archive.Epoch-1 {
		t.Fatalf("%d blocks, %v", added, err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	move(t, hidden, second)
	d = openDepot(t, chain.Dev, dir)
	st = openStore(t, chain.Dev, data, d)
	if added, err := d.Index(t.Context(), st, archive.Options{}, nil); err != nil || added != 301 {
		t.Fatalf("%d blocks, %v", added, err)
	}
	for _, b := range blocks {
		if raw, err := st.AppendRaw(nil, b.Hash); err != nil || string(raw) != string(b.Raw()) {
			t.Fatalf("block %d: %v", b.Number, err)
		}
		if !b.HasReceipts() {
			continue
		}
		if raw, err := st.AppendContent(nil, store.Receipts, b.ReceiptRoot); err != nil || string(raw) != string(chaingen.Receipts(b)) {
			t.Fatalf("receipts of block %d: %v", b.Number, err)
		}
	}
}

// TestDamage: what an archive does not have as it should is gone for the store, which takes
// it from somebody else; while a source is away, it is not.
func TestDamage(t *testing.T) {
	dir, blocks := epochs(t)
	d := openDepot(t, chain.Dev, dir)
	st := openStore(t, chain.Dev, t.TempDir(), d)
	if _, err := d.Index(t.Context(), st, archive.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	// Zeros in the middle of the first file, and no second one.
	first := glob(t, dir, "dev-00000-*.era1")
	f, err := os.OpenFile(first, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 10_000), 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), os.Remove(glob(t, dir, "dev-00001-*.era1"))); err != nil {
		t.Fatal(err)
	}
	d = openDepot(t, chain.Dev, dir)
	gone := 0
	for _, b := range blocks[1:] {
		raw, err := d.AppendElsewhere(nil, store.Block, b.Hash, b.Number)
		switch {
		case errors.Is(err, store.ErrGone):
			gone++
		case err != nil:
			t.Fatalf("block %d: %v", b.Number, err)
		case string(raw) != string(b.Raw()):
			t.Fatalf("block %d is another one", b.Number)
		}
	}
	if gone < 301+5 || gone > 301+50 {
		t.Errorf("%d blocks are gone", gone)
	}
	if _, err := d.AppendElsewhere(nil, store.Chunk, common.Hash{}, 0); !errors.Is(err, store.ErrGone) {
		t.Errorf("a chunk: %v", err)
	}
}

// TestWrongDepots: what cannot be served is said with what to do.
func TestWrongDepots(t *testing.T) {
	dir, _ := epochs(t)
	empty := t.TempDir()
	none := httptest.NewServer(http.NotFoundHandler())
	defer none.Close()
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	defer closed.Close()
	for location, want := range map[string]string{
		filepath.Join(empty, "nowhere"):           "no such file",
		glob(t, dir, "dev-00000-*.era1"):          "not a directory",
		"ftp://example.org/era1":                  "there are directories",
		"s3://?endpoint=http://a":                 "want s3://BUCKET",
		"s3://things?endpoint=example":            "no address",
		"s3://me:secret@things?endpoint=http://a": "AWS_ACCESS_KEY_ID",
	} {
		if _, err := depot.Open(location); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %s", location, err, want)
		}
	}
	for _, tt := range []struct {
		location string
		net      *chain.Network
		want     string
	}{
		{empty, chain.Dev, "no era1 archives of dev"},
		{dir, chain.Sepolia, "no era1 archives of sepolia"},
		{dir, chain.PoC6, "no era1 archives of poc6"},
		{none.URL, chain.Dev, "404"},
		{closed.URL, chain.Dev, "refused"},
	} {
		source, err := depot.Open(tt.location)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := depot.New(t.Context(), source, tt.net, 0); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s for %s: %v, want %s", tt.location, tt.net.Name, err, tt.want)
		}
	}
	index := func() error {
		d := openDepot(t, chain.Dev, dir)
		_, err := d.Index(t.Context(), openStore(t, chain.Dev, t.TempDir(), d), archive.Options{}, nil)
		return err
	}
	// The second epoch under the name of the third; then without the first.
	move(t, glob(t, dir, "dev-00001-*.era1"), filepath.Join(dir, "dev-00002-01234567.era1"))
	if err := index(); err == nil || !strings.Contains(err.Error(), "wrong name") {
		t.Errorf("a wrong name: %v", err)
	}
	if err := os.Remove(glob(t, dir, "dev-00000-*.era1")); err != nil {
		t.Fatal(err)
	}
	if err := index(); !errors.Is(err, archive.ErrNoParent) || !strings.Contains(err.Error(), "no archive of epoch 1") {
		t.Errorf("a gap: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "dev-00002-76543210.era1"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	source, err := depot.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := depot.New(t.Context(), source, chain.Dev, 0); err == nil || !strings.Contains(err.Error(), "two archives of epoch 2") {
		t.Errorf("twice the same epoch: %v", err)
	}
	if name, err := depot.NetworkOf(t.Context(), source); name != "dev" || err != nil {
		t.Errorf("the network is %q, %v", name, err)
	}
}

// TestInterrupted: an index that was interrupted goes on.
func TestInterrupted(t *testing.T) {
	dir, _ := epochs(t)
	d := openDepot(t, chain.Dev, dir)
	st := openStore(t, chain.Dev, t.TempDir(), d)
	ctx, cancel := context.WithCancel(t.Context())
	files := 0
	begin := func(string, *archive.Reader) {
		if files++; files == 2 {
			cancel()
		}
	}
	if _, err := d.Index(ctx, st, archive.Options{}, begin); !errors.Is(err, context.Canceled) || st.Head().Number != archive.Epoch-1 {
		t.Fatalf("head %d, %v", st.Head().Number, err)
	}
	if added, err := d.Index(t.Context(), st, archive.Options{}, begin); err != nil || added != 301 || files != 3 {
		t.Errorf("%d blocks, %d files, %v", added, files, err)
	}
}

func glob(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	return found[0]
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
