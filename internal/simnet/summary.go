package simnet

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
)

// Summary is the runs of one scenario with one policy and several seeds.
type Summary struct {
	Scenario string `json:"scenario"`
	Policy   string `json:"policy"`
	Seeds    int    `json:"seeds"`
	Finished int    `json:"finished"` // runs that came to an end
	// Median and Worst are the runs of median and least efficiency.
	Median Result `json:"median"`
	Worst  Result `json:"worst"`
	// MostDuplicates and LongestTail are the worst of all runs, whichever those
	// are.
	MostDuplicates float64 `json:"most_duplicates"`
	LongestTail    float64 `json:"longest_tail_seconds"`
}

// Summarise picks the median and the worst of runs. There must be one at least.
func Summarise(runs []Result) Summary {
	runs = slices.Clone(runs)
	slices.SortStableFunc(runs, func(a, b Result) int { return cmp.Compare(a.Efficiency, b.Efficiency) })
	s := Summary{
		Scenario: runs[0].Scenario, Policy: runs[0].Policy, Seeds: len(runs),
		Median: runs[len(runs)/2], Worst: runs[0],
	}
	for _, r := range runs {
		if r.Finished {
			s.Finished++
		}
		s.MostDuplicates = max(s.MostDuplicates, r.Duplicates)
		s.LongestTail = max(s.LongestTail, r.Tail)
	}
	return s
}

// RunSeeds runs a scenario with several seeds, the first of which is that of the
// options, on all cores. The results are in the order of the seeds.
func RunSeeds(ctx context.Context, s *Scenario, o Options, seeds int) ([]Result, error) {
	results := make([]Result, seeds)
	errs := make([]error, seeds)
	// Holds the seeds that are to be run; filled here, closed before anybody reads.
	todo := make(chan int, seeds)
	for i := range seeds {
		todo <- i
	}
	close(todo)
	var wg sync.WaitGroup
	for range min(seeds, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := range todo {
				own := o
				own.Seed += uint64(i)
				results[i], errs[i] = Run(ctx, s, own)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}
