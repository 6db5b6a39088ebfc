package downloader

import "time"

const (
	// asleep is how much later than it should the loop may look at the clock until
	// it takes it that this process did not run, or waited for its disk. The loop
	// looks every progressInterval: ten times that is more than a busy machine
	// keeps it waiting, and less than any time for which others are blamed.
	asleep = 10 * progressInterval

	// awakening is how long nobody is late after that: what has come meanwhile
	// waits in sockets, and has to be read first.
	awakening = 2 * time.Second
)

// wake reads the clock. While a process is asleep, by a suspended machine above all,
// everybody seems to be silent. So the time does not count for anybody.
func (l *loop) wake() {
	slept := time.Since(l.now)
	l.now = l.now.Add(slept)
	if slept < asleep {
		return
	}
	l.log.Warn("this process has not run for some time, nobody else is late for that", "for", slept.Round(time.Second))
	l.awake = l.now.Add(awakening)
	later := func(times ...*time.Time) {
		for _, t := range times {
			if !t.IsZero() {
				*t = t.Add(slept)
			}
		}
	}
	for _, p := range l.order {
		later(&p.ask.at, &p.ask.deadline, &p.walk.at, &p.retryAt)
	}
	later(&l.aimAgain)
	if p := l.plan; p != nil {
		later(&p.deadline, &p.pause, &p.moved, &p.stalled, &p.turn.began, &p.turn.until)
	}
}
