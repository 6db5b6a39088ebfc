package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/wire"
)

// The content of these stories are things: they go by their numbers, weigh what is
// asked for, and have the digest of their bytes as their address.

func thing(n, size int) []byte {
	b := make([]byte, max(size, 6))
	copy(b, "\xcc\xcc")
	binary.BigEndian.PutUint32(b[2:], uint32(n))
	return b
}

func thingAddr(n int) common.Hash { return chain.Keccak256(thing(n, 0)) }

var thingNumbers = func() map[common.Hash]int {
	m := make(map[common.Hash]int)
	for n := range 2000 {
		m[thingAddr(n)] = n
	}
	return m
}()

func showThings(addrs []common.Hash) (text string) {
	for _, a := range addrs {
		if n, ok := thingNumbers[a]; ok {
			text += fmt.Sprintf(" %d", n)
		} else {
			text += fmt.Sprintf(" %x", a[:3])
		}
	}
	return text
}

func thingAddrs(ns ...int) (addrs []common.Hash) {
	for _, n := range ns {
		addrs = append(addrs, thingAddr(n))
	}
	return addrs
}

func getThings(ns ...int) wire.GetContent {
	m := wire.GetContent{Kind: wire.ContentChunk}
	for _, a := range thingAddrs(ns...) {
		m.HashList = wire.AppendHash(m.HashList, a)
	}
	return m
}

// things is an answer; -1 stands for what is not held.
func things(ns ...int) wire.Content {
	m := wire.Content{Kind: wire.ContentChunk}
	for _, n := range ns {
		var p []byte
		if n >= 0 {
			p = thing(n, 0)
		}
		m.Payloads = wire.AppendPayload(m.Payloads, p)
	}
	return m
}

// thingSource holds of each thing what payload returns for it.
type thingSource struct {
	payload func(n int) []byte
	err     error
}

func (s thingSource) Payloads(addrs []common.Hash, yield func([]byte) bool) error {
	if s.err != nil {
		return s.err
	}
	buf := []byte{}
	for _, a := range addrs {
		buf = buf[:0]
		if n, ok := thingNumbers[a]; ok {
			buf = append(buf, s.payload(n)...)
		}
		if !yield(buf) {
			return nil
		}
		for i := range buf { // it was good until now
			buf[i] = 0xee
		}
	}
	return nil
}

func evenThings(n int) []byte {
	if n%2 == 0 && n < 1000 {
		return thing(n, 0)
	}
	return nil
}

// toyExchange exchanges things as chunks. What is heard of answers goes to l.
func toyExchange(l *listener, source ContentSource) *Exchange {
	return &Exchange{
		Kinds: map[wire.ContentKind]Kind{wire.ContentChunk: {
			Addresses: func(dst []common.Hash, payloads ...[]byte) ([]common.Hash, error) {
				for _, p := range payloads {
					if !bytes.HasPrefix(p, []byte("\xcc\xcc")) {
						return dst, errors.New("it does not begin as a thing")
					}
				}
				return chain.Keccak256s(dst, payloads...), nil
			},
			Source: source,
		}},
		Answer: func(ctx context.Context, s *Session, a ContentAnswer) {
			text := fmt.Sprintf("content %d, %v:", a.ID, a.Kind)
			for _, it := range a.Items {
				if chain.Keccak256(it.Payload) != it.Address {
					text += " changed"
				}
				text += showThings([]common.Hash{it.Address})
			}
			if len(a.Absent) > 0 {
				text += "; absent:" + showThings(a.Absent)
			}
			if a.At.IsZero() {
				text += ", but when?"
			}
			l.note(ctx, s, nil, "%s", text)
		},
		Head: func(ctx context.Context, s *Session, now Status) {
			l.note(ctx, s, nil, "head %x… with %v", now.Head[:2], &now.TD)
		},
	}
}

// exchanging begins a story in which both sides exchange content.
func exchanging(t *testing.T, source ContentSource, story func(p *other)) {
	t.Helper()
	scene{config: func(cfg *Config) {
		cfg.Exchange = toyExchange(cfg.Handler.(*listener), source)
	}}.tell(t, func(p *other) {
		h := hello()
		h.Caps |= wire.CapContent
		p.send(h)
		if got := p.expectHello(); got.Caps != 0x0f {
			p.Errorf("capabilities %v, want the content exchange too", got.Caps)
		}
		p.expectHeard("joined")
		story(p)
	})
}

func TestAskContent(t *testing.T) {
	exchanging(t, nil, func(p *other) {
		if !p.session.Exchanges() {
			p.Error("no exchange")
		}
		asked := thingAddrs(1, 2, 3, 4)
		p.session.GetContent(7, wire.ContentChunk, asked)
		clear(asked) // the caller's
		p.session.GetContent(8, wire.ContentChunk, thingAddrs(5, 5))
		p.session.GetContent(9, wire.ContentChunk, thingAddrs(6))
		p.session.GetContent(10, wire.ContentChunk, thingAddrs(7, 8))
		p.session.GetContent(11, wire.ContentChunk, thingAddrs(9, 10))
		p.expect("GetContent chunk: 1 2 3 4", "GetContent chunk: 5 5", "GetContent chunk: 6", "GetContent chunk: 7 8", "GetContent chunk: 9 10")
		p.send(things(1, -1, 3)) // nothing is said of 4
		p.send(things(5, 5), things(6), things(-1, -1), things())
		p.expectHeard("content 7, chunk: 1 3; absent: 2", "content 8, chunk: 5 5", "content 9, chunk: 6",
			"content 10, chunk:; absent: 7 8", "content 11, chunk:; absent: 9 10")
		p.expectSilence(15*time.Second - 1)
	})
}

// TestHeads: a head is told, and heard.
func TestHeads(t *testing.T) {
	exchanging(t, nil, func(p *other) {
		head := func(n byte) wire.Head { return wire.Head{TD: *uint256.NewInt(uint64(n)), Hash: common.Hash{n}} }
		p.send(head(1), head(2))
		p.expectHeard("head 0100… with 1", "head 0200… with 2")
		p.session.TellHead(Status{TD: head(9).TD, Head: head(9).Hash})
		p.expect("Head 0900… with 9")
		p.expectSilence(10 * time.Second)
	})
}

// TestContentLies: each is told to the caller as a violation, and nothing of the
// message is heard.
func TestContentLies(t *testing.T) {
	receipts := things(1)
	receipts.Kind = wire.ContentReceipts
	junk := wire.Content{Kind: wire.ContentChunk, Payloads: wire.AppendPayload(nil, []byte("junk"))}
	for _, tt := range []struct {
		name   string
		answer wire.Content
		want   string
	}{
		{"more than was asked for", things(1, 2, 3), "more than 2 items"},
		{"in another order", things(2, 1), fmt.Sprintf("address %x in the place of %x", thingAddr(2), thingAddr(1))},
		{"something else", things(-1, 3), fmt.Sprintf("address %x in the place of %x", thingAddr(3), thingAddr(2))},
		{"another kind", receipts, "receipts in answer to a request for chunk"},
		{"no content of the kind", junk, "chunk that is none: it does not begin as a thing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exchanging(t, nil, func(p *other) {
				p.session.GetContent(1, wire.ContentChunk, thingAddrs(1, 2))
				p.expect("GetContent chunk: 1 2")
				p.send(tt.answer)
				p.expectDisconnect(wire.ReasonBadProtocol)
				p.endedBy(violation(wire.ReasonBadProtocol, tt.want))
			})
		})
	}
	t.Run("unasked", func(t *testing.T) {
		exchanging(t, nil, func(p *other) {
			p.session.GetContent(1, wire.ContentChunk, thingAddrs(1))
			p.expect("GetContent chunk: 1")
			p.send(things(1), things(2))
			p.expectHeard("content 1, chunk: 1")
			p.expectDisconnect(wire.ReasonBadProtocol)
			p.endedBy(violation(wire.ReasonBadProtocol, "nobody asked for"))
		})
	})
}

func TestServeContent(t *testing.T) {
	exchanging(t, thingSource{payload: evenThings}, func(p *other) {
		receipts := getThings(2)
		receipts.Kind = wire.ContentReceipts
		p.send(getThings(2, 4), getThings(1, 2, 3, 4, 1500), getThings(1, 3), receipts, getThings(2, 2), wire.GetPeers{})
		p.expect("Content chunk: 2 4", "Content chunk: - 2 - 4 -", "Content chunk: - -", "Content receipts:", "Content chunk: 2 2", "Peers")
		p.expectSilence(15*time.Second - 1)
	})
}

func TestServeContentBytes(t *testing.T) {
	for _, tt := range []struct {
		name string
		size map[int]int // of each thing asked for; 0: not held
		want int         // items
	}{
		{"all", map[int]int{0: 100, 1: 100, 2: 0, 3: 100}, 4},
		{"two megabytes", map[int]int{0: 1 << 20, 1: 1<<20 - 100, 2: 100}, 2},
		{"the second does not fit", map[int]int{0: 1 << 20, 1: 1 << 20, 2: 1}, 1},
		{"one at least", map[int]int{0: 5 << 20, 1: 1}, 1},
		{"one behind what is not held", map[int]int{0: 0, 1: 0, 2: 5 << 20, 3: 0, 4: 1}, 4},
		{"as big as a frame", map[int]int{0: 0, 1: maxPayload, 2: 0}, 3},
		{"too big for a frame", map[int]int{0: maxPayload + 1, 1: 10}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source := thingSource{payload: func(n int) []byte {
				if tt.size[n] == 0 {
					return nil
				}
				return thing(n, tt.size[n])
			}}
			exchanging(t, source, func(p *other) {
				var ns []int
				for n := range len(tt.size) {
					ns = append(ns, n)
				}
				p.send(getThings(ns...))
				m, err := p.in.Next()
				if err != nil {
					p.Fatal(err, p.why())
				}
				n := 0
				for got := range m.(wire.Content).Payloads.All() {
					if want := tt.size[n]; len(got) != want && !(len(got) == 0 && want > maxPayload) {
						p.Errorf("item %d has %d bytes, want %d", n, len(got), want)
					}
					n++
				}
				if n != tt.want {
					p.Errorf("%d items, want %d", n, tt.want)
				}
			})
		})
	}
}

func TestContentOwnError(t *testing.T) {
	exchanging(t, thingSource{err: errDisk}, func(p *other) {
		p.send(getThings(2))
		p.expectDisconnect(wire.ReasonQuitting)
		p.endedBy(errDisk)
	})
}

// TestContentWork: who asks for content waits for his share of the work, as for
// blocks.
func TestContentWork(t *testing.T) {
	var many []int
	for range wire.MaxContent {
		many = append(many, 1001)
	}
	exchanging(t, thingSource{payload: evenThings}, func(p *other) {
		began := time.Now()
		rounds := serveBurst / (wire.MaxContent + requestWork)
		for range rounds {
			p.send(getThings(many...))
			if m, err := p.in.Next(); err != nil || m.(wire.Content).Payloads.Len() != len(many) {
				p.Fatal(m, err)
			}
		}
		if took := time.Since(began); took > 0 {
			p.Errorf("the burst took %v", took)
		}
		more := rounds / 2
		for range more {
			p.send(getThings(many...))
		}
		for range more {
			if _, err := p.in.Next(); err != nil {
				p.Fatal(err)
			}
		}
		want := time.Duration((rounds+more)*(wire.MaxContent+requestWork)-serveBurst) * time.Second / serveWork
		if took := time.Since(began); took < want-time.Millisecond || took > want+time.Millisecond {
			p.Errorf("took %v, want %v", took, want)
		}
	})
}

// TestContentFlood: who asks and does not read is left, as for blocks.
func TestContentFlood(t *testing.T) {
	scene{room: 4 << 10, config: func(cfg *Config) {
		cfg.Exchange = toyExchange(cfg.Handler.(*listener), thingSource{payload: evenThings})
	}}.tell(t, func(p *other) {
		h := hello()
		h.Caps |= wire.CapContent
		p.send(h)
		p.expectHello()
		p.expectHeard("joined")
		p.flood(2*maxPending, getThings(2, 4, 6))
		p.endedBy(violation(wire.ReasonUselessPeer, "more requests than it reads answers"))
	})
}

// TestNoExchange: nothing of the exchange goes to a side that has not announced it,
// whatever it sends; and content is a lie, because nobody can have asked.
func TestNoExchange(t *testing.T) {
	for _, tt := range []struct {
		name         string
		ours, theirs bool
	}{{"neither", false, false}, {"we do", true, false}, {"they do", false, true}} {
		t.Run(tt.name, func(t *testing.T) {
			sc := scene{config: func(cfg *Config) {
				if tt.ours {
					cfg.Exchange = toyExchange(cfg.Handler.(*listener), thingSource{payload: evenThings})
				}
			}}
			begin := func(p *other) {
				h := hello()
				if tt.theirs {
					h.Caps |= wire.CapContent
				}
				p.send(h)
				if got := p.expectHello(); got.Caps.Has(wire.CapContent) != tt.ours {
					p.Errorf("capabilities %v", got.Caps)
				}
				p.expectHeard("joined")
			}
			sc.tell(t, func(p *other) {
				begin(p)
				p.send(getThings(2, 4), wire.Head{Hash: common.Hash{1}}, wire.GetPeers{})
				p.expect("Peers")
				func() {
					defer func() {
						if recover() == nil {
							p.Error("it may be asked for content")
						}
					}()
					p.session.GetContent(1, wire.ContentChunk, thingAddrs(1))
				}()
				func() {
					defer func() {
						if recover() == nil {
							p.Error("it may be told of a head")
						}
					}()
					p.session.TellHead(Status{})
				}()
				p.expectSilence(10 * time.Second)
				p.send(things(1))
				p.expectDisconnect(wire.ReasonBadProtocol)
			})
			sc.tell(t, func(p *other) { // and it counts as chatter
				begin(p)
				p.flood(chatterBurst/chatterCost+1, getThings(2))
				p.endedBy(violation(wire.ReasonUselessPeer, "nobody asked for"))
			})
		})
	}
}

// TestExchangeUnnoticed: to clients of 2014, we are the same with the exchange as
// without, but for one bit in Hello.
func TestExchangeUnnoticed(t *testing.T) {
	names, err := filepath.Glob(filepath.Join("..", "..", "shared", "transcripts", "*.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Skip("shared data is absent: no recorded sessions")
	}
	c := readChain(t, "data/poc6/chain500-pv30.hex")
	for _, name := range names {
		name = strings.TrimSuffix(filepath.Base(name), ".bin")
		stream, _ := recorded(t, name)
		// By kind, since answers with hashes go before others that wait: when they do,
		// only the moment says.
		var sent [2]map[wire.ID]string
		for i := range sent {
			sent[i] = make(map[wire.ID]string)
			cfg := testConfig(ourNode, c, new(counter))
			cfg.Genesis = c.genesis
			cfg.Status = func() Status { return Status{Head: c.head} }
			if i == 1 {
				cfg.Exchange = toyExchange(nil, thingSource{payload: evenThings})
			}
			messages, _ := replay(t, stream, cfg)
			for n, m := range messages {
				h, isHello := m.(wire.Hello)
				if isHello != (n == 0) {
					t.Fatalf("%s: message %d is %v", name, n, m.ID())
				}
				if isHello && i == 1 {
					if h.Caps != 0x0f {
						t.Errorf("%s: capabilities %v", name, h.Caps)
					}
					h.Caps &^= wire.CapContent
					m = h
				}
				sent[i][m.ID()] += string(wire.AppendFrame(nil, m))
			}
		}
		if !maps.Equal(sent[0], sent[1]) || len(sent[0]) == 0 {
			t.Errorf("%s: what is sent with the exchange is not what is sent without", name)
		}
	}
}

// TestContentBothWays: two sessions exchange content with each other over a
// connection that holds little.
func TestContentBothWays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const requests = 200
		here, there := memPipe(1000)
		done := make(chan bool, 2)
		results := make(chan error, 2)
		var sessions [2]*Session
		for i, end := range []*memConn{here, there} {
			l := &listener{heard: make(chan string, 1<<14)}
			l.then = func(s *Session, _ *Answer) {
				if len(l.heard) == 1 {
					for id := range requests {
						s.GetContent(uint64(id), wire.ContentChunk, thingAddrs(id, id+1, id+2, id+3))
					}
				}
				if len(l.heard) == requests+1 {
					done <- true
				}
			}
			cfg := testConfig([]wire.NodeID{ourNode, theirNode}[i], toyChain{top: 4}, l)
			cfg.Exchange = toyExchange(l, thingSource{payload: evenThings})
			sessions[i] = New(end, i == 0, cfg)
			go func() { results <- sessions[i].Run(t.Context()) }()
			defer func() {
				<-l.heard // joined
				for id := range requests {
					even := id + id%2
					odd := id + 1 - id%2
					want := fmt.Sprintf("content %d, chunk: %d %d; absent: %d %d", id, even, even+2, odd, odd+2)
					if got := <-l.heard; got != want {
						t.Errorf("heard %q, want %q", got, want)
					}
				}
			}()
		}
		<-done
		<-done
		sessions[0].Disconnect(wire.ReasonRequested)
		<-results
		<-results
		synctest.Wait()
	})
}
