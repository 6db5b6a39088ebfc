package pool

import (
	"slices"
	"time"
)

// Late says that a peer has not answered in time. Its keys are wanted again,
// and it gets no new work until it answers; what it still sends is welcome.
type Late[P comparable] struct {
	Peer P
	Keys int // how many keys were returned
	// Kept is set when it keeps its work, because nobody could take it over.
	Kept bool
	// Hopeless is set when the peer was late several times in a row without
	// sending a byte in between: it should be disconnected as useless.
	Hopeless bool
}

// Expire looks for overdue requests. If those who are in time bring far less than they
// did when they were asked, the fault is in our own link: then deadlines stretch and
// nobody is late.
func (p *Pool[P, K]) Expire(now time.Time) []Late[P] {
	var overdue []*peer[P, K]
	for p.deadlines.len() > 0 {
		d := p.deadlines.peek()
		r := d.request
		if d.at.After(now) && !d.stale() {
			break
		}
		p.deadlines.pop()
		if d.stale() {
			continue
		}
		// The rest of this peer's requests is given up with it.
		if !r.peer.overdue {
			r.peer.overdue = true
			overdue = append(overdue, r.peer)
		}
	}
	if len(overdue) == 0 {
		return p.suspect(now)
	}
	defer func() {
		for _, pr := range overdue {
			pr.overdue = false
		}
	}()
	if p.ownLink(now) {
		p.stretchAll(now, overdue)
		return nil
	}
	var out []Late[P]
	alone := !slices.ContainsFunc(p.order, func(pr *peer[P, K]) bool { return !pr.late && !pr.overdue })
	for _, pr := range overdue {
		if alone {
			out = append(out, p.waitFor(now, pr))
			continue
		}
		late := p.giveUp(now, pr)
		late.Hopeless = pr.blame()
		out = append(out, late)
	}
	return out
}

// suspect gives up early on peers that have fallen silent, when little is left and
// others have nothing to do. It is no blame: they may be back in a moment, and what is
// asked of others meanwhile is little.
func (p *Pool[P, K]) suspect(now time.Time) (out []Late[P]) {
	if !p.hedger || !p.hedgeDue(now) {
		return nil
	}
	var alive time.Time // when one of the idle ones last answered
	for _, pr := range p.idle {
		if !pr.late && !pr.left && pr.open == 0 && pr.answered.After(alive) {
			alive = pr.answered
		}
	}
	for _, pr := range p.order {
		if pr.late || pr.open == 0 || pr.rate == 0 {
			continue
		}
		due := pr.head().finish.Add(pr.rate.duration(pr.arriving))
		patience := p.stretch(pr.slack()+suspectTime) + p.capTime(0)
		// If our own link had failed, the others would not have answered since.
		if now.Sub(due) > patience && alive.After(due) {
			out = append(out, p.giveUp(now, pr))
		}
	}
	return out
}

// blame counts that the peer was late, and reports whether it is hopeless.
func (pr *peer[P, K]) blame() (hopeless bool) {
	pr.lateCount++
	return pr.lateCount >= hopelessAfter
}

// giveUp returns all that a late peer was asked for.
func (p *Pool[P, K]) giveUp(now time.Time, pr *peer[P, K]) Late[P] {
	late := Late[P]{Peer: pr.name}
	for _, r := range pr.queue {
		if r.late {
			continue
		}
		r.late = true
		late.Keys += p.release(r)
		p.unbook(r)
	}
	pr.booked, pr.weight, pr.keys, pr.open, pr.arriving = 0, 0, 0, 0, 0
	pr.late = true
	pr.limit = WhyLate
	p.lookAt(pr)
	pr.nextProbe = now.Add(probeInterval)
	pr.stats.Late++
	p.stats.Late++
	return late
}

// waitFor gives a late peer more time, because nobody else is there to take over its
// work: asked again, it would only do it twice.
func (p *Pool[P, K]) waitFor(now time.Time, pr *peer[P, K]) Late[P] {
	hopeless := pr.blame()
	pr.stats.Late++
	p.stats.Late++
	more := p.stretch(max(p.cfg.minDeadline(), firstDeadline) << min(pr.lateCount, 4))
	for _, r := range pr.queue {
		if !r.late && !r.deadline.After(now) {
			r.deadline = now.Add(more)
			p.watch(r)
		}
	}
	return Late[P]{Peer: pr.name, Kept: true, Hopeless: hopeless}
}

// Alive says that bytes have come from a peer that may be part of an answer: what
// it is asked for is not overdue yet. How much it helps is bounded by the bytes, so
// that a drop now and then does not hold work for long: it reports false if they are
// too few to count, and then they should be counted again with those that follow.
func (p *Pool[P, K]) Alive(now time.Time, name P, bytes int64) bool {
	if bytes < aliveBytes {
		return false
	}
	pr := p.peers[name]
	if pr == nil || pr.late {
		return true
	}
	if head := pr.head(); head != nil {
		pr.arriving = min(pr.arriving+bytes, head.bytes)
	}
	least := now.Add(p.stretch(p.cfg.minDeadline()))
	for _, r := range pr.queue {
		if !r.late && r.deadline.Before(least) {
			more := p.stretch(min((r.rate / aliveShare).duration(bytes), p.cfg.minDeadline()))
			if r.deadline = r.deadline.Add(more); r.deadline.After(least) {
				r.deadline = least
			}
			p.watch(r)
		}
	}
	return true
}

// ownLink reports whether the late peers are late because of our own link.
func (p *Pool[P, K]) ownLink(now time.Time) bool {
	if p.linkFactor >= linkFactorMax {
		return false // it has had all the patience there is
	}
	var busy, late int
	var before, others, idle BytesPerSec // of all of them, those that bring something, those that have brought it
	for _, pr := range p.order {
		silent := now.Sub(pr.answered) > 2*meterTime
		if pr.late || pr.open == 0 && silent {
			continue
		}
		busy++
		before += pr.rate
		switch {
		case pr.overdue:
			late++
		case pr.open == 0:
			idle += pr.rate
		case !silent:
			others += pr.head().rate // a rate that has followed the link down says nothing
		}
	}
	// A single peer says nothing about the link, and peers that have never sent anything
	// are no evidence that the link was better before. If there are others that bring
	// something, they tell: deadlines allow for as much that each may have become slower.
	// Else the number of those that are late does, unless much has just come.
	switch {
	case busy < 2 || before == 0:
		return false
	case others > 0:
		return p.flow.rate(now) < others/deadlineFactor
	}
	return late*2 > busy && (idle == 0 || p.flow.rate(now) < idle/deadlineFactor)
}

// stretchAll gives all open requests of the peers more time.
func (p *Pool[P, K]) stretchAll(now time.Time, overdue []*peer[P, K]) {
	if now.Sub(p.linkAt) >= p.cfg.minDeadline() {
		p.linkFactor = min(2*p.linkFactor, linkFactorMax)
		p.linkAt = now
		p.stats.LinkSlow++
	}
	for _, pr := range overdue {
		for _, r := range pr.queue {
			if !r.late && !r.deadline.After(now) {
				r.deadline = now.Add(p.stretch(p.cfg.minDeadline()))
				p.watch(r)
			}
		}
	}
}

// NextDeadline returns when Expire and Reserve should be called next if nothing
// else happens before. It reports false if only an event can change anything.
func (p *Pool[P, K]) NextDeadline() (time.Time, bool) {
	var at time.Time
	sooner := func(t time.Time) {
		// What was possible at the last Reserve has been done then.
		if t.After(p.reserved) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for p.deadlines.len() > 0 && p.deadlines.peek().stale() {
		p.deadlines.pop()
	}
	if p.deadlines.len() > 0 {
		sooner(p.deadlines.peek().at)
	}
	switch {
	case p.bytesHeld >= p.cfg.heldBytes():
		// Nothing is handed out before Done is called.
	case p.wanted() > 0 || !p.dry:
		sooner(p.wake)
		for _, pr := range p.fresh {
			if pr.open == 0 {
				sooner(pr.wake(p.reserved))
			}
		}
		if !p.lookedAtAll && len(p.idle) > 0 {
			sooner(p.idleLook.at)
		}
	}
	if p.canHedge() && p.hedger {
		sooner(p.nextHedge)
	}
	return at, !at.IsZero()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
