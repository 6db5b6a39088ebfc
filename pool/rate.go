package pool

import (
	"math"
	"time"
)

// BytesPerSec is a rate.
type BytesPerSec float64

// duration returns how long n bytes take.
func (r BytesPerSec) duration(n int64) time.Duration {
	if r <= 0 {
		return math.MaxInt64 / 4
	}
	return time.Duration(min(float64(n)/float64(r)*float64(time.Second), math.MaxInt64/4))
}

func (r BytesPerSec) bytes(d time.Duration) int64 {
	return int64(min(float64(r)*d.Seconds(), math.MaxInt64/4))
}

// meter measures a rate over about a second.
type meter struct {
	bytes float64
	at    time.Time
}

// meterTime is the time constant of a meter.
const meterTime = time.Second

func (m *meter) add(now time.Time, n int64) {
	m.decay(now)
	m.bytes += float64(n)
}

func (m *meter) rate(now time.Time) BytesPerSec {
	m.decay(now)
	return BytesPerSec(m.bytes / meterTime.Seconds())
}

func (m *meter) decay(now time.Time) {
	if d := now.Sub(m.at); d > 0 {
		m.bytes *= math.Exp(-d.Seconds() / meterTime.Seconds())
		m.at = now
	}
}

// measure learns from the answer to a request: n bytes of r.
func (pr *peer[P, K]) measure(now time.Time, r *request[P, K], n int64) {
	since := r.sent
	idle := true
	if pr.answered.After(since) {
		since, idle = pr.answered, false
	}
	took := max(now.Sub(since), 50*time.Microsecond)
	transfer := took
	if idle {
		// The pipe was empty: the round trip is in this time too.
		if pr.rate > 0 {
			pr.tripped(took, n)
		} else {
			// The first answer is small: nearly all of it is the round trip.
			pr.rtt = took
		}
		transfer = max(took-pr.rtt, took/4)
	} else if here := r.sent.Add(pr.rtt); here.After(pr.answered) {
		// The link stood still until the request had gone there and back. Else a pipe of a
		// round trip would be as slow as what is in it, for ever.
		transfer = max(now.Sub(here), took/4)
	}
	switch {
	case r.late || pr.rate == 0:
		// New, or back from silence: believe nothing but what just happened.
		if r.late {
			transfer = took
		}
		pr.rate = BytesPerSec(float64(n) / transfer.Seconds())
		pr.growth = growth * n
		pr.samples, pr.sampleBytes, pr.sampleTime = 0, 0, 0
		if pr.firstTook, pr.firstBytes = 0, n; idle {
			pr.firstTook = took
		}
	default:
		pr.growth += (growth - 1) * n
		pr.sampleBytes += n
		pr.sampleTime += transfer
		if pr.sampleTime >= sampleTime {
			sample := BytesPerSec(float64(pr.sampleBytes) / pr.sampleTime.Seconds())
			pr.samples++
			gain := BytesPerSec(max(1/float64(pr.samples), 1-math.Exp(-pr.sampleTime.Seconds()/rateTime.Seconds())))
			pr.rate += gain * (sample - pr.rate)
			pr.fastest = max(pr.fastest, pr.rate)
			if pr.samples == 1 && pr.firstTook > 0 {
				pr.rtt = min(pr.rtt, max(pr.firstTook-pr.rate.duration(pr.firstBytes), 1))
			}
			pr.sampleBytes, pr.sampleTime = 0, 0
		} else if pr.starting() {
			pr.growth = max(pr.growth, startBytes)
		}
	}
	err := now.Sub(r.finish).Abs()
	if r.finish.IsZero() {
		err = took / 2
	}
	if pr.dev == 0 {
		pr.dev = err / 2
	} else {
		pr.dev += (err - pr.dev) / 4
	}
	pr.answered = now
}

// tripped notes that it took so long until an answer of so many bytes was here. Of a brief
// pipe they are taken to have come as fast as ever: what it carries now says more of the
// pipe than of the link, and a link that is idle for lack of work would seem to be near.
func (pr *peer[P, K]) tripped(took time.Duration, bytes int64) {
	trip := took
	switch {
	case !pr.brief && pr.rate > 0:
		trip -= pr.rate.duration(bytes)
	case pr.brief && pr.samples >= tripSamples:
		trip -= pr.fastest.duration(bytes)
	}
	if trip = max(trip, 1); pr.rtt == 0 || trip < pr.rtt {
		pr.rtt = trip
	}
}
