package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/shoalnet/shoal/bench/serve"
	"github.com/shoalnet/shoal/internal/simnet"
)

// performed is the result of a row whose runs have these values; a negative one fails.
func performed(t *testing.T, r row, values ...float64) result {
	t.Helper()
	r.runs = len(values)
	r.measure = func(_ context.Context, _ *lab, i int) (run, error) {
		if values[i] < 0 {
			return run{}, errors.New("it broke")
		}
		return run{Value: values[i], Competitors: map[string]float64{"other": values[i] / 2}}, nil
	}
	return r.perform(t.Context(), &lab{log: io.Discard})
}

func TestVerdicts(t *testing.T) {
	more := row{id: "P1", must: 0.9, stretch: 0.95, atLeast: true}
	less := row{id: "P10", must: 1.2, stretch: 1.05, limit: 1.4}
	bounded := row{id: "P27", must: 0.95, stretch: 0.98, atLeast: true, most: 1}
	strict := row{id: "P8", worst: true}
	for _, c := range []struct {
		row    row
		values []float64
		ours   float64
		want   string
	}{
		{more, []float64{0.99, 0.5, 0.96}, 0.96, "stretch"},
		{more, []float64{0.92, 0.93, 0.91}, 0.92, "must"},
		{more, []float64{0.92, 0.8, 0.8}, 0.8, "FAILED"},
		{more, []float64{0.99, -1, 0.99}, 0.99, "stopped"},
		{more, []float64{-1}, 0, "error"},
		{less, []float64{1, 1.3, 1}, 1, "stretch"},
		{less, []float64{1, 1.5, 1}, 1, "FAILED"},
		{bounded, []float64{0.97, 0.97, 1}, 0.97, "must"},
		{bounded, []float64{0.97, 0.97, 1.01}, 0.97, "FAILED"},
		{strict, []float64{0, 0, 0}, 0, "stretch"},
		{strict, []float64{0, 1, 0}, 0, "FAILED"},
	} {
		res := performed(t, c.row, c.values...)
		if res.Ours != c.ours || res.verdict() != c.want {
			t.Errorf("%s of %v: %v and %q, want %v and %q", c.row.id, c.values, res.Ours, res.verdict(), c.ours, c.want)
		}
	}
}

func TestResultsBecomeATable(t *testing.T) {
	old := performed(t, row{id: "P10", about: "a", must: 1.1, stretch: 1}, 2, 2, 2)
	good := performed(t, row{id: "P10", about: "a", must: 1.1, stretch: 1}, 1.05, 1.25, 1)
	failed := performed(t, row{id: "P10", about: "a", must: 1.1, stretch: 1}, -1)
	other := performed(t, row{id: "P2", about: "b", must: 0.9, stretch: 1, atLeast: true, unit: "s"}, 1234)
	var file []byte
	for _, r := range []result{old, good, failed, other} { // as in the file of results
		line, err := r.line()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsRune(line, '\n') {
			t.Fatalf("the result takes several lines: %s", line)
		}
		file = append(file, append(line, '\n')...)
	}
	var results []result
	for dec := json.NewDecoder(bytes.NewReader(file)); dec.More(); {
		var r result
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	got := tableOf(latest(results))
	want := "| P2 | b | ≥ 0.9 s | ≥ 1 s | **1234 s** (1234 to 1234, 1) | stretch | other 617 | `go run . P2` |\n" +
		"| P10 | a | ≤ 1.1 | ≤ 1 | **1.05** (1 to 1.25, 3) | must | other 0.525 | `go run . P10` |\n"
	if _, body, _ := strings.Cut(got, "|---|---|---|---|---|---|---|---|\n"); body != want {
		t.Errorf("the table is\n%swant\n%s", body, want)
	}
}

func TestRowsAreInOrderAndOnce(t *testing.T) {
	var results []result
	for _, r := range rows {
		if r.runs < 1 || r.measure == nil || r.about == "" {
			t.Errorf("%s is not whole", r.id)
		}
		results = append(results, result{Row: r.id})
	}
	if n := len(latest(results)); n != len(rows) {
		t.Errorf("%d rows have %d names", len(rows), n)
	}
	if _, err := rowByID("p1"); err != nil {
		t.Error(err)
	}
	if _, err := rowByID("P99"); err == nil {
		t.Error("there is a row P99")
	}
}

func TestTail(t *testing.T) {
	// 100 bytes a sample from one peer, 50 from another that ends half way.
	var a, b serve.PeerStats
	for i := range 100 {
		a.Samples = append(a.Samples, int64(100*(i+1)))
		b.Samples = append(b.Samples, int64(50*min(i+1, 50)))
	}
	a.Down, b.Down = 10_000, 2_500
	// 99 % of 12,500 is reached with the 99th sample, at 1.98 s.
	if got := tail(serve.Stats{Peers: []serve.PeerStats{a, b}}, 2.5); got < 0.519 || got > 0.521 {
		t.Errorf("the last hundredth takes %.3f s, want 0.52 s", got)
	}
}

func TestDiffer(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	for _, c := range []struct {
		a, b string
		want int64
	}{
		{"", "", -1}, {"abc", "abc", -1}, {"abc", "abd", 2}, {"abc", "ab", 2},
		{long, long, -1}, {long + "a", long + "b", 3 << 20}, {long, long + "b", 3 << 20},
	} {
		if at, err := differ(strings.NewReader(c.a), strings.NewReader(c.b)); at != c.want || err != nil {
			t.Errorf("%d and %d bytes differ at %d, %v, want %d", len(c.a), len(c.b), at, err, c.want)
		}
	}
}

// TestScenarios draws every scenario of the table: the lab must have chains for them.
func TestScenarios(t *testing.T) {
	for _, name := range slices.Concat(faultless, faulty, compared) {
		a, err := draw(name, 1, 30)
		if err != nil {
			t.Fatal(err)
		}
		b, err := draw(name, 1, 30)
		if err != nil || !slices.Equal(a.Peers, b.Peers) {
			t.Errorf("%s: the same seed draws other peers", name)
		}
		ideal := (float64(a.Blocks) * (a.Sizes.mean() + hashItem)) / (&site{spec: a}).nominal()
		if ideal < 29.9 || ideal > 30.1 {
			t.Errorf("%s takes %.1f s at its best, want 30 s", name, ideal)
		}
		goodput := make([]float64, len(a.Peers))
		for i, p := range a.Peers {
			goodput[i] = p.mbit * 1e6 / 8
		}
		text, err := json.Marshal(a.simulated(goodput))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := simnet.Parse(text); err != nil {
			t.Errorf("the simulator does not take %s: %v", name, err)
		}
	}
}

func TestMetrics(t *testing.T) {
	m, err := parseMetrics("goos: linux\nBenchmarkSync/10kB-2  \t 3\t 184.9 MB/s\t 0.92 of-ceiling\t 1.5e+06 blocks/s\t 0 ns/op\nPASS\n")
	if err != nil || len(m) != 4 || m["MB/s"] != 184.9 || m["of-ceiling"] != 0.92 || m["blocks/s"] != 1.5e6 {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := m.in("ns/block"); err == nil {
		t.Error("a figure that is not there is taken for 0")
	}
	if _, err := parseMetrics("PASS\n"); err == nil {
		t.Error("nothing was measured, and nobody says so")
	}
}
