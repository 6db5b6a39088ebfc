package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/shoalnet/shoal/internal/simnet"
)

// The table of the simulator.
const (
	simulations     = "../docs/simulation.md"
	simulationBegin = "<!-- table: made by go run . simulate -->"
)

// lengthy are the scenarios that take minutes: they have one seed, and are not tried on
// others.
var lengthy = []string{"huge", "mainnet", "soak"}

// simulate runs scenarios in the simulator, with so many seeds for our own policy and
// for each of the others, and puts them into the table. Scenarios that are not named keep
// their lines.
func simulate(ctx context.Context, l *lab, names []string, to io.Writer) error {
	if names == nil {
		names = simnet.Scenarios()
	}
	text, err := os.ReadFile(simulations)
	if err != nil {
		return err
	}
	before, old, after, err := cutTable(string(text), simulationBegin)
	if err != nil {
		return fmt.Errorf("%s: %w", simulations, err)
	}
	lines := map[string]string{}
	for line := range strings.Lines(old) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			lines[strings.TrimSpace(cells[1])] = line
		}
	}
	for _, name := range names {
		if lines[name], err = l.simulation(ctx, name); err != nil {
			return err
		}
		fmt.Fprint(to, lines[name])
	}
	var table strings.Builder
	fmt.Fprintf(&table, "| scenario | what | %s, median (worst) | duplicates | last 1 %% | %s | seeds: ours, others | command |\n",
		simnet.Shoal, strings.Join(others(), " | "))
	table.WriteString("|---|---|---|---|---|" + strings.Repeat("---|", len(others())) + "---|---|\n")
	for _, name := range simnet.Scenarios() {
		table.WriteString(lines[name])
	}
	return os.WriteFile(simulations, []byte(before+simulationBegin+"\n\n"+table.String()+"\n"+tableEnd+after), 0o644)
}

// others are the re-implementations of what others do.
func others() []string { return simnet.Policies()[1:] }

// simulation returns the line of a scenario.
func (l *lab) simulation(ctx context.Context, name string) (string, error) {
	s, err := simnet.Load(name)
	if err != nil {
		return "", err
	}
	ours, theirs := max(l.runs, 1), l.rivals
	if slices.Contains(lengthy, name) {
		ours, theirs = 1, 0
	}
	us, err := l.runSimulator(ctx, name, simnet.Shoal, ours)
	if err != nil {
		return "", err
	}
	cells := []string{
		name, s.About,
		fmt.Sprintf("**%.1f %%** (%.1f)", 100*us.Median.Efficiency, 100*us.Worst.Efficiency),
		fmt.Sprintf("%.2f %%", 100*us.MostDuplicates), fmt.Sprintf("%.2f s of %.0f", us.LongestTail, us.Median.Seconds),
	}
	for _, policy := range others() {
		cell := "-"
		if theirs > 0 {
			they, err := l.runSimulator(ctx, name, policy, theirs)
			if err != nil {
				return "", err
			}
			cell = fmt.Sprintf("%.1f %% (%.1f)", 100*they.Median.Efficiency, 100*they.Worst.Efficiency)
			if n := they.Seeds - they.Finished; n > 0 {
				cell += fmt.Sprintf(", %d did not end", n)
			}
		}
		cells = append(cells, cell)
	}
	cells = append(cells, fmt.Sprintf("%d, %d", ours, theirs), "`shoal sim "+name+" --policy all --seeds "+fmt.Sprint(ours)+"`")
	return "| " + strings.Join(cells, " | ") + " |\n", nil
}

// runSimulator runs shoal sim.
func (l *lab) runSimulator(ctx context.Context, scenario, policy string, seeds int) (s simnet.Summary, err error) {
	out, err := exec.CommandContext(ctx, l.shoal, "sim", scenario, "--policy", policy, "--seeds", fmt.Sprint(seeds), "--json").Output()
	if err != nil {
		return s, fmt.Errorf("shoal sim %s: %w", scenario, err)
	}
	var report struct {
		Policies []simnet.Summary `json:"policies"`
	}
	if err := json.Unmarshal(out, &report); err != nil || len(report.Policies) == 0 {
		return s, fmt.Errorf("shoal sim %s says %q: %w", scenario, strings.TrimSpace(string(out)), err)
	}
	return report.Policies[0], nil
}
