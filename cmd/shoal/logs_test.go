package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logKeys returns the keys of docs/logs.md.
func logKeys(t *testing.T) map[string]bool {
	t.Helper()
	doc, err := os.ReadFile("../../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		keys[m[1]] = true
	}
	return keys
}

// TestLogKeys: each key under which anything is logged is documented, and no other is.
func TestLogKeys(t *testing.T) {
	first := map[string]int{"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "Log": 3, "With": 0} // argument that is a key
	used := map[string]bool{"time": true, "level": true, "msg": true}
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && slices.Contains([]string{"bench", "internal", "tools"}, e.Name()):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			at, ok := first[f.Sel.Name]
			if of, is := f.X.(*ast.Ident); is && of.Name == "http" {
				return true // http.Error
			}
			if !ok || len(call.Args) < at || (len(call.Args)-at)%2 != 0 {
				return true
			}
			for i := at; i < len(call.Args); i += 2 {
				if key, ok := call.Args[i].(*ast.BasicLit); ok && key.Kind == token.STRING {
					name, err := strconv.Unquote(key.Value)
					if err != nil {
						t.Error(err)
					}
					used[name] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	documented := logKeys(t)
	for _, key := range slices.Sorted(maps.Keys(used)) {
		if !documented[key] {
			t.Errorf("%q is not in docs/logs.md", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(documented)) {
		if !used[key] {
			t.Errorf("nothing is logged under %q, which is in docs/logs.md", key)
		}
	}
}

// TestJSONLogs: with --log-format json, from wherever it comes, each line of a node and of a
// sync on standard error is an object with documented keys, also the last one, whether all
// went well, was interrupted, or was wrong from the beginning.
func TestJSONLogs(t *testing.T) {
	dir := t.TempDir()
	keys := logKeys(t)
	check := func(p *process, wantMsg ...string) {
		t.Helper()
		said := map[string]map[string]any{}
		for line := range strings.Lines(p.all.String()) {
			if strings.HasPrefix(line, "listening on ") { // the one line of standard output
				continue
			}
			var v map[string]any
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Errorf("%v in %q", err, line)
				continue
			}
			for k := range v {
				if !keys[k] {
					t.Errorf("%q is not documented: %s", k, line)
				}
			}
			msg, ok := v["msg"].(string)
			if !ok || v["level"] == nil || v["time"] == nil {
				t.Errorf("%s", line)
			}
			said[msg] = v
		}
		for _, want := range wantMsg {
			if said[want] == nil {
				t.Errorf("%q does not say %q; it wrote:\n%s", p.cmd.Args, want, tail(p.all.String()))
			}
		}
		if v := said["shoal ends"]; v != nil && (v["level"] != "ERROR" || v["exit"] != float64(p.cmd.ProcessState.ExitCode()) || v["err"] == "") {
			t.Errorf("the end is told as %v", v)
		}
	}

	n := start(t, "node", "--network", "dev", "--datadir", dir+"/n", "--listen", "127.0.0.1:0", "--peer", "127.0.0.1:1", "--log-format", "json", "--log-level", "debug")
	addr := n.await(t, `(?m)^listening on (\S+)$`)
	n.await(t, "no connection")
	t.Setenv("SHOAL_LOG_FORMAT", "json")
	s := start(t, "sync", "--network", "dev", "--datadir", dir+"/s", "--peer", addr, "--log-level", "debug")
	s.exits(t, exitOK)
	late := start(t, "sync", "--network", "dev", "--datadir", dir+"/s", "--peer", "127.0.0.1:1", "--timeout", "1s")
	late.exits(t, exitIncomplete)
	check(late, "no connection", "shoal ends")
	other := start(t, "sync", "--network", "sepolia", "--datadir", dir+"/s", "--peer", addr)
	other.exits(t, exitFailure)
	check(other, "shoal ends")
	for _, args := range [][]string{{"node", "--bogus"}, {"sync"}, {"nonsense"}, {"node", "--log-level", "loud"}, {"status", "--datadir", dir + "/none"}} {
		p := start(t, args...)
		if code, err := p.wait(); err != nil || code == exitOK {
			t.Errorf("%q ends with %d, %v", args, code, err)
		}
		check(p, "shoal ends")
	}
	n.interrupt(t)
	n.exits(t, exitOK)
	check(n, "node is up", "no connection", "session over", "node is down")

	t.Setenv("SHOAL_LOG_FORMAT", "xml")
	p := start(t, "node", "--datadir", dir+"/x")
	p.exits(t, exitUsage)
	p.await(t, `^shoal: --log-format "xml": there are text and json\n$`)
}
