package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/link"
)

// raced are the stories in which peers meet. In them the command is the one of TestMain,
// with the race detector if that is on; in the others it is as users build it, for whom an
// archive takes a tenth of the time, and what it does there the packages' own tests race.
var raced = map[string]bool{"content": true, "discover": true, "interrupt": true, "links": true, "status": true, "sync": true}

// TestScripts runs the stories of users in testdata/script. Beyond the commands
// of testscript they have those of [scriptCommands], and the variables and
// conditions of the files that may be missing: mainnet, sepolia, poc6.
func TestScripts(t *testing.T) {
	goEnv := goEnvironment(t)
	files := map[string]string{"mainnet": mainnetFile(), "sepolia": sepoliaFile(), "poc6": poc6File()}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                scriptCommands,
		Condition: func(cond string) (bool, error) {
			path, ok := files[cond]
			if !ok {
				return false, errors.New("unknown condition")
			}
			return path != "", nil
		},
		Setup: func(env *testscript.Env) error {
			for name, path := range files {
				env.Setenv(strings.ToUpper(name), path)
			}
			for _, kv := range goEnv {
				name, value, _ := strings.Cut(kv, "=")
				env.Setenv(name, value)
			}
			env.Setenv("MODULE", here)
			if name := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-"); !raced[name] {
				env.Setenv("PATH", filepath.Dir(program(t))+string(filepath.ListSeparator)+env.Getenv("PATH"))
			}
			env.Setenv("HOME", env.WorkDir)
			s := spawned{}
			env.Values[spawnedKey{}] = s
			env.Defer(func() {
				for _, p := range s {
					p.kill()
				}
			})
			return nil
		},
	})
}

// goEnvironment is what the go command needs to find modules, for the demo.
func goEnvironment(t *testing.T) []string {
	var env []string
	for _, name := range []string{"GOMODCACHE", "GOCACHE", "GOPATH", "GOFLAGS", "GOPROXY"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Logf("without the go command the demo has no real chain: %v", err)
			return nil
		}
		env = append(env, name+"="+strings.TrimSpace(string(out)))
	}
	return env
}

// spawned are the processes of one script that run in the background, by name.
type spawned map[string]*process

type spawnedKey struct{}

func processOf(ts *testscript.TestScript, name string) *process {
	p := ts.Value(spawnedKey{}).(spawned)[name]
	if p == nil {
		ts.Fatalf("no process is called %s", name)
	}
	return p
}

// scriptCommands are the commands that the scripts have beyond those of the
// package testscript.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	// exits CODE PROGRAM ARGS...: runs a program that must end with the code.
	"exits": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) >= 2, "exits CODE PROGRAM ARGS...")
		code := 0
		err := ts.Exec(args[1], args[2:]...)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		} else if err != nil {
			ts.Fatalf("%v", err)
		}
		if want := number(ts, args[0]); int64(code) != want {
			ts.Fatalf("exit code %d, want %d", code, want)
		}
	},
	// until PATTERN PROGRAM ARGS...: runs a program again and again until it ends
	// well and its standard output matches.
	"until": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) >= 2, "until PATTERN PROGRAM ARGS...")
		re := pattern(ts, args[0])
		for began := time.Now(); ts.Exec(args[1], args[2:]...) != nil || !re.MatchString(ts.ReadFile("stdout")); time.Sleep(50 * time.Millisecond) {
			if time.Since(began) > patience {
				ts.Fatalf("%v does not print %q", args[1:], args[0])
			}
		}
	},
	// spawn NAME PATTERN PROGRAM ARGS...: starts a program in the background and
	// waits until its output matches. The first submatch is put into $NAME.
	"spawn": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) >= 3, "spawn NAME PATTERN PROGRAM ARGS...")
		cmd := exec.Command(args[2], args[3:]...)
		for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
			if path, err := exec.LookPath(filepath.Join(dir, args[2])); err == nil {
				cmd.Path, cmd.Err = path, nil
				break
			}
		}
		cmd.Dir = ts.MkAbs(".")
		cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "TMPDIR="+ts.Getenv("TMPDIR"))
		p, err := launch(cmd)
		ts.Check(err)
		all := ts.Value(spawnedKey{}).(spawned)
		if old := all[args[0]]; old != nil {
			old.kill()
		}
		all[args[0]] = p
		found := p.all.await(pattern(ts, args[1]))
		if found == nil {
			ts.Fatalf("%s does not print %q; it wrote:\n%s", args[0], args[1], p.all)
		}
		if len(found) > 1 {
			ts.Setenv(args[0], found[1])
		}
	},
	// printed NAME PATTERN: waits until the output of a spawned program matches.
	"printed": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 2, "printed NAME PATTERN")
		p := processOf(ts, args[0])
		if p.all.await(pattern(ts, args[1])) == nil {
			ts.Fatalf("%s does not print %q; it wrote:\n%s", args[0], args[1], p.all)
		}
	},
	// keep NAME: puts what the last program has printed, one line, into $NAME.
	"keep": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 1, "keep NAME")
		ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
	},
	// split ADDRESS: puts what an address tls://host:port#KEY has of host:port into $HOSTPORT.
	"split": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 1, "split ADDRESS")
		a, err := link.ParseAddr(args[0])
		ts.Check(err)
		ts.Setenv("HOSTPORT", a.HostPort)
	},
	// signal NAME int|kill CODE: sends a signal to a spawned program and waits
	// for its end, which must have the code (-1 for kill).
	"signal": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 3, "signal NAME int|kill CODE")
		p := processOf(ts, args[0])
		signal := map[string]os.Signal{"int": os.Interrupt, "kill": os.Kill}[args[1]]
		ts.Check(p.cmd.Process.Signal(signal))
		code, err := p.wait()
		if err != nil || int64(code) != number(ts, args[2]) {
			ts.Fatalf("%s ends with exit code %d, want %s (%v); it wrote:\n%s", args[0], code, args[2], err, p.all)
		}
	},
	// json PATH ==|>= VALUE: checks a field of the JSON object on the standard
	// output of the last program. The steps of a path are joined by dots: names,
	// indexes, * for all items, len for their number.
	"json": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 3, "json PATH ==|>= VALUE")
		text := ts.ReadFile("stdout")
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var v any
		ts.Check(dec.Decode(&v))
		if _, err := dec.Token(); err != io.EOF {
			ts.Fatalf("there is more than one JSON object in %s", text)
		}
		found := lookUp(v, strings.Split(args[0], "."))
		if len(found) == 0 {
			ts.Fatalf("%s is not in %s", args[0], text)
		}
		for _, got := range found {
			ok := got == args[2]
			if args[1] == ">=" {
				g, err := strconv.ParseFloat(got, 64)
				ok = err == nil && g >= float64(number(ts, args[2]))
			}
			if !ok {
				ts.Fatalf("%s is %s, want %s %s, in %s", args[0], got, args[1], args[2], text)
			}
		}
	},
	// same FILE FILE: the bytes of two files are equal.
	"same": func(ts *testscript.TestScript, neg bool, args []string) {
		if len(args) != 2 {
			ts.Fatalf("usage: [!] same FILE FILE")
		}
		a, b := ts.ReadFile(args[0]), ts.ReadFile(args[1])
		if (a == b) == neg {
			ts.Fatalf("%s has %d bytes, %s has %d; equal: %v", args[0], len(a), args[1], len(b), a == b)
		}
	},
	// sha256 FILE DIGEST: checks the digest of a file.
	"sha256": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 2, "sha256 FILE DIGEST")
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(ts.ReadFile(args[0])))); got != args[1] {
			ts.Fatalf("%s has %s, want %s", args[0], got, args[1])
		}
	},
	// absent PATTERN: no file has a name like that.
	"absent": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 1, "absent PATTERN")
		found, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		if len(found) > 0 {
			ts.Fatalf("there is %q", found)
		}
	},
	// gunzip FROM TO
	"gunzip": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 2, "gunzip FROM TO")
		r, err := gzip.NewReader(strings.NewReader(ts.ReadFile(args[0])))
		ts.Check(err)
		b, err := io.ReadAll(r)
		ts.Check(err)
		write(ts, args[1], b)
	},
	// unhex FROM TO: lines of hexadecimal digits to bytes.
	"unhex": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 2, "unhex FROM TO")
		write(ts, args[1], unhexLines(ts.ReadFile(args[0])))
	},
	// cut FROM SIZE TO: the first bytes of a file. A negative size counts from
	// the end.
	"cut": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 3, "cut FROM SIZE TO")
		b, size := ts.ReadFile(args[0]), number(ts, args[1])
		if size < 0 {
			size += int64(len(b))
		}
		write(ts, args[2], []byte(b[:size]))
	},
	// flip FROM PERCENT TO: a copy with one bit flipped, so far into the file.
	"flip": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 3, "flip FROM PERCENT TO")
		b := []byte(ts.ReadFile(args[0]))
		b[int64(len(b))*number(ts, args[1])/100] ^= 0x10
		write(ts, args[2], b)
	},
	// generate NETWORK BLOCKS SEED TO: a chain, genesis block first.
	"generate": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 4, "generate NETWORK BLOCKS SEED TO")
		net, err := chain.NetworkByName(args[0])
		ts.Check(err)
		genesis, err := net.GenesisBlock()
		ts.Check(err)
		w, err := archive.Create(ts.MkAbs(args[3]))
		ts.Check(err)
		defer w.Abort()
		ts.Check(w.Append(genesis.Raw()))
		c := chaingen.Config{Network: net, Seed: uint64(number(ts, args[2])), Blocks: uint64(number(ts, args[1])), Txs: 2}
		for b := range chaingen.Generate(c) {
			ts.Check(w.Append(b.Raw()))
		}
		ts.Check(w.Commit())
	},
}

func positive(ts *testscript.TestScript, neg, ok bool, usage string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", usage)
	}
}

func number(ts *testscript.TestScript, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	ts.Check(err)
	return n
}

func pattern(ts *testscript.TestScript, s string) *regexp.Regexp {
	re, err := regexp.Compile("(?m)" + s)
	ts.Check(err)
	return re
}

func write(ts *testscript.TestScript, name string, b []byte) {
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(name)), 0o777))
	ts.Check(os.WriteFile(ts.MkAbs(name), b, 0o666))
}

// lookUp returns what is at a path in a JSON value.
func lookUp(v any, path []string) []string {
	if len(path) == 0 {
		switch v := v.(type) {
		case string:
			return []string{v}
		case json.Number:
			return []string{v.String()}
		}
		b, err := json.Marshal(v)
		if err != nil {
			return nil
		}
		return []string{string(b)}
	}
	switch v := v.(type) {
	case map[string]any:
		if inner, ok := v[path[0]]; ok {
			return lookUp(inner, path[1:])
		}
	case []any:
		switch path[0] {
		case "len":
			return []string{strconv.Itoa(len(v))}
		case "*":
			var all []string
			for _, inner := range v {
				all = slices.Concat(all, lookUp(inner, path[1:]))
			}
			return all
		}
		if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(v) {
			return lookUp(v[i], path[1:])
		}
	}
	return nil
}

// unhexLines decodes lines of hexadecimal digits.
func unhexLines(text string) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(text) {
		for line = strings.TrimSpace(line); len(line) >= 2; line = line[2:] {
			b, err := strconv.ParseUint(line[:2], 16, 8)
			if err != nil {
				return nil
			}
			out.WriteByte(byte(b))
		}
	}
	return out.Bytes()
}
