package simnet

import (
	"encoding/binary"
	"hash"
	"time"
)

// account is what is measured of a run.
type account struct {
	target    float64       // bytes that an ideal download carries
	faultless time.Duration // its time without any fault
	ideal     time.Duration // its time with the faults of this run, 0 while it goes on
	carried   float64       // bytes that it has carried by now
	capacity  float64       // what all peers can bring now, bytes a second

	requests, dropped       int
	useful, duplicate, junk int64
	last                    time.Duration // when 99 % of the bytes were here
	trace                   hash.Hash64
	word                    [8]byte

	interval time.Duration
	sampled  time.Duration
	spell    time.Duration // the present interval of samples ends here
	seconds  [reasons]float64
	weight   [reasons]float64 // seconds times rate
	spent    time.Duration    // by the policy, of the real clock
}

// advance moves the clock and lets the ideal download go on meanwhile.
func (w *world) advance(at time.Duration) {
	rate := w.bounded(w.capacity)
	if w.ideal == 0 && rate > 0 {
		d := at - w.now
		if left := time.Duration((w.target - w.carried) / rate * float64(time.Second)); left <= d {
			w.ideal = w.now + left
		}
		w.carried += rate * d.Seconds()
	}
	w.now = at
}

// bounded bounds the rate of an ideal download by what the client can take.
func (w *world) bounded(rate float64) float64 {
	if w.link.rate > 0 {
		rate = min(rate, w.link.rate)
	}
	if w.CheckMB > 0 {
		rate = min(rate, w.CheckMB*1e6)
	}
	return rate
}

// capacityChanges keeps the sum of what the peers can bring.
func (w *world) capacityChanges(p *peer, change func()) {
	mean := w.sizes.mean()
	w.capacity -= p.capacity(mean)
	change()
	w.capacity += p.capacity(mean)
}

func (w *world) progress(bytes int64) {
	w.useful += bytes
	if w.last == 0 && float64(w.useful) >= 0.99*float64(w.sizes.total) {
		w.last = w.now
	}
}

// record adds to the hash of all that the policy has asked for.
func (w *world) record(numbers ...uint64) {
	for _, n := range numbers {
		binary.LittleEndian.PutUint64(w.word[:], n)
		w.trace.Write(w.word[:])
	}
}

// nextSample draws when to look at the links next: once in each interval, at a
// random instant, so that nothing periodic is always met in the same phase.
func (w *world) nextSample() time.Duration {
	at := w.spell + time.Duration(w.rand.Float64()*float64(w.interval))
	w.spell += w.interval
	return max(at, w.now)
}

// sample notes what each link does. A peer that has stalled is not there any more.
func (w *world) sample() {
	dt := (w.now - w.sampled).Seconds()
	w.sampled = w.now
	for _, p := range w.peers {
		if !p.on || p.stalled {
			continue
		}
		why := w.doing(p)
		w.seconds[why] += dt
		w.weight[why] += dt * p.rate
	}
}

func (w *world) doing(p *peer) Reason {
	switch {
	case p.serving != nil:
		return Transferring
	case p.open > 0 && w.link.busy():
		return Capped
	case p.open > 0:
		return RoundTrip
	}
	why := w.policy.Why(int(p.id))
	if why == Tail && w.walk.known > 0 {
		return Hashes
	}
	if why == Transferring {
		return RoundTrip // it has just run dry
	}
	return why
}
