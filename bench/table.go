package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// The table stands between these lines of the document.
const (
	document   = "../docs/performance.md"
	tableBegin = "<!-- table: made by go run . table -->"
	tableEnd   = "<!-- end of table -->"
)

// writeTable puts the table of the results in a file into the document.
func writeTable(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var results []result
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for n := 1; lines.Scan(); n++ {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("%s:%d: %w", file, n, err)
		}
		results = append(results, r)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, _, after, err := cutTable(string(text), tableBegin)
	if err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	table := tableOf(latest(results))
	return os.WriteFile(document, []byte(before+tableBegin+"\n\n"+table+"\n"+tableEnd+after), 0o644)
}

// cutTable returns what stands before the table of a document, in it, and after it.
func cutTable(text, begin string) (before, table, after string, err error) {
	before, rest, ok1 := strings.Cut(text, begin)
	table, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		return "", "", "", errors.New("it has no place for the table")
	}
	return before, table, after, nil
}

// latest keeps of each row the last result that has runs, in the order of the rows.
func latest(results []result) []result {
	at := map[string]result{}
	for _, r := range results {
		if _, ok := at[r.Row]; !ok || len(r.Runs) > 0 {
			at[r.Row] = r
		}
	}
	var out []result
	for _, name := range sorted(at) {
		out = append(out, at[name])
	}
	number := func(r result) (n int) {
		fmt.Sscanf(r.Row, "P%d", &n)
		return n
	}
	slices.SortStableFunc(out, func(a, b result) int { return number(a) - number(b) })
	return out
}

// tableOf writes results as a table in Markdown.
func tableOf(results []result) string {
	var b bytes.Buffer
	b.WriteString("| row | what | must | stretch | ours: median (min to max, runs) | | competitors | command |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		ours := "-"
		if n := len(r.Runs); n > 0 {
			ours = fmt.Sprintf("**%s** (%s to %s, %d)", figure(r.Ours, r.Unit), figure(r.Min, ""), figure(r.Max, ""), n)
		}
		var others []string
		for _, name := range sorted(r.Competitors) {
			others = append(others, name+" "+figure(r.Competitors[name], ""))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | `go run . %s` |\n", r.Row, r.About,
			bound(r.Must, r.AtLeast, r.Unit), bound(r.Stretch, r.AtLeast, r.Unit), ours, r.verdict(), strings.Join(others, "; "), r.Row)
	}
	return b.String()
}
