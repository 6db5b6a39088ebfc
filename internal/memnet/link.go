package memnet

import (
	"sync"
	"time"
)

// link is one direction of a host's way into the net. It carries one segment at a
// time, of each lane in turn, so that connections share it evenly. Everything in this
// file is guarded by the network's lock.
type link struct {
	rate   BytesPerSec
	silent bool
	queue  []*lane // with something to carry
	busy   bool    // carrying
}

// segmentsPerSec is how many segments a second of a link's rate is cut into. More of
// them share a link more evenly and take more timers.
const segmentsPerSec = 100

// lane is what one direction of a connection has waiting at a link.
type lane struct {
	buf    []byte
	end    end
	queued bool
	pass   func(data []byte, e end) // takes what has been carried
}

// end is how a stream of bytes ends. It follows the last byte.
type end uint8

const (
	open end = iota
	fin      // the sender has nothing more to say
	rst      // the sender does not listen any more
)

// add gives a lane something to carry.
func (l *link) add(n *Net, x *lane, data []byte, e end) {
	x.buf = append(x.buf, data...)
	x.end = max(x.end, e)
	if !x.queued {
		x.queued = true
		l.queue = append(l.queue, x)
	}
	l.serve(n)
}

// serve carries what can be carried now.
func (l *link) serve(n *Net) {
	for !l.busy && !l.silent && len(l.queue) > 0 {
		x := l.queue[0]
		l.queue = l.queue[1:]
		size := len(x.buf)
		if l.rate > 0 {
			size = min(size, max(1, int(l.rate)/segmentsPerSec))
		}
		data, e := x.buf[:size:size], open
		if x.buf = x.buf[size:]; len(x.buf) > 0 {
			l.queue = append(l.queue, x)
		} else {
			x.buf, x.queued = nil, false
			e, x.end = x.end, open
		}
		if l.rate == 0 || size == 0 {
			x.pass(data, e)
			continue
		}
		l.busy = true
		time.AfterFunc(time.Duration(size)*time.Second/time.Duration(l.rate), func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			l.busy = false
			x.pass(data, e)
			l.serve(n)
		})
	}
}

// stream is one direction of a connection, from the sender's buffer to the
// receiver's.
type stream struct {
	from, to *conn
	up, down lane     // at the sender's and the receiver's link
	flying   []flight // between the two, in order
	changed  *sync.Cond
	arrived  []byte
	ended    end  // has arrived too
	held     int  // bytes that were written and not read
	shut     bool // the sender has closed it
	gone     bool // the receiver has
	broken   bool // by Cut
}

// flight is what is between two links, and until when.
type flight struct {
	at   time.Time
	data []byte
	end  end
}

func newStream(n *Net) *stream {
	s := &stream{changed: sync.NewCond(&n.mu)}
	s.up.pass = s.fly
	s.down.pass = s.land
	return s
}

// send puts bytes on their way.
func (s *stream) send(data []byte, e end) {
	s.held += len(data)
	s.from.host.up.add(s.from.host.net, &s.up, data, e)
}

// fly takes what has passed the sender's link.
func (s *stream) fly(data []byte, e end) {
	delay := s.from.host.delay + s.to.host.delay
	if delay == 0 && len(s.flying) == 0 {
		s.arrive(data, e)
		return
	}
	at := time.Now().Add(delay)
	if n := len(s.flying); n > 0 && s.flying[n-1].at.After(at) {
		at = s.flying[n-1].at // the delay has been lowered: nobody overtakes
	}
	s.flying = append(s.flying, flight{at, data, e})
	n := s.from.host.net
	time.AfterFunc(time.Until(at), func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for len(s.flying) > 0 && !s.flying[0].at.After(time.Now()) {
			f := s.flying[0]
			s.flying = s.flying[1:]
			s.arrive(f.data, f.end)
		}
	})
}

// arrive takes what has come to the receiver's link.
func (s *stream) arrive(data []byte, e end) {
	s.to.host.down.add(s.to.host.net, &s.down, data, e)
}

// land takes what has come to the receiver.
func (s *stream) land(data []byte, e end) {
	switch {
	case s.broken:
		return
	case s.gone && len(data) > 0:
		s.held -= len(data)
		s.to.out.abort()
	default:
		s.arrived = append(s.arrived, data...)
	}
	s.ended = max(s.ended, e)
	s.changed.Broadcast()
	if e == rst {
		s.to.out.changed.Broadcast() // nobody will read what it writes
	}
}

// abort tells the receiver that the sender does not listen any more. What has not left
// the sender is lost.
func (s *stream) abort() {
	if s.broken || s.ended == rst {
		return
	}
	s.held -= len(s.up.buf)
	s.up.buf = nil
	s.shut = true
	s.send(nil, rst)
}

// cut breaks the stream at both ends.
func (s *stream) cut() {
	s.broken = true
	s.up.buf, s.down.buf, s.flying, s.arrived = nil, nil, nil, nil
	s.changed.Broadcast()
}
