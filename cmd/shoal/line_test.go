package main

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shoalnet/shoal/api"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file in testdata.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := "testdata/" + file
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("not what %s says (-want +got, rewrite it with -update):\n%s", path, diff)
	}
}

// TestProgressLine: the line of a sync in all its states.
func TestProgressLine(t *testing.T) {
	sync := func(change func(*api.Sync)) *api.Sync {
		s := &api.Sync{
			Here: 412_331, All: 1_000_000, BlocksPerSec: 8430.7, BytesPerSec: 47.1e6, Efficiency: 0.96, Duplicates: 0.001,
			ETA: &api.ETA{Least: 69.7, Most: 70.2}, Hashes: 1_000_000, Linked: 398_120, Why: api.Transferring,
		}
		change(s)
		return s
	}
	eta := func(least, most float64) *api.Sync {
		return sync(func(s *api.Sync) { s.ETA = &api.ETA{Least: least, Most: most} })
	}
	var out strings.Builder
	for _, c := range []struct {
		what string
		node api.Node
	}{
		{"all goes well", api.Node{Peers: 7, Late: 1, Sync: sync(func(*api.Sync) {})}},
		{"the rate varies", api.Node{Peers: 7, Sync: eta(70, 105)}},
		{"nothing has come for a while", api.Node{Peers: 7, Sync: eta(70, 0)}},
		{"minutes", api.Node{Peers: 7, Sync: eta(300, 421)}},
		{"hours", api.Node{Peers: 7, Sync: eta(3601, 9007)}},
		{"days", api.Node{Peers: 7, Sync: eta(400_000, 500_000)}},
		{"it has just begun", api.Node{Peers: 2, Sync: sync(func(s *api.Sync) {
			*s = api.Sync{All: 15_537_393, Hashes: 8193, Why: api.WaitingHashes}
		})}},
		{"all but one", api.Node{Peers: 1, Sync: sync(func(s *api.Sync) { s.Here, s.ETA, s.Why = 999_999, nil, api.Tail })}},
		{"nobody is there", api.Node{Sync: sync(func(s *api.Sync) { s.ETA = nil }), Waiting: "no peer is connected; the download goes on when one is"}},
		{"the head is looked for", api.Node{Peers: 3}},
		{"it has not come", api.Node{Peers: 1, Waiting: "the head block that 192.0.2.7:30303 claims has not come"}},
	} {
		out.WriteString(c.what + "\n\t" + progressLine(&c.node) + "\n")
	}
	golden(t, "progress.golden", out.String())
}

func TestShort(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 7: "7", 999: "999", 1000: "1.0k", 9940: "9.9k", 9960: "10k", 398_120: "398k", 999_499: "999k",
		999_600: "1.0M", 1_000_000: "1.0M", 15_537_393: "16M", 2_000_000_000: "2.0G",
	} {
		if got := short(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
