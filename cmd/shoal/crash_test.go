package main

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

var killSeed = flag.Uint64("killseed", 1, "seed of the moments at which the tests C1 and C2 kill")

// killCount is how often a test kills: usually as given, few times in a short run and with
// the race detector, which does not see the processes that are killed, but makes looking at
// what they leave take twenty times as long. If SHOAL_TEST_KILLS is set, there are so many in
// all tests together.
func killCount(t testing.TB, usual int) int {
	t.Helper()
	const together = 60 + 24 + 36
	if text := os.Getenv("SHOAL_TEST_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("SHOAL_TEST_KILLS is %q, want a number", text)
		}
		return 1 + n*usual/together
	}
	if testing.Short() || raceDetector {
		return usual / 6
	}
	return usual
}

// realChain is a chain that the tests of several processes work on.
type realChain struct {
	net    *chain.Network
	file   string
	head   api.Head
	blocks []archive.Block
}

// findChain reads the main network's blocks, or else those of Sepolia.
func findChain(t testing.TB) realChain {
	t.Helper()
	c := realChain{net: chain.Mainnet, file: mainnetFile(), head: api.Head{Number: 8191, Hash: common.HexToHash(mainnetHead), TD: mainnetTD}}
	if c.file == "" {
		t.Log("the blocks of the main network are absent; those of Sepolia take their place")
		c = realChain{net: chain.Sepolia, file: sepoliaFile(), head: api.Head{Number: 8191, Hash: common.HexToHash(sepoliaHead), TD: sepoliaTD}}
	}
	if c.file == "" {
		t.Skip("there are no real blocks: neither the shared data nor the source of go-ethereum is here")
	}
	parsed.Do(func() {
		for b, err := range archive.Blocks(c.file, c.net) {
			if err != nil {
				t.Fatal(err)
			}
			parsed.blocks = append(parsed.blocks, b)
		}
	})
	c.blocks = parsed.blocks
	return c
}

// parsed is the chain of findChain, which more than one test needs.
var parsed struct {
	sync.Once
	blocks []archive.Block
}

// stream is the chain as an export must have it.
func (c realChain) stream() []byte {
	var out []byte
	for _, b := range c.blocks {
		out = append(out, b.Raw()...)
	}
	return out
}

// checkExport compares the export of a data directory with the chain.
func (c realChain) checkExport(t testing.TB, dir string) {
	t.Helper()
	if got, want := export(t, dir), c.stream(); !bytes.Equal(got, want) {
		t.Errorf("the export of %s has %d bytes and is not the chain, which has %d", dir, len(got), len(want))
	}
}

// TestFourNodes is the story of four nodes: one imports a chain, two sync from it,
// a fourth syncs from all three, one of which is killed half-way and comes back.
func TestFourNodes(t *testing.T) {
	t.Parallel()
	c := findChain(t)
	root := t.TempDir()
	dir := func(name string) string { return filepath.Join(root, name) }
	shoal(t, "import", "--seals", "sample", "--datadir", dir("a"), "--network", c.net.Name, c.file)
	checkStatus(t, dir("a"), c.head)
	original := export(t, dir("a"))
	if !bytes.Equal(original, c.stream()) {
		t.Fatal("the export of the first node is not the chain")
	}
	a, addrA := startNode(t, "--datadir", dir("a"), "--listen", "127.0.0.1:0")

	first := map[string]*process{}
	for _, name := range []string{"b", "c"} {
		first[name] = start(t, "sync", "--datadir", dir(name), "--network", c.net.Name, "--peer", addrA)
	}
	nodes, addrs := map[string]*process{"a": a}, map[string]string{"a": addrA}
	for name, p := range first {
		p.succeed(t)
		checkStatus(t, dir(name), c.head)
		nodes[name], addrs[name] = startNode(t, "--datadir", dir(name), "--listen", "127.0.0.1:0")
	}

	// The fourth one sees the other three through proxies, which are slow enough
	// for all of them to take part. Half-way is when half of the blocks have
	// passed; from then on two of them are slower still, until the third one is
	// back and has brought something.
	const rate, crawl = 500_000, 20_000
	proxies := map[string]*proxy{}
	var mu sync.Mutex
	arrived := map[string]int64{}
	half := make(chan struct{})
	back := make(chan struct{})
	var once, again sync.Once
	killed := false
	args := []string{"sync", "--seals", "sample", "--datadir", dir("d"), "--network", c.net.Name, "--json"}
	for _, name := range []string{"a", "b", "c"} {
		p := newProxy(t, addrs[name])
		p.rate.Store(rate)
		p.watch(func(n int64) {
			mu.Lock()
			defer mu.Unlock()
			if killed && name == "b" && n > arrived["b"] {
				again.Do(func() { close(back) })
			}
			arrived[name] = n
			if arrived["a"]+arrived["b"]+arrived["c"] >= int64(len(c.blocks))/2 {
				once.Do(func() { close(half) })
			}
		})
		proxies[name] = p
		args = append(args, "--peer", p.addr())
	}
	d := start(t, args...)
	wait := func(what string, c <-chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case <-d.ended:
			t.Fatalf("the sync ended before %s: %s", what, tail(d.all.String()))
		case <-time.After(patience):
			t.Fatalf("%s does not happen; the sync wrote: %s", what, tail(d.all.String()))
		}
	}
	wait("half of the blocks have passed", half)
	proxies["a"].rate.Store(crawl)
	proxies["c"].rate.Store(crawl)
	nodes["b"].kill()
	mu.Lock()
	killed = true
	before := arrived["b"]
	mu.Unlock()
	nodes["b"], _ = startNode(t, "--datadir", dir("b"), "--listen", addrs["b"])
	wait("the killed node brings blocks again", back)
	for _, p := range proxies {
		p.rate.Store(0)
	}
	report := decode[syncReport](t, d.succeed(t))
	mu.Lock()
	after := arrived["b"]
	t.Logf("in %.1f s: blocks passed from each %v, %d of b's before it was killed; %d fetched, %d duplicates",
		report.Seconds, arrived, before, report.Fetched, report.Duplicates)
	if before == 0 || after <= before || arrived["a"] == 0 || arrived["c"] == 0 {
		t.Errorf("blocks passed from each: %v, and from b before it was killed %d; want some of each", arrived, before)
	}
	mu.Unlock()
	if report.Head != c.head {
		t.Errorf("the sync ends at %v, want %v", report.Head, c.head)
	}
	if report.Fetched != c.head.Number {
		t.Errorf("%d blocks fetched, want %d", report.Fetched, c.head.Number)
	}

	checkStatus(t, dir("d"), c.head)
	if !bytes.Equal(export(t, dir("d")), original) {
		t.Error("the export of the fourth node is not that of the first")
	}
	for name, p := range nodes {
		p.alive(t)
		p.interrupt(t)
		p.exits(t, exitOK)
		checkStatus(t, dir(name), c.head)
	}
	c.checkExport(t, dir("b")) // the killed one has lost nothing
}

// TestC1KilledAgainAndAgain kills a sync at many moments, each at a random byte that
// comes in, and starts it again. Whatever it had stored when it was killed must
// still be there, must never be fetched again, and the end must be the same.
func TestC1KilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	kills := killCount(t, 60)
	c := findChain(t)
	root := t.TempDir()
	source := filepath.Join(root, "source")
	shoal(t, "import", "--datadir", source, "--network", c.net.Name, c.file)
	var proxies []*proxy
	dir := filepath.Join(root, "killed")
	args := []string{"sync", "--datadir", dir, "--network", c.net.Name, "--json"}
	for _, name := range []string{"copy1", "copy2"} {
		from := filepath.Join(root, name)
		if err := os.CopyFS(from, os.DirFS(source)); err != nil {
			t.Fatal(err)
		}
		_, addr := startNode(t, "--datadir", from, "--listen", "127.0.0.1:0")
		p := newProxy(t, addr)
		p.rate.Store(4_000_000) // the disk shall keep up, or each kill would undo the run
		proxies = append(proxies, p)
		args = append(args, "--peer", p.addr())
	}

	t.Logf("seed %d; another one is taken by -killseed", *killSeed)
	rng := rand.New(rand.NewPCG(*killSeed, 0))
	held := map[common.Hash]bool{c.blocks[0].Hash: true}
	walked := false
	var deliveredAll, requestedAll, fruitless, walking int
	for run := 0; run <= kills; run++ {
		// What is left is spread over the kills that are left, and one run
		// never gets all of it: so there are as many kills as there should be.
		var b *budget
		var p *process
		started := make(chan struct{})
		if run < kills {
			missing := int64(0)
			for _, block := range c.blocks {
				if !held[block.Hash] {
					missing += int64(len(block.Raw()))
				}
			}
			// The hashes come in one message: without it a run gets nowhere. So an
			// eighth of the kills is before its end, and the others behind it.
			walk := int64(0)
			if !walked {
				walk = int64(len(c.blocks)) * 33
				missing += walk
			}
			bytes := 1 + rng.Int64N(2*missing/int64(kills-run))
			if run >= kills/8 {
				bytes += walk
			}
			b = &budget{left: min(bytes, missing*9/10), fire: func() {
				<-started
				p.cmd.Process.Kill()
			}}
		}
		for _, x := range proxies {
			x.begin(b)
		}
		p = start(t, args...)
		close(started)
		if run < kills {
			if code, err := p.wait(); err != nil || code != -1 {
				t.Fatalf("run %d: exit code %d (%v), want a kill; it wrote:\n%s", run, code, err, tail(p.all.String()))
			}
		} else {
			report := decode[syncReport](t, p.succeed(t))
			if report.Head != c.head {
				t.Errorf("the last run ends at %v, want %v", report.Head, c.head)
			}
		}
		again, delivered, requested := 0, 0, 0
		for _, x := range proxies {
			x.settle(t)
			_, r, d := x.counts()
			delivered += len(d)
			requested += len(r)
			for _, h := range r {
				if held[h] {
					again++
				}
			}
		}
		if again > 0 {
			t.Errorf("run %d: %d blocks were requested that were stored before it began", run, again)
		}
		deliveredAll += delivered
		requestedAll += requested
		now, complete := holds(t, dir, c)
		for h := range held {
			if !now[h] {
				t.Fatalf("run %d: block %v was stored before it, and is no longer", run, h)
			}
		}
		if len(now) == len(held) {
			fruitless++
		}
		if !complete {
			walking++
		}
		held, walked = now, complete
	}
	fetched := len(c.blocks) - 1
	t.Logf("%d kills, %d of them during the walk, %d after which no more was stored than before; %d blocks delivered for %d, %d requested",
		kills, walking, fruitless, deliveredAll, fetched, requestedAll)
	if len(held) != len(c.blocks) {
		t.Errorf("%d blocks are held, want %d", len(held), len(c.blocks))
	}
	checkStatus(t, dir, c.head)
	c.checkExport(t, dir)
}

// killedWithin runs the command and kills it at a random moment before the time is
// over, unless it has ended by then, which is reported.
func killedWithin(t testing.TB, rng *rand.Rand, most time.Duration, args ...string) (ended bool) {
	t.Helper()
	p := start(t, args...)
	select {
	case <-p.ended:
		if code := p.cmd.ProcessState.ExitCode(); code != exitOK {
			t.Fatalf("shoal %q: exit code %d; it wrote:\n%s", args, code, tail(p.all.String()))
		}
		return true
	case <-time.After(time.Duration(rng.Int64N(int64(most)))):
		p.kill()
		return false
	}
}

// TestC1ImportKilledAgainAndAgain kills an import at random moments.
func TestC1ImportKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	c := findChain(t)
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"import", "--datadir", dir, "--network", c.net.Name, c.file}
	program(t) // which may have to be built
	began := time.Now()
	shoal(t, "import", "--datadir", filepath.Join(t.TempDir(), "whole"), "--network", c.net.Name, c.file)
	takes := time.Since(began)
	rng := rand.New(rand.NewPCG(*killSeed, 1))
	held := map[common.Hash]bool{}
	ended := 0
	for range killCount(t, 24) {
		if killedWithin(t, rng, takes*2/3, args...) {
			ended++
		}
		now, _ := holds(t, dir, c)
		for h := range held {
			if !now[h] {
				t.Fatalf("block %v was stored before, and is no longer", h)
			}
		}
		if held = now; len(held) == len(c.blocks) { // it is over too soon: once more
			held = nil
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d imports ended before they were killed", ended)
	shoal(t, args...)
	checkStatus(t, dir, c.head)
	c.checkExport(t, dir)
}

// TestC2KilledWhileStarting kills a node while it opens what a killed import has left
// behind, and again while it opens that.
func TestC2KilledWhileStarting(t *testing.T) {
	t.Parallel()
	c := findChain(t)
	dir, other := filepath.Join(t.TempDir(), "data"), initialised(t, c)
	program(t) // which may have to be built
	began := time.Now()
	shoal(t, "status", "--datadir", other, "--json")
	// On a machine that was busy just then, most kills would come long after the start.
	takes := min(time.Since(began), 2*time.Second)
	rng := rand.New(rand.NewPCG(*killSeed, 2))
	kills := killCount(t, 36)
	for i := range kills {
		if i%4 == 0 { // something to recover
			killedWithin(t, rng, 2*takes, "import", "--datadir", dir, "--network", c.net.Name, c.file)
		}
		killedWithin(t, rng, takes, "node", "--datadir", dir, "--network", c.net.Name, "--listen", "127.0.0.1:0")
	}
	shoal(t, "import", "--datadir", dir, "--network", c.net.Name, c.file)
	checkStatus(t, dir, c.head)
	c.checkExport(t, dir)
}

// initialised is a data directory with the genesis block alone.
func initialised(t testing.TB, c realChain) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	g, err := c.net.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(dir, store.Options{
		Network: c.net.Name,
		Genesis: store.Genesis{Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestC6TwoProcessesOnOneDirectory: the second one is refused with a sentence, and the
// first one does not notice.
func TestC6TwoProcessesOnOneDirectory(t *testing.T) {
	t.Parallel()
	c := findChain(t)
	dir := initialised(t, c)
	link := dir + "-by-another-name"
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	node, addr := startNode(t, "--datadir", dir, "--listen", "127.0.0.1:0")
	for _, args := range [][]string{
		{"node", "--datadir", dir, "--listen", "127.0.0.1:0"},
		{"sync", "--datadir", dir, "--peer", addr},
		{"import", "--datadir", dir, c.file},
		{"import", "--datadir", link, c.file},
		{"export", "--datadir", dir, filepath.Join(t.TempDir(), "chain.rlp")},
	} {
		p := start(t, args...)
		p.exits(t, exitFailure)
		lines := strings.Split(strings.TrimSpace(p.all.String()), "\n")
		const want = "another process works in "
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, "shoal: ") || !strings.Contains(last, want) || len(lines) > 1 {
			t.Errorf("shoal %q wrote, want one line with %q:\n%s", args, want, p.all)
		}
	}
	node.alive(t)
	node.interrupt(t)
	node.exits(t, exitOK)
	shoal(t, "import", "--datadir", link, c.file) // now it is free
	checkStatus(t, dir, c.head)
}

// TestInterruptedImport presses Ctrl-C while an import has much left to do.
func TestInterruptedImport(t *testing.T) {
	t.Parallel()
	c := findChain(t)
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"import", "--datadir", dir, "--network", c.net.Name}
	for range 500 { // what is there already has to be read nevertheless
		args = append(args, c.file)
	}
	p := start(t, args...)
	p.writes(t, filepath.Join(dir, "segments"), 100_000)
	p.interrupt(t)
	p.exits(t, exitInterrupted)
	got := decode[struct{ Head api.Head }](t, shoal(t, "status", "--datadir", dir, "--json"))
	if got.Head.Number == 0 {
		t.Error("nothing of it has been kept")
	}
	shoal(t, "import", "--datadir", dir, c.file)
	checkStatus(t, dir, c.head)
	c.checkExport(t, dir)
}

// holds returns which blocks of the chain a data directory holds, and whether all
// hashes that are to be fetched are known.
func holds(t testing.TB, dir string, c realChain) (map[common.Hash]bool, bool) {
	t.Helper()
	held := map[common.Hash]bool{}
	st, err := store.Open(dir, store.Options{MustExist: true})
	if errors.Is(err, store.ErrNotExist) {
		return held, false // killed before there was one
	}
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	// A run of blocks costs one look into the index, which with the race detector takes a
	// hundred times as long as it should. So runs are followed, from both ends, as a sync
	// stores them, until all are found that there are.
	run := func(hashes []common.Hash) (n int) {
		err := st.Each(hashes, func(raw []byte) error {
			if h, err := chain.HashOf(raw); err != nil || h != hashes[n] {
				t.Fatalf("under the hash %x %s holds %x: %v", hashes[n], dir, h, err)
			}
			held[hashes[n]] = true
			n++
			return nil
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return n
	}
	var rest []common.Hash
	for _, b := range c.blocks {
		rest = append(rest, b.Hash)
	}
	for uint64(len(held)) < st.Blocks() && len(rest) > 0 {
		rest = rest[min(run(rest)+1, len(rest)):] // the one behind a run is not there
		slices.Reverse(rest)
	}
	if uint64(len(held)) != st.Blocks() {
		t.Fatalf("%s holds %d blocks, of which %d are of the chain", dir, st.Blocks(), len(held))
	}
	plan, ok := st.Plan()
	return held, ok && plan.Complete || st.Head().Number == c.head.Number
}
