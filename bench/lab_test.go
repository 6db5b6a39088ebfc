package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoalnet/shoal/bench/fetch"
	"github.com/shoalnet/shoal/bench/link"
	"github.com/shoalnet/shoal/bench/serve"
)

// TestMain lets the test's own binary be a process of servers, as the lab's is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serve.Argument {
		if err := serve.Run(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestClients has every client fetch a small chain from servers in another process,
// over the loopback interface and with a round trip.
func TestClients(t *testing.T) {
	l := &lab{cache: t.TempDir(), work: t.TempDir(), log: io.Discard}
	if _, err := l.chainOf(t.Context(), tiny, 300); err != nil {
		t.Fatal(err)
	}
	// A longer chain continues it, and serves the shorter one too.
	long, err := l.chainOf(t.Context(), tiny, 5000)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.chainOf(t.Context(), tiny, 4321)
	if err != nil {
		t.Fatal(err)
	}
	if d.Bytes >= long.Bytes || d.Head.TD.Cmp(&long.Head.TD) >= 0 {
		t.Fatalf("the first 4321 of 5000 blocks weigh %d of %d bytes", d.Bytes, long.Bytes)
	}
	blocks, err := os.ReadFile(d.File)
	if err != nil {
		t.Fatal(err)
	}
	blocks = blocks[:d.Bytes]
	if err := d.share(filepath.Join(l.work, "shared")); err != nil {
		t.Fatal(err)
	}
	net := link.Loopback(2)
	cfg := serve.Config{Store: d.Store, Head: d.Head, File: d.File, Torrent: d.Torrent}
	for _, end := range net.Peers {
		for _, k := range kinds {
			cfg.Roles = append(cfg.Roles, serve.Role{Kind: k, End: end, Delay: 10 * time.Millisecond})
		}
	}
	p, err := serve.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	addrs := map[serve.Kind][]string{}
	for i, r := range cfg.Roles {
		addrs[r.Kind] = append(addrs[r.Kind], p.Addrs[i])
	}
	for _, c := range []struct {
		from serve.Kind
		cfg  fetch.Config
		file string
	}{
		{serve.HTTP, fetch.Config{Kind: fetch.HTTP}, "http"},
		{serve.Torrent, fetch.Config{Kind: fetch.Torrent, Torrent: d.Torrent}, "blocks"},
		{serve.Raw, fetch.Config{Kind: fetch.Raw, Shares: []float64{0.3, 0.7}}, "raw"},
		{serve.Shoal, fetch.Config{Kind: fetch.Sequential, Head: d.Head.Hash, Request: 100_000}, ""},
		{serve.Raw, fetch.Config{Kind: fetch.Blast, Time: 100 * time.Millisecond, Windows: []int{64 << 10, 64 << 10}}, ""},
	} {
		t.Run(string(c.cfg.Kind), func(t *testing.T) {
			if err := p.Begin(); err != nil {
				t.Fatal(err)
			}
			c.cfg.Addrs, c.cfg.Bytes, c.cfg.Dir = addrs[c.from], d.Bytes, t.TempDir()
			in, err := json.Marshal(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := fetch.Run(t.Context(), bytes.NewReader(in), &out); err != nil {
				t.Fatal(err)
			}
			var r fetch.Result
			if err := json.Unmarshal(out.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			st, err := p.Stats()
			if err != nil {
				t.Fatal(err)
			}
			var down int64
			for i, s := range st.Peers {
				if s.Down > 0 && cfg.Roles[i].Kind != c.from {
					t.Errorf("a server of %s sent %d bytes", cfg.Roles[i].Kind, s.Down)
				}
				down += s.Down
			}
			if down < d.Bytes {
				t.Errorf("%d bytes were sent, and the blocks weigh %d", down, d.Bytes)
			}
			if c.cfg.Kind == fetch.Blast && len(r.Rates) != 2 {
				t.Errorf("the rates of two links are %v", r.Rates)
			}
			if c.file == "" {
				return
			}
			got, err := os.ReadFile(filepath.Join(c.cfg.Dir, c.file))
			if err != nil || !bytes.Equal(got, blocks) {
				t.Errorf("%d bytes were fetched, not those %d that were served: %v", len(got), len(blocks), err)
			}
		})
	}
}
