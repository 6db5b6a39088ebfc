package lint

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"
)

// pureImports are the packages that pure code may use. None of them starts a
// goroutine, writes anything or, but for the functions below, reads the world.
// Package maps is not among them: it iterates in random order. The seed of hash/maphash
// is random too, but it only says where in a table a key lies, as it does in a map.
var pureImports = []string{
	"cmp", "container/heap", "errors", "fmt", "hash/maphash", "iter", "math", "math/bits", "math/rand/v2", "slices", "sort",
	"strconv", "strings", "time",
}

// clocks are the functions of package time that read the clock or wait for it.
var clocks = []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}

// newImporter returns what finds the types of the standard library. It reads each
// package once.
func newImporter() types.Importer { return importer.ForCompiler(token.NewFileSet(), "source", nil) }

// checkPure checks that a package, tests aside, is a pure state machine: time and
// randomness are arguments, there are no goroutines and no logs, and the order
// of a map decides nothing. Only then does a simulation replay exactly.
func checkPure(p *pkg, std types.Importer) (complaints []string) {
	var files []*ast.File
	complain := func(at token.Pos, what, mend string) {
		pos := p.fset.Position(at)
		complaints = append(complaints, fmt.Sprintf("%s:%d %s, but %s is a pure state machine: %s", pos.Filename, pos.Line, what, p.Name, mend))
	}
	for _, f := range p.files {
		if f.test {
			continue
		}
		files = append(files, f.File)
		for _, spec := range f.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err == nil && !slices.Contains(pureImports, path) {
				complain(spec.Pos(), "imports "+path, "let the caller do that, or add the package to pureImports in internal/lint if it is as pure")
			}
		}
	}
	if len(complaints) > 0 {
		return complaints
	}

	info := types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: std}
	if _, err := config.Check(p.ImportPath, p.fset, files, &info); err != nil {
		return []string{err.Error()}
	}
	for _, f := range files {
		for n := range ast.Preorder(f) {
			switch n := n.(type) {
			case *ast.GoStmt:
				complain(n.Pos(), "starts a goroutine", "return what is to be done and let the caller do it")
			case *ast.ChanType, *ast.SelectStmt:
				complain(n.Pos(), "uses channels", "return values")
			case *ast.RangeStmt:
				if t := info.Types[n.X].Type; t != nil {
					if _, isMap := t.Underlying().(*types.Map); isMap {
						complain(n.Pos(), "ranges over a map, whose order is random", "keep a slice in order beside the map")
					}
				}
			case *ast.Ident:
				f, ok := info.Uses[n].(*types.Func)
				if !ok || f.Pkg() == nil || f.Signature().Recv() != nil {
					break
				}
				switch path, name := f.Pkg().Path(), f.Name(); {
				case path == "time" && slices.Contains(clocks, name):
					complain(n.Pos(), "calls time."+name, "take the time as an argument")
				case strings.HasPrefix(path, "math/rand") && !strings.HasPrefix(name, "New"):
					complain(n.Pos(), "uses the global source of randomness by rand."+name, "take a *rand.Rand as an argument")
				case path == "fmt" && (strings.HasPrefix(name, "Print") || strings.HasPrefix(name, "Scan")):
					complain(n.Pos(), "calls fmt."+name, "return what is to be said")
				}
			}
		}
	}
	return complaints
}
