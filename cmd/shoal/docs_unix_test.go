//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDocs runs every command of the documentation as somebody would who reads it: a
// page from its beginning to its end, in one shell, in a directory of its own in which
// there is the repository under the name shoal. What a page calls 127.0.0.1 is another
// address of this machine for each page, so that the ports are those that it names.
func TestDocs(t *testing.T) {
	if out, err := exec.Command("bash", "-c", "exec 3<>/dev/tcp/127.7.7.7/1").CombinedOutput(); err != nil && !strings.Contains(string(out), "refused") {
		t.Skipf("the pages need bash and the addresses 127.x.y.z of this machine: %v %s", err, out)
	}
	shoal := program(t)
	for i, p := range docPages(t) {
		t.Run(p.path, func(t *testing.T) {
			t.Parallel()
			for _, name := range p.needs {
				if name == "sepolia" {
					if sepoliaFile() == "" {
						t.Skip("the source of go-ethereum, which has blocks of Sepolia, is absent")
					}
				} else if _, err := exec.LookPath(name); err != nil {
					t.Skipf("this page needs the program %s: %v", name, err)
				}
			}
			pid := os.Getpid()
			s := openShell(t, shoal, fmt.Sprintf("127.%d.%d.%d", 1+pid>>8%250, pid%250, 1+i))
			run, skipped := 0, 0
			for _, b := range p.blocks {
				switch {
				case b.hint == "skip":
					n := max(1, len(b.commands()))
					skipped += n
					t.Logf("%s:%d: not run, %d: %s", p.path, b.line, n, b.arg)
				case b.hint == "file":
					s.write(b.arg, b.text)
				case b.kind == "sh" || b.kind == "console":
					for _, c := range b.commands() {
						s.run(p.path, c)
						if !b.comment {
							run++
						}
					}
				}
			}
			t.Logf("%d commands run, %d not", run, skipped)
		})
	}
}

// shell is a shell that runs the commands of a page.
type shell struct {
	t      *testing.T
	dir    string
	addr   string // takes the place of 127.0.0.1
	in     io.Writer
	status *bufio.Reader // a line with the exit code after each command
	n      int           // of commands so far
}

func openShell(t *testing.T, shoal, addr string) *shell {
	t.Helper()
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "docs") // t.TempDir has names that are too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	bin, logs := filepath.Join(dir, ".bin"), filepath.Join(dir, ".logs")
	for _, d := range []string{bin, logs} {
		if err := os.Mkdir(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(top, filepath.Join(dir, "shoal")), os.Symlink(shoal, filepath.Join(bin, "shoal"))); err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "--norc", "--noprofile")
	cmd.Dir = dir
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "SHOAL_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, goEnvironment(t)...)
	cmd.Env = append(cmd.Env, "HOME="+dir, "TMPDIR="+dir, "PWD="+dir, "GOBIN="+filepath.Join(dir, "go", "bin"), "SEPOLIA="+sepoliaFile(),
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that all that it starts can be ended
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		read.Close()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	// Where the repository is called by its own name, what was built of it there is found.
	fmt.Fprintln(in, "set -o physical")
	return &shell{t: t, dir: dir, addr: addr, in: in, status: bufio.NewReader(read)}
}

// here puts the address of the page in the place of that which is written.
func (s *shell) here(text string) string { return strings.ReplaceAll(text, "127.0.0.1", s.addr) }

// write makes a file of what a page shows, where the shell is.
func (s *shell) write(name string, lines []string) {
	s.t.Helper()
	s.run("", command{text: "cat >" + quoted(name) + " <<'end of file'\n" + strings.Join(lines, "\n") + "\nend of file\n"})
}

// run runs a command, which must end well and write what is shown.
func (s *shell) run(page string, c command) {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		fault := s.try(c)
		if fault == "" {
			if took := time.Since(began).Seconds(); took > 2 {
				s.t.Logf("%s:%d: %.1f s: $ %s", page, c.line, took, c.text)
			}
			return
		}
		if !c.until || time.Since(began) > patience {
			s.t.Fatalf("%s:%d: $ %s\n%s", page, c.line, c.text, fault)
		}
	}
}

// try runs a command once, and says what is wrong with it.
func (s *shell) try(c command) string {
	s.n++
	out := filepath.Join(s.dir, ".logs", fmt.Sprint(s.n))
	fmt.Fprintf(s.in, "eval %s >%s 2>%s.err </dev/null 3>&-\necho $? >&3\n", quoted(s.here(c.text)), out, out)
	status := make(chan string, 1)
	go func() {
		line, err := s.status.ReadString('\n')
		if err != nil {
			line = "the shell has ended"
		}
		status <- strings.TrimSpace(line)
	}()
	wrong := ""
	select {
	case code := <-status:
		if code != "0" {
			wrong = "exit code " + code
		}
	case <-time.After(patience):
		s.t.Fatalf("line %d: $ %s\ndoes not end; it wrote\n%s", c.line, c.text, s.wrote(out))
	}
	if wrong == "" && c.shown != nil {
		local := regexp.QuoteMeta("127.0.0.1")
		shown := regexp.MustCompile(strings.ReplaceAll(c.shown.String(), local, "(?:"+local+"|"+regexp.QuoteMeta(s.addr)+")"))
		matches := func() bool {
			b, err := os.ReadFile(out)
			if len(b) > 0 && !bytes.HasSuffix(b, []byte("\n")) {
				b = append(b, '\n')
			}
			return err == nil && shown.Match(b)
		}
		background := strings.HasSuffix(strings.TrimSpace(c.text), "&")
		for began := time.Now(); !matches(); time.Sleep(20 * time.Millisecond) {
			if !background || time.Since(began) > patience {
				wrong = "it does not write what is shown"
				break
			}
		}
	}
	if wrong == "" {
		return ""
	}
	return wrong + "; it wrote\n" + s.wrote(out)
}

// wrote is what a command wrote.
func (s *shell) wrote(out string) string {
	text, err := os.ReadFile(out)
	errText, err2 := os.ReadFile(out + ".err")
	if err := errors.Join(err, err2); err != nil {
		return err.Error()
	}
	all := tail(string(text)) + "\nand to standard error\n" + tail(string(errText))
	logs, _ := filepath.Glob(filepath.Join(s.dir, "*.log")) // where pages have nodes write
	more, _ := filepath.Glob(filepath.Join(s.dir, "*", "*.log"))
	for _, log := range append(logs, more...) {
		if b, err := os.ReadFile(log); err == nil {
			all += fmt.Sprintf("\n%s ends with\n%s", filepath.Base(log), b[max(0, len(b)-500):])
		}
	}
	return all
}

// quoted is a text as one word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
