package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/shoalnet/shoal/api"
)

// patience is how long a test waits for something that should happen at once. It
// only matters when something is broken, or the machine is very busy.
const patience = 90 * time.Second

// output is what a process has written. Others may wait for something to appear.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed at the next change
	ended   bool          // nothing more will come
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wake()
	return o.text.Write(p)
}

func (o *output) wake() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// end says that nothing more will come.
func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.wake()
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await waits until the output matches, and returns the submatches; nil if the
// output ends before, or patience does.
func (o *output) await(re *regexp.Regexp) []string {
	timeout := time.After(patience)
	for {
		o.mu.Lock()
		found, ended, changed := re.FindStringSubmatch(o.text.String()), o.ended, o.changed
		o.mu.Unlock()
		if found != nil || ended {
			return found
		}
		select {
		case <-changed:
		case <-timeout:
			return nil
		}
	}
}

// process is a command that has been started.
type process struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer  // complete when ended is closed
	all    *output       // both streams
	ended  chan struct{} // closed when it has exited
}

// environment is that of processes. Nodes keep to the peers that they are given, because
// what goes around a proxy is not counted; and proof of work is left out, which is nine
// tenths of what it takes to import a real chain. The stories about it ask for it.
func environment() []string {
	return append(os.Environ(), "SHOAL_DISCOVER=false", "SHOAL_SEALS=none")
}

// launch starts a command, in [environment] if it has none. Somebody must see to it that it
// ends.
func launch(cmd *exec.Cmd) (*process, error) {
	if cmd.Env == nil {
		cmd.Env = environment()
	}
	p := &process{cmd: cmd, all: newOutput(), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = both{&p.stdout, p.all}, p.all
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		cmd.Wait()
		p.all.end()
		close(p.ended)
	}()
	return p, nil
}

type both struct {
	first  *bytes.Buffer
	second *output
}

func (b both) Write(p []byte) (int, error) {
	b.first.Write(p)
	return b.second.Write(p)
}

// wait waits for the end and returns the exit code, -1 after a signal.
func (p *process) wait() (int, error) {
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.ended
		return 0, errors.New("it did not end")
	}
}

// kill ends the process the hard way, and returns when it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// start runs the command in the background until the end of the test at most.
func start(t testing.TB, args ...string) *process {
	t.Helper()
	p, err := launch(exec.Command(program(t), args...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-p.ended:
			return // whoever waited for it knows what it wrote
		default:
		}
		p.kill()
		if t.Failed() {
			t.Logf("shoal %q wrote:\n%s", args, tail(p.all.String()))
		}
	})
	return p
}

// await waits until the output matches, and returns the last submatch.
func (p *process) await(t testing.TB, pattern string) string {
	t.Helper()
	found := p.all.await(regexp.MustCompile(pattern))
	if found == nil {
		t.Fatalf("shoal %q does not write %q; it wrote:\n%s", p.cmd.Args[1:], pattern, tail(p.all.String()))
	}
	return found[len(found)-1]
}

// startNode starts a node and returns the address that it listens on.
func startNode(t testing.TB, args ...string) (*process, string) {
	t.Helper()
	p := start(t, append([]string{"node"}, args...)...)
	found := p.all.await(regexp.MustCompile(`(?m)^listening on (\S+)$`))
	if found == nil {
		t.Fatalf("the node does not listen; it wrote:\n%s", tail(p.all.String()))
	}
	return p, found[1]
}

// shoal runs the command to its end, which must be good, and returns its standard
// output.
func shoal(t testing.TB, args ...string) string {
	t.Helper()
	return start(t, args...).succeed(t)
}

// succeed waits for a good end, and returns the standard output.
func (p *process) succeed(t testing.TB) string {
	t.Helper()
	p.exits(t, exitOK)
	return p.stdout.String()
}

// exits waits for the end and checks the exit code.
func (p *process) exits(t testing.TB, want int) {
	t.Helper()
	if code, err := p.wait(); err != nil || code != want {
		t.Fatalf("shoal %q: exit code %d, want %d (%v); it wrote:\n%s", p.cmd.Args[1:], code, want, err, tail(p.all.String()))
	}
}

// interrupt sends what Ctrl-C sends.
func (p *process) interrupt(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}

// alive fails the test if the process has exited.
func (p *process) alive(t testing.TB) {
	t.Helper()
	select {
	case <-p.ended:
		t.Fatalf("shoal %q has exited: %v; it wrote:\n%s", p.cmd.Args[1:], p.cmd.ProcessState, tail(p.all.String()))
	default:
	}
}

// statusOf returns one of the sizes that the system tells of a process, in bytes.
func statusOf(pid int, name string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		return 0, fmt.Errorf("no %s of process %d", name, pid)
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	return kb << 10, err
}

// decode reads the JSON object that a command printed.
func decode[T any](t testing.TB, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return v
}

// checkStatus compares what a data directory holds with what it should.
func checkStatus(t testing.TB, dir string, want api.Head) {
	t.Helper()
	got := decode[struct{ Head api.Head }](t, shoal(t, "status", "--datadir", dir, "--json"))
	if got.Head != want {
		t.Errorf("head of %s is %v, want %v", dir, got.Head, want)
	}
}

// export returns the whole chain of a data directory as an RLP stream.
func export(t testing.TB, dir string) []byte {
	t.Helper()
	file := t.TempDir() + "/chain.rlp"
	shoal(t, "export", "--datadir", dir, file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tail is the end of a long text.
func tail(s string) string {
	if n := len(s) - 4000; n > 0 {
		return "…" + s[n:]
	}
	return s
}
