package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/wire"
)

const (
	// blocksEnv says how long the chain of TestMillion is.
	blocksEnv = "SHOAL_TEST_BLOCKS"
	// syncEnv gives the process that syncs its directory, the head and the addresses.
	syncEnv = "SHOAL_BENCH_SYNC"
)

// report is what the syncing process says of itself, again and again.
type report struct {
	Stored  uint64        // blocks, by this process
	Useful  uint64        // bytes of them
	Came    uint64        // bytes of all blocks that came
	Hashes  uint64        // walked
	Walked  time.Duration // when all hashes were known, 0 if they are not
	First   time.Duration // when the first block was asked for, 0 if none was
	Took    time.Duration // when all was done, 0 if it is not
	Largest uint64        // KiB: the most memory that the process has had
}

// TestMillion syncs a long chain between processes, the syncing one killed in the middle,
// and holds it to the bounds of its memory, of what it fetches twice, and of its start.
// It takes a minute for a million blocks, and is for
//
//	SHOAL_TEST_BLOCKS=1000000 go test -run TestMillion -v ./node
func TestMillion(t *testing.T) {
	n, err := strconv.ParseUint(os.Getenv(blocksEnv), 10, 64)
	if err != nil {
		t.Skip("for long runs: set " + blocksEnv)
	}
	dir := t.TempDir()
	st := openBench(t, filepath.Join(dir, "source"))
	head, _ := fillBench(t, st, chaingen.Config{Seed: 1, Blocks: n})
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	addrs, _ := serveBench(t, filepath.Join(dir, "source"), 4)

	whole := syncIn(t, filepath.Join(dir, "whole"), head, addrs, func(report) bool { return false })
	t.Logf("%d blocks in %v, %.0f blocks/s; hashes in %v, %.0f hashes/s; at most %d MiB",
		n, whole.Took, float64(n)/whole.Took.Seconds(), whole.Walked, float64(n)/whole.Walked.Seconds(), whole.Largest>>10)

	place := filepath.Join(dir, "half")
	half := syncIn(t, place, head, addrs, func(r report) bool { return r.Stored > n/2 })
	copied := filepath.Join(dir, "copy") // opening the store itself would mend what the kill has left
	if err := os.CopyFS(copied, os.DirFS(place)); err != nil {
		t.Fatal(err)
	}
	st = openBench(t, copied)
	durable := st.Blocks() - 1
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	rest := syncIn(t, place, head, addrs, func(report) bool { return false })
	again := float64(durable+rest.Stored) - float64(n)
	t.Logf("killed after %d blocks, %d were durable; first block asked for after %v; %.2f %% of them fetched again; at most %d MiB",
		half.Stored, durable, rest.First, 100*again/float64(durable), rest.Largest>>10)
	if again > float64(durable)/100 {
		t.Errorf("%.0f blocks were fetched again", again)
	}
}

// syncIn runs a sync in a process of its own, and kills it when the function says so.
func syncIn(t *testing.T, dir string, head *chain.Block, addrs []string, kill func(report) bool) (r report) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestSyncBench$")
	cmd.Env = append(os.Environ(), syncEnv+"="+strings.Join(append([]string{dir, head.Hash.Hex()}, addrs...), " "))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			t.Log(lines.Text()) // what the testing package says
			continue
		}
		if kill(r) {
			cmd.Process.Kill()
			return r
		}
	}
	if r.Took == 0 {
		t.Fatalf("the sync has ended with %+v", r)
	}
	return r
}

// TestSyncBench is no test, but the process that syncs for TestMillion.
func TestSyncBench(t *testing.T) {
	args := strings.Fields(os.Getenv(syncEnv))
	if len(args) < 3 {
		t.Skip("only TestMillion needs it")
	}
	began := time.Now()
	st := openBench(t, args[0])
	defer st.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	var r report
	n, err := node.New(node.Config{
		Network: chain.Dev, Store: st, Peers: args[2:], Client: "bench",
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			return asking{conn, func() {
				mu.Lock()
				defer mu.Unlock()
				if p, ok := st.Plan(); r.First == 0 && ok && p.Len > 1 {
					r.First = time.Since(began)
				}
			}}, err
		},
		Events: func(e any) {
			mu.Lock()
			defer mu.Unlock()
			switch e := e.(type) {
			case downloader.Progress:
				r.Stored, r.Useful, r.Hashes = e.Stored, e.Pool.UsefulBytes, max(r.Hashes, e.Hashes)
				r.Came = e.Pool.UsefulBytes + e.Pool.DuplicateBytes + e.Pool.UnrequestedBytes
				if e.Phase == downloader.Fetching && r.Walked == 0 {
					r.Walked = time.Since(began)
				}
			case downloader.Settled:
				if e.Head.Hash.Hex() != args[1] {
					return
				}
				r.Took = time.Since(began)
				cancel()
			}
			r.Largest = largest(t)
			line, _ := json.Marshal(r)
			fmt.Println(string(line))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// asking tells when a block is asked for.
type asking struct {
	net.Conn
	asked func()
}

func (c asking) Write(b []byte) (int, error) {
	if len(b) > 8 {
		if m, err := wire.Parse(b[8:]); err == nil && m.ID() == wire.IDGetBlocks {
			c.asked()
		}
	}
	return c.Conn.Write(b)
}

// largest returns the most memory that this process has had, in KiB.
func largest(t *testing.T) (kib uint64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Error(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	fmt.Sscan(after, &kib)
	return kib
}
