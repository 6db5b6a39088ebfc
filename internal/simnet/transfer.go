package simnet

import "time"

// transfer is what one answer after the other goes through, at a rate that may change in
// the middle of one.
type transfer struct {
	rate  float64       // bytes a second
	left  float64       // bytes of the answer that go from the instant since on
	since time.Duration // may be still to come
	gen   uint32        // of the event at the end; that of any other generation is void
}

// begin is the next answer's turn, from an instant that may be still to come.
func (t *transfer) begin(at time.Duration, bytes int64) { t.left, t.since = float64(bytes), at }

// gone returns how many bytes the rate lets through since the last change of it, or the
// begin. They are more than there are after the end, and less than none before the begin.
func (t *transfer) gone(now time.Duration) float64 { return t.rate * (now - t.since).Seconds() }

// end is when the last byte is through, if the rate stays.
func (t *transfer) end() time.Duration {
	return t.since + time.Duration(t.left/t.rate*float64(time.Second))
}

// setRate changes the rate. An end that has been planned is not the end any more.
func (t *transfer) setRate(now time.Duration, rate float64) {
	if now > t.since {
		t.left, t.since = max(0, t.left-t.gone(now)), now
	}
	t.rate = rate
}
