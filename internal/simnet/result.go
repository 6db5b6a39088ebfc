package simnet

import (
	"fmt"
	"time"
)

// Result is the account of one run.
type Result struct {
	Scenario string `json:"scenario"`
	Policy   string `json:"policy"`
	Seed     uint64 `json:"seed"`

	// Finished is false if the run was given up; then Efficiency counts what was
	// done.
	Finished bool    `json:"finished"`
	Blocks   int     `json:"blocks"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
	Ideal    float64 `json:"ideal_seconds"`
	// Efficiency is the ideal time as a share of the real one.
	Efficiency float64 `json:"efficiency"`
	// Duplicates and Junk are shares of the useful bytes.
	Duplicates     float64 `json:"duplicates"`
	DuplicateBytes int64   `json:"duplicate_bytes"`
	Junk           float64 `json:"junk"`
	// Tail is how many seconds the last hundredth of the bytes takes.
	Tail     float64 `json:"tail_seconds"`
	Requests int     `json:"requests"`
	Dropped  int     `json:"dropped"` // peers that were disconnected by the policy

	// Links is what the links of all connected peers did, until their faults.
	Links []Spell `json:"links"`
	// Trace is a hash of all that was asked of whom, and when.
	Trace string `json:"trace"`
	// Micros is what the policy costs for each block, in microseconds of the real
	// clock; 0 if that was not measured.
	Micros float64 `json:"policy_us_per_block,omitempty"`
}

// Spell is the time that links spent for one reason.
type Spell struct {
	Reason  Reason  `json:"reason"`
	Seconds float64 `json:"seconds"` // of all links together
	// Share is what they could have carried meanwhile, as a share of all that they
	// could have carried in the whole run.
	Share float64 `json:"share"`
}

func (w *world) result(o Options) Result {
	r := Result{
		Scenario: w.Name, Policy: o.Policy, Seed: o.Seed,
		Finished: w.done == w.Blocks, Blocks: w.done, Bytes: w.useful,
		Seconds: w.now.Seconds(), Ideal: w.ideal.Seconds(), Tail: (w.now - w.last).Seconds(),
		DuplicateBytes: w.duplicate, Requests: w.requests, Dropped: w.dropped,
		Trace: fmt.Sprintf("%016x", w.trace.Sum64()),
	}
	if w.now > 0 {
		r.Efficiency = r.Ideal / r.Seconds
	}
	if !r.Finished {
		r.Efficiency *= float64(w.useful) / float64(w.sizes.total)
	}
	if w.useful > 0 {
		r.Duplicates = float64(w.duplicate) / float64(w.useful)
		r.Junk = float64(w.junk) / float64(w.useful)
		r.Micros = float64(w.spent) / float64(time.Microsecond) / float64(w.done)
	}
	sum := 0.0
	for _, x := range w.weight {
		sum += x
	}
	for i, x := range w.weight {
		if x > 0 {
			r.Links = append(r.Links, Spell{Reason(i), w.seconds[i], x / sum})
		}
	}
	return r
}
