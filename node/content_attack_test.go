package node_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/internal/memnet"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/swarm"
	"github.com/shoalnet/shoal/wire"
)

// The attacks that apply to content by its address, against a real node over real
// sessions: a slow honest node has all, somebody who is faster and nearer does harm. In
// the end everything is here to the byte and the honest node has not been blamed.

// dealer is a peer of the content exchange that is played message by message. It
// connects to a node and claims no chain.
type dealer struct {
	w    *world
	ip   string
	out  *wire.Writer
	all  map[common.Hash][]byte // what an honest one would have
	rand *rand.Rand

	mu    sync.Mutex
	asked int // questions
}

// dealer lets one connect to a node, as often as it is let in. Of all that there is it
// answers as the function says. greet, if there is one, comes before.
func (w *world) dealer(to *machine, all map[common.Hash][]byte, greet func(*dealer), answer func(*dealer, wire.GetContent)) *dealer {
	w.Helper()
	host, ip := w.host()
	host.SetDelay(ms)
	host.SetUpload(rogueRate)
	d := &dealer{w: w, ip: ip, all: all, rand: rand.New(rand.NewPCG(uint64(w.hosts), 1))}
	g, err := w.net.GenesisBlock()
	if err != nil {
		w.Fatal(err)
	}
	hello := wire.Hello{
		Version: wire.Version, Network: *uint256.NewInt(w.net.ID), Client: "dealer", Caps: wire.CapChain | wire.CapContent,
		Node: wire.NodeID{0: 3, 63: byte(w.hosts)}, TD: g.Difficulty, Best: g.Hash, Genesis: g.Hash,
	}
	w.wg.Go(func() {
		for w.ctx.Err() == nil {
			if conn, err := host.Dial(w.ctx, to.addr); err == nil {
				stop := context.AfterFunc(w.ctx, func() { conn.Close() })
				d.out = wire.NewWriter(conn)
				d.play(wire.NewReader(conn), hello, greet, answer)
				conn.Close()
				stop()
			}
			d.sleep(time.Second)
		}
	})
	return d
}

func (d *dealer) play(in *wire.Reader, hello wire.Hello, greet func(*dealer), answer func(*dealer, wire.GetContent)) {
	err := d.out.Write(hello)
	for err == nil {
		var m wire.Message
		if m, err = in.Next(); err != nil {
			break
		}
		switch m := m.(type) {
		case wire.Hello:
			if greet != nil {
				greet(d)
			}
		case wire.Ping:
			err = d.out.Write(wire.Pong{})
		case wire.GetBlockHashes:
			err = d.out.Write(wire.BlockHashes{})
		case wire.GetBlocks:
			err = d.out.Write(wire.Blocks{})
		case wire.GetContent:
			d.mu.Lock()
			d.asked++
			d.mu.Unlock()
			answer(d, m)
		}
	}
}

// say sends a message. That nobody hears it is seen by who reads.
func (d *dealer) say(m wire.Message) { d.out.Write(m) }

// pay answers with one payload for each address, as the function makes it of the right
// one.
func (d *dealer) pay(q wire.GetContent, change func(addr common.Hash, payload []byte) []byte) {
	a := wire.Content{Kind: q.Kind}
	for addr := range q.All() {
		a.Payloads = wire.AppendPayload(a.Payloads, change(addr, d.all[addr]))
	}
	d.say(a)
}

// other returns a right payload for another address.
func (d *dealer) other(addr common.Hash) []byte {
	for a, p := range d.all {
		if a != addr {
			return p
		}
	}
	return nil
}

func (d *dealer) sleep(t time.Duration) {
	select {
	case <-time.After(t):
	case <-d.w.ctx.Done():
	}
}

func (d *dealer) questions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// fraud is one of the attacks.
type fraud struct {
	name   string
	greet  func(*dealer)
	answer func(*dealer, wire.GetContent)
	// banned: it is proved. Others may be weak and honest, and rest at most.
	banned bool
	most   int // questions that it may cost; 0: it brings what it is asked for
}

func honestly(_ common.Hash, p []byte) []byte { return p }

// frauds returns the attacks, each of which can be played with content of any kind.
func frauds() []fraud {
	pay := func(change func(d *dealer, addr common.Hash, p []byte) []byte) func(*dealer, wire.GetContent) {
		return func(d *dealer, q wire.GetContent) {
			d.pay(q, func(a common.Hash, p []byte) []byte { return change(d, a, p) })
		}
	}
	return []fraud{
		{name: "junk", banned: true, answer: pay(func(d *dealer, _ common.Hash, p []byte) []byte {
			junk := make([]byte, len(p))
			for i := range junk {
				junk[i] = byte(d.rand.Uint32())
			}
			return junk
		})},
		{name: "a byte that is wrong", banned: true, answer: pay(func(_ *dealer, _ common.Hash, p []byte) []byte {
			p = slices.Clone(p)
			p[len(p)-1] ^= 1
			return p
		})},
		{name: "what another peer was asked for", banned: true, answer: pay(func(d *dealer, a common.Hash, _ []byte) []byte {
			return d.other(a)
		})},
		{name: "oversized content", banned: true, answer: pay(func(_ *dealer, _ common.Hash, p []byte) []byte {
			return append(slices.Clone(p), make([]byte, 9<<10)...)
		})},
		{name: "another kind", banned: true, answer: func(d *dealer, q wire.GetContent) {
			q.Kind = wire.ContentChunk + wire.ContentReceipts - q.Kind
			d.pay(q, honestly)
		}},
		{name: "more than was asked for", banned: true, answer: func(d *dealer, q wire.GetContent) {
			q.HashList = wire.AppendHash(slices.Clone(q.HashList), q.At(0))
			d.pay(q, honestly)
		}},
		{name: "a flood that nobody asked for", banned: true, greet: func(d *dealer) {
			payload := d.other(common.Hash{})
			for range 100 {
				d.say(wire.Content{Kind: wire.ContentChunk, Payloads: wire.AppendPayload(nil, payload)})
			}
		}, answer: func(d *dealer, q wire.GetContent) { d.pay(q, honestly) }},
		{name: "each answer twice", banned: true, answer: func(d *dealer, q wire.GetContent) {
			d.pay(q, honestly)
			d.pay(q, honestly)
			d.pay(q, honestly)
		}},
		{name: "empty answers", most: 60, answer: func(d *dealer, q wire.GetContent) { d.say(wire.Content{Kind: q.Kind}) }},
		{name: "nothing is held", most: 60, answer: pay(func(*dealer, common.Hash, []byte) []byte { return nil })},
		{name: "silence", most: 60, answer: func(*dealer, wire.GetContent) {}},
		{name: "one item for each question", answer: func(d *dealer, q wire.GetContent) {
			q.HashList = wire.AppendHash(nil, q.At(0))
			d.pay(q, honestly)
		}},
		{name: "a drip, one item every 0.9 seconds", answer: func(d *dealer, q wire.GetContent) {
			d.sleep(900 * ms)
			q.HashList = wire.AppendHash(nil, q.At(0))
			d.pay(q, honestly)
		}},
		{name: "all but the first", answer: func(d *dealer, q wire.GetContent) {
			d.pay(q, func(a common.Hash, p []byte) []byte {
				if a == q.At(0) {
					return nil
				}
				return p
			})
		}},
		{name: "as fast as can be, then silent", answer: func(d *dealer, q wire.GetContent) {
			if d.questions() > 5 {
				d.sleep(10 * time.Hour)
			}
			d.pay(q, honestly)
		}},
	}
}

// judge looks at what became of a fraud.
func (m *machine) judge(f fraud, d *dealer) {
	m.w.Helper()
	s := m.blames(d.ip)
	switch {
	case f.banned && (d.questions() > 0 || f.greet != nil) && !s.Banned(time.Now()):
		m.w.Errorf("%s: it is not banned: %+v", f.name, s)
	case !f.banned && s.Bans > 0:
		m.w.Errorf("%s: it is banned: %v", f.name, s.Evidence)
	}
	if n := d.questions(); f.most > 0 && n > f.most {
		m.w.Errorf("%s: it was asked %d times", f.name, n)
	}
}

// treasure is content of some kind, and how it is fetched.
type treasure struct {
	kind  string
	all   map[common.Hash][]byte
	hide  func(w *world, rate memnet.BytesPerSec) *machine // at an honest node
	fetch func(w *world, from string, dealers func(*machine)) *machine
}

// aFile is a file of a megabyte.
func aFile(t testing.TB) treasure {
	file := make([]byte, 1_000_000)
	rand.NewChaCha8([32]byte{1}).Read(file)
	all := make(map[common.Hash][]byte)
	ref, _, err := swarm.Split(bytes.NewReader(file), func(chunks []swarm.Chunk) error {
		for _, c := range chunks {
			all[c.Address] = slices.Clone(c.Payload)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return treasure{"chunks", all,
		func(w *world, rate memnet.BytesPerSec) *machine {
			m := w.honest("honest", nil, rate)
			if _, _, err := m.node.Files().Put(w.ctx, "", bytes.NewReader(file)); err != nil {
				w.Fatal(err)
			}
			return m
		},
		func(w *world, from string, dealers func(*machine)) *machine {
			v := w.node("victim", nil, nil, from)
			dealers(v)
			f := v.node.Files()
			if err := f.Fetch(w.ctx, ref, swarm.FetchOptions{}); err != nil {
				w.Fatal(err)
			}
			x, err := f.Open(w.ctx, ref)
			if err != nil {
				w.Fatal(err)
			}
			defer x.Close()
			if got, err := io.ReadAll(x); err != nil || !bytes.Equal(got, file) {
				w.Errorf("the file has %d bytes: %v", len(got), err)
			}
			return v
		},
	}
}

// theReceipts are those of a chain, of a megabyte; the chain is here.
func theReceipts(t testing.TB) treasure {
	shape := func(n uint64) (int, int) { return int(n % 90), 0 }
	b := testbed.NewBranch(t, chain.Dev, nil, 0, slices.Collect(chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 89, Shape: shape})))
	all := make(map[common.Hash][]byte)
	var records []store.Record
	for _, x := range b.Blocks {
		if x.HasReceipts() {
			all[x.ReceiptRoot] = chaingen.Receipts(x)
			records = append(records, store.Record{Hash: x.ReceiptRoot, Raw: all[x.ReceiptRoot]})
		}
	}
	return treasure{"receipts", all,
		func(w *world, rate memnet.BytesPerSec) *machine {
			m := w.honest("honest", b, rate)
			if _, err := m.store.PutContent(store.Receipts, records); err != nil {
				w.Fatal(err)
			}
			return m
		},
		func(w *world, from string, dealers func(*machine)) *machine {
			v := w.node("victim", b, func(c *node.Config) { c.Receipts = true }, from)
			dealers(v)
			v.until("the receipts", func(e any) bool {
				r, ok := e.(downloader.ReceiptsHere)
				return ok && r.Head.Hash == b.Head().Hash
			})
			for root, want := range all {
				if got, err := v.store.AppendContent(nil, store.Receipts, root); err != nil || !bytes.Equal(got, want) {
					w.Errorf("receipts %x: %v", root[:4], err)
				}
			}
			return v
		},
	}
}

// TestContentAttacks: one who does harm, beside a slow honest node.
func TestContentAttacks(t *testing.T) {
	for _, hoard := range []treasure{aFile(t), theReceipts(t)} {
		for _, f := range frauds() {
			t.Run(hoard.kind+" "+f.name, func(t *testing.T) {
				inBubble(t, func(t *testing.T, w *world) {
					honest := hoard.hide(w, honestRate)
					began := time.Now()
					var d *dealer
					v := hoard.fetch(w, honest.addr, func(v *machine) { d = w.dealer(v, hoard.all, f.greet, f.answer) })
					took := time.Since(began)
					t.Logf("took %v, %d questions for it", took.Round(ms), d.questions())
					if took > 2*soon {
						t.Errorf("took %v", took)
					}
					v.judge(f, d)
					v.fair(d.ip)
					v.frugal()
					v.bounded()
				})
			})
		}
	}
}

// TestContentFromOneHonestPeerAmongLiars: all of them at once.
func TestContentFromOneHonestPeerAmongLiars(t *testing.T) {
	for _, hoard := range []treasure{aFile(t), theReceipts(t)} {
		t.Run(hoard.kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				honest := hoard.hide(w, honestRate)
				began := time.Now()
				var dealers []*dealer
				var guilty []string
				v := hoard.fetch(w, honest.addr, func(v *machine) {
					for _, f := range frauds() {
						d := w.dealer(v, hoard.all, f.greet, f.answer)
						dealers, guilty = append(dealers, d), append(guilty, d.ip)
					}
				})
				took := time.Since(began)
				t.Logf("took %v", took.Round(ms))
				if took > time.Minute {
					t.Errorf("took %v", took)
				}
				for i, f := range frauds() {
					v.judge(f, dealers[i])
				}
				v.fair(guilty...)
				v.frugal()
				v.bounded()
			})
		})
	}
}

// TestA28AskForAllContent: who asks for everything, and reads nothing, is served with
// bounded memory or sent away, and nobody else waits for it.
func TestA28AskForAllContent(t *testing.T) {
	hoard := aFile(t)
	inBubble(t, func(t *testing.T, w *world) {
		honest := hoard.hide(w, 0)
		var list wire.HashList
		for a := range hoard.all {
			list = wire.AppendHash(list, a)
		}
		before := heap()
		greedy := w.dealer(honest, nil, func(d *dealer) {
			for range 5000 {
				d.say(wire.GetContent{Kind: wire.ContentChunk, HashList: list})
			}
			d.sleep(time.Hour)
		}, nil)
		time.Sleep(time.Minute)
		if grown := heap() - before; grown > 32<<20 {
			t.Errorf("the heap grew by %d bytes", grown)
		}
		v := hoard.fetch(w, honest.addr, func(*machine) {})
		v.fair()
		if s := honest.blames(greedy.ip); len(s.Evidence) == 0 {
			t.Errorf("nothing is remembered of who asks and does not read: %+v", s)
		}
	})
}
