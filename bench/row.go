package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// row is one line of the table: what is measured, and what it must be.
type row struct {
	id, about     string
	must, stretch float64
	atLeast       bool // more is better
	unit          string
	runs          int  // that it takes
	worst         bool // every run must pass, not only the median
	// limit, if not 0, is what no run may exceed even if the median passes.
	limit float64
	// most, if not 0, is what no run of a row of which more is better may exceed.
	most    float64
	measure func(ctx context.Context, l *lab, run int) (run, error)
}

// run is one run of a row.
type run struct {
	Value       float64            `json:"value"`
	Competitors map[string]float64 `json:"competitors,omitempty"`
	Note        string             `json:"note,omitempty"`
	Details     any                `json:"details,omitempty"`
}

// result is what became of a row: the last line of the output with --json, and a
// line of the file of results.
type result struct {
	Row         string             `json:"row"`
	About       string             `json:"about"`
	Unit        string             `json:"unit,omitempty"`
	Ours        float64            `json:"ours"` // the median
	Min         float64            `json:"min"`
	Max         float64            `json:"max"`
	Must        float64            `json:"must"`
	Stretch     float64            `json:"stretch"`
	AtLeast     bool               `json:"at_least"`
	Pass        bool               `json:"pass"`
	Stretched   bool               `json:"pass_stretch"`
	Competitors map[string]float64 `json:"competitors"`
	Runs        []run              `json:"runs"`
	Seconds     float64            `json:"ideal_seconds"` // of a run, as asked for
	At          time.Time          `json:"at"`
	Error       string             `json:"error,omitempty"`
}

// perform measures a row. A run that fails ends the row; what was measured before
// it is in the result.
func (r *row) perform(ctx context.Context, l *lab) result {
	res := result{
		Row: r.id, About: r.about, Unit: r.unit, Must: r.must, Stretch: r.stretch, AtLeast: r.atLeast,
		Competitors: map[string]float64{}, Runs: []run{}, Seconds: l.seconds, At: time.Now().UTC().Truncate(time.Second),
	}
	for i := range cmp.Or(l.runs, r.runs) {
		l.contest = i < l.rivals
		v, err := r.measure(ctx, l, i)
		if err != nil {
			res.Error = fmt.Sprintf("run %d: %v", i+1, err)
			break
		}
		res.Runs = append(res.Runs, v)
		fmt.Fprintf(l.log, "%s run %d: %s%s\n", r.id, i+1, figure(v.Value, r.unit), note(v.Note))
	}
	res.sum(r)
	return res
}

func note(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// sum works out the median and what follows from it.
func (res *result) sum(r *row) {
	if len(res.Runs) == 0 {
		return
	}
	var values []float64
	others := map[string][]float64{}
	for _, v := range res.Runs {
		values = append(values, v.Value)
		for name, x := range v.Competitors {
			others[name] = append(others[name], x)
		}
	}
	res.Min, res.Ours, res.Max = slices.Min(values), median(values), slices.Max(values)
	for name, x := range others {
		res.Competitors[name] = median(x)
	}
	worst := res.Max
	if r.atLeast {
		worst = res.Min
	}
	decides := res.Ours
	if r.worst {
		decides = worst
	}
	res.Pass = res.Error == "" && r.meets(decides, r.must) && (r.limit == 0 || r.meets(worst, r.limit)) && (r.most == 0 || res.Max <= r.most)
	res.Stretched = res.Pass && r.meets(decides, r.stretch)
}

func (r *row) meets(x, bound float64) bool {
	if r.atLeast {
		return x >= bound
	}
	return x <= bound
}

// median of an even number of values is the worse of the two in the middle for
// whoever wants them small, and so never a value that was not measured.
func median(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	return x[len(x)/2]
}

// figure writes a value with as many digits as say something.
func figure(x float64, unit string) string {
	digits := 3
	if a := math.Abs(x); a >= 1 && a < 1000 {
		digits = max(3-int(math.Log10(a)), 0)
	} else if a >= 1000 {
		digits = 0
	}
	text := fmt.Sprintf("%.*f", digits, x)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if unit == "" {
		return text
	}
	return text + " " + unit
}

// bound writes a bound of the row.
func bound(x float64, atLeast bool, unit string) string {
	if atLeast {
		return "≥ " + figure(x, unit)
	}
	return "≤ " + figure(x, unit)
}

// verdict is the result in a word.
func (res *result) verdict() string {
	switch {
	case res.Error != "" && len(res.Runs) == 0:
		return "error"
	case res.Error != "":
		return "stopped"
	case res.Stretched:
		return "stretch"
	case res.Pass:
		return "must"
	}
	return "FAILED"
}

// print shows the result as a small table.
func (res *result) print(to io.Writer) {
	fmt.Fprintf(to, "%s: %s\n", res.Row, res.About)
	for i, v := range res.Runs {
		fmt.Fprintf(to, "  run %d    %s%s\n", i+1, figure(v.Value, res.Unit), note(v.Note))
	}
	if len(res.Runs) > 0 {
		fmt.Fprintf(to, "  min %s, median %s, max %s\n", figure(res.Min, res.Unit), figure(res.Ours, res.Unit), figure(res.Max, res.Unit))
	}
	for _, name := range sorted(res.Competitors) {
		fmt.Fprintf(to, "  %-40s %s\n", name, figure(res.Competitors[name], ""))
	}
	fmt.Fprintf(to, "  must be %s, stretch %s: %s\n", bound(res.Must, res.AtLeast, res.Unit), bound(res.Stretch, res.AtLeast, res.Unit), res.verdict())
	if res.Error != "" {
		fmt.Fprintf(to, "  %s\n", res.Error)
	}
}

func sorted[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// line is the result as one line of JSON.
func (res *result) line() ([]byte, error) { return json.Marshal(res) }
