// Command summary runs "go test" with the arguments that it is given and says
// what came of it so that a person can read it: a line for each package, the
// whole output of whatever failed, the reasons of whatever was skipped, the tests
// that took longest, and as its last line
//
//	N passed, N failed, N skipped
//
// Arguments behind a "--" are those of another run of "go test", which follows
// whatever came of the one before; what is counted is counted for all together.
//
// Tests, subtests, examples and fuzz targets count alike, as in "go test -v". A
// package that fails without a failing test (it does not build, it panics, it
// runs out of time) counts as one failure. The exit code is not 0 if anything
// failed, or if no test was run at all.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	s := newSummary(os.Stdout)
	var err error
	for len(args) > 0 || s.runs == 0 {
		one := args
		if i := slices.Index(args, "--"); i >= 0 {
			one, args = args[:i], args[i+1:]
		} else {
			args = nil
		}
		err = cmp.Or(err, s.test(one))
	}
	if !s.finish(err) {
		return 1
	}
	return 0
}

// test runs "go test".
func (s *summary) test(args []string) error {
	s.runs++
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	err = s.read(out)
	if err != nil {
		err = fmt.Errorf("reading the output of go test: %w", err)
		io.Copy(io.Discard, out) // so that it is not stuck in a write
	}
	if e := cmd.Wait(); e != nil {
		err = cmp.Or(err, fmt.Errorf("go test: %w", e))
	}
	return err
}

// event is a line of "go test -json"; see "go doc test2json".
type event struct {
	Action, Package, ImportPath, Test, Output, FailedBuild string
	Elapsed                                                float64
}

// name is how a test, or with test "" a package, is shown.
type name struct{ pkg, test string }

func (n name) String() string {
	return strings.TrimSpace(strings.TrimPrefix(n.pkg, "github.com/shoalnet/shoal/") + " " + n.test)
}

// counts are the results of the tests of one package.
type counts struct{ passed, failed, skipped int }

// slow is a test that took its time, in seconds of the clock: with others beside it, it
// takes longer.
type slow struct {
	name
	seconds float64
}

// mostSlow is how many slow tests are told.
const mostSlow = 10

type summary struct {
	runs    int
	out     io.Writer
	output  map[name][]string // of what has not ended yet
	pkgs    map[string]*counts
	total   counts
	failed  []name
	skipped []string // test and reason
	slow    []slow   // the slowest first
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, output: map[name][]string{}, pkgs: map[string]*counts{}}
}

// read takes events until there are no more.
func (s *summary) read(in io.Reader) error {
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Fprint(s.out, line) // not an event: the Go tool says something
			} else {
				s.event(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) event(e event) {
	n := name{e.Package, e.Test}
	p := s.pkgs[e.Package]
	if p == nil {
		p = &counts{}
		s.pkgs[e.Package] = p
	}
	switch e.Action {
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "output":
		s.output[n] = append(s.output[n], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e, p)
		} else {
			s.endTest(e, p)
		}
	}
}

func (s *summary) endTest(e event, p *counts) {
	n := name{e.Package, e.Test}
	output := s.output[n]
	delete(s.output, n)
	if !strings.Contains(e.Test, "/") { // its subtests are in it
		s.slow = append(s.slow, slow{n, e.Elapsed})
		slices.SortStableFunc(s.slow, func(a, b slow) int { return cmp.Compare(b.seconds, a.seconds) })
		s.slow = s.slow[:min(len(s.slow), mostSlow)]
	}
	switch e.Action {
	case "pass":
		p.passed++
	case "fail":
		p.failed++
		s.failed = append(s.failed, n)
		fmt.Fprintf(s.out, "\n=== %v failed\n%s\n", n, strings.Join(output, ""))
	case "skip":
		p.skipped++
		s.skipped = append(s.skipped, fmt.Sprintf("%v: %s", n, reason(output)))
	}
}

// reason is what a test said when it was skipped.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			said = append(said, line)
		}
	}
	if len(said) == 0 {
		return "it does not say why"
	}
	return strings.Join(said, " ")
}

func (s *summary) endPackage(e event, p *counts) {
	n := name{pkg: e.Package}
	result := "ok  "
	if e.Action == "fail" {
		result = "FAIL"
		if p.failed == 0 {
			p.failed++
			s.failed = append(s.failed, n)
			fmt.Fprintf(s.out, "\n=== %v failed\n", n)
		}
		if e.FailedBuild != "" {
			fmt.Fprintln(s.out, "it does not build; what the compiler says is above")
		}
		// What is left belongs to tests that never ended and to the package
		// itself: a panic, a timeout, an exit.
		for _, left := range s.left(e.Package) {
			fmt.Fprint(s.out, strings.Join(s.output[left], ""))
		}
		fmt.Fprintln(s.out)
	}
	for _, left := range s.left(e.Package) {
		delete(s.output, left)
	}
	delete(s.pkgs, e.Package) // another run may have it too
	s.total.passed += p.passed
	s.total.failed += p.failed
	s.total.skipped += p.skipped
	if *p == (counts{}) {
		fmt.Fprintf(s.out, "-     %-24v no tests\n", n)
		return
	}
	fmt.Fprintf(s.out, "%s  %-24v %6.1f s  %5d passed", result, n, e.Elapsed, p.passed)
	if p.failed > 0 {
		fmt.Fprintf(s.out, ", %d failed", p.failed)
	}
	if p.skipped > 0 {
		fmt.Fprintf(s.out, ", %d skipped", p.skipped)
	}
	fmt.Fprintln(s.out)
}

// left returns what has output but no end, the package itself last.
func (s *summary) left(pkg string) (names []name) {
	for n := range s.output {
		if n.pkg == pkg {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b name) int { return cmp.Compare(b.test, a.test) })
	return names
}

// finish prints the end and tells whether all is well. The error is that of go
// test as a whole.
func (s *summary) finish(err error) bool {
	if len(s.slow) > 0 && s.slow[0].seconds > 0 {
		fmt.Fprintf(s.out, "\nslowest:\n")
		for _, x := range s.slow {
			fmt.Fprintf(s.out, "  %6.1f s  %v\n", x.seconds, x.name)
		}
	}
	if len(s.skipped) > 0 {
		fmt.Fprintf(s.out, "\nskipped:\n  %s\n", strings.Join(s.skipped, "\n  "))
	}
	if len(s.failed) > 0 {
		fmt.Fprintf(s.out, "\nfailed:\n")
		for _, n := range s.failed {
			fmt.Fprintf(s.out, "  %v\n", n)
		}
	}
	switch {
	case err != nil && s.total.failed == 0:
		s.total.failed++
		fmt.Fprintf(s.out, "\nfailed: %v\n", err)
	case s.total == (counts{}):
		s.total.failed++
		fmt.Fprintf(s.out, "\nfailed: no test was run\n")
	}
	fmt.Fprintf(s.out, "\n%d passed, %d failed, %d skipped\n", s.total.passed, s.total.failed, s.total.skipped)
	return s.total.failed == 0
}
