package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/api"
)

// TestTwoMiners: two groups of nodes, each with a miner, are cut off from each other and
// joined again. All end on the heavier of the two chains, and hardly a block has come to a
// node twice.
//
//	a (mines) ◀── b        d (mines) ◀── e
//	▲             ▲        │
//	└───── c ─────┘ ◀──────┘ this link is cut
func TestTwoMiners(t *testing.T) {
	dir := t.TempDir()
	var all []string
	received := map[string]func() []common.Hash{} // blocks, by node
	gets := func(node string, list func() []common.Hash) {
		before := received[node]
		received[node] = func() []common.Hash {
			if before == nil {
				return list()
			}
			return append(before(), list()...)
		}
	}
	procs, listens := map[string]*process{}, map[string]string{}
	run := func(name, cmd string, args ...string) {
		args = append([]string{cmd, "--network", "dev", "--datadir", filepath.Join(dir, name), "--discover=false", "--listen", "127.0.0.1:0"}, args...)
		p := start(t, args...)
		procs[name], listens[name] = p, p.await(t, `(?m)^listening on (\S+)$`)
		all = append(all, name)
	}
	link := func(from, to string) *proxy {
		p := newProxy(t, listens[to])
		gets(from, func() []common.Hash { return p.passed(true) })
		gets(to, func() []common.Hash { return p.passed(false) })
		return p
	}

	const heavy, light = 7, 4
	run("a", "mine", "--every", "1s", "--blocks", fmt.Sprint(heavy))
	run("b", "node", "--peer", link("b", "a").addr())
	run("c", "node", "--peer", link("c", "a").addr(), "--peer", link("c", "b").addr())
	bridge := link("d", "c")
	bridge.cut(true)
	run("d", "mine", "--every", "1s", "--blocks", fmt.Sprint(light), "--seed", "2", "--peer", bridge.addr())
	run("e", "node", "--peer", link("e", "d").addr())

	inSync := func(name string, number int) {
		t.Helper()
		procs[name].await(t, fmt.Sprintf(`in sync with all peers" number=%d `, number))
	}
	inSync("c", heavy)
	inSync("b", heavy)
	inSync("e", light)
	bridge.cut(false)
	inSync("d", heavy)
	inSync("e", heavy)
	procs["d"].await(t, fmt.Sprintf(`msg=reorg from=%d to=\d+ ancestor=0`, light)) // as far as was here just then

	var want api.Head
	for _, name := range all {
		procs[name].interrupt(t)
		procs[name].exits(t, exitOK)
		status := decode[struct {
			Head api.Head `json:"head"`
		}](t, shoal(t, "status", "--json", "--datadir", filepath.Join(dir, name)))
		if name == "a" {
			want = status.Head
		}
		if status.Head != want || want.Number != heavy {
			t.Errorf("the head of %s is %+v, that of a %+v", name, status.Head, want)
		}
	}
	// Who has waited for a second asks somebody else, and where the machine is busy gets it
	// from both. If blocks were announced unasked, or asked for everywhere, all came twice.
	for _, name := range all {
		times := map[common.Hash]int{}
		twice := 0
		for _, h := range received[name]() {
			if times[h]++; times[h] > 1 {
				twice++
				t.Logf("block %x came to %s %d times", h, name, times[h])
			}
		}
		if twice > light/2 {
			t.Errorf("%d blocks came to %s more than once", twice, name)
		}
		if name != "a" && len(times) < heavy {
			t.Errorf("%d blocks came to %s, want at least %d", len(times), name, heavy)
		}
	}
}
