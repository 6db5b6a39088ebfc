package main

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/swarm"
	"github.com/shoalnet/shoal/wire"
)

// proxy stands between a node that syncs, the client, and one that serves. It
// reads the frames that pass, slows the server's bytes down, and can cut the
// connection at an exact byte.
type proxy struct {
	listener net.Listener
	to       string       // address of the server
	rate     atomic.Int64 // bytes a second towards the client; 0: as fast as it goes
	stop     chan struct{}
	running  sync.WaitGroup // what accepts
	sessions sync.WaitGroup // pumps

	mu        sync.Mutex
	budget    *budget
	conns     map[net.Conn]bool
	bytes     int64                 // towards the client
	asks      []ask                 // for blocks, by either side
	delivered []common.Hash         // blocks and chunks in whole frames that passed
	uploaded  []common.Hash         // blocks in whole frames towards the server
	down      bool                  // nobody gets through, see cut
	changed   func(delivered int64) // see watch
	faults    []error
}

// ask is a request for a block, when it was seen.
type ask struct {
	hash     common.Hash
	byClient bool
	at       time.Time
}

// newProxy starts a proxy, which ends with the test.
func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, stop: make(chan struct{}), conns: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		close(p.stop)
		l.Close()
		p.running.Wait()
		p.mu.Lock()
		for c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.sessions.Wait()
		for _, err := range p.faults {
			t.Errorf("the proxy to %s saw what is no frame: %v", to, err)
		}
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		down := p.down
		p.mu.Unlock()
		server, err := net.Dial("tcp", p.to)
		if err == nil && down {
			server.Close()
		}
		if err != nil || down { // nobody is there: the client sees its connection closed
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		p.sessions.Go(func() {
			var both sync.WaitGroup
			both.Go(func() { p.pump(server, client, false) })
			both.Go(func() { p.pump(client, server, true) })
			both.Wait()
			client.Close()
			server.Close()
			p.mu.Lock()
			delete(p.conns, client)
			delete(p.conns, server)
			p.mu.Unlock()
		})
	}
}

// errCut is why a pump ends whose budget is used up.
var errCut = errors.New("cut")

// pump passes the bytes of one direction on, and looks at the frames in them.
func (p *proxy) pump(to, from net.Conn, down bool) {
	r := wire.NewReader(io.TeeReader(from, forwarder{p, to, down}))
	for {
		m, err := r.Next()
		if err != nil {
			if _, ok := errors.AsType[*wire.FormatError](err); ok {
				p.mu.Lock()
				p.faults = append(p.faults, err)
				p.mu.Unlock()
			}
			if errors.Is(err, errCut) {
				to.Close()
				from.Close()
				return
			}
			to.(*net.TCPConn).CloseWrite()
			return
		}
		p.note(m, down)
	}
}

// note counts what passes.
func (p *proxy) note(m wire.Message, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m := m.(type) {
	case wire.GetBlocks:
		for h := range m.All() {
			p.asks = append(p.asks, ask{h, !down, time.Now()})
		}
	case wire.Blocks:
		list := &p.uploaded
		if down {
			list = &p.delivered
		}
		for raw := range m.All() {
			h, err := chain.HashOf(raw)
			if err != nil {
				p.faults = append(p.faults, err)
				continue
			}
			*list = append(*list, h)
		}
		if down && p.changed != nil {
			p.changed(int64(len(p.delivered)))
		}
	case wire.Content:
		if !down || m.Kind != wire.ContentChunk {
			return
		}
		for payload := range m.Payloads.All() {
			if len(payload) == 0 {
				continue // it is not held
			}
			h, err := swarm.Address(payload)
			if err != nil {
				p.faults = append(p.faults, err)
				continue
			}
			p.delivered = append(p.delivered, h)
		}
		if p.changed != nil {
			p.changed(int64(len(p.delivered)))
		}
	}
}

// forwarder writes to the other side of a proxy.
type forwarder struct {
	p    *proxy
	to   net.Conn
	down bool
}

func (f forwarder) Write(b []byte) (int, error) {
	if !f.down {
		return f.to.Write(b)
	}
	n := 0
	for n < len(b) {
		part := b[n:min(len(b), n+8<<10)]
		f.p.mu.Lock()
		budget := f.p.budget
		f.p.mu.Unlock()
		fire := false
		if budget != nil {
			var may int
			may, fire = budget.take(len(part))
			if may == 0 {
				return n, errCut
			}
			part = part[:may]
		}
		m, err := f.to.Write(part)
		n += m
		f.p.mu.Lock()
		f.p.bytes += int64(m)
		f.p.mu.Unlock()
		if fire {
			budget.fire()
			return n, errCut
		}
		if err != nil {
			return n, err
		}
		if rate := f.p.rate.Load(); rate > 0 {
			select {
			case <-time.After(time.Duration(len(part)) * time.Second / time.Duration(rate)):
			case <-f.p.stop:
				return n, errCut
			}
		}
	}
	return n, nil
}

// cut ends all sessions and lets nobody through, until it is called with false.
func (p *proxy) cut(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for c := range p.conns {
		c.Close()
	}
}

// passed returns the blocks that have passed in one direction.
func (p *proxy) passed(down bool) []common.Hash {
	p.mu.Lock()
	defer p.mu.Unlock()
	if down {
		return slices.Clone(p.delivered)
	}
	return slices.Clone(p.uploaded)
}

// asked returns the requests of one side, of the client if down.
func (p *proxy) asked(down bool) (asks []ask) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.asks {
		if a.byClient == down {
			asks = append(asks, a)
		}
	}
	return asks
}

// begin starts a new count, with a budget that may be nil. There must be no
// session.
func (p *proxy) begin(b *budget) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget, p.bytes, p.asks, p.delivered = b, 0, nil, nil
}

// watch has f called with the number of delivered blocks whenever it changes. f must
// not call the proxy.
func (p *proxy) watch(f func(delivered int64)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed = f
}

// settle waits until all sessions are over, which they are soon after the client
// is gone.
func (p *proxy) settle(t testing.TB) {
	t.Helper()
	over := make(chan struct{})
	go func() {
		p.sessions.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(patience):
		t.Fatal("a session outlives its client")
	}
}

// counts returns what has passed since begin, and what the client has requested.
func (p *proxy) counts() (bytes int64, requested, delivered []common.Hash) {
	for _, a := range p.asked(true) {
		requested = append(requested, a.hash)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes, requested, p.delivered
}

// budget is a number of bytes that may pass, together, through several proxies.
// When the last of them has passed, fire is called, once.
type budget struct {
	mu   sync.Mutex
	left int64
	fire func()
}

func (b *budget) take(n int) (may int, last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left == 0 {
		return 0, false
	}
	may = int(min(int64(n), b.left))
	b.left -= int64(may)
	return may, b.left == 0
}
