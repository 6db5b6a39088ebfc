package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/internal/simnet"
)

// simReport is the result of the simulator.
type simReport struct {
	Scenario string           `json:"scenario"`
	About    string           `json:"about"`
	Blocks   int              `json:"blocks"`
	Peers    int              `json:"peers"`
	Policies []simnet.Summary `json:"policies"`
	// KeyBytes is what a key costs in the pool, measured on the heap.
	KeyBytes float64 `json:"pool_bytes_per_key"`
	PoolMB   float64 `json:"pool_peak_mb"`
}

// maxSeeds bounds the runs of one command.
const maxSeeds = 10_000

func newSim() *cobra.Command {
	o := &options{}
	var (
		policy string
		seed   uint64
		seeds  int
		list   bool
	)
	cmd := &cobra.Command{
		Use:   "sim SCENARIO",
		Short: "Try the scheduler on thousands of virtual peers in virtual time",
		Long: `Run the scheduler of this program, and re-implementations of those of others,
against virtual peers that are slow, stall, lie or leave, in virtual time. The result
is compared with an ideal download that keeps every link full until its fault. The
same seed gives the same run.

SCENARIO is one of those that --list shows, or a JSON file of your own; the embedded
ones are in internal/simnet/scenarios. Policies marked "reimpl" are re-implementations
from published constants: they show the order of things, not what those programs do.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if list {
				return cobra.NoArgs(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return listScenarios(o)
			}
			if seeds < 1 || seeds > maxSeeds {
				return usage("--seeds %d: want 1 to %d", seeds, maxSeeds)
			}
			names := []string{policy}
			if policy == "all" {
				names = simnet.Policies()
			} else if simnet.AboutPolicy(policy) == "" {
				return usage("--policy %q: there are %s, and all", policy, strings.Join(simnet.Policies(), ", "))
			}
			s, err := simnet.Load(args[0])
			if err != nil {
				return err
			}
			r, err := simulate(cmd.Context(), s, names, seed, seeds)
			if err != nil {
				return err
			}
			return o.result(r, r.print)
		},
	}
	cmd.Flags().StringVar(&policy, "policy", simnet.Shoal, "`name` of who decides: "+strings.Join(simnet.Policies(), ", ")+", or all")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "`number` that all randomness comes from")
	cmd.Flags().IntVar(&seeds, "seeds", 1, "`number` of runs, with this and the following seeds; the median and the worst are shown")
	cmd.Flags().BoolVar(&list, "list", false, "list the scenarios and policies")
	o.addJSON(cmd)
	return cmd
}

func simulate(ctx context.Context, s *simnet.Scenario, policies []string, seed uint64, seeds int) (simReport, error) {
	r := simReport{Scenario: s.Name, About: s.About, Blocks: s.Blocks}
	for _, g := range s.Peers {
		r.Peers += g.Count
	}
	if slices.Contains(policies, simnet.Shoal) {
		keys := s.PoolKeys()
		bytes := simnet.PoolMemory(keys)
		r.KeyBytes, r.PoolMB = float64(bytes)/float64(keys), float64(bytes)/1e6
	}
	for _, name := range policies {
		runs, err := simnet.RunSeeds(ctx, s, simnet.Options{Policy: name, Seed: seed, Clock: time.Now}, seeds)
		if err != nil {
			return r, err
		}
		r.Policies = append(r.Policies, simnet.Summarise(runs))
	}
	return r, nil
}

func listScenarios(o *options) error {
	type line struct {
		Name  string `json:"name"`
		About string `json:"about"`
	}
	var scenarios, policies []line
	for _, name := range simnet.Scenarios() {
		s, err := simnet.Load(name)
		if err != nil {
			return err
		}
		scenarios = append(scenarios, line{name, s.About})
	}
	for _, name := range simnet.Policies() {
		policies = append(policies, line{name, simnet.AboutPolicy(name)})
	}
	return o.result(map[string]any{"scenarios": scenarios, "policies": policies}, func(to io.Writer) {
		t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
		for _, l := range scenarios {
			fmt.Fprintf(t, "%s\t%s\n", l.Name, l.About)
		}
		fmt.Fprintln(t, "\t\npolicies:\t")
		for _, l := range policies {
			fmt.Fprintf(t, "%s\t%s\n", l.Name, l.About)
		}
		t.Flush()
	})
}

// print shows the report as a small table, and where the time of the links went in
// the worst run of the first policy.
func (r simReport) print(to io.Writer) {
	fmt.Fprintf(to, "%s: %s\n", r.Scenario, r.About)
	seeds := "1 seed"
	if n := r.Policies[0].Seeds; n > 1 {
		seeds = fmt.Sprintf("%d seeds", n)
	}
	fmt.Fprintf(to, "%d blocks, %d peers, %s; efficiency is the ideal time as a share of the time it takes\n\n", r.Blocks, r.Peers, seeds)
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "policy\tefficiency\tworst\tideal\ttakes\tduplicates\tlast 1 %\trequests\tcost\t")
	for _, p := range r.Policies {
		name := p.Policy
		if p.Policy != simnet.Shoal {
			name += " (reimpl)"
		}
		m := p.Median
		fmt.Fprintf(t, "%s\t%.1f %%\t%.1f %%\t%.1f s\t%.1f s\t%.2f %%\t%.2f s\t%d\t%.2f us/block\t\n",
			name, 100*m.Efficiency, 100*p.Worst.Efficiency, m.Ideal, m.Seconds, 100*p.MostDuplicates, p.LongestTail, m.Requests, m.Micros)
	}
	t.Flush()
	for _, p := range r.Policies {
		if p.Finished < p.Seeds {
			fmt.Fprintf(to, "%s: %d of %d runs did not come to an end\n", p.Policy, p.Seeds-p.Finished, p.Seeds)
		}
	}
	w := r.Policies[0].Worst
	fmt.Fprintf(to, "\nlinks of %s, seed %d:\n", w.Policy, w.Seed)
	t = tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, s := range w.Links {
		fmt.Fprintf(t, "  %s\t%.2f %%\t%.1f s\t\n", s.Reason, 100*s.Share, s.Seconds)
	}
	t.Flush()
	if r.KeyBytes > 0 {
		fmt.Fprintf(to, "\nthe pool takes %.0f bytes for a key, %.1f MB at its peak\n", r.KeyBytes, r.PoolMB)
	}
}
