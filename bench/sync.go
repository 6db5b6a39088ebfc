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
	"strconv"
	"time"

	"github.com/shoalnet/shoal/bench/fetch"
	"github.com/shoalnet/shoal/bench/plot"
	"github.com/shoalnet/shoal/bench/serve"
)

// synced is what came of one sync over a site, and of the same bytes over the same
// links by others.
type synced struct {
	spec
	Seconds    float64 `json:"seconds"`
	Ideal      float64 `json:"ideal_seconds"`
	Efficiency float64 `json:"efficiency"`
	Bytes      int64   `json:"bytes"`     // of the blocks
	Down       float64 `json:"down"`      // bytes down, in those of blocks and hashes
	Up         float64 `json:"up"`        // bytes up, in those that the hashes take
	Tail       float64 `json:"tail"`      // seconds for the last hundredth
	Shares     []int64 `json:"peers"`     // bytes from each peer
	Goodput    []int64 `json:"goodput"`   // of each link, in bytes a second
	LastHashes float64 `json:"walked"`    // seconds until the walk was over
	Shaped     bool    `json:"in_kernel"` // who held the rates
	Report     report  `json:"report"`
	usage
	Rivals map[string]rival `json:"rivals,omitempty"`
}

// rival is what came of another client.
type rival struct {
	Seconds    float64 `json:"seconds"`
	Efficiency float64 `json:"efficiency"`
	Duplicates float64 `json:"duplicates"` // as a share of the bytes
}

// report is that of shoal sync.
type report struct {
	Head struct {
		Number uint64 `json:"number"`
		Hash   string `json:"hash"`
	} `json:"head"`
	Fetched        uint64  `json:"fetched"`
	Bytes          uint64  `json:"bytes"`
	Duplicates     uint64  `json:"duplicate_blocks"`
	DuplicateBytes uint64  `json:"duplicate_bytes"`
	Seconds        float64 `json:"seconds"`
}

// duplicates is the share of the blocks' bytes that came more than once.
func (s *synced) duplicates() float64 { return float64(s.Report.DuplicateBytes) / float64(s.Bytes) }

// inflation is how many times the ideal time it took.
func (s *synced) inflation() float64 { return 1 / s.Efficiency }

// syncCommand is shoal sync from all peers of the site.
func (s *site) syncCommand(ctx context.Context, dir string, more ...string) *exec.Cmd {
	args := []string{"sync", "--json", "--network", network.Name, "--datadir", dir, "--log-level", "warn"}
	for _, a := range s.addrs[serve.Shoal] {
		args = append(args, "--peer", a)
	}
	cmd := s.net.Command(ctx, s.shoal, append(args, more...)...)
	cmd.Stderr = s.log
	return cmd
}

// sync runs shoal sync once, in an empty directory or, to resume, in one that is
// given, and checks that what it has is the chain.
func (s *site) sync(ctx context.Context, dir string, more ...string) (r synced, st serve.Stats, err error) {
	r = synced{spec: *s.spec, Bytes: s.data.Bytes, Ideal: s.ideal(), Shaped: s.net.Shaped}
	for _, g := range s.goodput {
		r.Goodput = append(r.Goodput, int64(g))
	}
	if dir == "" {
		dir = filepath.Join(s.work, "sync")
		defer os.RemoveAll(dir)
	}
	ctx, cancel := context.WithTimeout(ctx, patience(r.Ideal))
	defer cancel()
	if err := s.servers.Begin(); err != nil {
		return r, st, err
	}
	cmd := s.syncCommand(ctx, dir, more...)
	var out bytes.Buffer
	cmd.Stdout = &out
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return r, st, fmt.Errorf("shoal sync, after %.1f s: %w", time.Since(began).Seconds(), err)
	}
	if st, err = s.servers.Stats(); err != nil {
		return r, st, err
	}
	if err := json.Unmarshal(out.Bytes(), &r.Report); err != nil {
		return r, st, fmt.Errorf("the report of shoal sync: %w", err)
	}
	if r.Report.Head.Hash != s.data.Head.Hash.Hex() {
		return r, st, fmt.Errorf("shoal sync ends at block %d %s, the chain at %d %s",
			r.Report.Head.Number, r.Report.Head.Hash, s.data.Head.Number, s.data.Head.Hash)
	}
	if err := s.verify(ctx, dir); err != nil {
		return r, st, err
	}
	r.Seconds, r.usage = r.Report.Seconds, usageOf(cmd)
	r.Efficiency = r.Ideal / r.Seconds
	r.account(st)
	return r, st, nil
}

// patience is how long a run may take before it is given up.
func patience(ideal float64) time.Duration {
	return time.Minute + time.Duration(8*ideal*float64(time.Second))
}

// verify has the chain exported as a user would, and compares it with the one that
// was served, byte by byte.
func (s *site) verify(ctx context.Context, dir string) error {
	exported := filepath.Join(s.work, "export.rlp")
	defer os.Remove(exported)
	if out, err := exec.CommandContext(ctx, s.shoal, "export", "--datadir", dir, "--from", "1", "--log-level", "error", exported).CombinedOutput(); err != nil {
		return fmt.Errorf("shoal export: %w: %s", err, out)
	}
	got, err := os.Open(exported)
	if err != nil {
		return err
	}
	defer got.Close()
	want, err := os.Open(s.data.File)
	if err != nil {
		return err
	}
	defer want.Close()
	at, err := differ(got, io.LimitReader(want, s.data.Bytes))
	if err == nil && at >= 0 {
		err = fmt.Errorf("the chain that was fetched is not the one that was served: they differ at byte %d", at)
	}
	return err
}

// differ returns where two streams differ first, negative if nowhere.
func differ(a, b io.Reader) (at int64, err error) {
	const size = 1 << 20
	x, y := make([]byte, size), make([]byte, size)
	for {
		n, err := io.ReadFull(a, x)
		m, err2 := io.ReadFull(b, y)
		for i := range min(n, m) {
			if x[i] != y[i] {
				return at + int64(i), nil
			}
		}
		at += int64(min(n, m))
		switch {
		case n != m:
			return at, nil
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return -1, nil
		case err != nil || err2 != nil:
			return at, errors.Join(err, err2)
		}
	}
}

// account reads the servers' counters.
func (r *synced) account(st serve.Stats) {
	var down, up int64
	for _, p := range st.Peers {
		down += p.Down
		up += p.Up
		r.LastHashes = max(r.LastHashes, p.LastHashes)
		if p.Down > 0 || p.Up > 0 {
			r.Shares = append(r.Shares, p.Down)
		}
	}
	n := float64(r.Blocks)
	r.Down = float64(down) / (float64(r.Bytes) + hashItem*n)
	r.Up = float64(up) / (hashItem*n + hashItem*n/hashesAtOnce)
	r.Tail = tail(st, r.Seconds)
}

// tail returns how long before the end, in seconds, all but a hundredth of the bytes
// had arrived.
func tail(st serve.Stats, seconds float64) float64 {
	var total int64
	for _, p := range st.Peers {
		total += p.Down
	}
	for i := 0; ; i++ {
		var sum int64
		for _, p := range st.Peers {
			if i >= len(p.Samples) {
				return 0
			}
			sum += p.Samples[i]
		}
		if float64(sum) >= 0.99*float64(total) {
			return max(seconds-float64(i+1)*serve.SampleInterval.Seconds(), 0)
		}
	}
}

// draw writes the plot of a sync.
func (s *site) draw(file string, st serve.Stats) error {
	const every = 10 // samples
	var series []plot.Series
	for i, p := range st.Peers {
		if p.Down == 0 {
			continue
		}
		line := plot.Series{Name: "peer " + strconv.Itoa(i/len(kinds))}
		for at := every; at < len(p.Samples); at += every {
			line.Rates = append(line.Rates, float64(p.Samples[at]-p.Samples[at-every])/(every*serve.SampleInterval.Seconds()))
		}
		series = append(series, line)
	}
	sum := 0.0
	for _, g := range s.goodput {
		sum += g
	}
	title := fmt.Sprintf("%s: %d blocks from %d peers", s.Name, s.Blocks, len(s.Peers))
	return os.WriteFile(file, plot.SVG(title, every*serve.SampleInterval.Seconds(), sum, series), 0o644)
}

// compete has the competitors fetch the same bytes over the same links. Those with
// one server fetch as large a part of them as it has of all links; their time is
// scaled up.
func (s *site) compete(ctx context.Context, r *synced, names ...string) error {
	r.Rivals = map[string]rival{}
	if !s.contest {
		return nil
	}
	for _, name := range names {
		v, err := s.competitor(ctx, name, r.Ideal)
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			fmt.Fprintf(s.log, "%s: %s: %v\n", s.Name, name, err)
			continue // that others fail is no failure of ours
		}
		r.Rivals[name] = v
	}
	return nil
}

// The competitors.
const (
	overHTTP    = "http, one server"
	bitTorrent  = "bittorrent"
	bitswap     = "bitswap"
	rawTCP      = "raw tcp"
	oneByOne    = "one peer, one request"
	firstServer = 0
)

func (s *site) competitor(ctx context.Context, name string, ideal float64) (v rival, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience(ideal))
	defer cancel()
	sum := 0.0
	for _, g := range s.goodput {
		sum += g
	}
	cfg := fetch.Config{Bytes: s.data.Bytes}
	scale := 1.0
	switch name {
	case overHTTP:
		cfg.Kind, cfg.Addrs = fetch.HTTP, s.addrs[serve.HTTP][:1]
		cfg.Bytes = s.short.Bytes
		scale = float64(s.data.Bytes) / float64(cfg.Bytes)
	case bitTorrent:
		cfg.Kind, cfg.Addrs = fetch.Torrent, s.addrs[serve.Torrent]
		cfg.Torrent = s.data.Torrent
	case bitswap:
		cfg.Kind, cfg.Addrs, cfg.Pieces = fetch.Bitswap, s.addrs[serve.Bitswap], s.data.Pieces
	case rawTCP:
		cfg.Kind, cfg.Addrs = fetch.Raw, s.addrs[serve.Raw]
		for _, g := range s.goodput {
			cfg.Shares = append(cfg.Shares, g/sum)
		}
	case oneByOne:
		return s.sequential(ctx)
	}
	if err := s.servers.Begin(); err != nil {
		return v, err
	}
	f, err := s.fetch(ctx, cfg)
	if err != nil {
		return v, err
	}
	v.Seconds = scale * f.Seconds
	v.Efficiency = s.ideal() / v.Seconds
	v.Duplicates = float64(f.Duplicates) / float64(cfg.Bytes)
	return v, nil
}

// sequential is our own client with one peer and one request at a time, over a part
// of the chain.
func (s *site) sequential(ctx context.Context) (v rival, err error) {
	const requestSeconds = 0.15 // as the pool makes them
	f, err := s.fetch(ctx, fetch.Config{
		Kind: fetch.Sequential, Addrs: []string{s.shortAddr}, Head: s.short.Head.Hash, Bytes: s.short.Bytes,
		Request: int64(requestSeconds * s.goodput[firstServer]),
	})
	if err != nil {
		return v, err
	}
	v.Seconds = f.Seconds * float64(s.data.Bytes) / float64(s.short.Bytes)
	v.Efficiency = s.ideal() / v.Seconds
	return v, nil
}
