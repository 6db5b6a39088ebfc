package main

import (
	"math"
	"slices"
)

// flow is what one peer can bring: a rate in bytes a second, and another one from a
// moment on, in seconds. A peer without a fault has its change at infinity.
type flow struct {
	rate    float64
	changes float64
	after   float64
}

// steady is a flow that does not change.
func steady(rate float64) flow { return flow{rate, math.Inf(1), 0} }

// fluid is the time in which the flows together bring so many bytes, when all of
// them are full from the first instant to the last: the T* that everything is
// compared with. It is infinite if they never do.
func fluid(bytes float64, flows []flow) float64 {
	flows = slices.Clone(flows)
	slices.SortFunc(flows, func(a, b flow) int {
		switch {
		case a.changes < b.changes:
			return -1
		case a.changes > b.changes:
			return 1
		}
		return 0
	})
	sum := 0.0
	for _, f := range flows {
		sum += f.rate
	}
	now := 0.0
	for _, f := range flows {
		if took := bytes / sum; now+took <= f.changes {
			return now + took
		}
		bytes -= sum * (f.changes - now)
		now = f.changes
		sum += f.after - f.rate
	}
	return now + bytes/sum
}
