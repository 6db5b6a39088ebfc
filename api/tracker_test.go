package api_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

// film is a downloader's pictures of a sync, twice a second.
type film struct {
	spent   map[string]*[pool.NWhy]time.Duration
	tracker *api.Tracker
	at      time.Time
	g       downloader.Progress
}

func newFilm(blocks uint64) *film {
	f := &film{spent: map[string]*[pool.NWhy]time.Duration{}, tracker: api.NewTracker(), at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	f.g = downloader.Progress{Phase: downloader.Fetching, Target: blocks, Hashes: blocks + 1, Fed: blocks + 1}
	f.g.Pool.Wanted = int(blocks)
	f.tracker.Event(downloader.Started{Number: blocks})
	return f
}

// peers sets what the peers are doing, each at a rate of a million bytes a second.
func (f *film) peers(why map[string]pool.Why) {
	f.g.Peers = nil
	for _, name := range []string{"a", "b", "c"} {
		if w, ok := why[name]; ok {
			q := downloader.PeerProgress{Name: name, Received: 1000}
			q.Why, q.Rate = w, 1e6
			if w == pool.WhyTransferring {
				q.InFlight = 10
			}
			f.g.Peers = append(f.g.Peers, q)
		}
	}
}

// run goes on for some time while so many blocks of that size come a second.
func (f *film) run(d time.Duration, perSec, size int) {
	for range int(d / (500 * time.Millisecond)) {
		f.at = f.at.Add(500 * time.Millisecond)
		f.pass(500 * time.Millisecond)
		n := min(perSec/2, f.g.Pool.Wanted)
		f.g.Pool.Wanted -= n
		f.g.Pool.Useful += uint64(n)
		f.g.Pool.UsefulBytes += uint64(n * size)
		f.g.Stored, f.g.Bytes, f.g.At = f.g.Pool.Useful, f.g.Pool.UsefulBytes, f.at
		f.tracker.Event(f.g)
	}
}

// pass lets time pass for the pool.
func (f *film) pass(d time.Duration) {
	for i := range f.g.Peers {
		q := &f.g.Peers[i]
		if f.spent[q.Name] == nil {
			f.spent[q.Name] = new([pool.NWhy]time.Duration)
		}
		f.spent[q.Name][q.Why] += d
		q.Spent = *f.spent[q.Name]
	}
}

// TestRates: what is shown is what has come within the last seconds, of the whole
// chain, also of the part that was here before.
func TestRates(t *testing.T) {
	f := newFilm(1_000_000)
	f.g.Hashes, f.g.Fed, f.g.Pool.Wanted, f.g.Head = 600_000, 600_000, 600_000, store.Head{Number: 400_000}
	f.peers(map[string]pool.Why{"a": pool.WhyTransferring, "b": pool.WhyTransferring})
	f.run(20*time.Second, 1000, 500)
	s := f.tracker.Node().Sync
	if s.Here != 420_000 || s.All != 1_000_000 || s.Linked != 400_000 {
		t.Errorf("%d of %d are here, %d linked", s.Here, s.All, s.Linked)
	}
	if s.BlocksPerSec != 1000 || s.BytesPerSec != 500_000 || s.Efficiency != 1 || s.Why != api.Transferring {
		t.Errorf("%+v", s)
	}
	if want := (&api.ETA{Least: 580, Most: 580}); s.ETA == nil || math.Abs(s.ETA.Least-want.Least) > 1e-6 || math.Abs(s.ETA.Most-want.Most) > 1e-6 {
		t.Errorf("ETA %+v, want %+v", s.ETA, want)
	}
	// It gets slower: the new rate is shown, and between the two is the end.
	f.run(6*time.Second, 200, 500)
	if s = f.tracker.Node().Sync; s.BlocksPerSec != 200 {
		t.Errorf("%.0f blocks a second", s.BlocksPerSec)
	}
	if left := float64(s.All - s.Here); math.Abs(s.ETA.Most-left/200) > 1 || s.ETA.Least > left/800 || s.ETA.Least < left/1200 {
		t.Errorf("ETA %+v", s.ETA)
	}
	// It stands still: nobody knows for how long; after a minute, nothing at all.
	f.run(10*time.Second, 0, 500)
	if s = f.tracker.Node().Sync; s.ETA == nil || s.ETA.Most != 0 || s.BlocksPerSec != 0 {
		t.Errorf("%+v, ETA %+v", s, s.ETA)
	}
	f.run(2*time.Minute, 0, 500)
	if s = f.tracker.Node().Sync; s.ETA != nil {
		t.Errorf("ETA %+v", s.ETA)
	}
}

// TestETAIsHonest: whatever the rates do within a range, the true end is within the
// ETA that is said meanwhile.
func TestETAIsHonest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const blocks = 100_000
	f := newFilm(blocks)
	f.peers(map[string]pool.Why{"a": pool.WhyTransferring})
	type said struct {
		at  time.Time
		eta *api.ETA
	}
	var all []said
	for f.g.Pool.Wanted > 0 {
		f.run(time.Duration(1+r.IntN(8))*time.Second, 200+r.IntN(1800), 500)
		if n := f.tracker.Node(); n.Sync.ETA != nil {
			all = append(all, said{f.at, n.Sync.ETA})
		}
	}
	right := 0
	for _, s := range all {
		if left := f.at.Sub(s.at).Seconds(); left >= s.eta.Least*0.9 && left <= s.eta.Most*1.1 {
			right++
		}
	}
	if len(all) < 10 || right < len(all)*9/10 {
		t.Errorf("%d of %d ETAs were right", right, len(all))
	}
}

// TestWhy: each half second of each peer is put down to a reason, also of those
// that have left, and none when nobody looked.
func TestWhy(t *testing.T) {
	f := newFilm(1_000_000)
	f.g.Pool.InFlight = 1 // else what is left would be here, and being checked
	f.peers(map[string]pool.Why{"a": pool.WhyTransferring, "b": pool.WhyLate})
	f.run(10*time.Second, 100, 500)
	f.peers(map[string]pool.Why{"a": pool.WhyCapped, "b": pool.WhyChecking, "c": pool.WhyNothingWanted})
	f.run(4*time.Second, 100, 500)
	f.g.Unwritten = 1
	f.g.Phase = downloader.Hashes
	f.run(3*time.Second, 100, 500)
	// They bring a little more time with them when they leave.
	f.g.Peers[1].Spent[pool.WhyChecking] += time.Second
	f.g.Peers[2].Spent[pool.WhyNothingWanted] += time.Second
	f.tracker.Event(downloader.Left{PeerProgress: f.g.Peers[2]})
	f.tracker.Event(downloader.Left{PeerProgress: f.g.Peers[1]})
	f.peers(map[string]pool.Why{"a": pool.WhyNothingWanted})
	f.g.Phase = downloader.Idle
	f.pass(time.Hour) // the machine sleeps
	f.run(time.Second, 0, 500)
	const s = time.Second
	want := api.Why{
		Total: api.Spent{
			api.Transferring: 10 * s, api.Late: 10 * s, api.Capped: 7 * s, api.Verifying: 4 * s, api.Writing: 4 * s,
			api.Tail: 4 * s, api.WaitingHashes: 4 * s, api.NothingToFetch: 5500 * time.Millisecond,
		},
		Peers: []api.PeerWhy{{Name: "a", Now: api.NothingToFetch, Spent: api.Spent{
			api.Transferring: 10 * s, api.Capped: 7 * s, api.NothingToFetch: 5500 * time.Millisecond,
		}}},
	}
	got := f.tracker.Why()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	raw, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var back api.Why
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, back); diff != "" {
		t.Errorf("as JSON (-want +got)\n%s\n%s", diff, raw)
	}
	if n := f.tracker.Node(); n.Received != 1000+1000+1000 || n.Peers != 1 || n.Late != 0 {
		t.Errorf("%+v", n)
	}
}

// TestEveryReasonHasWords: each reason has a text of its own, which reads back, and a
// sentence.
func TestEveryReasonHasWords(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range api.Reasons() {
		var back api.Reason
		if err := back.UnmarshalText([]byte(r.String())); err != nil || back != r {
			t.Errorf("%q reads back as %v, %v", r, back, err)
		}
		if seen[r.String()] || seen[r.Explain()] || r.Explain() == "" {
			t.Errorf("the words of %v: %q", r, r.Explain())
		}
		seen[r.String()], seen[r.Explain()] = true, true
	}
	var r api.Reason
	if err := r.UnmarshalText([]byte("no such")); err == nil {
		t.Error("a reason that there is not")
	}
	if len(seen) != 2*len(api.Reasons()) {
		t.Error("two reasons have the same words")
	}
}
