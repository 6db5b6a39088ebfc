package simnet

// link is the client's own, which all answers pass one after the other, in the order in
// which they come.
type link struct {
	transfer           // of the first one in the queue; its rate is 0 for no limit
	queue    []transit // what is to pass it
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
		w.link.begin(w.now, m.bytes)
		w.planPassed()
	}
}

func (w *world) planPassed() {
	w.link.gen++
	w.plan(w.link.end(), answerPassed, nil, w.link.gen, nil)
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
	l.begin(w.now, l.queue[0].msg.bytes)
	w.planPassed()
	return t
}

// setLink changes the rate of the link, in the middle of an answer too.
func (w *world) setLink(rate float64) {
	if w.link.setRate(w.now, rate); w.link.busy() {
		w.planPassed()
	}
}
