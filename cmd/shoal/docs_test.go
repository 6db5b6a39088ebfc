package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The documentation is README.md and docs/*.md. Its fenced blocks of the kinds sh and
// console are run, in their order, by one shell for each page (docs_unix_test.go). In a
// console block, lines after "$ " are commands, and what follows is what they write to
// standard output, where "..." stands for any text, and for any lines if it is alone.
//
// Comments in the source of a page, which nobody sees who reads it, say more. Those that
// speak of a block stand before it:
//
//	<!-- test: skip: REASON -->    it cannot be run here
//	<!-- test: figures -->         each number in what is shown stands for any number
//	<!-- test: until -->           its commands are repeated until they write what is shown
//	<!-- test: file NAME -->       it is the content of a file, which is written
//	<!-- test: from PATH -->       its lines are part of a file of the repository
//	<!-- test: run                 commands that only the test runs, until -->
//	<!-- test: needs NAME... -->   programs, and "sepolia", without which the page is not run

// page is a page of the documentation.
type page struct {
	path   string // from the top of the repository
	needs  []string
	blocks []block
}

// block is a fenced block, or commands that only the test runs.
type block struct {
	line    int    // of the page
	kind    string // sh, console, go, text …
	hint    string // what the comment before it says: skip, figures, until, file or from
	arg     string // of the hint
	text    []string
	comment bool
}

// command is one command of a block, with what it must write.
type command struct {
	line  int
	text  string
	shown *regexp.Regexp // nil: anything
	until bool
}

var testComment = regexp.MustCompile(`^<!-- test: (\w+)(?::? (.*?))? *(-->)?$`)

// parsePage reads a page, and says what is wrong with it.
func parsePage(path, text string) (p page, faults []string) {
	p.path = path
	fault := func(line int, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s:%d: ", path, line)+fmt.Sprintf(format, args...))
	}
	var next block // what a comment has said of the next block
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		until := ""
		switch found := testComment.FindStringSubmatch(line); {
		case found == nil && strings.HasPrefix(line, "<!-- test"):
			fault(i+1, "a comment that the test does not understand: %s", line)
		case found != nil && found[1] == "needs":
			p.needs = append(p.needs, strings.Fields(found[2])...)
		case found != nil && found[1] == "run" && found[3] == "":
			next, until = block{kind: "sh", comment: true}, "-->"
		case found != nil && slices.Contains([]string{"skip", "figures", "until", "file", "from"}, found[1]) && found[3] != "":
			next.hint, next.arg = found[1], found[2]
			if (found[2] == "") != (found[1] == "until" || found[1] == "figures") {
				fault(i+1, "%q needs a word more or less", line)
			}
		case found != nil:
			fault(i+1, "a comment that the test does not understand: %s", line)
		case strings.HasPrefix(line, "```"):
			next.kind, until = strings.TrimPrefix(line, "```"), "```"
			if next.kind == "" {
				fault(i+1, "this block does not say what it is: sh and console are run, text and others are not")
			}
		case line != "" && next.hint != "":
			fault(i+1, "the comment before this line is about no block")
			next = block{}
		}
		if until == "" {
			continue
		}
		next.line = i + 2
		for i++; i < len(lines) && lines[i] != until; i++ {
			next.text = append(next.text, lines[i])
		}
		switch {
		case next.kind == "go" && next.hint == "":
			fault(next.line, "this Go code is compiled by nobody: show a part of an example, and name its file")
		case next.kind != "sh" && next.kind != "console" && next.hint != "skip":
			for j, l := range next.text {
				if strings.HasPrefix(l, "$ ") || strings.HasPrefix(l, "shoal ") && next.kind == "text" {
					fault(next.line+j, "a command in a block that is not run: make it one of sh or console")
				}
			}
		}
		p.blocks = append(p.blocks, next)
		next = block{}
	}
	return p, faults
}

// commands returns the commands of a block.
func (b *block) commands() []command {
	var all []command
	var shown []string // of the last command of a console
	add := func() {
		if b.kind == "console" && len(all) > 0 {
			all[len(all)-1].shown = shownPattern(shown, b.hint == "figures")
		}
		shown = nil
	}
	for i, line := range b.text {
		text, ok := line, b.kind == "sh" && strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#")
		if b.kind == "console" {
			text, ok = strings.CutPrefix(line, "$ ")
		}
		if n := len(all) - 1; n >= 0 && shown == nil && strings.HasSuffix(all[n].text, "\\") {
			all[n].text += "\n" + line // goes on
			continue
		}
		if ok {
			add()
			all = append(all, command{line: b.line + i, text: text, until: b.hint == "until"})
			continue
		}
		shown = append(shown, line)
	}
	add()
	return all
}

var figure, gap = regexp.MustCompile(`[0-9][0-9.,]*`), regexp.MustCompile(` +`)

// shownPattern makes a pattern of what a page shows.
func shownPattern(lines []string, anyFigures bool) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A`)
	for _, line := range lines {
		if line == "..." {
			b.WriteString(`(?:.*\n)*?`)
			continue
		}
		parts := strings.Split(strings.TrimRight(line, " "), "...")
		for i := range parts {
			if parts[i] = regexp.QuoteMeta(parts[i]); anyFigures {
				parts[i] = strings.ReplaceAll(parts[i], `\.`, `.`)
				parts[i] = gap.ReplaceAllString(figure.ReplaceAllString(parts[i], `[0-9.,]+`), ` +`)
			}
		}
		b.WriteString(strings.Join(parts, `.*`) + ` *\n`)
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

// docPages reads the documentation.
func docPages(t *testing.T) (pages []page) {
	t.Helper()
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(paths) == 0 {
		t.Fatal("no documentation: ", err)
	}
	for _, path := range append([]string{"../../README.md"}, paths...) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p, faults := parsePage(strings.TrimPrefix(filepath.ToSlash(path), "../../"), string(b))
		for _, f := range faults {
			t.Error(f)
		}
		pages = append(pages, p)
	}
	return pages
}

// TestDocsExamples: Go code that is shown is part of an example, which is compiled and run.
func TestDocsExamples(t *testing.T) {
	for _, p := range docPages(t) {
		for _, b := range p.blocks {
			if b.hint != "from" {
				continue
			}
			source, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(b.arg)))
			if err != nil {
				t.Error(err)
				continue
			}
			if !strings.Contains(flat(string(source)), flat(strings.Join(b.text, "\n"))) {
				t.Errorf("%s:%d: this is not in %s", p.path, b.line, b.arg)
			}
		}
	}
}

// flat is a text without what indents it.
func flat(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

var linkTo = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)

// TestDocsLinks: what a page links to is there, and the index has all pages.
func TestDocsLinks(t *testing.T) {
	indexed := map[string]bool{"docs/README.md": true, "README.md": true}
	var all []string
	for _, p := range docPages(t) {
		all = append(all, p.path)
		b, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(p.path)))
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range linkTo.FindAllStringSubmatch(string(b), -1) {
			to := filepath.ToSlash(filepath.Join(filepath.Dir(p.path), link[1]))
			if _, err := os.Stat(filepath.Join("../..", to)); err != nil {
				t.Errorf("%s links to %s: %v", p.path, link[1], err)
			}
			if p.path == "docs/README.md" {
				indexed[to] = true
			}
		}
	}
	for _, path := range all {
		if !indexed[path] {
			t.Errorf("docs/README.md does not name %s", path)
		}
	}
}

// TestDocsParser: what the test would not run or compare is found.
func TestDocsParser(t *testing.T) {
	fence := "```"
	for _, c := range []struct{ text, fault string }{
		{fence + "\nshoal node\n" + fence, "p.md:1: this block does not say what it is"},
		{fence + "text\nshoal node\n" + fence, "p.md:2: a command in a block that is not run"},
		{fence + "toml\n$ shoal node\n" + fence, "p.md:2: a command in a block that is not run"},
		{fence + "go\nx := 1\n" + fence, "p.md:2: this Go code is compiled by nobody"},
		{"<!-- test: skip -->\n" + fence + "sh\nx\n" + fence, "p.md:1: \"<!-- test: skip -->\" needs a word more"},
		{"<!-- test: skip: reason -->\ntext", "p.md:2: the comment before this line is about no block"},
		{"<!-- test: jump -->", "p.md:1: a comment that the test does not understand"},
		{"<!-- test:skip: reason -->", "p.md:1: a comment that the test does not understand"},
	} {
		_, faults := parsePage("p.md", c.text)
		if len(faults) != 1 || !strings.HasPrefix(faults[0], c.fault) {
			t.Errorf("%q: %q, want %q", c.text, faults, c.fault)
		}
	}
	p, faults := parsePage("p.md", strings.Join([]string{
		"<!-- test: needs curl sepolia -->", "text", "<!-- test: run", "ln -s a b", "-->", fence + "sh", "one \\", "  more", "", "two # why", fence,
		"<!-- test: until -->", "", fence + "console", "$ three", "a ... c", "...", "z", "$ four", fence,
	}, "\n"))
	if len(faults) > 0 || !slices.Equal(p.needs, []string{"curl", "sepolia"}) || len(p.blocks) != 3 {
		t.Fatalf("%q %+v", faults, p)
	}
	var got []string
	var all []command
	for _, b := range p.blocks {
		all = append(all, b.commands()...)
	}
	for _, c := range all {
		got = append(got, fmt.Sprintf("%d %q %v", c.line, c.text, c.until))
	}
	want := []string{`4 "ln -s a b" false`, `7 "one \\\n  more" false`, `10 "two # why" false`, `15 "three" true`, `19 "four" true`}
	if !slices.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	for text, match := range map[string]bool{
		"a b c\nz\n": true, "a  c\nx\ny\nz\n": true, "a c\nz\n": false, "a b c\n": false, "a b c\nz\nz\n": true, "a b c\nz\nq\n": false,
	} {
		if all[3].shown.MatchString(text) != match {
			t.Errorf("%q: %v", text, !match)
		}
	}
	figures := shownPattern([]string{"  1 of 8,191 in 0.16 s, 24.9 %  1.05"}, true)
	if !figures.MatchString(" 10 of 8191 in 3.5 s, 4 %     0.9\n") || figures.MatchString(" 1 of 2 in 3 m, 4 %  5\n") {
		t.Error("figures are not compared as figures")
	}
	if all[4].shown.MatchString("x\n") || !all[4].shown.MatchString("") {
		t.Error("a command that shows nothing may write")
	}
}
