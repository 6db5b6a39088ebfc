package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/wire"
)

// Who comes and goes in TestSoak and means no harm.

// The ports that honest peers and others say they listen on. They have names by them;
// nobody is there.
const (
	honestPort, honestPorts = 1100, 900
	foePort, foePorts       = 1, 1000
)

// visitor is a peer with nothing but the genesis block, who looks at a node's chain.
type visitor struct {
	conn  net.Conn
	best  common.Hash // of the node
	mu    sync.Mutex
	out   *wire.Writer
	got   chan wire.Message // answers, and what nobody has asked for; closed at the end
	ended error             // why, when got is closed
}

// visit connects to a node and shakes hands. The context ends the session.
func (s *soak) visit(ctx context.Context, addr string, port uint16) (*visitor, error) {
	d := net.Dialer{Timeout: patience}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	v := &visitor{conn: conn, out: wire.NewWriter(conn), got: make(chan wire.Message, 64)}
	in := wire.NewReader(conn)
	hello := helloFor(s, chain.Dev)
	hello.Port = port
	v.send(hello)
	m, err := in.Next()
	if err != nil {
		conn.Close()
		return nil, err
	}
	theirs, ok := m.(wire.Hello)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("the node begins with %v", m.ID())
	}
	v.best = theirs.Best
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	go func() {
		defer close(v.got)
		defer stop()
		for {
			m, err := in.Next()
			if err != nil {
				v.ended = err
				return
			}
			switch m := m.(type) {
			case wire.Ping:
				v.send(wire.Pong{})
			case wire.GetPeers:
				v.send(wire.Peers{})
			case wire.GetTransactions:
				v.send(wire.Transactions{})
			case wire.GetBlockHashes:
				v.send(wire.BlockHashes{})
			case wire.GetBlocks:
				v.send(wire.Blocks{})
			case wire.Disconnect:
				v.ended = errors.New("the node disconnects: " + m.Reason.String())
				return
			default:
				in.Detach()
				select {
				case v.got <- m:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return v, nil
}

func (v *visitor) send(m wire.Message) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.out.Write(m)
}

// answer returns the next message of a type.
func answer[M wire.Message](v *visitor) (none M, err error) {
	timeout := time.After(patience)
	for {
		select {
		case m, ok := <-v.got:
			if !ok {
				return none, v.ended
			}
			if m, ok := m.(M); ok {
				return m, nil
			}
		case <-timeout:
			return none, fmt.Errorf("no %v for %v", none.ID(), patience)
		}
	}
}

// look asks for what a new peer asks for.
func (v *visitor) look() error {
	v.send(wire.GetBlockHashes{Start: v.best, Max: 20})
	hashes, err := answer[wire.BlockHashes](v)
	if err != nil {
		return err
	}
	v.send(wire.GetBlocks(hashes))
	blocks, err := answer[wire.Blocks](v)
	if err != nil {
		return err
	}
	if hashes.Len() != 20 || blocks.Len() != 20 {
		return fmt.Errorf("%d hashes and %d blocks, want 20", hashes.Len(), blocks.Len())
	}
	v.send(wire.GetPeers{})
	_, err = answer[wire.Peers](v)
	return err
}

// visitors come every second, look around, and go with or without a word.
func (s *soak) visitors(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := 0; pause(ctx, min(time.Second, s.pace)); i++ {
		all.Go(func() {
			v, err := s.visit(ctx, s.watched[i%2].addr, honestPort+uint16(i%honestPorts))
			if err == nil {
				defer v.conn.Close()
				err = v.look()
			}
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				s.fault("an honest visitor was treated badly: %v", err)
				return
			}
			s.did("honest sessions")
			pause(ctx, time.Duration(rand.Int64N(int64(4*time.Second))))
			if i%3 > 0 {
				v.send(wire.Disconnect{Reason: wire.ReasonQuitting})
			}
		})
	}
}

// payments sends transactions to one node, and waits for them at the other one.
func (s *soak) payments(ctx context.Context) {
	var mu sync.Mutex
	missing := map[string]bool{}
	sent := 0
	var both sync.WaitGroup
	both.Go(func() {
		for pause(ctx, 100*time.Millisecond) {
			v, err := s.visit(ctx, s.watched[1].addr, 0)
			for err == nil {
				var m wire.Transactions
				if m, err = answer[wire.Transactions](v); err != nil {
					break
				}
				mu.Lock()
				for raw := range m.All() {
					delete(missing, string(raw))
				}
				mu.Unlock()
			}
		}
	})
	for pause(ctx, 100*time.Millisecond) {
		v, err := s.visit(ctx, s.watched[0].addr, 0)
		for err == nil && pause(ctx, 400*time.Millisecond) {
			raw := payment(s, uint64(sent))
			mu.Lock()
			missing[string(raw)] = true
			mu.Unlock()
			sent++
			err = v.send(wire.Transactions{RawList: raw})
		}
	}
	both.Wait()
	s.Logf("%d transactions sent to one node, %d of them did not come to the other one", sent, len(missing))
	if len(missing) > 5+sent/20 { // some are on their way, and sessions may end
		s.fault("too many")
	}
}

// newcomers are whole programs: one fetches the chain and ends, the next one is a node that
// is found, and then stopped or killed.
func (s *soak) newcomers(ctx context.Context) {
	for i := 0; pause(ctx, min(8*time.Second, 4*s.pace)); i++ {
		dir := s.data(fmt.Sprint("newcomer", i))
		args := []string{"sync", "--timeout", "90s"}
		if i%2 == 1 {
			args = []string{"node", "--listen", "127.0.0.1:0"}
		}
		args = append(args, "--network", chain.Dev.Name, "--datadir", dir, "--discover=true")
		for _, o := range s.watched {
			args = append(args, "--peer", o.addr)
		}
		p, err := launch(exec.Command(program(s), args...))
		if err != nil {
			s.fault("%v", err)
			return
		}
		if i%2 == 1 {
			pause(ctx, min(8*time.Second, 4*s.pace))
			if i%4 == 1 {
				p.kill()
			} else {
				p.cmd.Process.Signal(os.Interrupt)
			}
		}
		code, err := p.wait()
		if want := map[int]int{0: exitOK, 1: -1, 2: exitOK, 3: exitOK}[i%4]; err != nil || code != want {
			s.fault("shoal %q ends with %d, want %d (%v):\n%s", args, code, want, err, tail(p.all.String()))
		}
		if text := p.all.String(); strings.Contains(text, "level=ERROR") || strings.Contains(text, "peer banned") {
			s.fault("shoal %q wrote:\n%s", args, tail(text))
		}
		if err := os.RemoveAll(dir); err != nil {
			s.fault("%v", err)
		}
		s.did("honest programs")
	}
}

// readers ask over HTTP and WebSocket, and do not always end well.
func (s *soak) readers(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := 0; pause(ctx, min(2*time.Second, s.pace)); i++ {
		web := s.watched[i%2].web
		all.Go(func() {
			if i%4 == 3 {
				half(ctx, strings.TrimPrefix(web, "http://"))
				s.did("requests that end in the middle")
				return
			}
			url := web
			if i%4 > 0 {
				url = strings.Replace(web, "http", "ws", 1)
			}
			if err := read(ctx, url, i%4 > 0); err != nil && ctx.Err() == nil {
				s.fault("a reader of %s: %v", url, err)
			}
			s.did("readers")
		})
	}
}

// half sends the first half of a request.
func half(ctx context.Context, addr string) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n[{")
	pause(ctx, 5*time.Second)
}

// read asks for some blocks, and for the next head.
func read(ctx context.Context, url string, subscribe bool) error {
	c, err := ethclient.DialContext(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close()
	for range 5 {
		if _, err := c.BlockByNumber(ctx, nil); err != nil {
			return err
		}
	}
	if !subscribe {
		scraper := http.Client{Transport: &http.Transport{DisableKeepAlives: rand.IntN(2) == 0}}
		defer scraper.CloseIdleConnections()
		resp, err := scraper.Get(url + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	heads := make(chan *types.Header, 100)
	sub, err := c.SubscribeNewHead(ctx, heads)
	if err != nil {
		return err
	}
	if rand.IntN(2) == 0 {
		defer sub.Unsubscribe()
	}
	select {
	case <-heads:
		return nil
	case err := <-sub.Err():
		return err
	case <-time.After(patience):
		return errors.New("no head came")
	case <-ctx.Done():
		return nil
	}
}
