package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/wire"
)

// TestReplay brings the chain of 500 blocks that a client of 2014 mined through
// import, node, sync and export, and then asks a running node everything that was
// asked in the recorded sessions of such clients. Its answers must be those that
// were recorded: hash lists in full, blocks byte for byte in the same order, where
// the old server stops at 16 and ours may go on.
//
// Of the sessions cpp-pv30-sync500 and py-pv30-from-cpp-pv30 are about this chain.
// cpp-pv30-tiny6 is about another one, chain6-pv30.hex, which has its own node
// here; cpp-pv30-live-mining is about one that nobody kept.
func TestReplay(t *testing.T) {
	t.Parallel()
	file500, file6 := poc6File(), shared("data/poc6/chain6-pv30.hex")
	if file500 == "" || file6 == "" {
		t.Skip("the chains of 2014 are absent from ../shared")
	}
	root := t.TempDir()

	// From file to file: import, node, sync, export.
	source, synced := filepath.Join(root, "source"), filepath.Join(root, "synced")
	shoal(t, "import", "--datadir", source, "--network", "poc6", file500)
	chain500 := poc6Chain(t, file500)
	last := chain500[len(chain500)-1]
	want := api.Head{Number: last.Number, Hash: last.Hash, TD: poc6TD}
	checkStatus(t, source, want)
	_, addrSource := startNode(t, "--datadir", source, "--listen", "127.0.0.1:0")
	report := decode[syncReport](t, shoal(t, "sync", "--datadir", synced, "--network", "poc6", "--peer", addrSource, "--json"))
	if report.Head != want || report.Fetched != want.Number || report.Duplicates != 0 {
		t.Errorf("the sync ends at %v with %d blocks and %d duplicates, want %v, all blocks once", report.Head, report.Fetched, report.Duplicates, want)
	}
	text, err := os.ReadFile(file500)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(export(t, synced), unhexLines(string(text))) {
		t.Error("the export is not the file that was imported")
	}

	_, addr500 := startNode(t, "--datadir", synced, "--listen", "127.0.0.1:0")
	tiny := filepath.Join(root, "tiny")
	shoal(t, "import", "--datadir", tiny, "--network", "poc6", file6)
	_, addr6 := startNode(t, "--datadir", tiny, "--listen", "127.0.0.1:0")

	for _, s := range []struct {
		session string
		addr    string
		chain   []archive.Block
		hashes  int // requests that apply
		blocks  int
	}{
		{"cpp-pv30-sync500", addr500, chain500, 16, 32},
		{"py-pv30-from-cpp-pv30", addr500, chain500, 1, 32},
		{"cpp-pv30-tiny6", addr6, poc6Chain(t, file6), 1, 1},
		{"cpp-pv30-live-mining", addr500, chain500, 0, 0},
	} {
		t.Run(s.session, func(t *testing.T) {
			known := map[common.Hash]bool{}
			for _, b := range s.chain {
				known[b.Hash] = true
			}
			p := joinRaw(t, s.addr, chain.PoC6)
			var hashes, blocks, more, other int
			for _, e := range exchanges(t, s.session) {
				switch q := e.question.(type) {
				case wire.GetBlockHashes:
					if !known[q.Start] {
						other++
						continue
					}
					hashes++
					p.send(t, q)
					got, want := await[wire.BlockHashes](t, p), e.answer.(wire.BlockHashes)
					if !bytes.Equal(got.HashList, want.HashList) {
						t.Errorf("%s: the %d hashes from %v on: we answer %d, and not what was recorded, %d", e.who, q.Max, q.Start, got.Len(), want.Len())
					}
				case wire.GetBlocks:
					if !known[q.At(0)] {
						other++
						continue
					}
					blocks++
					p.send(t, q)
					got, want := await[wire.Blocks](t, p), e.answer.(wire.Blocks)
					if !bytes.HasPrefix(got.RawList, want.RawList) {
						t.Errorf("%s: of %d blocks from %v on: our answer of %d does not begin with the recorded one of %d", e.who, q.Len(), q.At(0), got.Len(), want.Len())
					}
					switch {
					case got.Len() > want.Len() && want.Len() < 16:
						t.Errorf("%s: of %d blocks from %v on we send %d, the recorded answer has %d and is below its limit", e.who, q.Len(), q.At(0), got.Len(), want.Len())
					case got.Len() > want.Len():
						more++
					}
				}
			}
			t.Logf("%d requests for hashes, %d for blocks, %d of which we answered with more blocks; %d are about another chain", hashes, blocks, more, other)
			if hashes < s.hashes || blocks < s.blocks {
				t.Errorf("%d requests for hashes and %d for blocks apply, want at least %d and %d", hashes, blocks, s.hashes, s.blocks)
			}
		})
	}
}

// poc6Chain reads a chain of 2014.
func poc6Chain(t testing.TB, file string) (blocks []archive.Block) {
	t.Helper()
	for b, err := range archive.Blocks(file, chain.PoC6) {
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// exchange is a request in a recorded session, and the answer that it got.
type exchange struct {
	who      string // asked
	question wire.Message
	answer   wire.Message
}

// exchanges pairs the requests of a recorded session with their answers, whichever
// side asked. Each kind of request is answered in order; blocks that were not
// asked for are announcements.
func exchanges(t testing.TB, session string) (all []exchange) {
	t.Helper()
	recorded := map[string][]wire.Message{}
	for _, side := range []string{"c2s", "s2c"} {
		path := shared("transcripts/" + session + "." + side + ".bin")
		if path == "" {
			t.Skipf("the session %s is absent from ../shared/transcripts", session)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r := wire.NewReader(bytes.NewReader(raw))
		for {
			m, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			r.Detach() // it stays
			recorded[side] = append(recorded[side], m)
		}
	}
	for _, side := range []string{"c2s", "s2c"} {
		other := strings.Join(slices.DeleteFunc([]string{"c2s", "s2c"}, func(s string) bool { return s == side }), "")
		answers := recorded[other]
		take := func(fits func(wire.Message) bool) wire.Message {
			for i, m := range answers {
				if fits(m) {
					answers = slices.Delete(slices.Clone(answers), i, i+1)
					return m
				}
			}
			return nil
		}
		for _, m := range recorded[side] {
			var a wire.Message
			switch q := m.(type) {
			case wire.GetBlockHashes:
				a = take(func(m wire.Message) bool { return m.ID() == wire.IDBlockHashes })
			case wire.GetBlocks:
				asked := map[common.Hash]bool{}
				for h := range q.All() {
					asked[h] = true
				}
				a = take(func(m wire.Message) bool {
					b, ok := m.(wire.Blocks)
					if !ok {
						return false
					}
					for raw := range b.All() {
						if h, err := chain.HashOf(raw); err != nil || !asked[h] {
							return false
						}
					}
					return true
				})
			default:
				continue
			}
			if a == nil {
				t.Logf("%s: a %v at the end of the session was not answered any more", side, m.ID())
				continue
			}
			all = append(all, exchange{side, m, a})
		}
	}
	return all
}
