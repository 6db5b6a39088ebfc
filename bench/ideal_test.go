package main

import (
	"math"
	"testing"
)

func TestFluid(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes float64
		flows []flow
		want  float64
	}{
		{"equal", 160, []flow{steady(10), steady(10)}, 8},
		{"one stalls half way", 160, []flow{steady(10), {10, 4, 0}}, 12},
		{"one is slower later", 160, []flow{{10, 4, 1}, steady(10)}, 4 + 80.0/11},
		{"the fault comes after the end", 160, []flow{steady(10), {10, 9, 0}}, 8},
		{"two faults, in the other order", 200, []flow{{10, 6, 0}, {10, 2, 0}, steady(10)}, 12},
		{"all stall", 100, []flow{{10, 4, 0}}, math.Inf(1)},
		{"a stall at the very beginning", 100, []flow{{10, 0, 0}, steady(10)}, 10},
	} {
		if got := fluid(c.bytes, c.flows); math.Abs(got-c.want) > 1e-9 && got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
