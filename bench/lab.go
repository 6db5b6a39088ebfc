package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/shoalnet/shoal/bench/fetch"
	"github.com/shoalnet/shoal/bench/link"
	"github.com/shoalnet/shoal/bench/serve"
)

// lab is where everything is measured.
type lab struct {
	root  string // of the repository
	cache string // generated chains, kept from run to run
	work  string // of this run, removed at its end
	shoal string // the binary
	self  string // the lab's own
	log   io.Writer
	lock  *os.File

	seconds float64 // that an ideal run takes
	runs    int     // of each row; 0: as many as it asks for
	rivals  int     // in how many runs of a row the competitors take part
	contest bool    // whether they do in this one
	svg     string  // where to draw the last sync

	synced map[string]synced // what has been measured, by name and number of the run
}

// newLab builds the binary and makes the directories.
func newLab(ctx context.Context) (*lab, error) {
	l := &lab{log: os.Stderr, synced: map[string]synced{}}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/shoalnet/shoal").Output()
	if err != nil {
		return nil, fmt.Errorf("the lab runs in its own directory, bench: go list: %w", err)
	}
	l.root = string(bytes.TrimSpace(out))
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	l.cache = filepath.Join(base, "shoal-lab", cacheFormat)
	if err := os.MkdirAll(l.cache, 0o755); err != nil {
		return nil, err
	}
	if l.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if err := l.alone(); err != nil {
		return nil, err
	}
	if l.work, err = os.MkdirTemp("", "shoal-lab-"); err != nil {
		return nil, err
	}
	l.shoal = filepath.Join(l.work, "shoal")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", l.shoal, "./cmd/shoal")
	build.Dir = l.root
	if out, err := build.CombinedOutput(); err != nil {
		l.close()
		return nil, fmt.Errorf("building shoal: %w\n%s", err, out)
	}
	return l, nil
}

// cacheFormat changes when the chains do.
const cacheFormat = "1"

// alone waits until no other lab runs on this machine: they would spoil each other's
// figures, and they share the chains.
func (l *lab) alone() (err error) {
	if l.lock, err = os.OpenFile(filepath.Join(l.cache, "lock"), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return err
	}
	fd := int(l.lock.Fd())
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		fmt.Fprintln(l.log, "another lab is running: waiting for it")
		return syscall.Flock(fd, syscall.LOCK_EX)
	} else if err != nil {
		return fmt.Errorf("%s: %w", l.lock.Name(), err)
	}
	return nil
}

func (l *lab) close() {
	os.RemoveAll(l.work)
	l.lock.Close()
}

// site is a network that stands, with its servers and what its links carry.
type site struct {
	*lab
	*spec
	data    data
	net     *link.Net
	servers *serve.Process
	addrs   map[serve.Kind][]string
	goodput []float64 // of each link, in bytes a second

	// short is a part of the chain that the first link carries in an ideal time,
	// and shortAddr where a peer at its end serves it.
	short     data
	shortAddr string
}

// kinds are what each peer speaks, in the order of its roles.
var kinds = []serve.Kind{serve.Shoal, serve.Raw, serve.HTTP, serve.Torrent}

// calibrationTime is how long the goodput of the links is measured. Half of it
// would leave an error of a percent.
const calibrationTime = 2 * time.Second

// build makes the network of a spec and calibrates its links.
func (l *lab) build(ctx context.Context, sp *spec) (_ *site, err error) {
	s := &site{lab: l, spec: sp, addrs: map[serve.Kind][]string{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.data, err = l.chainOf(ctx, sp.Sizes, sp.Blocks); err != nil {
		return nil, err
	}
	part := sp.Peers[firstServer].mbit * 1e6 / 8 * netShare / s.nominal()
	if s.short, err = l.chainOf(ctx, sp.Sizes, max(uint64(part*float64(sp.Blocks)), 1)); err != nil {
		return nil, err
	}
	if l.contest {
		if err := s.data.share(filepath.Join(l.work, "shared")); err != nil {
			return nil, fmt.Errorf("sharing the blocks: %w", err)
		}
	}
	if s.net, err = link.New(ctx, sp.rates()); err != nil {
		return nil, err
	}
	cfg := serve.Config{Store: s.data.Store, Head: s.data.Head, File: s.data.File, Torrent: s.data.Torrent}
	for i := range sp.Peers {
		for _, k := range kinds {
			if k == serve.Torrent && !l.contest {
				continue
			}
			cfg.Roles = append(cfg.Roles, s.role(i, k))
		}
	}
	short := s.role(firstServer, serve.Shoal)
	short.Head = s.short.Head
	cfg.Roles = append(cfg.Roles, short)
	if s.servers, err = serve.Start(ctx, cfg); err != nil {
		return nil, err
	}
	last := len(cfg.Roles) - 1
	s.shortAddr = s.servers.Addrs[last]
	for i, r := range cfg.Roles[:last] {
		s.addrs[r.Kind] = append(s.addrs[r.Kind], s.servers.Addrs[i])
	}
	return s, s.calibrate(ctx)
}

// calibrate measures what the links carry.
func (s *site) calibrate(ctx context.Context) error {
	cfg := fetch.Config{Kind: fetch.Blast, Addrs: s.addrs[serve.Raw], Time: calibrationTime}
	for _, rate := range s.rates() {
		cfg.Windows = append(cfg.Windows, link.Window(rate))
	}
	r, err := s.fetch(ctx, cfg)
	if err != nil {
		return fmt.Errorf("calibrating the links: %w", err)
	}
	s.goodput = r.Rates
	return nil
}

// role is a peer of the site as a server of some kind.
func (s *site) role(i int, k serve.Kind) serve.Role {
	p := s.Peers[i]
	nominal := p.mbit * 1e6 / 8 * netShare
	faultless := float64(s.data.Bytes+hashItem*int64(s.Blocks)) / s.nominal()
	at := func(share float64) time.Duration { return time.Duration(share * faultless * float64(time.Second)) }
	r := serve.Role{
		Kind: k, End: s.net.Peers[i], Delay: time.Duration(p.rtt * float64(time.Millisecond)),
		Stall: at(p.stall), Slow: at(p.slow), SlowRate: p.to * nominal,
	}
	if !s.net.Shaped {
		r.Rate = nominal
	}
	switch {
	case k == serve.Shoal:
		r.Items, r.Hashes, r.Liar = p.items, p.hashes, p.liar
		r.Think = time.Duration(p.think * float64(time.Millisecond))
	case k != serve.Raw && p.think > 0:
		// Others know no blocks: what a drip of blocks comes to.
		r.Rate = s.drip(p)
	}
	return r
}

// drip is what a peer brings that thinks before each answer, in bytes a second.
func (s *site) drip(p peer) float64 { return float64(p.items) * s.Sizes.mean() / (p.think / 1000) }

// nominal is what all links carry, by their rates.
func (s *site) nominal() float64 {
	sum := 0.0
	for _, p := range s.Peers {
		sum += p.mbit * 1e6 / 8 * netShare
	}
	return sum
}

// ideal is the time in which the links, as calibrated, bring that many blocks and
// their hashes, peers with faults counted up to these.
func (s *site) ideal() float64 {
	faultless := float64(s.data.Bytes+hashItem*int64(s.Blocks)) / s.nominal()
	var flows []flow
	for i, p := range s.Peers {
		f := steady(s.goodput[i])
		switch {
		case p.liar:
			continue
		case p.think > 0:
			f = steady(min(s.drip(p), s.goodput[i]))
		case p.stall > 0:
			f = flow{s.goodput[i], p.stall * faultless, 0}
		case p.slow > 0:
			f = flow{s.goodput[i], p.slow * faultless, p.to * s.goodput[i]}
		}
		flows = append(flows, f)
	}
	return fluid(float64(s.data.Bytes)+hashItem*float64(s.Blocks), flows)
}

// close takes the site down.
func (s *site) close() error {
	var errs []error
	if s.servers != nil {
		errs = append(errs, s.servers.Stop())
	}
	if s.net != nil {
		errs = append(errs, s.net.Close())
	}
	return errors.Join(errs...)
}

// fetch runs one of the other clients in its own process, and removes what it has
// fetched.
func (s *site) fetch(ctx context.Context, cfg fetch.Config) (r fetch.Result, err error) {
	if cfg.Dir, err = os.MkdirTemp(s.work, "fetch-"); err != nil {
		return r, err
	}
	defer os.RemoveAll(cfg.Dir)
	in, err := json.Marshal(cfg)
	if err != nil {
		return r, err
	}
	cmd := s.net.Command(ctx, s.self, fetch.Argument)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, s.log
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("%s: %w", cfg.Kind, err)
	}
	return r, json.Unmarshal(out.Bytes(), &r)
}

// usage is what a process has cost.
type usage struct {
	CPU float64 `json:"cpu_seconds"`
	RSS int64   `json:"rss_bytes"` // at its peak
}

func usageOf(cmd *exec.Cmd) (u usage) {
	st := cmd.ProcessState
	u.CPU = (st.UserTime() + st.SystemTime()).Seconds()
	if r, ok := st.SysUsage().(*syscall.Rusage); ok {
		u.RSS = r.Maxrss << 10
	}
	return u
}
