package simnet

import (
	"testing"
	"time"
)

// load returns an embedded scenario with that many blocks, 0 for its own.
func load(t testing.TB, name string, blocks int) *Scenario {
	t.Helper()
	s, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	if blocks > 0 {
		s.Blocks = blocks
	}
	return s
}

// runSeeds runs a scenario with the seeds 1 to n, or the first of them.
func runSeeds(t *testing.T, s *Scenario, policy string, n int) []Result {
	t.Helper()
	switch {
	case raced:
		n = 1
	case testing.Short():
		n = min(n, 2)
	}
	runs, err := RunSeeds(t.Context(), s, Options{Policy: policy, Seed: 1}, n)
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

// TestGoals holds the pool to what it promises in each kind of network. The goals are
// inflations: how many times the ideal time a download takes.
func TestGoals(t *testing.T) {
	tests := []struct {
		scenario      string
		seeds         int
		median, worst float64 // inflation
		duplicates    float64 // share of the useful bytes
	}{
		{"equal", 7, 1 / 0.95, 1 / 0.95, 0},
		{"mixed", 7, 1 / 0.90, 1 / 0.90, 0},
		{"tiny", 1, 1 / 0.90, 1 / 0.90, 0},
		{"rtt200", 7, 1 / 0.92, 1 / 0.92, 0},
		{"stall", 7, 1.10, 1.10, 0.01},
		{"slow", 7, 1.12, 1.12, 0.01},
		{"drip", 7, 1.10, 1.10, 0.01},
		{"churn32", 9, 1.25, 1.40, 0.01},
		{"latestall", 7, 1.08, 1.08, 0.01},
	}
	for _, tt := range tests {
		t.Run(tt.scenario, func(t *testing.T) {
			if raced && tt.scenario == "tiny" {
				t.Skip("the same code at length: not with the race detector")
			}
			runs := runSeeds(t, load(t, tt.scenario, 0), Shoal, tt.seeds)
			s := Summarise(runs)
			t.Logf("efficiency %.3f, worst %.3f (seed %d); duplicates %.2f %%; the last 1 %% takes %.2f s",
				s.Median.Efficiency, s.Worst.Efficiency, s.Worst.Seed, 100*s.MostDuplicates, s.LongestTail)
			if got := 1 / s.Median.Efficiency; got > tt.median {
				t.Errorf("takes %.3f times the ideal time, want %.3f at most", got, tt.median)
			}
			for _, r := range runs {
				if got := 1 / r.Efficiency; got > tt.worst {
					t.Errorf("seed %d takes %.3f times the ideal time, want %.3f at most", r.Seed, got, tt.worst)
				}
				if r.Duplicates > tt.duplicates {
					t.Errorf("seed %d: %.2f %% transferred twice, want %.2f %% at most", r.Seed, 100*r.Duplicates, 100*tt.duplicates)
				}
				if most := max(0.5, 0.03*r.Seconds); r.Tail > most {
					t.Errorf("seed %d: the last 1 %% takes %.2f s, want %.2f s at most", r.Seed, r.Tail, most)
				}
			}
		})
	}
}

// TestScenariosEnd runs the scenarios without a goal of their own, the biggest ones
// with fewer blocks.
func TestScenariosEnd(t *testing.T) {
	if raced {
		t.Skip("the same code at length: not with the race detector")
	}
	tests := []struct {
		scenario   string
		blocks     int
		least      float64 // efficiency
		duplicates float64
		dropped    int // honest peers stay; only those that never answer may go
	}{
		{"walk", 300_000, 0.92, 0, 0},
		{"overlap", 0, 0.85, 0, 0},
		{"partial", 0, 0.90, 0.005, 0},
		{"slowlink", 0, 0.95, 0.01, 0},
		{"throttled", 0, 0.75, 0.01, 0},
		{"slowdisk", 0, 0.95, 0.01, 0},
		{"liars", 0, 0.95, 0.01, 0},
		{"sybil", 0, 0.95, 0.01, 9},
		{"churn1000", 100_000, 0.70, 0.01, 0},
		{"huge", 100_000, 0.80, 0.01, 0},
		{"mainnet", 200_000, 0.05, 0.02, 20},
		{"soak", 50_000, 0.75, 0.01, 10}, // half an hour of a day: of eight seeds the median is 0.96, the worst 0.80
	}
	covered := map[string]bool{}
	for _, tt := range tests {
		covered[tt.scenario] = true
		t.Run(tt.scenario, func(t *testing.T) {
			s := load(t, tt.scenario, tt.blocks)
			if tt.scenario == "huge" { // a tenth of everything
				s.Peers[0].Count, s.LinkMbit = 1000, 200
			}
			for _, r := range runSeeds(t, s, Shoal, 1) {
				t.Logf("efficiency %.3f, duplicates %.2f %%, dropped %d", r.Efficiency, 100*r.Duplicates, r.Dropped)
				if !r.Finished {
					t.Errorf("not finished after %.0f s: %d blocks", r.Seconds, r.Blocks)
				}
				if r.Efficiency < tt.least {
					t.Errorf("efficiency %.3f, want %.2f at least", r.Efficiency, tt.least)
				}
				if r.Duplicates > tt.duplicates {
					t.Errorf("%.2f %% transferred twice, want %.2f %% at most", 100*r.Duplicates, 100*tt.duplicates)
				}
				if r.Dropped > tt.dropped {
					t.Errorf("%d peers dropped, want %d at most", r.Dropped, tt.dropped)
				}
			}
		})
	}
	for _, g := range []string{"equal", "mixed", "tiny", "rtt200", "stall", "slow", "drip", "churn32", "latestall"} {
		covered[g] = true // by TestGoals
	}
	for _, name := range Scenarios() {
		if !covered[name] {
			t.Errorf("no test runs the scenario %s", name)
		}
	}
}

// TestJitterIsNoFault: answers that come late and in bunches, by up to three round trips, are
// no reason to ask anybody twice.
func TestJitterIsNoFault(t *testing.T) {
	for _, tt := range []struct {
		scenario string
		jitter   float64 // in one-way delays
	}{{"equal", 3}, {"mixed", 1}, {"rtt200", 1}} {
		t.Run(tt.scenario, func(t *testing.T) {
			s := load(t, tt.scenario, 8000)
			s.Walk = 8192
			for i := range s.Peers {
				s.Peers[i].Jitter = tt.jitter
			}
			for _, r := range runSeeds(t, s, Shoal, 16) {
				if r.Duplicates > 0 {
					t.Errorf("seed %d: %.2f %% transferred twice", r.Seed, 100*r.Duplicates)
				}
			}
		})
	}
}

// TestReplay: the same seed gives the same run, another seed another one.
func TestReplay(t *testing.T) {
	for _, name := range Policies() {
		t.Run(name, func(t *testing.T) {
			s := load(t, "churn32", 5000)
			s.Peers[0].Up, s.Peers[0].Down = Range{2, 20}, Range{1, 5}
			run := func(seed uint64) string {
				r, err := Run(t.Context(), s, Options{Policy: name, Seed: seed})
				if err != nil {
					t.Fatal(err)
				}
				return r.Trace
			}
			if a, b := run(3), run(3); a != b {
				t.Errorf("seed 3 gives the trace %s, then %s", a, b)
			}
			if a, b := run(3), run(4); a == b {
				t.Errorf("seeds 3 and 4 give the same trace %s", a)
			}
		})
	}
}

// TestReimplementations holds the re-implementations to the order in which their
// originals are known to be: what each is bad at must show.
func TestReimplementations(t *testing.T) {
	efficiency := func(scenario, policy string) float64 {
		r, err := Run(t.Context(), load(t, scenario, 20_000), Options{Policy: policy, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s on %s: %.3f", policy, scenario, r.Efficiency)
		return r.Efficiency
	}
	tests := []struct {
		scenario, policy string
		low, high        float64
	}{
		{"mixed", Shoal, 0.90, 1},
		{"mixed", "torrent", 0.75, 0.97},
		{"mixed", "msgrate", 0.35, 0.80},
		{"mixed", "bitcoin", 0.15, 0.40}, // a full window waits for the slowest
		{"mixed", "geth1", 0.03, 0.25},   // so it does here, with bigger requests
		{"mixed", "poc6", 0.01, 0.20},    // equal shares for unequal peers
		{"rtt200", "bitcoin", 0.40, 0.75},
		{"equal", "bitcoin", 0.97, 1},
		{"equal", "torrent", 0.95, 1},
		{"equal", "geth1", 0.50, 0.95},
		{"stall", "msgrate", 0.10, 0.60}, // a stalled peer blocks the window for a minute
	}
	for _, tt := range tests {
		if got := efficiency(tt.scenario, tt.policy); got < tt.low || got > tt.high {
			t.Errorf("%s on %s: efficiency %.3f, want %.2f to %.2f", tt.policy, tt.scenario, got, tt.low, tt.high)
		}
	}
}

// BenchmarkPeers measures what the pool costs for each block with more and more
// peers that together bring the same.
func BenchmarkPeers(b *testing.B) {
	for _, n := range []struct {
		name  string
		peers int
	}{{"peers=4", 4}, {"peers=64", 64}, {"peers=256", 256}, {"peers=4096", 4096}} {
		b.Run(n.name, func(b *testing.B) {
			s := load(b, "equal", 100_000)
			s.Bytes = Range{600, 600}
			rate := 256 / float64(n.peers)
			s.Peers = []Group{{Count: n.peers, Mbit: Range{rate, rate}, RTT: Range{50, 50}, Jitter: 0.1}}
			var sum float64
			var requests int
			for b.Loop() {
				r, err := Run(b.Context(), s, Options{Policy: Shoal, Seed: 1, Clock: time.Now})
				if err != nil {
					b.Fatal(err)
				}
				sum += r.Micros
				requests += r.Requests
			}
			b.ReportMetric(sum/float64(b.N), "us/block")
			b.ReportMetric(float64(requests)/float64(b.N), "requests")
		})
	}
}
