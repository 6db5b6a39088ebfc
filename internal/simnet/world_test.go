package simnet

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"
)

// TestIdeal compares the ideal time with what can be worked out by hand.
func TestIdeal(t *testing.T) {
	peers := func(n int, g Group) Group {
		g.Count, g.Mbit, g.RTT = n, Range{8, 8}, Range{40, 40} // a megabyte a second
		return g
	}
	at := &Range{0.5, 0.5}
	tests := []struct {
		name  string
		s     Scenario // 20 MB
		ideal float64
	}{
		{"no faults", Scenario{Peers: []Group{peers(4, Group{})}}, 5},
		{"half of them stall halfway", Scenario{Peers: []Group{peers(2, Group{}), peers(2, Group{Stall: at})}}, 7.5},
		{"half of them slow down to half", Scenario{Peers: []Group{peers(2, Group{}), peers(2, Group{Slow: at, SlowTo: 0.5})}}, 2.5 + 10.0/3},
		{"half of them join halfway", Scenario{Peers: []Group{peers(2, Group{}), peers(2, Group{Join: *at})}}, 6.25},
		{"one block for each second of thinking", Scenario{Peers: []Group{peers(1, Group{}), peers(1, Group{Items: 1, Think: Range{990, 990}})}}, 20 / 1.01},
		{"a link of two peers", Scenario{LinkMbit: 16, Peers: []Group{peers(4, Group{})}}, 10},
		{"a disk of one peer", Scenario{CheckMB: 1, Peers: []Group{peers(4, Group{})}}, 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.Blocks, tt.s.Bytes = 2000, Range{10_000, 10_000}
			r, err := Run(t.Context(), &tt.s, Options{Policy: Shoal})
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(r.Ideal-tt.ideal) > 1e-3 {
				t.Errorf("ideal time %.4f s, want %.4f s", r.Ideal, tt.ideal)
			}
			if r.Seconds < r.Ideal {
				t.Errorf("takes %.4f s, less than the ideal %.4f s", r.Seconds, r.Ideal)
			}
		})
	}
}

// TestLinks: what the links did adds up, and what they carried is what has come.
func TestLinks(t *testing.T) {
	for _, name := range []string{"mixed", "stall", "rtt200"} {
		r, err := Run(t.Context(), load(t, name, 0), Options{Policy: Shoal, Seed: 2})
		if err != nil {
			t.Fatal(err)
		}
		sum, carried := 0.0, 0.0
		for _, l := range r.Links {
			sum += l.Share
			if l.Reason == Transferring {
				carried = l.Share
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("%s: the shares add up to %v", name, sum)
		}
		if math.Abs(carried-r.Efficiency) > 0.01 {
			t.Errorf("%s: the links were busy for %.3f of the time, the efficiency is %.3f", name, carried, r.Efficiency)
		}
	}
}

// TestReasons: what holds a download up is named.
func TestReasons(t *testing.T) {
	tests := []struct {
		scenario string
		policy   string
		want     Reason
		least    float64 // share
	}{
		{"slowlink", Shoal, Capped, 0.3},
		{"slowdisk", Shoal, Checking, 0.2},
		{"walk", Shoal, Hashes, 0.001},
		{"partial", Shoal, Ineligible, 0.01},
		{"mixed", "bitcoin", Window, 0.2},
		{"equal", "geth1", Pacing, 0.02},
	}
	for _, tt := range tests {
		s := load(t, tt.scenario, 0)
		switch tt.want {
		case Ineligible: // with a half, nearly everybody has something to the end
			s.Blocks, s.Peers[0].Holds = 50_000, 0.2
		case Hashes: // the beginning
			s.Blocks = 100_000
		}
		r, err := Run(t.Context(), s, Options{Policy: tt.policy, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		found := 0.0
		for _, l := range r.Links {
			if l.Reason == tt.want {
				found = l.Share
			}
		}
		if found < tt.least {
			t.Errorf("%s with %s: %v is %.3f of the time: %v", tt.scenario, tt.policy, tt.want, found, r.Links)
		}
	}
}

// cheat takes every block as often as it comes, and asks for it twice.
type cheat struct{ Policy }

func (c cheat) Deliver(now time.Duration, a Answer) []bool {
	useful := c.Policy.Deliver(now, a)
	for i := range useful {
		useful[i] = true
	}
	return useful
}

func TestACheatIsFoundOut(t *testing.T) {
	w, err := newWorld(load(t, "slow", 0), Options{Policy: "poc6"})
	if err != nil {
		t.Fatal(err)
	}
	w.policy = cheat{w.policy}
	err = w.run(t.Context(), time.Hour)
	if err == nil || !strings.Contains(err.Error(), "takes block") {
		t.Fatalf("error %v, want one about a block that is taken twice", err)
	}
}

func TestRunStopsWhenAskedTo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, load(t, "equal", 0), Options{Policy: Shoal}); err == nil {
		t.Fatal("a cancelled run has a result")
	}
}

func TestParse(t *testing.T) {
	tests := []struct{ json, want string }{
		{`{`, "unexpected"},
		{`{"blocks": 1, "bytes": 1, "peers": [{"count": 1, "mbit": 1}], "color": 1}`, "unknown field"},
		{`{"blocks": 0}`, "0 blocks"},
		{`{"blocks": 1}`, "blocks of 0 bytes"},
		{`{"blocks": 1, "curve": "moon"}`, `there is "mainnet"`},
		{`{"blocks": 1, "bytes": 1}`, "0 peers"},
		{`{"blocks": 1, "bytes": [2, 1]}`, "neither a number nor an interval"},
		{`{"blocks": 1, "bytes": 1, "peers": [{"count": 1}]}`, "positive mbit"},
		{`{"blocks": 1, "bytes": 1, "peers": [{"count": 999999999, "mbit": 1}]}`, "a count of 999999999"},
		{`{"blocks": 1, "bytes": 1, "peers": [{"count": 1, "mbit": 1, "slow": 0.5}]}`, "slow without slow_to"},
		{`{"blocks": 1, "bytes": 1, "peers": [{"count": 1, "mbit": 1, "junk": 2}]}`, "not between 0 and 1"},
		{`{"blocks": 1, "bytes": 1, "throttle": {}, "peers": [{"count": 1, "mbit": 1}]}`, "throttle"},
	}
	for _, tt := range tests {
		if _, err := Parse([]byte(tt.json)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.json, err, tt.want)
		}
	}
}
