package pool

import (
	"cmp"
	"slices"
	"time"
)

// While a download goes well, all pipes are full and each event concerns one peer.
// So Reserve looks at the peers to which something has happened, and only now and
// then at those that it left without work: with ten thousand peers, looking at
// all of them for each event would cost more than everything else together.

// lookShare is how many peers may be looked at for each event, on the average. With
// up to so many peers nothing is ever put off.
const lookShare = 4

// lookTime is how long it may be put off for each peer if there are more and little
// happens, and lookInterval for all of them. A look at a peer takes some hundred
// nanoseconds, so this is a few hundredths of a core at the most. Ten times more, and
// peers would stand idle while something is wanted.
const (
	lookTime     = 10 * time.Microsecond
	lookInterval = 100 * time.Millisecond
)

// look says when something that costs a look at many peers is done again.
type look struct {
	events int
	at     time.Time
}

// due counts an event, and reports whether a look at n peers is due.
func (l *look) due(now time.Time, n int) bool {
	l.events++
	if l.events*lookShare < n && now.Before(l.at) {
		return false
	}
	l.events, l.at = 0, now.Add(min(time.Duration(n)*lookTime, lookInterval))
	return true
}

// place says in which list of the pool a peer is.
type place uint8

const (
	nowhere place = iota // its pipe is full
	inFresh
	inIdle
)

// lookAt has the next Reserve look at a peer, because something has happened to it.
func (p *Pool[P, K]) lookAt(pr *peer[P, K]) {
	if pr.place != inFresh {
		pr.place = inFresh
		p.fresh = append(p.fresh, pr)
	}
}

// candidates lists the peers that Reserve looks at, each once.
func (p *Pool[P, K]) candidates(now time.Time) []*peer[P, K] {
	all := p.hedgeDue(now)
	if p.wanted() > 0 || !p.dry {
		awake := !p.wake.IsZero() && !now.Before(p.wake)
		all = p.idleLook.due(now, len(p.idle)) || awake || all
	}
	p.lookedAtAll = all
	list := p.looked[:0]
	add := func(from []*peer[P, K], place place) []*peer[P, K] {
		for _, pr := range from {
			// It may stand in a list where it has been before.
			if pr.place == place && !pr.left {
				pr.place = nowhere
				list = append(list, pr)
			}
		}
		clear(from)
		return from[:0]
	}
	p.fresh = add(p.fresh, inFresh)
	if all {
		p.idle = add(p.idle, inIdle)
		p.wake, p.hedger = time.Time{}, false
	}
	p.looked = list
	return list
}

// settle puts those of the candidates that are still without work where the next
// look finds them.
func (p *Pool[P, K]) settle(candidates []*peer[P, K]) {
	p.dry = p.wanted() == 0 && (p.dry || p.lookedAtAll)
	for _, pr := range candidates {
		pr.account(p.reserved)
		if pr.open > 0 && (pr.late || !p.hasRoom(pr)) {
			continue
		}
		pr.place = inIdle
		p.idle = append(p.idle, pr)
		p.hedger = p.hedger || !pr.late && pr.rate > 0 && pr.open == 0
		if at := pr.wake(p.reserved); at.After(p.reserved) && (p.wake.IsZero() || at.Before(p.wake)) {
			p.wake = at
		}
	}
	clear(p.looked)
}

// wake returns when a peer without work may get some although nothing happens: when
// it has rested from a class, or is taken to lack a key no more.
func (pr *peer[P, K]) wake(now time.Time) (at time.Time) {
	sooner := func(t time.Time) {
		if t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for c := range pr.services {
		sooner(pr.services[c].restUntil)
	}
	if pr.late {
		return later(at, pr.nextProbe)
	}
	if len(pr.lackOrder) > 0 {
		sooner(pr.lacks[pr.lackOrder[0]])
	}
	return at
}

// hungry lists those of the candidates that can take work now, fastest first.
func (p *Pool[P, K]) hungry(now time.Time, candidates []*peer[P, K]) []*peer[P, K] {
	list := p.eager[:0]
	for _, pr := range candidates {
		pr.forgetLack(now)
		switch {
		case pr.rests(now):
			pr.limit = WhyLacking
			if p.wanted() == 0 {
				pr.limit = WhyNothingWanted
			}
		case pr.late:
			if pr.open == 0 && !now.Before(pr.nextProbe) {
				list = append(list, pr)
			}
		case !p.hasRoom(pr):
		case p.wanted() == 0 || p.full(pr) == WhyUnknown:
			list = append(list, pr)
		default:
			pr.limit = p.full(pr)
		}
	}
	if len(list) > 1 && (p.wanted() > 0 || p.hedgeDue(now)) {
		median := p.rates(now).median
		slices.SortFunc(list, func(a, b *peer[P, K]) int {
			return cmp.Or(
				cmp.Compare(b2i(a.late), b2i(b.late)),
				cmp.Compare(b.ranking(median), a.ranking(median)),
				cmp.Compare(a.seq, b.seq),
			)
		})
	}
	p.eager = list
	return list
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// outlook is what all peers together are expected to bring.
type outlook struct {
	sum    BytesPerSec             // of the peers that are not late
	sums   [MaxClasses]BytesPerSec // of those among them that serve a class
	median BytesPerSec             // of those that are measured, 0 if there is none
	trip   time.Duration           // the least round trip of those
	trips  time.Duration           // the mean of their round trips, weighted by rate
}

// rates returns the outlook, which is a little old if there are many peers.
func (p *Pool[P, K]) rates(now time.Time) outlook {
	if !p.outlookLook.due(now, len(p.order)) && p.outlook.sum > 0 {
		return p.outlook
	}
	o := outlook{}
	trips := 0.0
	measured := p.measured[:0]
	for _, pr := range p.order {
		if !pr.late && pr.rate > 0 {
			o.sum += pr.rate
			for c := range pr.services {
				if pr.services[c].offered {
					o.sums[c] += pr.rate
				}
			}
			if len(measured) == 0 || pr.rtt < o.trip {
				o.trip = pr.rtt
			}
			trips += float64(pr.rate) * pr.rtt.Seconds()
			measured = append(measured, pr.rate)
		}
	}
	if len(measured) > 0 {
		slices.Sort(measured)
		o.median = measured[len(measured)/2]
		o.trips = time.Duration(trips / float64(o.sum) * float64(time.Second))
	}
	p.outlook, p.measured = o, measured
	return o
}
