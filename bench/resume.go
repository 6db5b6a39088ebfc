package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shoalnet/shoal/bench/link"
	"github.com/shoalnet/shoal/bench/serve"
)

// The rows of the walk and of what a kill costs.

// onLoopback serves a chain from some peers on this machine, without any limit.
func (l *lab) onLoopback(ctx context.Context, sp *spec, walk *serve.Walk) (s *site, err error) {
	s = &site{lab: l, spec: sp, net: link.Loopback(len(sp.Peers)), addrs: map[serve.Kind][]string{}}
	cfg := serve.Config{Walk: walk}
	if walk == nil {
		if s.data, err = l.chainOf(ctx, sp.Sizes, sp.Blocks); err != nil {
			return nil, err
		}
		cfg.Store, cfg.Head = s.data.Store, s.data.Head
	}
	for i, p := range sp.Peers {
		cfg.Roles = append(cfg.Roles, serve.Role{
			Kind: serve.Shoal, End: s.net.Peers[i], Delay: time.Duration(p.rtt * float64(time.Millisecond)),
			Items: p.items, Think: time.Duration(p.think * float64(time.Millisecond)), Hashes: p.hashes,
		})
	}
	if s.servers, err = serve.Start(ctx, cfg); err != nil {
		return nil, err
	}
	s.addrs[serve.Shoal] = s.servers.Addrs
	return s, nil
}

// until runs shoal sync until the servers have seen what it is to do, then kills it. It
// returns the servers' counters, how long it ran, and its memory at its peak.
func (s *site) until(ctx context.Context, dir string, seen func(serve.Stats) bool, more ...string) (st serve.Stats, rss int64, err error) {
	if err := s.servers.Begin(); err != nil {
		return st, 0, err
	}
	cmd := s.syncCommand(ctx, dir, more...)
	if err := cmd.Start(); err != nil {
		return st, 0, err
	}
	ended := make(chan error, 1) // one
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(serve.SampleInterval)
	defer tick.Stop()
	for deadline := time.Now().Add(untilTimeout); err == nil && !seen(st); {
		select {
		case err := <-ended:
			return st, 0, fmt.Errorf("shoal sync ended before its time: %w", errors.Join(err, ctx.Err()))
		case <-tick.C:
			if time.Now().After(deadline) {
				err = fmt.Errorf("shoal sync did not come so far in %v", untilTimeout)
				break
			}
			st, err = s.servers.Stats()
		}
	}
	rss = peak(cmd.Process.Pid)
	cmd.Process.Kill()
	<-ended
	if err != nil {
		return st, rss, err
	}
	st, err = s.servers.Stats()
	return st, rss, err
}

// untilTimeout is how long until may take. The longest is the walk of 15.5 million
// hashes.
const untilTimeout = 10 * time.Minute

// peak returns the most memory that a process has had, in bytes, 0 where the system
// does not tell.
func peak(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kb, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(kb, 10, 64)
	return n << 10
}

func sum(st serve.Stats) (down, hashes int64) {
	for _, p := range st.Peers {
		down += p.Down
		hashes += p.Hashes
	}
	return down, hashes
}

// walkRate is P22: how fast hashes come when nothing limits them. The peer sends few
// blocks, so that the cores walk and do nothing else.
var walkRate = row{id: "P22", about: "hashes walked in a second, from one peer on this machine", must: 1e6, stretch: 3e6, atLeast: true, unit: "hash/s", runs: 5,
	measure: func(ctx context.Context, l *lab, _ int) (v run, err error) {
		sp := &spec{Name: "walk", Sizes: tiny, Blocks: millionBlocks, Peers: []peer{{items: 1, think: 2}}}
		s, err := l.onLoopback(ctx, sp, nil)
		if err != nil {
			return v, err
		}
		defer s.close()
		dir := filepath.Join(l.work, "walk")
		defer os.RemoveAll(dir)
		st, _, err := s.until(ctx, dir, func(st serve.Stats) bool { _, n := sum(st); return n >= millionBlocks })
		if err != nil {
			return v, err
		}
		p := st.Peers[0]
		v.Value = float64(p.Hashes) / (p.LastHashes - p.FirstHashes)
		v.Note = fmt.Sprintf("%d hashes in %.3f s", p.Hashes, p.LastHashes-p.FirstHashes)
		return v, nil
	}}

// overlap is P23: what the walk adds to the blocks when both take as long.
var overlap = row{id: "P23", about: "time of a sync, in that of its walk or of its blocks, which take as long", must: 1.10, stretch: 1.03, runs: 5,
	measure: func(ctx context.Context, l *lab, _ int) (v run, err error) {
		const peers, mbit, rtt = 4, 20, 200
		sp := alike("overlap", peers, mbit, rtt, tiny)
		sp.size(l.seconds)
		// A walk that takes as long: so many answers, each after a round trip.
		rate := mbit * 1e6 / 8 * netShare
		pause := l.seconds - hashItem*float64(sp.Blocks)/rate
		most := int(float64(sp.Blocks) * rtt / 1000 / pause)
		for i := range sp.Peers {
			sp.Peers[i].hashes = most
		}
		s, err := l.buildAlone(ctx, sp)
		if err != nil {
			return v, err
		}
		defer s.close()
		r, _, err := s.sync(ctx, "")
		answers := float64(sp.Blocks) / float64(most)
		walk := answers * (rtt/1000.0 + hashItem*float64(most)/s.goodput[0])
		v.Value, v.Details = r.Seconds/max(walk, r.Ideal), r
		v.Note = fmt.Sprintf("%.2f s; the walk alone %.2f s at its best, the blocks %.2f s; the walk was over after %.2f s", r.Seconds, walk, r.Ideal, r.LastHashes)
		return v, err
	}}

// killed is P24: what is fetched again after a kill in the middle.
var killed = row{id: "P24", about: "bytes fetched again after kill -9 half way, as a share of those that were stored", must: 0.01, stretch: 0.001, runs: 5,
	measure: func(ctx context.Context, l *lab, _ int) (v run, err error) {
		sp := alike("killed", 8, 20, 50, big)
		sp.size(l.seconds)
		s, err := l.buildAlone(ctx, sp)
		if err != nil {
			return v, err
		}
		defer s.close()
		dir := filepath.Join(l.work, "killed")
		defer os.RemoveAll(dir)
		st, _, err := s.until(ctx, dir, func(st serve.Stats) bool { down, _ := sum(st); return down > s.data.Bytes/2 })
		if err != nil {
			return v, err
		}
		held, err := l.held(ctx, dir)
		if err != nil {
			return v, err
		}
		r, _, err := s.sync(ctx, dir)
		if err != nil {
			return v, err
		}
		// Blocks are of the same mean size, whether they were stored or not.
		missing := s.Blocks - held
		again := float64(int64(r.Report.Fetched) - int64(missing))
		v.Value = again / float64(held)
		down, _ := sum(st)
		stored := float64(s.data.Bytes) - float64(r.Report.Bytes)
		v.Note = fmt.Sprintf("%d blocks were stored, %d fetched afterwards; %.2f %% of what had arrived was not stored yet",
			held, r.Report.Fetched, 100*(1-stored/float64(down)))
		v.Details = r
		return v, nil
	}}

// held returns how many blocks a data directory holds beside the genesis block.
func (l *lab) held(ctx context.Context, dir string) (uint64, error) {
	out, err := exec.CommandContext(ctx, l.shoal, "status", "--datadir", dir, "--json", "--log-level", "error").Output()
	if err != nil {
		return 0, fmt.Errorf("shoal status: %w", err)
	}
	var st struct {
		Blocks uint64 `json:"blocks"`
	}
	if err := json.Unmarshal(out, &st); err != nil || st.Blocks == 0 {
		return 0, fmt.Errorf("shoal status says %q: %w", out, err)
	}
	return st.Blocks - 1, nil
}

// walked syncs until all hashes are there and some blocks, kills, and restarts. It
// returns what the second process did, and the most memory of both.
func (s *site) walked(ctx context.Context) (again serve.Stats, rss int64, err error) {
	dir := filepath.Join(s.work, "walked")
	defer os.RemoveAll(dir)
	blocks := int64(s.Blocks)
	if _, rss, err = s.until(ctx, dir, func(st serve.Stats) bool {
		_, hashes := sum(st)
		return hashes >= blocks && st.Seconds > lastHashes(st)+settleTime.Seconds()
	}); err != nil {
		return again, rss, err
	}
	again, more, err := s.until(ctx, dir, func(st serve.Stats) bool {
		first := firstBlocks(st)
		return first > 0 && st.Seconds > first+settleTime.Seconds()
	})
	return again, max(rss, more), err
}

// settleTime is how long a sync goes on after what is waited for: for the memory that
// fetching takes, and for the plan to be on disk.
const settleTime = 3 * time.Second

func lastHashes(st serve.Stats) (at float64) {
	for _, p := range st.Peers {
		at = max(at, p.LastHashes)
	}
	return at
}

// firstBlocks is when blocks were first asked for, negative if they were not.
func firstBlocks(st serve.Stats) float64 {
	at := -1.0
	for _, p := range st.Peers {
		if p.FirstBlocks >= 0 && (at < 0 || p.FirstBlocks < at) {
			at = p.FirstBlocks
		}
	}
	return at
}

// restart is P25: how soon a sync that was killed asks for blocks again.
var restart = row{id: "P25", about: "restart of a sync with 1,000,000 hashes until it asks for blocks", must: 1, stretch: 0.2, unit: "s", runs: 5,
	measure: func(ctx context.Context, l *lab, _ int) (v run, err error) {
		sp := &spec{Name: "restart", Sizes: tiny, Blocks: millionBlocks, Peers: slow4()}
		s, err := l.onLoopback(ctx, sp, nil)
		if err != nil {
			return v, err
		}
		defer s.close()
		st, _, err := s.walked(ctx)
		v.Value = firstBlocks(st)
		if _, hashes := sum(st); hashes > millionBlocks/100 {
			err = errors.Join(err, fmt.Errorf("the second process walked %d hashes again", hashes))
		}
		return v, err
	}}

// slow4 are four peers that send few blocks, so that a walk can be looked at before
// its blocks are there.
func slow4() []peer {
	p := peer{items: 64, think: 20}
	return []peer{p, p, p, p}
}

// endless is the second half of P17: memory does not depend on the length of the chain.
var endless = row{id: "P17b", about: "memory (RSS) of a sync that walks, and after kill -9 resumes, 15,500,000 hashes", must: 160, stretch: 96, unit: "MB", runs: 1,
	measure: func(ctx context.Context, l *lab, _ int) (v run, err error) {
		const blocks = 15_500_000 // mainnet under proof of work
		sp := &spec{Name: "endless", Sizes: tiny, Blocks: uint64(blocks * min(l.seconds/30, 1)), Peers: slow4()}
		s, err := l.onLoopback(ctx, sp, &serve.Walk{Seed: 1, Blocks: sp.Blocks})
		if err != nil {
			return v, err
		}
		defer s.close()
		st, rss, err := s.walked(ctx)
		v.Value = float64(rss) / 1e6
		v.Note = fmt.Sprintf("%d hashes; blocks asked for %.3f s after the restart", sp.Blocks, firstBlocks(st))
		return v, err
	}}

// capped is P27: whether a limit of the download is kept, and used. What the client says
// it received counts: of what the servers have sent, some waits in the links, more of it
// at first than at the end.
var capped = row{id: "P27", about: "bytes received in a sync of 10 s, as a share of --download-limit; never above 1", must: 0.95, stretch: 0.98, atLeast: true, most: 1, runs: 5,
	measure: func(ctx context.Context, l *lab, _ int) (v run, err error) {
		const limit = 3_000_000
		sp := alike("capped", 4, 20, 50, big)
		sp.Blocks = uint64(min(l.seconds, 10) * limit / (big.mean() + hashItem))
		s, err := l.buildAlone(ctx, sp)
		if err != nil {
			return v, err
		}
		defer s.close()
		r, _, err := s.sync(ctx, "", "--download-limit", fmt.Sprint(limit))
		v.Value = float64(r.Report.Bytes+hashItem*r.Report.Fetched) / (limit * r.Report.Seconds)
		return v, err
	}}
