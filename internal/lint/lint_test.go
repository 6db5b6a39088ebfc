package lint

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/shoalnet/shoal"

// root is the directory of the module, seen from this package's, and lab that of the
// module of its own that measures it.
var (
	root = filepath.Join("..", "..")
	lab  = filepath.Join(root, "bench")
)

// TestLint checks the tree that it is part of. Each subtest is a rule, and each
// of its messages says how to mend what it found.
//
// The rules of files read every file of the tree. By that the Go tool knows that
// a cached result of this test is stale when any of them has changed.
func TestLint(t *testing.T) {
	pkgs := slices.Concat(list(t, root), list(t, lab))
	tree := walk(t, root)

	t.Run("imports", func(t *testing.T) {
		for _, p := range pkgs {
			report(t, checkImports(p))
		}
	})
	t.Run("pool", func(t *testing.T) {
		i := slices.IndexFunc(pkgs, func(p *pkg) bool { return p.ImportPath == module+"/pool" })
		if i < 0 {
			t.Fatal("there is no package pool: if it has moved, this rule must move with it")
		}
		report(t, checkPure(pkgs[i], newImporter()))
	})
	t.Run("comments", func(t *testing.T) {
		for _, p := range pkgs {
			report(t, checkComment(p))
		}
	})
	t.Run("format", func(t *testing.T) { report(t, checkFormat(tree)) })
	t.Run("length", func(t *testing.T) { report(t, checkLength(tree)) })
	t.Run("places", func(t *testing.T) { report(t, checkPlaces(tree)) })

	for _, tool := range []struct{ name, mend, command string }{
		{
			"vet", "mend what it names",
			"go vet ./...",
		}, {
			"staticcheck", "mend what it names; where it is wrong, say why in a //lint:ignore comment",
			"go tool -modfile=$ROOT/tools/go.mod staticcheck ./...",
		}, {
			// The rewrite of string concatenation to strings.Builder is left
			// out: it makes short loops of tests longer and nothing faster.
			"fix", "run it without -diff",
			"go fix -stringsbuilder=false -diff ./...",
		},
	} {
		t.Run(tool.name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("takes its time; run without -short")
			}
			for dir, from := range map[string]string{root: ".", lab: ".."} {
				args := strings.Fields(strings.ReplaceAll(tool.command, "$ROOT", from))
				cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s\n%s\n%v: %s", strings.Join(args, " "), out, err, tool.mend)
				}
			}
		})
	}
}

func report(t *testing.T, complaints []string) {
	t.Helper()
	for _, c := range complaints {
		t.Error(c)
	}
}

// pkg is a package as go list describes it, with its files, parsed.
type pkg struct {
	ImportPath, Dir, Name                                        string
	GoFiles, CgoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string

	fset  *token.FileSet
	files []file
}

// file is one Go file of a package, whatever its build constraints.
type file struct {
	name string // from the root of the module, with slashes
	test bool
	*ast.File
}

// room is the package's path in the module, "." for its root.
func (p *pkg) room() string {
	if p.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

// add parses a file into the package.
func (p *pkg) add(name string, src any) error {
	f, err := parser.ParseFile(p.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p.files = append(p.files, file{name, strings.HasSuffix(name, "_test.go"), f})
	return nil
}

// list returns all packages of the module in a directory.
func list(t *testing.T, dir string) []*pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list",
		"-json=ImportPath,Dir,Name,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var pkgs []*pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		p := &pkg{fset: token.NewFileSet()}
		if err := dec.Decode(p); err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles) {
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.add(strings.TrimPrefix(p.room()+"/"+name, "./"), src); err != nil {
				t.Fatal(err)
			}
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 5 {
		t.Fatalf("go list names only %d packages in %s: the rules would hold for nothing", len(pkgs), dir)
	}
	return pkgs
}
