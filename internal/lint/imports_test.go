package lint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// room is a package of the module and what it may import.
type room struct {
	path    string
	imports []string // of ours
	all     bool     // all of ours
	std     bool     // nothing that is not ours or the standard library's
}

// table is the allowed imports between packages of this module. It is ordered:
// a room stands below those that it may import. So it also holds the wider rule
// for tests, which may import every room above their own and all of internal/.
//
// Nothing may import a command or bench. What is under internal/ helps tests,
// the demo and benchmarks, and the rooms do without it.
var table = []room{
	{path: "pool", std: true},
	{path: "wire"},
	{path: "chain"},
	{path: "store"},
	{path: "swarm", imports: []string{"store"}},
	{path: "link", std: true},
	{path: "peer", imports: []string{"wire"}},
	{path: "txindex", imports: []string{"chain", "store"}},
	{path: "archive", imports: []string{"chain", "store"}},
	{path: "depot", imports: []string{"archive", "chain", "store"}},
	{path: "downloader", imports: []string{"pool", "chain", "store"}},
	{path: "node", imports: []string{"chain", "downloader", "link", "peer", "pool", "store", "swarm", "wire"}},

	{path: "api", imports: []string{"chain", "downloader", "node", "pool", "store"}},

	{path: "web", imports: []string{"api"}},

	{path: "internal/chaingen", imports: []string{"chain"}},
	{path: "internal/testbed", imports: []string{"chain", "downloader", "internal/chaingen", "peer", "wire"}},
	{path: "internal/ci/checkdemo", std: true},
	{path: "internal/ci/summary", std: true},
	{path: "internal/faultfs"},
	{path: "internal/lint", std: true},
	{path: "internal/simnet", imports: []string{"pool"}, std: true},
	{path: "internal/memnet", std: true},

	{path: "cmd/shoal", all: true},

	// A module of its own, so that nobody inherits what it depends on.
	{path: "bench/link"},
	{path: "bench/plot", std: true},
	{path: "bench/serve", imports: []string{"bench/link", "chain", "internal/chaingen", "peer", "store", "swarm", "wire"}},
	{path: "bench/fetch", imports: []string{"bench/serve", "chain", "downloader", "node", "pool", "store"}},
	{path: "bench", all: true, imports: []string{"bench/link", "bench/plot", "bench/serve", "bench/fetch"}},
}

func findRoom(path string) int {
	return slices.IndexFunc(table, func(r room) bool { return r.path == path })
}

func checkImports(p *pkg) (complaints []string) {
	at := findRoom(p.room())
	if at < 0 {
		return []string{fmt.Sprintf("package %s is not in the table of allowed imports: add it to the table in internal/lint/imports_test.go, below the rooms that it imports", p.room())}
	}
	own := table[at]
	for _, f := range p.files {
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue // the parser would have said so
			}
			ours, isOurs := strings.CutPrefix(path, module+"/")
			isOurs = isOurs || path == module
			switch line := p.fset.Position(spec.Pos()).Line; {
			case !isOurs && own.std && !f.test && strings.Contains(strings.Split(path, "/")[0], "."):
				complaints = append(complaints, fmt.Sprintf("%s:%d imports %s, but %s uses the standard library only: do without",
					f.name, line, path, own.path))
			case !isOurs:
			case f.test && !own.mayTestWith(at, ours):
				complaints = append(complaints, fmt.Sprintf("%s:%d imports %s, which does not stand above %s in the table of allowed imports: move the test to the lower of the two rooms",
					f.name, line, ours, own.path))
			case !f.test && !own.mayImport(ours):
				complaints = append(complaints, fmt.Sprintf("%s:%d imports %s, which the table of allowed imports forbids: move the code, or declare in %s the interface that it needs; if the design has changed, change the table in internal/lint/imports_test.go and ARCHITECTURE.md",
					f.name, line, ours, own.path))
			}
		}
	}
	return complaints
}

// standsAlone tells packages that nobody may import.
func standsAlone(path string) bool {
	return path == "bench" || strings.HasPrefix(path, "bench/") || strings.HasPrefix(path, "cmd/")
}

func (r room) mayImport(path string) bool {
	return r.all && !standsAlone(path) || slices.Contains(r.imports, path)
}

// mayTestWith is mayImport for the tests of the room, which is at this place of
// the table.
func (r room) mayTestWith(at int, path string) bool {
	if path == r.path || r.mayImport(path) {
		return true
	}
	above := findRoom(path)
	return strings.HasPrefix(path, "internal/") || above >= 0 && above < at && !standsAlone(path)
}
