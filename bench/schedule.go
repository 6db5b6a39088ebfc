package main

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// The scenarios of the simulator that the lab plays too, those without faults and
// those with.
var (
	faultless = []string{"equal", "mixed", "tiny", "rtt200"}
	faulty    = []string{"stall", "slow", "drip", "churn32", "latestall"}
)

// once plays a scenario for the given run. Rows that look at different counters of
// the same scenario share it.
func (l *lab) once(ctx context.Context, name string, run int) (synced, error) {
	key := fmt.Sprintf("%s/%d", name, run)
	if r, ok := l.synced[key]; ok {
		return r, nil
	}
	sp, err := draw(name, uint64(run)+1, l.seconds)
	if err != nil {
		return synced{}, err
	}
	others := []string{bitTorrent}
	if slices.Contains(faultless, name) {
		others = []string{bitTorrent, overHTTP, oneByOne, rawTCP}
	}
	r, err := l.play(ctx, sp, others...)
	if err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	l.synced[key] = r
	return r, nil
}

// play builds the network of a spec, syncs over it, and has the competitors fetch
// the same.
func (l *lab) play(ctx context.Context, sp *spec, others ...string) (r synced, err error) {
	s, err := l.build(ctx, sp)
	if err != nil {
		return r, err
	}
	defer s.close()
	r, st, err := s.sync(ctx, "")
	if err != nil {
		return r, err
	}
	if l.svg != "" {
		if err := s.draw(l.svg, st); err != nil {
			return r, err
		}
	}
	return r, s.compete(ctx, &r, others...)
}

// efficiency is a row of T*/T.
func efficiency(id, about, scenario string, must, stretch float64) row {
	return row{id: id, about: about, must: must, stretch: stretch, atLeast: true, runs: 5,
		measure: func(ctx context.Context, l *lab, i int) (run, error) {
			r, err := l.once(ctx, scenario, i)
			return r.run(r.Efficiency, rival.efficiency), err
		}}
}

// inflation is a row of T/T*.
func inflation(id, about, scenario string, must, stretch float64) row {
	return row{id: id, about: about, must: must, stretch: stretch, runs: 5,
		measure: func(ctx context.Context, l *lab, i int) (run, error) {
			r, err := l.once(ctx, scenario, i)
			return r.run(r.inflation(), rival.inflation), err
		}}
}

func (r rival) efficiency() float64 { return r.Efficiency }
func (r rival) inflation() float64  { return 1 / r.Efficiency }

// run is a run with this value, and the same of the competitors.
func (r synced) run(value float64, same func(rival) float64) run {
	v := run{Value: value, Competitors: map[string]float64{}, Details: r}
	for name, c := range r.Rivals {
		v.Competitors[name] = same(c)
		if name == bitTorrent || name == bitswap {
			v.Competitors[name+", duplicates"] = c.Duplicates
		}
	}
	v.Note = fmt.Sprintf("%.2f s, ideal %.2f s, duplicates %.2f %%, last 1 %% %.2f s", r.Seconds, r.Ideal, 100*r.duplicates(), r.Tail)
	return v
}

// over is a row of the worst value of several scenarios.
func over(id, about string, must, stretch float64, unit string, names []string, value func(*synced) float64) row {
	return row{id: id, about: about, must: must, stretch: stretch, unit: unit, runs: 5, worst: true,
		measure: func(ctx context.Context, l *lab, i int) (v run, err error) {
			v.Value = math.Inf(-1)
			all := map[string]float64{}
			for _, name := range names {
				r, err := l.once(ctx, name, i)
				if err != nil {
					return v, err
				}
				all[name] = value(&r)
				if all[name] > v.Value {
					v.Value, v.Note = all[name], name
				}
			}
			v.Details = all
			return v, nil
		}}
}

// speedup is P5: how much faster n equal peers are than one.
var speedup = row{id: "P5", about: "speed-up with n equal peers over one, as a share of n: the least of n = 2, 4, 8, 16",
	must: 0.95, stretch: 0.98, atLeast: true, runs: 5,
	measure: func(ctx context.Context, l *lab, i int) (v run, err error) {
		const most = 16
		sp := alike("speedup", most, 20, 50, big)
		// One peer takes 16 times as long as 16: they get a third of the time.
		sp.size(l.seconds / 3)
		blocks := sp.Blocks
		var one, http float64
		v.Value = math.Inf(1)
		all := map[string]float64{}
		for n := 1; n <= most; n *= 2 {
			sp := alike("speedup", n, 20, 50, big)
			sp.Blocks = blocks
			s, err := l.build(ctx, sp)
			if err != nil {
				return v, err
			}
			r, _, err := s.sync(ctx, "")
			if err == nil && n == 1 {
				err = s.compete(ctx, &r, overHTTP)
				one, http = r.Seconds, r.Rivals[overHTTP].Seconds
			}
			s.close()
			if err != nil {
				return v, fmt.Errorf("%d peers: %w", n, err)
			}
			if n == 1 {
				continue
			}
			all[fmt.Sprintf("n=%d", n)] = one / r.Seconds / float64(n)
			v.Value = min(v.Value, one/r.Seconds/float64(n))
			if http > 0 {
				if v.Competitors == nil {
					v.Competitors = map[string]float64{}
				}
				v.Competitors[fmt.Sprintf("over one http server, n=%d", n)] = http / r.Seconds / float64(n)
			}
		}
		v.Details = all
		return v, nil
	}}

// liar is P14: what a peer costs that claims most and has nothing.
var liar = row{id: "P14", about: "time added by a peer that claims the highest total difficulty and sends hashes of nothing",
	must: 3.05, stretch: 1, unit: "s", runs: 5,
	measure: func(ctx context.Context, l *lab, i int) (v run, err error) {
		var took [2]float64
		for lies := range took {
			sp := alike("liar", 8, 20, 50, big)
			sp.size(l.seconds)
			if lies > 0 {
				sp.Peers = append(sp.Peers, peer{mbit: 20, rtt: 50, liar: true})
			}
			r, err := l.play(ctx, sp)
			if err != nil {
				return v, err
			}
			took[lies] = r.Seconds
			v.Details = r
		}
		v.Value = took[1] - took[0]
		v.Note = fmt.Sprintf("%.2f s with it, %.2f s without", took[1], took[0])
		return v, nil
	}}
