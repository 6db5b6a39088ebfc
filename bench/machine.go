package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"

	"github.com/shoalnet/shoal/internal/simnet"
)

// The rows of what a core and the memory do, where links do not matter.

// pending is P16: what a wanted block takes in the pool.
var pending = row{id: "P16", about: "heap for 1,000,000 wanted blocks", must: 60, stretch: 45, unit: "MB", runs: 5,
	measure: func(context.Context, *lab, int) (run, error) {
		return run{Value: float64(simnet.PoolMemory(1_000_000)) / 1e6}, nil
	}}

// ceiling is a row of a sync as a share of what the machine can do: reading the same
// bytes from a socket, splitting them, hashing headers, body roots and a durable
// append. It is a benchmark of package node, which measures both in the same run.
func ceiling(id, size string, must, stretch float64) row {
	return row{id: id, about: "sync as a share of the raw ceiling of the machine, blocks of " + size,
		must: must, stretch: stretch, atLeast: true, runs: 5,
		measure: func(ctx context.Context, l *lab, _ int) (v run, err error) {
			m, err := l.benchmark(ctx, "./node", "Sync/"+size, "3x")
			if err != nil {
				return v, err
			}
			v.Value, err = m.in("of-ceiling")
			v.Note = fmt.Sprintf("%.0f blocks/s, %.0f MB/s; of the ceiling alone, in ceilings: socket %.1f, hashes %.1f, roots %.1f, disk %.1f",
				m["blocks/s"], m["MB/s"], m["socket-ceilings"], m["hashes-ceilings"], m["roots-ceilings"], m["disk-ceilings"])
			v.Details = m
			return v, err
		}}
}

// schedulerCost is P21: what the pool spends on a block when it is full.
var schedulerCost = row{id: "P21", about: "scheduler for each block, with 1,000,000 in the pool", must: 2, stretch: 0.7, unit: "us", runs: 5,
	measure: func(ctx context.Context, l *lab, _ int) (v run, err error) {
		m, err := l.benchmark(ctx, "./pool", "Scheduler/peers=16/pool=1000000", "2000000x")
		if err != nil {
			return v, err
		}
		ns, err := m.in("ns/block")
		v.Value, v.Details = ns/1000, m
		return v, err
	}}

// metrics are the figures of a benchmark, by their units.
type metrics map[string]float64

// in returns the figure of a unit, which must be there: a benchmark that has come to
// measure something else would pass any bound.
func (m metrics) in(unit string) (float64, error) {
	x, ok := m[unit]
	if !ok {
		return 0, fmt.Errorf("the benchmark says nothing in %s: %v", unit, m)
	}
	return x, nil
}

var metric = regexp.MustCompile(`([0-9.e+]+) (\S*[a-zA-Z]\S*)`)

// benchmark runs a benchmark of the module once and returns its figures.
func (l *lab) benchmark(ctx context.Context, pkg, name, times string) (metrics, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", name, "-benchtime", times, pkg)
	cmd.Dir = l.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench %s %s: %w\n%s", name, pkg, err, out)
	}
	return parseMetrics(string(out))
}

// parseMetrics reads the output of one benchmark.
func parseMetrics(out string) (metrics, error) {
	line := regexp.MustCompile(`(?m)^Benchmark\S+\s+\d+\s+(.*)$`).FindStringSubmatch(out)
	if line == nil {
		return nil, errors.New("there is no benchmark in " + strconv.Quote(out))
	}
	m := metrics{}
	for _, f := range metric.FindAllStringSubmatch(line[1], -1) {
		x, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", f[0], err)
		}
		m[f[2]] = x
	}
	return m, nil
}

// crowd is a row of what a gigabyte costs the client with many peers, in what it costs
// with four. All links together carry as much in both.
func crowd(id string, peers int, must, stretch float64) row {
	return row{id: id, about: fmt.Sprintf("CPU time for a gigabyte from %d peers, in that from 4", peers),
		must: must, stretch: stretch, runs: 5,
		measure: func(ctx context.Context, l *lab, i int) (v run, err error) {
			few, err := l.cost(ctx, 4, i)
			if err != nil {
				return v, err
			}
			many, err := l.cost(ctx, peers, i)
			if err != nil {
				return v, err
			}
			a, b := few.CPU/float64(few.Bytes)*1e9, many.CPU/float64(many.Bytes)*1e9
			v.Value, v.Details = b/a, many
			v.Note = fmt.Sprintf("%.2f s and %.2f s for a gigabyte, efficiency %.3f and %.3f", b, a, many.Efficiency, few.Efficiency)
			return v, nil
		}}
}

// cost syncs from so many peers over links of 400 Mbit/s together.
func (l *lab) cost(ctx context.Context, peers, i int) (synced, error) {
	key := fmt.Sprintf("cost of %d/%d", peers, i)
	if r, ok := l.synced[key]; ok {
		return r, nil
	}
	const mbit = 400
	sp := alike(fmt.Sprintf("%d peers", peers), peers, mbit/float64(peers), 50, big)
	sp.size(l.seconds)
	s, err := l.buildAlone(ctx, sp)
	if err != nil {
		return synced{}, err
	}
	defer s.close()
	// So many peers are more than a node lets in if nobody says so, and take memory.
	r, _, err := s.sync(ctx, "", "--max-peers", strconv.Itoa(peers), "--memory", "8GiB")
	if err == nil {
		l.synced[key] = r
	}
	return r, err
}

// buildAlone builds a site at which nobody competes.
func (l *lab) buildAlone(ctx context.Context, sp *spec) (*site, error) {
	contest := l.contest
	defer func() { l.contest = contest }()
	l.contest = false
	return l.build(ctx, sp)
}

// million is P17: the memory of a client that syncs a chain of a million blocks.
var million = row{id: "P17", about: "memory (RSS) of a sync of 1,000,000 blocks of realistic sizes beyond their hashes", must: 128, stretch: 64, unit: "MB", runs: 5,
	measure: func(ctx context.Context, l *lab, _ int) (v run, err error) {
		sp := alike("million", 8, 100, 20, realistic)
		sp.Blocks = uint64(millionBlocks * min(l.seconds/30, 1))
		s, err := l.buildAlone(ctx, sp)
		if err != nil {
			return v, err
		}
		defer s.close()
		r, _, err := s.sync(ctx, "")
		v.Value = float64(r.RSS-32*int64(r.Blocks)) / 1e6
		v.Note = fmt.Sprintf("%d blocks, RSS %.0f MB, %.1f s", r.Blocks, float64(r.RSS)/1e6, r.Seconds)
		v.Details = r
		return v, err
	}}

const millionBlocks = 1_000_000
