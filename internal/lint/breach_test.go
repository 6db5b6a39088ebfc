package lint

import (
	"go/token"
	"strings"
	"testing"
)

// fake returns a package with the given files: name, source, name, source…
func fake(t *testing.T, room string, files ...string) *pkg {
	t.Helper()
	p := &pkg{ImportPath: module + "/" + room, fset: token.NewFileSet()}
	for i := 0; i < len(files); i += 2 {
		if err := p.add(room+"/"+files[i], files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	p.Name = p.files[0].Name.Name
	return p
}

// expect compares complaints with the words that each of them must contain.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d complaints, want %d: %q", len(got), len(want), got)
		return
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("complaint %d is %q, want it to contain %q", i, got[i], want[i])
		}
	}
}

// TestBreaches breaks every rule: a rule that finds nothing proves nothing.
func TestBreaches(t *testing.T) {
	const ours = `import _ "` + module + "/"
	for _, c := range []struct {
		room, file, imports string
		want                []string
	}{
		{"wire", "a.go", ours + `chain"`, []string{"wire/a.go:2 imports chain, which the table of allowed imports forbids"}},
		{"chain", "a_linux.go", ours + `wire"`, []string{"imports wire"}},
		{"peer", "a.go", ours + `wire"`, nil},
		{"peer", "a.go", ours + `chain"`, []string{"imports chain"}},
		{"store", "a.go", ours + `internal/chaingen"`, []string{"imports internal/chaingen"}},
		{"store", "a_test.go", ours + `internal/chaingen"`, nil},
		{"peer", "a_test.go", ours + `chain"`, nil},
		{"wire", "a_test.go", ours + `chain"`, []string{"does not stand above wire"}},
		{"chain", "a_test.go", ours + `cmd/shoal"`, []string{"does not stand above chain"}},
		{"cmd/shoal", "a.go", ours + `internal/chaingen"`, nil},
		{"bench", "a.go", ours + `cmd/shoal"`, []string{"imports cmd/shoal"}},
		{"node", "a.go", ours + `archive"`, []string{"imports archive"}},
		{"pool", "a.go", `import _ "example.org/x"`, []string{"standard library only"}},
		{"pool", "a_test.go", `import _ "example.org/x"`, nil},
		{"wire", "a.go", `import _ "example.org/x"`, nil},
		{"fresh", "a.go", "", []string{"package fresh is not in the table of allowed imports: add it"}},
	} {
		expect(t, checkImports(fake(t, c.room, c.file, "package x\n"+c.imports)), c.want...)
	}

	std := newImporter()
	for _, c := range []struct {
		src  string
		want []string
	}{
		{`import "log/slog"; var _ slog.Level`, []string{"imports log/slog"}},
		{`import "maps"; var _ = maps.Keys[map[int]int]`, []string{"imports maps"}},
		{`import "time"; func f() time.Time { return time.Now() }`, []string{"pool/a.go:1 calls time.Now"}},
		{`import clock "time"; var f = clock.Since`, []string{"calls time.Since"}},
		{`import "time"; func f(t time.Time) bool { return t.After(time.Unix(1, 0)) }`, nil},
		{`import "math/rand/v2"; func f() int { return rand.N(3) }`, []string{"rand.N"}},
		{`import "math/rand/v2"; func f() int { return rand.New(rand.NewPCG(1, 2)).IntN(3) }`, nil},
		{`import "fmt"; func f() { fmt.Println() }`, []string{"fmt.Println"}},
		{`func f() { go f() }`, []string{"starts a goroutine"}},
		{`func f(c chan int) {}`, []string{"uses channels"}},
		{`func f(m map[int]int) (n int) { for k := range m { n = k }; return }`, []string{"ranges over a map"}},
		{`type set map[int]bool; func f[T any](m struct{ set }, s []T) { for range s {}; for range m.set {} }`, []string{"ranges over a map"}},
	} {
		expect(t, checkPure(fake(t, "pool", "a.go", "package pool; "+c.src, "a_test.go", `package pool; import "log"; var _ = log.Print`), std), c.want...)
	}

	const good = "// Package wire is it.\npackage wire\n"
	expect(t, checkComment(fake(t, "wire", "a.go", good, "b.go", "package wire\n")))
	expect(t, checkComment(fake(t, "wire", "a.go", "package wire\n")), "has no package comment")
	expect(t, checkComment(fake(t, "wire", "a.go", "//go:build race\n\npackage wire\n")), "has no package comment")
	expect(t, checkComment(fake(t, "wire", "a.go", good, "b_test.go", good)), "in each of wire/a.go, wire/b_test.go")
	expect(t, checkComment(fake(t, "wire", "a.go", "// The wire.\npackage wire\n")), `begin it with "Package wire "`)
	expect(t, checkComment(fake(t, "cmd/shoal", "a.go", "// Command shoal is it.\npackage main\n")))

	file := func(name, text string) []treeFile { return []treeFile{{name, []byte(text)}} }
	expect(t, checkFormat(file("a.go", "package  a\n")), "run gofmt -w a.go")
	expect(t, checkFormat(file("a.go", "package a\n")))
	expect(t, checkLength(file("a.go", strings.Repeat("\n", maxLines+1))), "1001 lines")
	expect(t, checkLength(file("a_test.go", strings.Repeat("\n", maxLines+1))))
	for _, dir := range []string{"root", "work", "home", "Users"} {
		expect(t, checkPlaces(file("a.md", "one\n/"+dir+"/x")), "a.md:2 contains")
	}
	expect(t, checkPlaces(file("a", "GOPROXY=https://"+"proxy"+".golang.org,direct")), "a:1 contains")
	expect(t, checkPlaces(file("a", "../work/x, state/root/x, https://example.org/home/x")))

	patterns := []string{"/shoal", "/bin/", "*.test"}
	for name, want := range map[string]bool{"shoal": true, "cmd/shoal": false, "bin": false, "x/y.test": true, "x.go": false} {
		if got := ignored(patterns, name, false); got != want {
			t.Errorf("ignored(%s) is %v, want %v", name, got, want)
		}
	}
	if !ignored(patterns, "bin", true) {
		t.Error("ignored(bin) is false, want true for the directory")
	}
}
