package lint

import (
	"bytes"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// checkComment checks that a package has one package comment, in one file, that
// begins like a sign on its door.
func checkComment(p *pkg) (complaints []string) {
	var in []string
	for _, f := range p.files {
		if f.Doc == nil || f.Doc.Text() == "" {
			continue
		}
		in = append(in, f.name)
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Command " + path.Base(p.ImportPath) + " "
		}
		if text := f.Doc.Text(); !strings.HasPrefix(text, want) {
			first, _, _ := strings.Cut(text, "\n")
			complaints = append(complaints, fmt.Sprintf("%s: the package comment begins with %q: begin it with %q", f.name, first, want))
		}
	}
	switch len(in) {
	case 0:
		complaints = append(complaints, fmt.Sprintf("package %s has no package comment: write one in %s/doc.go that says what it is and what it does not do", p.room(), p.room()))
	case 1:
	default:
		complaints = append(complaints, fmt.Sprintf("package %s has a package comment in each of %s: keep one", p.room(), strings.Join(in, ", ")))
	}
	return complaints
}

// treeFile is a file of the repository.
type treeFile struct {
	name string // from the root, with slashes
	data []byte
}

// walk returns the files that are in the repository or may be added to it: all
// but those that .gitignore names.
func walk(t *testing.T, root string) (files []treeFile) {
	t.Helper()
	var ignore []string
	if data, err := os.ReadFile(filepath.Join(root, ".gitignore")); err == nil {
		ignore = strings.Fields(string(data))
	}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case d.IsDir() && (rel == ".git" || ignored(ignore, rel, true)):
			return fs.SkipDir
		case !d.Type().IsRegular() || rel == ".git" || ignored(ignore, rel, false): // a file in a linked worktree
			return nil
		}
		data, err := os.ReadFile(name)
		files = append(files, treeFile{rel, data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// ignored tells whether one of the patterns names the file. It understands what
// our .gitignore needs: a name or *.ext anywhere, /path from the root, and a
// slash at the end for directories.
func ignored(patterns []string, rel string, dir bool) bool {
	for _, p := range patterns {
		name := path.Base(rel)
		if strings.HasPrefix(p, "/") {
			name = rel
		}
		if strings.HasSuffix(p, "/") && !dir {
			continue
		}
		if ok, err := path.Match(strings.Trim(p, "/"), name); ok && err == nil {
			return true
		}
	}
	return false
}

func checkFormat(files []treeFile) (complaints []string) {
	for _, f := range files {
		if !strings.HasSuffix(f.name, ".go") {
			continue
		}
		if got, err := format.Source(f.data); err != nil {
			complaints = append(complaints, fmt.Sprintf("%s: %v", f.name, err))
		} else if !bytes.Equal(got, f.data) {
			complaints = append(complaints, fmt.Sprintf("%s is not formatted: run gofmt -w %s", f.name, f.name))
		}
	}
	return complaints
}

// maxLines is how long a file of code may be. Most are below 300 lines; a longer
// one usually has two concerns.
const maxLines = 1000

func checkLength(files []treeFile) (complaints []string) {
	for _, f := range files {
		if !strings.HasSuffix(f.name, ".go") || strings.HasSuffix(f.name, "_test.go") {
			continue
		}
		if n := bytes.Count(f.data, []byte("\n")); n > maxLines {
			complaints = append(complaints, fmt.Sprintf("%s has %d lines, %d are the limit: split it by concern", f.name, n, maxLines))
		}
	}
	return complaints
}

// places are what makes a file true on one machine only: paths of home and work
// directories, and the hosts from which packages happen to be fetched.
var places = regexp.MustCompile(`(?:^|[^\w.~-])/(?:root|work|home|Users)/` +
	`|\b(?:proxy|sum)\.golang\.org\b|\bregistry\.npmjs\.org\b|\bpypi\.org\b|\bpythonhosted\.org\b` +
	`|\bdocker\.io\b|\bghcr\.io\b|\bquay\.io\b|\bdeb\.debian\.org\b|\barchive\.ubuntu\.com\b`)

func checkPlaces(files []treeFile) (complaints []string) {
	for _, f := range files {
		for _, at := range places.FindAllIndex(f.data, -1) {
			line := 1 + bytes.Count(f.data[:at[0]], []byte("\n"))
			if f.data[at[0]] == '\n' {
				line++
			}
			complaints = append(complaints, fmt.Sprintf("%s:%d contains %q, which is a place on one machine or a package registry: use a relative path, or leave it to the settings of whoever builds",
				f.name, line, bytes.TrimSpace(f.data[at[0]:at[1]])))
		}
	}
	return complaints
}
