// Command bench is the lab: it measures the rows of the performance table with whole
// processes over links of a known rate, next to what others do with the same bytes
// over the same links in the same run.
//
//	go run . P1                one row; with --json the last line is its result
//	go run . all               all rows; results go to a file, from which the table is made
//	go run . table             the table of docs/performance.md, from that file
//	go run . compare           the lab and the simulator, side by side
//	go run . simulate          the table of docs/simulation.md
//	go run . rows              which rows there are
//
// It runs in its own directory. As root it makes network namespaces with rate limits
// in the kernel; otherwise its servers keep to the rates themselves, which is less
// exact.
//
// What it does not do: it tests nothing. That a sync is right is checked here too, by
// comparing the exported chain, but the tests of the packages are where that is proved.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/shoalnet/shoal/bench/fetch"
	"github.com/shoalnet/shoal/bench/serve"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := do(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const usageText = "usage: go run . ROW | all | table | compare | simulate | rows [flags]; -h shows the flags"

func do(ctx context.Context, args []string) error {
	command := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	switch command {
	case serve.Argument:
		return serve.Run(os.Stdin, os.Stdout)
	case fetch.Argument:
		return fetch.Run(ctx, os.Stdin, os.Stdout)
	}
	var (
		flags   = flag.NewFlagSet("bench", flag.ContinueOnError)
		json    = flags.Bool("json", false, "print the result as the last line, as JSON")
		runs    = flags.Int("runs", 0, "`number` of runs of each row (default: what the row asks for, mostly 5)")
		rivals  = flags.Int("rivals", 5, "`number` of the runs of a row in which the competitors take part, the first ones")
		seconds = flags.Float64("seconds", 30, "`time` that an ideal run takes")
		svg     = flags.String("svg", "", "`file` for a plot of the rates of all peers over time, in the last run")
		which   = flags.String("rows", "", "comma-separated `list` of rows for all, scenarios for compare and simulate (default: all of them)")
		results = flags.String("results", "results.jsonl", "`file` to which all adds results, and of which table makes the table")
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	var list []string
	if *which != "" {
		list = strings.Split(*which, ",")
	}
	switch command {
	case "":
		return fmt.Errorf("%s", usageText)
	case "rows":
		for _, r := range rows {
			fmt.Printf("%-5s %s\n", r.id, r.about)
		}
		return nil
	case "table":
		return writeTable(*results)
	}
	l, err := newLab(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	l.seconds, l.runs, l.rivals, l.svg = *seconds, *runs, *rivals, *svg
	switch command {
	case "compare":
		return compare(ctx, l, list, os.Stdout)
	case "simulate":
		return simulate(ctx, l, list, os.Stdout)
	case "all":
		return all(ctx, l, list, *results)
	}
	r, err := rowByID(command)
	if err != nil {
		return err
	}
	res := r.perform(ctx, l)
	res.print(os.Stdout)
	if *json {
		line, err := res.line()
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
	if res.Error != "" {
		return fmt.Errorf("%s: %s", res.Row, res.Error)
	}
	return nil
}

func rowByID(id string) (*row, error) {
	i := slices.IndexFunc(rows, func(r row) bool { return strings.EqualFold(r.id, id) })
	if i < 0 {
		return nil, fmt.Errorf("there is no row %q; %s", id, usageText)
	}
	return &rows[i], nil
}

// all measures rows one after the other. Each result is added to the file at once:
// what fails, or is interrupted, takes nothing away from the others.
func all(ctx context.Context, l *lab, list []string, file string) error {
	if list == nil {
		for _, r := range rows {
			list = append(list, r.id)
		}
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	failed := 0
	for _, id := range list {
		r, err := rowByID(strings.TrimSpace(id))
		if err != nil {
			return err
		}
		res := r.perform(ctx, l)
		res.print(os.Stdout)
		if ctx.Err() != nil && res.Error != "" {
			return context.Cause(ctx)
		}
		line, err := res.line()
		if err != nil {
			return err
		}
		if _, err := f.Write(append(line, '\n')); err != nil {
			return err
		}
		if !res.Pass {
			failed++
		}
	}
	if err := writeTable(file); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d rows do not meet their must", failed, len(list))
	}
	return nil
}
