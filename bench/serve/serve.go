package serve

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/swarm"
)

// Run is the process of the servers. It reads a Config from in, answers with the
// addresses of its roles, and then obeys commands until in ends: "begin" starts the
// clock of all faults and forgets what was counted, "stats" answers with [Stats].
func Run(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	dec := json.NewDecoder(lines)
	var cfg Config
	if err := dec.Decode(&cfg); err != nil {
		return fmt.Errorf("serve: reading the configuration: %w", err)
	}
	if err := cfg.check(); err != nil {
		return err
	}
	s := &server{cfg: &cfg, clock: &clock{}, network: chain.Dev}
	defer s.close()
	addrs, err := s.open()
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	if err := enc.Encode(addrs); err != nil {
		return err
	}
	for {
		var command string
		switch err := dec.Decode(&command); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("serve: reading a command: %w", err)
		}
		var answer any
		switch command {
		case "begin":
			s.begin()
			answer = true
		case "stats":
			answer = s.stats()
		default:
			return fmt.Errorf("serve: there is no command %q", command)
		}
		if err := enc.Encode(answer); err != nil {
			return err
		}
	}
}

// server is the process.
type server struct {
	cfg     *Config
	clock   *clock
	network *chain.Network
	peers   []*shaper
	closers []func()

	mu      sync.Mutex
	samples [][]int64 // by peer
}

func (s *server) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

func (s *server) onClose(f func()) { s.closers = append(s.closers, f) }

// open opens what is served and begins to listen. It returns the addresses.
func (s *server) open() (addrs []string, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var honest peer.Chain
	status := peer.Status{TD: s.cfg.Head.TD, Head: s.cfg.Head.Hash}
	number := s.cfg.Head.Number
	top, err := s.network.GenesisBlock()
	if err != nil {
		cancel()
		return nil, err
	}
	genesis := top.Hash
	switch {
	case s.cfg.Walk != nil:
		d, err := derive(s.network, *s.cfg.Walk)
		if err != nil {
			cancel()
			return nil, err
		}
		honest, number = d, d.head.Number
		status = peer.Status{TD: d.head.TD, Head: d.head.Hash}
	case s.cfg.Store != "":
		st, err := store.Open(s.cfg.Store, store.Options{MustExist: true})
		if err != nil {
			cancel()
			return nil, err
		}
		s.onClose(func() { st.Close() })
		raw, err := st.AppendRaw(nil, s.cfg.Head.Hash)
		if err != nil {
			cancel()
			return nil, fmt.Errorf("serve: head of %s: %w", s.cfg.Store, err)
		}
		if top, err = s.network.ParseBlock(raw); err != nil {
			cancel()
			return nil, err
		}
		honest = stored{st}
	}
	s.onClose(wg.Wait)
	s.onClose(cancel)
	var files *swarm.Files // cut when somebody serves its chunks
	for i, r := range s.cfg.Roles {
		p := &shaper{Role: r, clock: s.clock, conns: map[*conn]bool{}}
		s.peers = append(s.peers, p)
		l, err := r.Listen()
		if err != nil {
			return nil, fmt.Errorf("serve: role %d: %w", i, err)
		}
		addrs = append(addrs, l.Addr().String())
		shaped := shapedListener{l, p}
		s.onClose(func() { l.Close() })
		switch r.Kind {
		case Shoal:
			c, st := honest, status
			if r.Head.Number > 0 {
				st = peer.Status{TD: r.Head.TD, Head: r.Head.Hash}
			}
			if r.Liar {
				if c, st, err = newLie(s.network, Head{number, status.Head, status.TD}, top); err != nil {
					return nil, err
				}
			}
			cfg := &peer.Config{
				Network: s.network.ID, Genesis: genesis, Client: "lab", Chain: shop{c, p}, Hashes: chain.HashesOf,
				Status: func() peer.Status { return st }, Handler: deaf{},
			}
			copy(cfg.Node[:], fmt.Sprintf("peer %d of the lab", i))
			wg.Go(func() { accept(shaped, func(c net.Conn) { peer.New(c, true, cfg).Run(ctx) }) })
		case Swarm:
			if files == nil {
				if files, err = chunked(s.cfg.File); err != nil {
					return nil, err
				}
			}
			cfg := &peer.Config{
				Network: s.network.ID, Genesis: genesis, Client: "lab", Chain: nothing{}, Hashes: chain.HashesOf,
				Status: func() peer.Status { return peer.Status{TD: top.Difficulty, Head: genesis} }, Handler: deaf{},
				Exchange: half{files, r.Provider, &p.chunks}.exchange(),
			}
			copy(cfg.Node[:], fmt.Sprintf("provider %d of the lab", i))
			wg.Go(func() { accept(shaped, func(c net.Conn) { peer.New(c, true, cfg).Run(ctx) }) })
		case HTTP:
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { http.ServeFile(w, q, s.cfg.File) })}
			s.onClose(func() { srv.Close() })
			wg.Go(func() { srv.Serve(shaped) })
		case Raw:
			wg.Go(func() { accept(shaped, s.blast) })
		case Bitswap:
			stop, err := bitswapNode(shaped, s.cfg.File, r.Provider)
			if err != nil {
				return nil, err
			}
			s.onClose(stop)
		case Torrent:
			stop, err := seed(shaped, s.cfg.File, s.cfg.Torrent)
			if err != nil {
				return nil, err
			}
			s.onClose(stop)
		default:
			return nil, fmt.Errorf("serve: role %d: there is no kind %q", i, r.Kind)
		}
	}
	return addrs, nil
}

// begin starts the clock and the samples.
func (s *server) begin() {
	now := time.Now()
	s.mu.Lock()
	s.samples = make([][]int64, len(s.peers))
	s.mu.Unlock()
	for _, p := range s.peers {
		p.reset()
	}
	if s.clock.begun.Swap(&now) != nil {
		return // the sampler is running
	}
	stop := make(chan struct{})
	s.onClose(func() { close(stop) })
	go func() {
		tick := time.NewTicker(SampleInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.sample()
			case <-stop:
				return
			}
		}
	}()
}

// sample notes what every peer has sent, as often as it takes to catch up with the
// clock: a busy machine is late now and then.
func (s *server) sample() {
	due := int(s.clock.since() / SampleInterval)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.peers {
		for down := p.down(); len(s.samples[i]) < due; {
			s.samples[i] = append(s.samples[i], down)
		}
	}
}

func (s *server) stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Seconds: s.clock.since().Seconds()}
	at := func(ns int64) float64 {
		if ns == 0 {
			return -1
		}
		return time.Duration(ns).Seconds()
	}
	for i, p := range s.peers {
		st.Peers = append(st.Peers, PeerStats{
			Down: p.down(), Up: p.up.Load(), Samples: s.samples[i], Hashes: p.hashes.Load(), Chunks: p.chunks.Load(),
			FirstBlocks: at(p.firstBlocks.Load()), FirstHashes: at(p.firstHashes.Load()), LastHashes: at(p.lastHashes.Load()),
		})
	}
	return st
}

// blast sends a part of the file, or zeros until the client has enough. The request
// is a line with where the part begins and how long it is; zeros begin at -1.
func (s *server) blast(c net.Conn) {
	defer c.Close()
	line, err := bufio.NewReader(c).ReadString('\n')
	from, length, ok := strings.Cut(strings.TrimSpace(line), " ")
	offset, err1 := strconv.ParseInt(from, 10, 64)
	n, err2 := strconv.ParseInt(length, 10, 64)
	if err != nil || !ok || err1 != nil || err2 != nil {
		return
	}
	if offset < 0 {
		zeros := make([]byte, writePart)
		for err == nil {
			_, err = c.Write(zeros)
		}
		return
	}
	f, err := os.Open(s.cfg.File)
	if err != nil {
		return
	}
	defer f.Close()
	io.Copy(c, io.NewSectionReader(f, offset, n))
}

// shapedListener puts a peer's faults into what it accepts.
type shapedListener struct {
	net.Listener
	*shaper
}

func (l shapedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.shape(c.(*net.TCPConn)), nil
}

// accept handles connections until the listener is closed, and then waits for them.
func accept(l net.Listener, handle func(net.Conn)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() { handle(c) })
	}
}

// stored is a store as it is served.
type stored struct{ *store.Store }

func (c stored) AppendAncestors(dst []common.Hash, hash common.Hash, most int) ([]common.Hash, error) {
	hashes, err := c.Store.AppendAncestors(dst, hash, most)
	if errors.Is(err, store.ErrNotFound) {
		return dst, nil
	}
	return hashes, err
}

// deaf is told what a client sends, and does not care.
type deaf struct{}

func (deaf) Joined(context.Context, *peer.Session)                             {}
func (deaf) Hashes(context.Context, *peer.Session, common.Hash, []common.Hash) {}
func (deaf) Blocks(context.Context, *peer.Session, peer.Answer)                {}
func (deaf) Announced(context.Context, *peer.Session, []peer.Block)            {}
func (deaf) Left(*peer.Session, error)                                         {}
