package link

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The token bucket of a link. It holds what the link sends in 4 ms, and at least 32
// kB, or the kernel could not keep a high rate with its timer; and it queues for at
// most 100 ms, as routers at the edge do. With ten times as much a transfer would
// hide its own round trip behind the queue.
const (
	leastBurst = 32 << 10
	burstShare = 250
	latency    = 100 * time.Millisecond
)

// Window is how many bytes may be on their way over a link, whose rate is in bits a
// second, so that it is never idle and its queue never full: half of what that holds.
func Window(rate float64) int { return int(rate / 8 * latency.Seconds() / 2) }

// Net is a set of links, each from a peer to the client.
type Net struct {
	// Peers are the ends of the links at the peers.
	Peers []End
	// Shaped tells whether the kernel holds the rates.
	Shaped bool

	prefix string
	client string // namespace, "" for that of this process
}

// End is where a peer sits.
type End struct {
	Namespace string // "" for that of this process
	Host      string // address without a port
}

// New makes a link for each rate, in bits a second, or returns [Loopback] if this
// process may not. Close removes what it has made.
func New(ctx context.Context, rates []float64) (*Net, error) {
	if !available() {
		return Loopback(len(rates)), nil
	}
	sweep(ctx)
	n := &Net{Shaped: true, prefix: prefix + strconv.Itoa(os.Getpid())}
	n.client = n.prefix + "-client"
	var ip, tc strings.Builder
	fmt.Fprintf(&ip, "netns add %s\n", n.client)
	for i := range rates {
		n.Peers = append(n.Peers, End{fmt.Sprintf("%s-%d", n.prefix, i), fmt.Sprintf("10.77.%d.%d", 1+i/250, 1+i%250)})
		fmt.Fprintf(&ip, "netns add %s\n", n.Peers[i].Namespace)
	}
	if err := run(ctx, ip.String(), "ip", "-batch", "-"); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	ip.Reset()
	ip.WriteString("link set lo up\nlink add bridge type bridge\naddr add 10.77.0.1/16 dev bridge\nlink set bridge up\n")
	for i, p := range n.Peers {
		fmt.Fprintf(&ip, "link add peer%d type veth peer name eth0 netns %s\nlink set peer%d master bridge up\n", i, p.Namespace, i)
	}
	if err := run(ctx, ip.String(), "ip", "-n", n.client, "-batch", "-"); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	for i, p := range n.Peers {
		ip.Reset()
		tc.Reset()
		fmt.Fprintf(&ip, "link set lo up\naddr add %s/16 dev eth0\nlink set eth0 up\n", p.Host)
		fmt.Fprintf(&tc, "qdisc add dev eth0 root tbf rate %.0f burst %d latency %v\n",
			rates[i], max(leastBurst, int(rates[i]/8/burstShare)), latency)
		if err := run(ctx, ip.String(), "ip", "-n", p.Namespace, "-batch", "-"); err != nil {
			return nil, errors.Join(err, n.Close())
		}
		if err := run(ctx, tc.String(), "tc", "-n", p.Namespace, "-batch", "-"); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	for _, ns := range append([]End{{Namespace: n.client}}, n.Peers...) {
		if err := In(ns.Namespace, forget); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	return n, nil
}

// Loopback returns ends on the loopback interface of this process, each with an
// address of its own.
func Loopback(peers int) *Net {
	n := &Net{}
	for i := range peers {
		n.Peers = append(n.Peers, End{Host: fmt.Sprintf("127.77.%d.%d", 1+i/250, 1+i%250)})
	}
	return n
}

// Command returns a command that runs where the client is. Killing it with its
// context kills the program itself.
func (n *Net) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if n.client == "" {
		return exec.CommandContext(ctx, name, args...)
	}
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", n.client, name}, args...)...)
}

// Close removes the links. Nobody may use them any more.
func (n *Net) Close() error {
	if n.prefix == "" {
		return nil
	}
	return remove(context.Background(), n.prefix)
}

// forget makes TCP forget what it learnt from earlier connections, so that all runs
// are alike.
func forget() error {
	return os.WriteFile("/proc/sys/net/ipv4/tcp_no_metrics_save", []byte("1"), 0o644)
}

const (
	prefix     = "shoallab-"
	namespaces = "/var/run/netns"
)

func available() bool {
	if os.Geteuid() != 0 {
		return false
	}
	for _, tool := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return false
		}
	}
	return true
}

// sweep removes the namespaces of labs that were killed before they could.
func sweep(ctx context.Context) {
	names, _ := filepath.Glob(filepath.Join(namespaces, prefix+"*-client"))
	for _, name := range names {
		owner := strings.TrimSuffix(filepath.Base(name), "-client")
		pid, err := strconv.Atoi(strings.TrimPrefix(owner, prefix))
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			remove(ctx, owner)
		}
	}
}

func remove(ctx context.Context, prefix string) error {
	names, err := filepath.Glob(filepath.Join(namespaces, prefix+"-*"))
	if err != nil || len(names) == 0 {
		return err
	}
	var batch strings.Builder
	for _, name := range names {
		fmt.Fprintf(&batch, "netns del %s\n", filepath.Base(name))
	}
	return run(ctx, batch.String(), "ip", "-force", "-batch", "-")
}

func run(ctx context.Context, input, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("link: %s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
