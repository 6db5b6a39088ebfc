package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/shoalnet/shoal/internal/simnet"
)

// agreement is by how much the lab and the simulator may differ, in points of
// efficiency. More is a fault in one of them.
const agreement = 5

// compared are the scenarios that both play.
var compared = []string{"equal", "mixed", "tiny", "rtt200", "stall", "slow", "drip", "churn32", "latestall"}

// compare plays scenarios in the lab and, with the same peers, links and faults, in
// the simulator.
func compare(ctx context.Context, l *lab, names []string, to io.Writer) error {
	if names == nil {
		names = compared
	}
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "scenario\tlab\tsimulator\tdifference\t\t")
	apart := 0
	for _, name := range names {
		var ours, theirs []float64
		for i := range max(l.runs, 1) {
			r, err := l.once(ctx, name, i)
			if err != nil {
				return err
			}
			sim, err := l.predict(ctx, &r)
			if err != nil {
				return err
			}
			ours, theirs = append(ours, r.Efficiency), append(theirs, sim)
		}
		a, b := median(ours), median(theirs)
		verdict := ""
		if math.Abs(a-b)*100 > agreement {
			verdict = "APART"
			apart++
		}
		fmt.Fprintf(t, "%s\t%.1f %%\t%.1f %%\t%+.1f\t%s\t\n", name, 100*a, 100*b, 100*(a-b), verdict)
	}
	t.Flush()
	if apart > 0 {
		return fmt.Errorf("%d scenarios differ by more than %d points", apart, agreement)
	}
	return nil
}

// predict returns the efficiency that the simulator finds for the network of a sync.
func (l *lab) predict(ctx context.Context, r *synced) (float64, error) {
	var goodput []float64
	for _, g := range r.Goodput {
		goodput = append(goodput, float64(g))
	}
	text, err := json.Marshal(r.simulated(goodput))
	if err != nil {
		return 0, err
	}
	file := filepath.Join(l.work, r.Name+".json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return 0, err
	}
	sim, err := l.runSimulator(ctx, file, simnet.Shoal, 3)
	return sim.Median.Efficiency, err
}
