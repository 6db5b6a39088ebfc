package peer

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/wire"
)

// The sessions that real clients of 2014 had with each other, once more with one
// of them replaced by ours.

// readShared returns a file of the project's shared data, which lies beside the
// repository and is not part of it, and skips the test without it.
func readShared(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "shared", filepath.FromSlash(name)))
	if os.IsNotExist(err) {
		t.Skipf("shared data is absent: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// recorded returns the messages of one direction of a recorded session: c2s is
// what the side that dialled has sent.
func recorded(t *testing.T, name string) (stream []byte, messages []wire.Message) {
	t.Helper()
	stream = readShared(t, "transcripts/"+name+".bin")
	return stream, allMessages(t, bytes.NewReader(stream))
}

func allMessages(t *testing.T, r io.Reader) (messages []wire.Message) {
	t.Helper()
	in := wire.NewReader(r)
	for {
		m, err := in.Next()
		if err == io.EOF {
			return messages
		}
		if err != nil {
			t.Fatalf("message %d: %v", len(messages), err)
		}
		in.Detach()
		messages = append(messages, m)
	}
}

// realChain is a chain in memory.
type realChain struct {
	blocks  map[common.Hash][]byte
	parents map[common.Hash]common.Hash
	genesis common.Hash
	head    common.Hash
}

func readChain(t *testing.T, name string) *realChain {
	t.Helper()
	c := &realChain{blocks: map[common.Hash][]byte{}, parents: map[common.Hash]common.Hash{}}
	for i, line := range strings.Fields(string(readShared(t, name))) {
		raw, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		b, err := chain.ParseBlock(chain.FormatPoC6, raw)
		if err != nil {
			t.Fatal(err)
		}
		c.head = b.Hash
		c.blocks[b.Hash], c.parents[b.Hash] = raw, b.Parent
		if i == 0 {
			c.genesis = b.Hash
		}
	}
	return c
}

func (c *realChain) AppendAncestors(dst []common.Hash, h common.Hash, max int) ([]common.Hash, error) {
	if c.blocks[h] == nil {
		return dst, nil
	}
	for ; h != c.genesis && max > 0; max-- {
		h = c.parents[h]
		dst = append(dst, h)
	}
	return dst, nil
}

func (c *realChain) AppendBlocks(dst []byte, hashes []common.Hash, most, limit int) ([]byte, error) {
	return appendBlocks(dst, hashes, most, limit, func(h common.Hash) []byte { return c.blocks[h] })
}

// counter is a handler that counts.
type counter struct {
	hashes, blocks, announced int
	answers                   []Answer
	ask                       func(s *Session)
}

func (c *counter) Joined(_ context.Context, s *Session) {
	if c.ask != nil {
		c.ask(s)
	}
}
func (c *counter) Hashes(_ context.Context, _ *Session, _ common.Hash, hs []common.Hash) {
	c.hashes += len(hs)
}
func (c *counter) Announced(_ context.Context, _ *Session, blocks []Block) {
	c.announced += len(blocks)
}
func (c *counter) Left(*Session, error) {}
func (c *counter) Blocks(_ context.Context, _ *Session, a Answer) {
	c.blocks += len(a.Blocks)
	c.answers = append(c.answers, a)
}

// replay runs a session against a recorded stream, and returns what it sends and
// why it ends.
func replay(t *testing.T, stream []byte, cfg *Config) (sent []wire.Message, cause error) {
	t.Helper()
	peers := 1 // answers to GetPeers to wait for: one more than is asked in the recording
	var feed []byte
	for _, m := range allMessages(t, bytes.NewReader(stream)) {
		switch m.ID() {
		case wire.IDDisconnect: // comes when all is answered
			continue
		case wire.IDGetPeers:
			peers++
		}
		feed = wire.AppendFrame(feed, m)
	}
	feed = wire.AppendFrame(feed, wire.GetPeers{})
	inBubble(t, func(t *testing.T) {
		ours, theirs := memPipe(4 << 10)
		result := make(chan error, 1)
		go func() { result <- New(ours, true, cfg).Run(t.Context()) }()
		go theirs.Write(feed)
		in := wire.NewReader(theirs)
		for ; peers > 0; in.Detach() {
			m, err := in.Next()
			if err != nil {
				t.Fatalf("after %d messages: %v, %v", len(sent), err, <-result)
			}
			if m.ID() == wire.IDPeers {
				peers--
			}
			sent = append(sent, m)
		}
		theirs.Close()
		cause = <-result
	})
	return sent, cause
}

// TestServeRecorded: what a client of 2014 asked another one, it asks us, and it
// gets the same answers. In each recording the side that dialled downloads, and
// the one that listened (s) serves 500 blocks; we take its place.
func TestServeRecorded(t *testing.T) {
	for _, tt := range []struct {
		name, chain    string
		hashes, blocks int // that were served
	}{
		{"cpp-pv30-tiny6", "chain6-pv30", 6, 6},
		{"cpp-pv30-sync500", "chain500-pv30", 500, 500},
		{"py-pv30-from-cpp-pv30", "chain500-pv30", 500, 499},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := readChain(t, "data/poc6/"+tt.chain+".hex")
			stream, asked := recorded(t, tt.name+".c2s")
			_, answers := recorded(t, tt.name+".s2c")
			handler := new(counter)
			cfg := testConfig(ourNode, c, handler)
			cfg.Genesis = c.genesis
			cfg.Exchange = toyExchange(nil, nil) // which that client must not notice
			cfg.Status = func() Status { return Status{Head: c.head} }
			sent, _ := replay(t, stream, cfg)

			served := func(all []wire.Message) (ms []wire.Message) {
				for _, m := range all {
					if m.ID() == wire.IDBlockHashes || m.ID() == wire.IDBlocks {
						ms = append(ms, m)
					}
				}
				return ms
			}
			got, want := served(sent), served(answers)
			if len(got) != len(want) {
				t.Errorf("%d answers, recorded are %d", len(got), len(want))
			}
			hashes, blocks := 0, 0
			for i := range min(len(got), len(want)) {
				switch want := want[i].(type) {
				case wire.BlockHashes:
					got, ok := got[i].(wire.BlockHashes)
					if !ok || !bytes.Equal(got.HashList, want.HashList) {
						t.Fatalf("answer %d of %d hashes, recorded are %d", i, got.Len(), want.Len())
					}
					hashes += got.Len()
				case wire.Blocks:
					// That server stops at 16.
					got, ok := got[i].(wire.Blocks)
					if !ok || !bytes.HasPrefix(got.RawList, want.RawList) || got.Len() > want.Len() && want.Len() < 16 {
						t.Fatalf("answer %d of %d blocks, recorded are %d", i, got.Len(), want.Len())
					}
					blocks += want.Len()
				}
			}
			if hashes != tt.hashes || blocks != tt.blocks {
				t.Errorf("%d hashes and %d blocks compared", hashes, blocks)
			}
			pings, pongs, pushed := 0, 0, 0
			for _, m := range asked {
				switch m := m.(type) {
				case wire.Ping:
					pings++
				case wire.Blocks:
					pushed += m.Len()
				}
			}
			for _, m := range sent {
				if m.ID() == wire.IDPong {
					pongs++
				}
			}
			if pongs != pings || handler.announced != pushed || handler.blocks > 0 {
				t.Errorf("%d pongs for %d pings, %d of %d announced", pongs, pings, handler.announced, pushed)
			}
			t.Logf("%d answers, %d hashes, %d blocks as recorded; %d blocks announced", len(want), hashes, blocks, pushed)
		})
	}
}

// TestAskRecorded: we ask what a client of 2014 asked, all at once, and hear the
// recorded answers.
func TestAskRecorded(t *testing.T) {
	for _, tt := range []struct {
		name           string
		hashes, blocks int
	}{
		{"cpp-pv30-tiny6", 6, 6},
		{"cpp-pv30-sync500", 500, 500},
		{"py-pv30-from-cpp-pv30", 500, 499},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, requests := recorded(t, tt.name+".c2s")
			stream, _ := recorded(t, tt.name+".s2c")
			handler := new(counter)
			id := uint64(0)
			handler.ask = func(s *Session) {
				for _, m := range requests {
					switch m := m.(type) {
					case wire.GetBlockHashes:
						s.GetHashes(m.Start, int(m.Max))
					case wire.GetBlocks:
						var hs []common.Hash
						for h := range m.All() {
							hs = append(hs, h)
						}
						s.GetBlocks(id, hs)
						id++
					}
				}
			}
			cfg := testConfig(ourNode, toyChain{}, handler)
			cfg.Genesis = common.HexToHash("08436a4d33c77e6acf013e586a3333ad152f25d31df8b68749d85046810e1f4b")
			replay(t, stream, cfg)
			if handler.hashes != tt.hashes || handler.blocks != tt.blocks || handler.announced != 0 {
				t.Errorf("%d hashes, %d blocks, %d announced", handler.hashes, handler.blocks, handler.announced)
			}
			for i, a := range handler.answers {
				if a.ID != uint64(i) || !a.Closed || a.Scattered {
					t.Errorf("answer %d is %d, closed %v, scattered %v", i, a.ID, a.Closed, a.Scattered)
				}
			}
			if uint64(len(handler.answers)) != id {
				t.Errorf("%d answers to %d requests", len(handler.answers), id)
			}
		})
	}
}

// TestLiveMining: a client that mines pushes its blocks.
func TestLiveMining(t *testing.T) {
	stream, messages := recorded(t, "cpp-pv30-live-mining.s2c")
	pushed := 0
	for _, m := range messages {
		if m, ok := m.(wire.Blocks); ok {
			pushed += m.Len()
		}
	}
	handler := new(counter)
	cfg := testConfig(ourNode, toyChain{}, handler)
	cfg.Genesis = common.HexToHash("08436a4d33c77e6acf013e586a3333ad152f25d31df8b68749d85046810e1f4b")
	replay(t, stream, cfg)
	if handler.announced != pushed || pushed == 0 {
		t.Errorf("%d of %d announced", handler.announced, pushed)
	}
	t.Log(fmt.Sprint(pushed, " blocks pushed"))
}
