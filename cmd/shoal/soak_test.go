package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

const (
	// soakEnv is how long TestSoak lasts, soakTime if that is not set.
	soakEnv  = "SHOAL_TEST_SOAK"
	soakTime = 12 * time.Second

	// soakBase is how many blocks everybody has at the beginning. Chains of rogues leave
	// it near its end, and are lighter.
	soakBase = 500
)

// TestSoak: two nodes live in bad company. Two miners are cut off from each other and
// joined again and again, so that the nodes change chains; honest peers, programs and
// subscribers come and go; and whatever hostile peers can do they do. Meanwhile the nodes
// take no more memory, descriptors and goroutines than before, and in the end all who
// are honest are on one head, none of them was blamed, and nothing went wrong. With
//
//	SHOAL_TEST_SOAK=1h go test -run TestSoak -timeout 2h -v ./cmd/shoal
//
// it lasts an hour.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	t.Parallel()
	long := soakTime
	if text := os.Getenv(soakEnv); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", soakEnv, err)
		}
	}
	s := newSoak(t, long)
	s.agree()
	var before []sample
	for _, o := range s.watched {
		before = append(before, o.measure(s))
		t.Logf("%s before: %v", o.name, o.last())
	}

	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var actors sync.WaitGroup
	for _, act := range []func(context.Context){s.visitors, s.newcomers, s.readers, s.payments, s.foes, s.sample} {
		actors.Go(func() { act(ctx) })
	}
	s.forks(ctx)
	actors.Wait()
	s.report()
	s.settle(before)
	s.end()
	took := time.Since(s.began)
	t.Logf("%v in all, %.2f cores", took.Round(time.Second), cpu().Seconds()/took.Seconds())
}

// soak is the world of TestSoak.
type soak struct {
	*testing.T
	began   time.Time
	long    time.Duration // that it lasts
	pace    time.Duration // between two attacks, and more or less of all else
	dir     string
	base    *testbed.Branch
	watched []*observed
	miners  []*observed
	links   []*proxy // to the miners

	mu     sync.Mutex
	done   map[string]int  // how often what was done
	guilty map[string]bool // names and addresses of those who did harm
	faults int
}

// newSoak starts everybody who is there all the time.
//
//	miner ◀─ link ─┬─ node ──┬─ link ─▶ miner
//	               └─ node ──┘
func newSoak(t *testing.T, long time.Duration) *soak {
	s := &soak{
		T: t, began: time.Now(), long: long, pace: min(long/60, 1200*time.Millisecond), dir: t.TempDir(),
		base: testbed.NewBranch(t, chain.Dev, nil, 0, slices.Collect(chaingen.Generate(chaingen.Config{Blocks: soakBase}))),
		done: map[string]int{}, guilty: map[string]bool{},
	}
	file := filepath.Join(s.dir, "base.rlp")
	w, err := archive.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, b := range s.base.Blocks[1:] {
		if err := w.Append(b.Raw()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	shoal(t, "import", "--network", chain.Dev.Name, "--datadir", s.data("base"), file)
	// The second one makes fewer blocks, so that the first one's chain is the heavier one
	// whenever they part.
	for i, every := range []string{"2s", "3s"} {
		m := s.run(fmt.Sprint("miner", i), "mine", "--discover=false", "--every", every, "--seed", fmt.Sprint(i))
		s.miners, s.links = append(s.miners, m), append(s.links, newProxy(t, m.addr))
	}
	var peers []string
	for _, l := range s.links {
		peers = append(peers, "--peer", l.addr())
	}
	for i := range 2 {
		n := s.run(fmt.Sprint("node", i), "node", append(peers, "--discover=true")...)
		s.watched, peers = append(s.watched, n), append(peers, "--peer", n.addr)
	}
	return s
}

func (s *soak) data(name string) string { return filepath.Join(s.dir, name) }

// run starts a process that has the base already.
func (s *soak) run(name, cmd string, args ...string) *observed {
	s.Helper()
	if err := os.CopyFS(s.data(name), os.DirFS(s.data("base"))); err != nil {
		s.Fatal(err)
	}
	p := start(s, append([]string{
		cmd, "--network", chain.Dev.Name, "--datadir", s.data(name), "--listen", "127.0.0.1:0", "--http-addr", "127.0.0.1:0",
	}, args...)...)
	o := &observed{
		name: name, process: p, dir: s.data(name),
		web: webAddress(s.T, p), addr: p.await(s, `(?m)^listening on (\S+)$`),
	}
	var err error
	if o.client, err = ethclient.Dial(o.web); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		o.client.Close()
		if !s.Failed() {
			return
		}
		if dir, err := os.MkdirTemp("", "shoal-soak-"); err == nil {
			log := filepath.Join(dir, name+".log")
			os.WriteFile(log, []byte(p.all.String()), 0o666)
			s.Logf("all that %s wrote is in %s", name, log)
		}
	})
	return o
}

// did counts what was done.
func (s *soak) did(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[what]++
}

// fault notes that somebody honest was treated badly. A few of them are told.
func (s *soak) fault(format string, args ...any) {
	s.mu.Lock()
	s.faults++
	n := s.faults
	s.mu.Unlock()
	if n <= 20 {
		s.Errorf(format, args...)
	}
}

// forks cuts the miners off by turns, and joins them again when the nodes are on another
// chain than whoever is cut off, until the context is done.
func (s *soak) forks(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		away := i % 2
		s.links[away].cut(true)
		s.until(ctx, "chains that have parted", func() bool {
			theirs, ours := s.miners[away].head(s), s.watched[0].head(s)
			if away == 0 { // they will be on the heavier one
				return theirs.number > ours.number+1 && ours.hash != theirs.hash
			}
			return ours.number > theirs.number && theirs.number > soakBase+uint64(i)/2
		})
		s.links[away].cut(false)
		s.did("miners cut off and joined")
		if ctx.Err() == nil {
			s.agree()
		}
	}
	for _, l := range s.links {
		l.cut(false)
	}
	s.agree()
}

// agree waits until all are on the same head.
func (s *soak) agree() {
	s.Helper()
	began := time.Now()
	s.until(s.Context(), "a head that all agree on", func() bool {
		heads := map[head]bool{}
		for _, o := range append(s.miners, s.watched...) {
			heads[o.head(s)] = true
		}
		return len(heads) == 1
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done["seconds until all agreed, at most"] = max(s.done["seconds until all agreed, at most"], int(time.Since(began).Seconds()))
}

// until waits for something until the context is done.
func (s *soak) until(ctx context.Context, what string, ok func() bool) {
	s.Helper()
	for began := time.Now(); !ok(); {
		if time.Since(began) > patience {
			s.Fatalf("waited for %s", what)
		}
		if !pause(ctx, 300*time.Millisecond) {
			return
		}
	}
}

// pause waits, and reports false if the context is done.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// settle waits until nothing is left of those who came and went.
func (s *soak) settle(before []sample) {
	const goroutines, descriptors = 24, 24 // addresses that are being dialled, tables of the index
	for i, o := range s.watched {
		s.until(s.Context(), "the end of all sessions", func() bool {
			now := o.measure(s)
			return now.goroutines <= before[i].goroutines+goroutines && now.descriptors <= before[i].descriptors+descriptors
		})
		s.Logf("%s after: %v", o.name, o.last())
	}
}

// end stops all and looks at what they leave behind.
func (s *soak) end() {
	wrong := regexp.MustCompile(`(?m)^.*(level=ERROR|panic|fatal error|DATA RACE).*$`)
	blamed := regexp.MustCompile(`msg="peer (?:banned|dropped)" peer=(\S+).*`)
	reorgs := 0
	for _, o := range append(s.miners, s.watched...) {
		o.process.interrupt(s)
		o.process.exits(s, exitOK)
		text := o.process.all.String()
		for _, line := range wrong.FindAllString(text, 5) {
			s.Errorf("%s wrote: %s", o.name, line)
		}
		for _, m := range blamed.FindAllStringSubmatch(text, -1) {
			if !s.guilty[m[1]] {
				s.fault("%s blames somebody honest: %s", o.name, m[0])
			}
		}
		n := strings.Count(text, "msg=reorg")
		s.Logf("%s: %d reorgs, %d peers banned, %d dropped", o.name, n, strings.Count(text, "peer banned"), strings.Count(text, "peer dropped"))
		reorgs += n
		s.left(o.dir)
	}
	if reorgs == 0 {
		s.Error("nobody has changed chains")
	}
}

// left looks at what a node remembers of peers.
func (s *soak) left(dir string) {
	const bookBytes, standings = 1 << 20, 1024
	st, err := store.Open(dir, store.Options{MustExist: true})
	if err != nil {
		s.Fatal(err)
	}
	defer st.Close()
	all, err := node.Standings(st)
	if err != nil {
		s.Fatal(err)
	}
	for _, x := range all {
		if !s.guilty[x.Who] {
			s.fault("%s blames somebody honest: %+v", dir, x)
		}
	}
	book, _ := st.Meta("book")
	s.Logf("%s: %d peers remembered, %d bytes of addresses", filepath.Base(dir), len(all), len(book))
	if len(all) > standings || len(book) > bookBytes {
		s.Errorf("want at most %d and %d", standings, bookBytes)
	}
}
