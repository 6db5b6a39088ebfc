package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

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
	type way struct { // of blocks, to one of the sides of a link
		link *proxy
		down bool
	}
	ways := map[string][]way{} // by who gets them
	procs, listens := map[string]*process{}, map[string]string{}
	run := func(name, cmd string, args ...string) {
		args = append([]string{cmd, "--network", "dev", "--datadir", filepath.Join(dir, name), "--discover=false", "--listen", "127.0.0.1:0"}, args...)
		p := start(t, args...)
		procs[name], listens[name] = p, p.await(t, `(?m)^listening on (\S+)$`)
		all = append(all, name)
	}
	link := func(from, to string) *proxy {
		p := newProxy(t, listens[to])
		ways[from] = append(ways[from], way{p, true})
		ways[to] = append(ways[to], way{p, false})
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
	// Blocks come to those who ask for them. Who has waited for a second asks somebody else,
	// and gets it from both if the machine was busy; who asks everywhere asks at once.
	const atOnce = 100 * time.Millisecond
	for _, name := range all {
		times, last := map[common.Hash]int{}, map[common.Hash]time.Time{}
		var asks []ask
		for _, w := range ways[name] {
			unanswered := map[common.Hash]int{}
			for _, a := range w.link.asked(w.down) {
				unanswered[a.hash]++
				asks = append(asks, a)
			}
			for _, h := range w.link.passed(w.down) {
				times[h]++
				if unanswered[h]--; unanswered[h] < 0 {
					t.Errorf("block %x came to %s, which had not asked for it", h, name)
				}
			}
		}
		slices.SortFunc(asks, func(a, b ask) int { return a.at.Compare(b.at) })
		twice := 0
		for _, a := range asks {
			before, again := last[a.hash]
			if last[a.hash] = a.at; again && times[a.hash] > 1 {
				wait := a.at.Sub(before)
				t.Logf("block %x came to %s %d times: asked for again after %v", a.hash, name, times[a.hash], wait)
				if wait < atOnce {
					twice++
				}
			}
		}
		if twice > light/2 {
			t.Errorf("%s asked twice at once for %d blocks", name, twice)
		}
		if name != "a" && len(times) < heavy {
			t.Errorf("%d blocks came to %s, want at least %d", len(times), name, heavy)
		}
	}
}
