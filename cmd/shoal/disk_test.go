package main

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// smallDisk is a file system of limited size that only the processes started by run
// see: a tmpfs in a mount namespace, which lives as long as the test.
type smallDisk struct {
	dir   string
	enter []string // runs what follows in the namespace
}

// newSmallDisk skips the test where a namespace cannot be made.
func newSmallDisk(t testing.TB, size string) *smallDisk {
	t.Helper()
	d := &smallDisk{dir: t.TempDir()}
	// A user who is not root becomes it in a namespace of its own.
	flags, into := []string{"--mount"}, []string{"--mount"}
	if os.Getuid() != 0 {
		flags = append(flags, "--user", "--map-root-user")
		into = append(into, "--user", "--preserve-credentials")
	}
	const script = `mount -t tmpfs -o size="$1" tmpfs "$2" && echo $$ && exec cat`
	cmd := exec.Command("unshare", append(flags, "sh", "-c", script, "sh", size, d.dir)...)
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	stdin, err := cmd.StdinPipe() // cat waits for its end
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("there is no small disk to test on: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	pid, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Skipf("there is no small disk to test on: a tmpfs in a namespace is not permitted: %s", &trouble)
	}
	d.enter = append(append([]string{"nsenter", "--target", strings.TrimSpace(pid)}, into...), "--")
	return d
}

// run starts a program in the namespace.
func (d *smallDisk) run(t testing.TB, args ...string) *process {
	t.Helper()
	args = append(d.enter[1:len(d.enter):len(d.enter)], args...)
	p, err := launch(exec.Command(d.enter[0], args...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-p.ended:
		default:
			p.kill()
		}
	})
	return p
}

// resize changes how much there is room for.
func (d *smallDisk) resize(t testing.TB, size string) {
	t.Helper()
	d.run(t, "mount", "-o", "remount,size="+size, d.dir).succeed(t)
}

// failsFull runs the command, which must find the disk full and say so.
func (d *smallDisk) failsFull(t testing.TB, want string, args ...string) {
	t.Helper()
	p := d.run(t, args...)
	p.exits(t, exitFailure)
	out := strings.TrimSpace(p.all.String())
	last := out[strings.LastIndexByte(out, '\n')+1:]
	if !strings.HasPrefix(last, "shoal: ") || !strings.Contains(last, want) {
		t.Errorf("%q: the last line is %q, want %q in it", args, last, want)
	}
	if strings.Contains(out, "goroutine ") || strings.Contains(out, "panic") {
		t.Errorf("%q left a stack trace:\n%s", args, tail(out))
	}
}

// TestF9DiskFull syncs, imports and exports to disks of several sizes, which run full
// at different moments, and again when there is room. Those that are smaller than what is
// left to the index are full from the start.
func TestF9DiskFull(t *testing.T) {
	t.Parallel()
	c := findChain(t)
	disk := newSmallDisk(t, "1m")
	source := filepath.Join(t.TempDir(), "source")
	shoal(t, "import", "--datadir", source, "--network", c.net.Name, c.file)
	_, addr := startNode(t, "--datadir", source, "--listen", "127.0.0.1:0")
	cases := []struct{ size, command string }{
		{"34m", "sync"}, {"16k", "sync"}, {"800k", "import"}, {"33m", "import"}, {"37m", "sync"},
	}
	if testing.Short() {
		cases = cases[:1]
	}
	const full = "the disk is full, free space and start again"
	for i, x := range cases {
		dir := filepath.Join(disk.dir, strconv.Itoa(i))
		command := []string{program(t), x.command, "--datadir", dir, "--network", c.net.Name}
		if x.command == "sync" {
			command = append(command, "--peer", addr)
		} else {
			command = append(command, c.file)
		}
		disk.resize(t, x.size)
		disk.failsFull(t, full, command...)
		disk.failsFull(t, full, command...) // also on opening what is there
		disk.resize(t, "200m")
		disk.run(t, command...).succeed(t)
		file := filepath.Join(t.TempDir(), "chain.rlp")
		disk.run(t, program(t), "export", "--datadir", dir, file).succeed(t)
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, c.stream()) {
			t.Errorf("%s on a disk of %s: the export has %d bytes and is not the chain: %v", x.command, x.size, len(got), err)
		}
		disk.run(t, "rm", "-r", dir).succeed(t)
	}
	disk.resize(t, "1m")
	disk.failsFull(t, "no space left on device", program(t), "export", "--datadir", copyOf(t, source), filepath.Join(disk.dir, "chain.rlp"))
	if left := disk.run(t, "ls", "-A", disk.dir).succeed(t); left != "" {
		t.Errorf("the export that failed has left %q", left)
	}
}

// TestF9FullDiskOfANode: a node whose disk runs full serves what it has, and goes on by
// itself when there is room.
func TestF9FullDiskOfANode(t *testing.T) {
	t.Parallel()
	c := findChain(t)
	disk := newSmallDisk(t, "35m")
	source, dir := filepath.Join(t.TempDir(), "source"), filepath.Join(disk.dir, "data")
	shoal(t, "import", "--datadir", source, "--network", c.net.Name, c.file)
	_, from := startNode(t, "--datadir", source, "--listen", "127.0.0.1:0")
	node := disk.run(t, program(t), "node", "--datadir", dir, "--network", c.net.Name, "--listen", "127.0.0.1:0", "--peer", from)
	addr := node.await(t, `(?m)^listening on (\S+)$`)
	node.await(t, "going on when there is room")
	joinRaw(t, addr, c.net)
	disk.resize(t, "200m")
	node.await(t, "chain fetched")
	shoal(t, "sync", "--datadir", filepath.Join(t.TempDir(), "reader"), "--network", c.net.Name, "--peer", addr)
	node.interrupt(t)
	node.exits(t, exitOK)
}

// copyOf copies a data directory, since the original is in use.
func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-r", dir, to).CombinedOutput(); err != nil { // the socket too
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// TestF12FileDescriptorsExhaustedByTheStore lets an import run with so few open files
// that the store cannot open its own, somewhere. It says so and stops, and goes on when
// there are more.
func TestF12FileDescriptorsExhaustedByTheStore(t *testing.T) {
	t.Parallel()
	c := findChain(t)
	refused := 0
	for _, most := range []int{9, 11, 13, 15, 17, 20} {
		dir := filepath.Join(t.TempDir(), "data")
		cmd := exec.Command("sh", "-c", `ulimit -n "$1" && shift && exec "$@"`, "sh", strconv.Itoa(most),
			program(t), "import", "--datadir", dir, "--network", c.net.Name, c.file)
		cmd.Env = environment()
		out, err := cmd.CombinedOutput()
		if err == nil {
			continue // these were enough
		}
		refused++
		if !bytes.Contains(out, []byte("too many open files")) || bytes.Contains(out, []byte("goroutine ")) {
			t.Errorf("with %d open files it says: %s", most, tail(string(out)))
		}
		shoal(t, "import", "--datadir", dir, "--network", c.net.Name, c.file)
		c.checkExport(t, dir)
	}
	if refused < 2 {
		t.Error("the limits are too high for this test")
	}
}

// TestF12FileDescriptorsExhausted fills a node's table of open files with connections.
// It stays up, serves the peer that it has, and takes new ones when there is room.
func TestF12FileDescriptorsExhausted(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no shell to set the limit with")
	}
	c := findChain(t)
	dir := filepath.Join(t.TempDir(), "data")
	shoal(t, "import", "--datadir", dir, "--network", c.net.Name, c.file)
	cmd := exec.Command("sh", "-c", `ulimit -n 40 && exec "$@"`, "sh", program(t), "node", "--datadir", dir, "--listen", "127.0.0.1:0")
	node, err := launch(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.kill)
	addr := node.await(t, `(?m)^listening on (\S+)$`)

	// One peer is there before, and is being served, on a slow link so that it stays.
	link := newProxy(t, addr)
	link.rate.Store(1_000_000)
	served, once := make(chan struct{}), new(sync.Once)
	link.watch(func(int64) { once.Do(func() { close(served) }) })
	early := start(t, "sync", "--datadir", filepath.Join(t.TempDir(), "early"), "--network", c.net.Name, "--peer", link.addr())
	select {
	case <-served:
	case <-early.ended:
		t.Fatalf("the first peer has left:\n%s", tail(early.all.String()))
	case <-time.After(patience):
		t.Fatal("nobody is served")
	}
	var crowd []net.Conn
	for range 100 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		crowd = append(crowd, conn)
	}
	node.await(t, "too many open files")
	early.succeed(t)
	for _, conn := range crowd {
		conn.Close()
	}
	shoal(t, "sync", "--datadir", filepath.Join(t.TempDir(), "late"), "--network", c.net.Name, "--peer", addr)
	node.alive(t)
	node.interrupt(t)
	node.exits(t, exitOK)
}
