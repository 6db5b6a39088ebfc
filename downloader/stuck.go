package downloader

import (
	"slices"
	"time"

	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

// watch is the watchdog: it reports a plan for which nothing useful has come
// for some time although peers are idle, and has them all asked again.
func (l *loop) watch() {
	p := l.plan
	if p == nil {
		return
	}
	since := p.moved
	if p.stalled.After(since) {
		since = p.stalled
	}
	if l.now.Sub(since) < stallTimeout || l.keeping[store.Block].pending() {
		return
	}
	if l.linking() {
		return
	}
	var idle []string
	for _, c := range l.order {
		if s, _ := l.pool.PeerStats(l.now, c.Peer); s.InFlight == 0 && c != p.asked {
			idle = append(idle, c.String())
		}
	}
	if len(idle) == 0 {
		return
	}
	p.stalled = l.now
	e := Stalled{For: l.now.Sub(p.moved), Wanted: p.Head, Idle: idle, Progress: l.picture()}
	l.log.Warn("nothing useful comes although peers are idle: asking them all again",
		"for", e.For.Round(time.Second), "idle", len(idle), "wanted", e.Pool.Wanted, "in_flight", e.Pool.InFlight, "waiting", e.Waiting)
	l.emit(e)
	l.pool.Forgive(l.now)
	p.pause = time.Time{}
	for _, c := range l.order {
		c.refused, c.walk = false, hashAsk{}
	}
}

// unstick deals with a plan that makes no progress although peers are connected.
// If another chain could be fetched, it is given up as soon as everybody says that they
// have nothing of it, or after a while when nothing is expected from anybody; its turn
// comes again, each time later. If only those who claim it
// are there, they come last from now on, and when it happens again they go. If
// they are not, the plan waits for somebody who has it, and that is all that is
// left to do.
func (l *loop) unstick() error {
	p := l.plan
	if p == nil || len(l.order) == 0 {
		return nil
	}
	nobody := l.nobodyHas()
	if !nobody && l.now.Sub(p.moved) < switchTimeout {
		return nil
	}
	if l.pool.Stats().Classes[blocks].Held > 0 {
		p.moved = l.now // it has arrived: the disk is slow, or a check
		return nil
	}
	other, err := l.rival(func(*peerState) bool { return true })
	if err != nil {
		return err
	}
	stuck := l.now.Sub(p.moved) >= stuckTimeout
	if !stuck && (!other || !nobody && l.expecting()) {
		return nil
	}
	claimed := false
	for _, c := range l.order {
		if !l.stands(c) {
			continue
		}
		claimed = true
		if stuck {
			l.disappoint(c, "the chain that it claims cannot be fetched from anybody")
			continue
		}
		c.unproven = true
		c.retryAt = l.now.Add(claimRetry << min(c.passed, maxPassed))
		c.passed++
	}
	if !other && !claimed {
		p.unproven = true
		return nil
	}
	return l.closePlan(Abandoned{p.Head, "nobody has brought anything of it for some time"})
}

// nobodyHas reports whether nothing of the plan has come, and everybody has answered that
// they have nothing of it, who claims it too: then there is nothing to wait for, however
// many hashes are named.
func (l *loop) nobodyHas() bool {
	s := l.pool.Stats().Classes[blocks]
	if l.plan.turn.bytes > 0 || s.Wanted == 0 || s.InFlight+s.Held > 0 {
		return false
	}
	return !slices.ContainsFunc(l.order, func(c *peerState) bool {
		s, _ := l.pool.PeerStats(l.now, c.Peer)
		return s.Why != pool.WhyLacking
	})
}

// expecting reports whether anything is under way for the plan.
func (l *loop) expecting() bool {
	s := l.pool.Stats().Classes[blocks]
	return s.InFlight > 0 || s.Held > 0 || l.plan.asked != nil || l.plan.Complete && s.Wanted == 0
}
