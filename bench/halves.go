package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/shoalnet/shoal/bench/link"
	"github.com/shoalnet/shoal/bench/serve"
	"github.com/shoalnet/shoal/swarm"
)

// The rows of a file in chunks, of which each of 16 providers holds a half.

// halfMbit is the rate of a provider. All together send 160 Mbit/s, which leaves two
// cores time to hash on both sides.
const halfMbit = 10

// halves fetches a file in the given run, and has bitswap fetch the same chunks.
func (l *lab) halves(ctx context.Context, run int) (r synced, err error) {
	key := fmt.Sprintf("halves/%d", run)
	if r, ok := l.synced[key]; ok {
		return r, nil
	}
	sp := alike("halves", serve.Providers, halfMbit, 50, "")
	sp.Seed = uint64(run) + 1
	s, ref, err := l.buildHalves(ctx, sp)
	if err != nil {
		return r, err
	}
	defer s.close()
	if r, err = s.get(ctx, ref); err != nil {
		return r, err
	}
	if err := s.compete(ctx, &r, bitswap); err != nil {
		return r, err
	}
	l.synced[key] = r
	return r, nil
}

// buildHalves makes the network and the file, and calibrates the links. It returns the
// file's reference.
func (l *lab) buildHalves(ctx context.Context, sp *spec) (_ *site, ref string, err error) {
	s := &site{lab: l, spec: sp, addrs: map[serve.Kind][]string{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.data.File, s.data.Bytes = filepath.Join(l.work, "file"), int64(l.seconds*s.nominal())
	content := make([]byte, s.data.Bytes)
	rand.NewChaCha8([32]byte{byte(sp.Seed)}).Read(content)
	if err := os.WriteFile(s.data.File, content, 0o644); err != nil {
		return nil, "", err
	}
	if err := s.data.digest(content); err != nil {
		return nil, "", err
	}
	root, _, err := swarm.Split(bytes.NewReader(content), func([]swarm.Chunk) error { return nil })
	if err != nil {
		return nil, "", err
	}
	if s.net, err = link.New(ctx, sp.rates()); err != nil {
		return nil, "", err
	}
	cfg := serve.Config{File: s.data.File}
	for i := range sp.Peers {
		for _, k := range []serve.Kind{serve.Swarm, serve.Raw, serve.Bitswap} {
			if k == serve.Bitswap && !l.contest {
				continue
			}
			r := s.role(i, k)
			r.Provider = i
			cfg.Roles = append(cfg.Roles, r)
		}
	}
	if s.servers, err = serve.Start(ctx, cfg); err != nil {
		return nil, "", err
	}
	for i, r := range cfg.Roles {
		s.addrs[r.Kind] = append(s.addrs[r.Kind], s.servers.Addrs[i])
	}
	return s, fmt.Sprintf("%x", root), s.calibrate(ctx)
}

// digest writes the digests of the pieces of the file, by which bitswap knows them.
func (d *data) digest(content []byte) error {
	var all []byte
	for piece := range slices.Chunk(content, serve.PieceSize) {
		sum := sha256.Sum256(piece)
		all = append(all, sum[:]...)
	}
	d.Pieces = d.File + ".pieces"
	return os.WriteFile(d.Pieces, all, 0o644)
}

// get runs shoal get once, and checks that what it writes is the file.
func (s *site) get(ctx context.Context, ref string) (r synced, err error) {
	r = synced{spec: *s.spec, Bytes: s.data.Bytes, Ideal: s.ideal(), Shaped: s.net.Shaped}
	for _, g := range s.goodput {
		r.Goodput = append(r.Goodput, int64(g))
	}
	dir, copied := filepath.Join(s.work, "get"), filepath.Join(s.work, "copy")
	defer os.RemoveAll(dir)
	defer os.Remove(copied)
	ctx, cancel := context.WithTimeout(ctx, patience(r.Ideal))
	defer cancel()
	if err := s.servers.Begin(); err != nil {
		return r, err
	}
	args := []string{"get", "--json", "--network", network.Name, "--datadir", dir, "--log-level", "warn", "-o", copied}
	for _, a := range s.addrs[serve.Swarm] {
		args = append(args, "--peer", a)
	}
	cmd := s.net.Command(ctx, s.shoal, append(args, ref)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, s.log
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("shoal get, after %.1f s: %w", time.Since(began).Seconds(), err)
	}
	st, err := s.servers.Stats()
	if err != nil {
		return r, err
	}
	var report struct {
		Seconds float64 `json:"fetch_seconds"`
		Bytes   int64   `json:"bytes"`
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		return r, fmt.Errorf("the report of shoal get: %w", err)
	}
	if err := same(copied, s.data.File); err != nil {
		return r, err
	}
	r.Seconds, r.usage = report.Seconds, usageOf(cmd)
	r.Efficiency = r.Ideal / r.Seconds
	r.Tail = tail(st, r.Seconds)
	var sent int64
	for _, p := range st.Peers {
		sent += p.Chunks
		if p.Down > 0 && p.Chunks > 0 {
			r.Shares = append(r.Shares, p.Down)
		}
	}
	r.Report.Bytes, r.Report.DuplicateBytes = uint64(s.data.Bytes), uint64(max(sent-chunkBytes(s.data.Bytes), 0))
	return r, nil
}

// chunkBytes is what all chunks of a file weigh that has no two the same.
func chunkBytes(size int64) int64 {
	total, level := size, size
	for n := (level + swarm.ChunkSize - 1) / swarm.ChunkSize; ; n = (n + swarm.Branches - 1) / swarm.Branches {
		total += n * swarm.SpanSize
		if n == 1 {
			return total
		}
		total += 32 * n
	}
}

// same fails if two files differ.
func same(a, b string) error {
	x, err := os.Open(a)
	if err != nil {
		return err
	}
	defer x.Close()
	y, err := os.Open(b)
	if err != nil {
		return err
	}
	defer y.Close()
	at, err := differ(x, y)
	if err == nil && at >= 0 {
		err = fmt.Errorf("%s is not %s: they differ at byte %d", a, b, at)
	}
	return err
}

// providers is P26: what is lost when nobody has all of it.
var providers = row{id: "P26", about: "T*/T of a file in chunks of 4 kB, 16 providers of which each holds a random half", must: 0.90, stretch: 0.95, atLeast: true, runs: 5,
	measure: func(ctx context.Context, l *lab, i int) (run, error) {
		r, err := l.halves(ctx, i)
		return r.run(r.Efficiency, rival.efficiency), err
	}}

// providersTwice is the second half of P26.
var providersTwice = row{id: "P26b", about: "duplicate bytes of that, as a share", must: 0.005, stretch: 0, runs: 5, worst: true,
	measure: func(ctx context.Context, l *lab, i int) (run, error) {
		r, err := l.halves(ctx, i)
		return r.run(r.duplicates(), func(x rival) float64 { return x.Duplicates }), err
	}}
