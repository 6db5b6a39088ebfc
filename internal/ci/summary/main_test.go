package main

import (
	"errors"
	"strings"
	"testing"
)

// The lines of tests, as go test -json prints them, without time stamps.
const (
	passes = `{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"TestA"}
{"Action":"output","Package":"a","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"a","Test":"TestA","Output":"    a_test.go:4: said in passing\n"}
{"Action":"pass","Package":"a","Test":"TestA","Elapsed":0}
{"Action":"output","Package":"a","Test":"TestS","Output":"=== RUN   TestS\n"}
{"Action":"output","Package":"a","Test":"TestS","Output":"    a_test.go:5: no data\n"}
{"Action":"output","Package":"a","Test":"TestS","Output":"--- SKIP: TestS (0.00s)\n"}
{"Action":"skip","Package":"a","Test":"TestS","Elapsed":0}
{"Action":"pass","Package":"a","Elapsed":1.25}
`
	fails = `{"Action":"output","Package":"b","Test":"TestB/sub","Output":"    b_test.go:7: got 1, want 2\n"}
{"Action":"fail","Package":"b","Test":"TestB/sub","Elapsed":0}
{"Action":"fail","Package":"b","Test":"TestB","Elapsed":0}
{"Action":"pass","Package":"b","Test":"TestC","Elapsed":2.5}
{"Action":"fail","Package":"b","Elapsed":0.1}
`
	exits = `{"Action":"output","Package":"c","Test":"TestE","Output":"last words\n"}
{"Action":"output","Package":"c","Output":"FAIL\tc\t0.2s\n"}
{"Action":"fail","Package":"c","Elapsed":0.2}
`
	unbuilt = `{"ImportPath":"d [d.test]","Action":"build-output","Output":"d_test.go:3:27: undefined: x\n"}
{"ImportPath":"d [d.test]","Action":"build-fail"}
{"Action":"fail","Package":"d","Elapsed":0,"FailedBuild":"d [d.test]"}
`
	empty = `{"Action":"output","Package":"e","Output":"?   \te\t[no test files]\n"}
{"Action":"skip","Package":"e","Elapsed":0}
`
)

func TestSummary(t *testing.T) {
	failed := errors.New("exit status 1")
	for _, c := range []struct {
		name, in string
		err      error
		want     []string // the last of them is the last line
	}{
		{"pass", passes + empty, nil, []string{"a TestS: a_test.go:5: no data", "1 passed, 0 failed, 1 skipped"}},
		{"fail", passes + fails, failed, []string{"b TestB/sub failed", "got 1, want 2", "failed:\n  b TestB/sub\n", "2 passed, 2 failed, 1 skipped"}},
		{"twice", passes + passes, nil, []string{"2 passed, 0 failed, 2 skipped"}},
		{"slow", passes + fails, failed, []string{"slowest:\n     2.5 s  b TestC\n", "2 passed, 2 failed, 1 skipped"}},
		{"exit", exits, failed, []string{"c failed", "last words", "0 passed, 1 failed, 0 skipped"}},
		{"build", passes + unbuilt, failed, []string{"undefined: x", "d failed", "1 passed, 1 failed, 1 skipped"}},
		{"go test says nothing but fails", passes, failed, []string{"exit status 1", "1 passed, 1 failed, 1 skipped"}},
		{"no tests", empty, nil, []string{"no test was run", "0 passed, 1 failed, 0 skipped"}},
		{"other text", "go: something\n" + passes, nil, []string{"go: something", "1 passed, 0 failed, 1 skipped"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			s := newSummary(&out)
			if err := s.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			last := c.want[len(c.want)-1]
			if got, want := s.finish(c.err), strings.Contains(last, " 0 failed"); got != want {
				t.Errorf("all is well is %v, want %v", got, want)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the summary lacks %q", want)
				}
			}
			if !strings.HasSuffix(out.String(), "\n"+last+"\n") {
				t.Errorf("the last line is not %q", last)
			}
			if strings.Contains(out.String(), "said in passing") {
				t.Error("the summary repeats what a passing test said")
			}
			if t.Failed() {
				t.Logf("the summary:\n%s", &out)
			}
		})
	}
}
