package api

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/pool"
)

// Tracker follows the events of a node. Give it all of them with [Tracker.Event]; it
// can be asked at any time. It is safe for concurrent use.
type Tracker struct {
	mu      sync.Mutex
	last    downloader.Progress
	tracks  map[string]*track // of connected peers, by name
	gone    Spent             // of those that have left
	left    uint64            // bytes received from those
	samples []sample          // of the last minute, oldest first
	work    float64           // see sample
	could   float64

	journal journal
	history history

	from    uint64        // number of the head when the present sync began
	settled bool          // all is here that the peers have
	change  chan struct{} // closed at the next change; nil: nobody waits
}

// track is what is known of one peer.
type track struct {
	spent Spent
	seen  [pool.NWhy]time.Duration // by the pool, of which spent is made
	bytes uint64                   // that it has brought, as far as they are in the history
	now   Reason
}

// sample is how far everything was at a time.
type sample struct {
	at     time.Time
	blocks uint64 // stored
	bytes  uint64 // of them
	spent  Spent  // of all peers
	// What the links of all peers could have carried so far, as far as they have
	// shown what they can, and what of it was at work.
	work, could float64
}

const (
	// rateWindow is over which time a rate is shown: long enough to be read,
	// short enough to show a change. An ETA is made of those of a maxWindow.
	rateWindow = 5 * time.Second
	maxWindow  = time.Minute

	// maxGap bounds what one picture of the node accounts for of a peer. Pictures
	// come twice a second; if one comes much later, the machine was asleep.
	maxGap = 5 * time.Second
)

// NewTracker returns a tracker of a node that has not begun.
func NewTracker() *Tracker { return &Tracker{tracks: make(map[string]*track)} }

// Event takes an event of a node or of its downloader; it ignores what does not
// concern it.
func (t *Tracker) Event(e any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.journal.event(e, t.last.Head.Number)
	switch e := e.(type) {
	case downloader.Started:
		t.samples = nil // its blocks may weigh something else
	case downloader.Progress:
		t.progress(&e)
	case downloader.Joined:
		t.settled = false
	case downloader.Settled:
		t.settled = true
	case downloader.HeadMoved:
		t.tellChange()
	case downloader.Left:
		t.left += e.Received
		x := t.account(&t.last, &e.PeerProgress)
		t.gone.add(&x.spent)
		delete(t.tracks, e.Name)
	}
}

// progress accounts for the time since the picture before.
func (t *Tracker) progress(p *downloader.Progress) {
	if (p.Target > 0) != (t.last.Target > 0) {
		t.from, t.settled = p.Head.Number, false
		t.tellChange()
	}
	t.last = *p
	for i := range p.Peers {
		t.account(p, &p.Peers[i])
	}
	t.history.pass(p.At)
	t.samples = append(t.samples, sample{p.At, p.Stored, p.Bytes, t.total(), t.work, t.could})
	old, _ := slices.BinarySearchFunc(t.samples, p.At.Add(-maxWindow-time.Second), func(s sample, at time.Time) int { return s.at.Compare(at) })
	t.samples = slices.Delete(t.samples, 0, old)
}

// account puts a peer's time since it was last seen down to reasons, as a picture
// explains it.
func (t *Tracker) account(p *downloader.Progress, q *downloader.PeerProgress) *track {
	x := t.tracks[q.Name]
	if x == nil {
		x = &track{}
		t.tracks[q.Name] = x
	}
	var fresh Spent
	for why, d := range q.Spent {
		fresh[reasonOf(p, pool.Why(why))] += d - x.seen[why]
	}
	if all := fresh.Total(); all > maxGap {
		for r := range fresh {
			fresh[r] = time.Duration(float64(fresh[r]) * float64(maxGap) / float64(all))
		}
	}
	t.history.came(q.Mark, q.UsefulBytes-min(x.bytes, q.UsefulBytes))
	x.seen, x.now, x.bytes = q.Spent, nowOf(p, q), q.UsefulBytes
	x.spent.add(&fresh)
	t.could += float64(q.Rate) * fresh.Total().Seconds()
	t.work += float64(q.Rate) * (fresh[Transferring] + fresh[Capped]).Seconds()
	return x
}

// total is where the time of all peers went.
func (t *Tracker) total() Spent {
	sum := t.gone
	for _, x := range t.tracks {
		sum.add(&x.spent)
	}
	return sum
}

// Why returns where the time went since the node runs.
func (t *Tracker) Why() Why {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := Why{Total: t.total(), Peers: []PeerWhy{}}
	for _, q := range t.last.Peers {
		if x := t.tracks[q.Name]; x != nil {
			w.Peers = append(w.Peers, PeerWhy{q.Name, x.now, x.spent})
		}
	}
	return w
}

// share is what a connected peer has contributed, and where its time went.
type share struct {
	downloader.PeerProgress
	track
}

// shares returns the shares of all connected peers that serve a chain, by name.
func (t *Tracker) shares() map[string]share {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[string]share)
	for _, q := range t.last.Peers {
		if x := t.tracks[q.Name]; x != nil {
			all[q.Name] = share{q, *x}
		}
	}
	return all
}

// since returns what has happened in about the last d, and how long that is.
func (t *Tracker) since(d time.Duration) (sample, time.Duration) { return t.between(d, 0) }

// between returns what has happened from so long before the last picture to so long
// before it, about, and how long that is.
func (t *Tracker) between(from, to time.Duration) (sample, time.Duration) {
	if len(t.samples) == 0 {
		return sample{}, 0
	}
	now := t.samples[len(t.samples)-1].at
	at := func(ago time.Duration) *sample {
		i, _ := slices.BinarySearchFunc(t.samples, now.Add(-ago), func(s sample, at time.Time) int { return s.at.Compare(at) })
		return &t.samples[i]
	}
	a, b := at(from), at(to)
	diff := sample{
		blocks: b.blocks - a.blocks, bytes: b.bytes - a.bytes,
		work: b.work - a.work, could: b.could - a.could,
	}
	for r := range diff.spent {
		diff.spent[r] = b.spent[r] - a.spent[r]
	}
	return diff, b.at.Sub(a.at)
}

// Node returns what the node is doing, without its name and since when.
func (t *Tracker) Node() Node {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &t.last
	n := Node{
		Phase: p.Phase.String(), Peers: len(p.Peers), Fetched: p.Stored, Bytes: p.Bytes, Received: t.left, Waiting: p.Waiting,
	}
	for _, q := range p.Peers {
		n.Received += q.Received
		if x := t.tracks[q.Name]; x != nil && x.now == Late {
			n.Late++
		}
	}
	if p.Target > 0 {
		n.Sync = t.sync(p)
	}
	return n
}

// sync says how the chain comes along that is being fetched.
func (t *Tracker) sync(p *downloader.Progress) *Sync {
	missing := uint64(p.Pool.Wanted+p.Pool.InFlight+p.Pool.Held) + p.Hashes - min(p.Fed, p.Hashes) + p.Missing
	missing = min(missing, p.Target)
	s := &Sync{
		Here: p.Target - missing, All: p.Target, Hashes: p.Hashes, Linked: p.Head.Number, ETA: t.eta(missing),
	}
	if p.Pool.UsefulBytes > 0 {
		s.Duplicates = float64(p.Pool.DuplicateBytes) / float64(p.Pool.UsefulBytes)
	}
	d, took := t.since(rateWindow)
	if took == 0 {
		return s
	}
	s.BlocksPerSec = float64(d.blocks) / took.Seconds()
	s.BytesPerSec = float64(d.bytes) / took.Seconds()
	if d.could > 0 {
		s.Efficiency = d.work / d.could
	}
	for r := range reasons {
		if d.spent[r] > d.spent[s.Why] {
			s.Why = r
		}
	}
	return s
}

// eta says how long so many blocks take: at the mean rate of the last minute, give or
// take how much it varies, and at the present rate if that is beyond. It looks
// at blocks and at bytes, because blocks may be about to get bigger, or smaller.
func (t *Tracker) eta(missing uint64) *ETA {
	s := &t.last.Pool
	if missing == 0 || s.Useful == 0 {
		return nil
	}
	var blocks, bytes []float64 // a second, the youngest first
	for i := range int(maxWindow / rateWindow) {
		d, took := t.between(time.Duration(i+1)*rateWindow, time.Duration(i)*rateWindow)
		if took < rateWindow/2 {
			break
		}
		blocks = append(blocks, float64(d.blocks)/took.Seconds())
		bytes = append(bytes, float64(d.bytes)/took.Seconds())
	}
	e := &ETA{Least: math.Inf(1)}
	add := func(left float64, rates []float64) {
		mean, spread := meanOf(rates)
		e.Least = min(e.Least, left/max(mean+spread, rates[0]))
		e.Most = max(e.Most, left/max(min(mean-spread, rates[0]), 0))
	}
	if len(blocks) == 0 {
		return nil // it has just begun
	}
	add(float64(missing), blocks)
	add(float64(missing)*float64(s.UsefulBytes)/float64(s.Useful), bytes)
	switch {
	case math.IsInf(e.Least, 1):
		return nil // nothing has come for a minute
	case math.IsInf(e.Most, 1):
		e.Most = 0
	}
	return e
}

// meanOf returns the mean of numbers and their standard deviation.
func meanOf(all []float64) (mean, deviation float64) {
	for _, x := range all {
		mean += x / float64(len(all))
	}
	for _, x := range all {
		deviation += (x - mean) * (x - mean) / float64(len(all))
	}
	return mean, math.Sqrt(deviation)
}
