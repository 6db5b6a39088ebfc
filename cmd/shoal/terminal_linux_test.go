package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// control does something with the descriptor of a file. Fd would make it one whose reads
// nothing ends.
func control(t *testing.T, f *os.File, do func(fd int) error) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err == nil {
		if e := raw.Control(func(fd uintptr) { err = do(int(fd)) }); e != nil {
			err = e
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// terminal returns both ends of a terminal: that of who looks and types, and that of the
// program.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	n := 0
	control(t, person, func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		}
		return err
	})
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// TestTopOnTerminal: the real program draws a real node on a terminal, follows its size and
// the keys, and leaves it as it was, whether by q, by Ctrl-C or by a signal.
func TestTopOnTerminal(t *testing.T) {
	dir := t.TempDir()
	n, addr := startNode(t, "--network", "dev", "--datadir", dir+"/n", "--listen", "127.0.0.1:0")
	start(t, "node", "--network", "dev", "--datadir", dir+"/p", "--listen", "127.0.0.1:0", "--peer", addr)
	n.await(t, "peer joined")
	for name, leave := range map[string]struct {
		do   func(person *os.File, p *exec.Cmd) error
		code int
	}{
		"q":       {func(person *os.File, _ *exec.Cmd) error { _, err := person.WriteString("q"); return err }, exitOK},
		"Ctrl-C":  {func(person *os.File, _ *exec.Cmd) error { _, err := person.WriteString("\x03"); return err }, exitOK},
		"SIGTERM": {func(_ *os.File, p *exec.Cmd) error { return p.Process.Signal(syscall.SIGTERM) }, exitInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			person, tty := terminal(t)
			resize := func(columns, rows uint16) {
				t.Helper()
				control(t, person, func(fd int) error {
					return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows})
				})
			}
			resize(80, 24)
			state := func() (s *unix.Termios) {
				t.Helper()
				control(t, tty, func(fd int) (err error) { s, err = unix.IoctlGetTermios(fd, unix.TCGETS); return err })
				return s
			}
			before := state()
			cmd := exec.Command(program(t), "top", "--datadir", dir+"/n")
			cmd.Env = append(os.Environ(), "TERM=xterm-256color")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			screen := newOutput()
			go io.Copy(screen, person)
			saw := func(pattern string) {
				t.Helper()
				if screen.await(regexp.MustCompile(pattern)) == nil {
					cmd.Process.Kill()
					t.Fatalf("it does not draw %q:\n%q", pattern, tail(screen.String()))
				}
			}
			saw(`\x1b\[\?1049h`)
			saw(`1 connected`)
			saw(`\*r rate`)
			person.WriteString("n")
			saw(`s standing \*`) // what has changed is drawn
			resize(40, 12)
			saw(`MB/s    ms\r\n`) // for more columns there is no room
			if err := leave.do(person, cmd); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			saw(`\x1b\[\?1049l`)
			if after := state(); *after != *before {
				t.Errorf("the terminal is left as %+v, it was %+v", after, before)
			}
			if code := cmd.ProcessState.ExitCode(); code != leave.code {
				t.Errorf("exit code %d, want %d", code, leave.code)
			}
		})
	}
}
