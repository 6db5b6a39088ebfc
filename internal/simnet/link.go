package simnet

import "time"

// link is the client's own, which all answers pass one after the other, in the order in
// which they come.
type link struct {
	rate  float64   // bytes a second, 0 for no limit
	queue []transit // what is to pass it; the first one is passing
	left  float64   // bytes of that one, at the time since
	since time.Duration
	gen   uint32 // of the event that says that it has passed
}

// transit is an answer on a connection.
type transit struct {
	peer *peer
	conn uint32
	msg  *message
}

// busy reports whether something is passing the link.
func (l *link) busy() bool { return len(l.queue) > 0 }

// enter queues an answer at the client's link.
func (w *world) enter(p *peer, m *message) {
	w.link.queue = append(w.link.queue, transit{p, p.conn, m})
	if len(w.link.queue) == 1 {
		w.link.left, w.link.since = float64(m.bytes), w.now
		w.planPassed()
	}
}

func (w *world) planPassed() {
	l := &w.link
	l.gen++
	w.plan(l.since+time.Duration(l.left/l.rate*float64(time.Second)), answerPassed, nil, l.gen, nil)
}

// passed takes from the link what has passed it.
func (w *world) passed() transit {
	l := &w.link
	t := l.queue[0]
	if l.queue[0] = (transit{}); len(l.queue) == 1 {
		l.queue = l.queue[:0]
		return t
	}
	l.queue = l.queue[1:]
	l.left, l.since = float64(l.queue[0].msg.bytes), w.now
	w.planPassed()
	return t
}

// setLink changes the rate of the link, in the middle of an answer too.
func (w *world) setLink(rate float64) {
	l := &w.link
	if l.busy() {
		l.left = max(0, l.left-l.rate*(w.now-l.since).Seconds())
		l.since = w.now
	}
	if l.rate = rate; l.busy() {
		w.planPassed()
	}
}
