package pool

import (
	"math/rand/v2"
	"time"
)

// Config holds the limits of a pool. The zero value is ready: every field left
// zero has the default that its accessor below gives.
type Config struct {
	// PeerBytes bounds what is in flight at one peer.
	PeerBytes int64
	// TotalBytes bounds what is in flight at all peers together and what has arrived
	// and is not yet Done, with what each key takes by itself. Of that only as much is
	// used as peers bring in a moment.
	TotalBytes int64
	// Cap is what is let through of all that peers send, by whoever reads from
	// them; 0: all of it. No more is in flight than passes in time.
	Cap BytesPerSec
	// HeldBytes stops handing out any work while more than this many bytes have
	// arrived and are not yet Done.
	HeldBytes int64
	// RequestKeys bounds the keys of one request.
	RequestKeys int
	// MinDeadline is the least time that a request gets.
	MinDeadline time.Duration
	// Duplicates is the share of the useful bytes that may be spent on asking
	// for a key again while it is in flight elsewhere. Negative: never.
	Duplicates float64
	// SizeHint is what a key is taken to weigh before anything has arrived.
	SizeHint int
	// Rand is the source of all randomness. Nil: a source of fixed seed.
	Rand *rand.Rand
}

// peerBytes: 8 MiB is what 130 Mbit/s brings in half a second. Ten times more
// would let one peer own seconds of work that others could do; ten times less
// would leave a fast distant peer idle for most of each round trip.
func (c *Config) peerBytes() int64 { return positive(c.PeerBytes, 8<<20) }

// totalBytes: everything in flight may arrive at once and must be buffered, so
// this is a memory bound first of all. 96 MiB keep a gigabit busy for half a
// second, and a disk at its other end.
func (c *Config) totalBytes() int64 { return positive(c.TotalBytes, 96<<20) }

// heldBytes: a second of work for the checks on two cores and the disk. Less
// makes them wait for the network at each hiccup, more only costs memory.
func (c *Config) heldBytes() int64 { return positive(c.HeldBytes, 32<<20) }

// requestKeys: the most that a server of protocol 30 is asked for at once.
func (c *Config) requestKeys() int { return positive(c.RequestKeys, 1024) }

// minDeadline: below a second, a garbage collection or a busy machine at the
// other end looks like a stall, and the work asked again is wasted.
func (c *Config) minDeadline() time.Duration { return positive(c.MinDeadline, time.Second) }

// duplicates: 1 %. Hedging pays for itself at the end of a download and when
// a peer stalls; without a budget it feeds on itself exactly when the network
// is slowest.
func (c *Config) duplicates() float64 {
	switch {
	case c.Duplicates < 0:
		return 0
	case c.Duplicates == 0:
		return 0.01
	}
	return c.Duplicates
}

// sizeHint: the header of an empty block. The first answers correct it.
func (c *Config) sizeHint() float64 { return float64(positive(c.SizeHint, 600)) }

func positive[T int | int64 | time.Duration](x, def T) T {
	if x > 0 {
		return x
	}
	return def
}

// The constants of the scheduler. All of them are seconds or shares, none
// counts items: blocks weigh from half a kilobyte to hundreds, and what is
// right for one is wrong for the other.
const (
	// pipeTime is how much work, beyond a round trip, a peer has in flight: as
	// long as an event may take to be noticed and answered here without the
	// link running dry. Ten times more and a stall costs seconds of work.
	pipeTime = 500 * time.Millisecond

	// holdTime is how much of what comes, beyond pipeTime, may wait for the disk: the
	// next write is gathered while the one before is synced. While the disk is faster
	// than the peers, nothing waits and nothing is lost by it; while it is slower, it
	// is the network that has to wait. Ten times more would only be memory; ten times
	// less, and a slow write takes from the pipes what they need.
	holdTime = 250 * time.Millisecond

	// leastBudget is what may be in flight and wait in any case. It is what 24
	// megabytes a second need, and where a faster download begins.
	leastBudget = 24 << 20

	// busyLag is how long an answer waits here, from when it has arrived to when the pool
	// can hand out more, where the processor is the limit and not the links: there it is
	// 30 to 200 milliseconds, and behind links two. Then what is asked for sooner comes no
	// sooner, and leastBudget is enough, which still is several round trips. At ten times
	// as much, the memory of a busy machine would be for pipes; at a tenth, fast links
	// would have short ones. crowdedTime is for how long that is remembered: the processor
	// is busy with something else every other moment.
	busyLag     = 50 * time.Millisecond
	crowdedTime = 3 * time.Second

	// keyBytes is what a key in flight or held takes besides its content: its slot and
	// flight here, and its places in the request, in the session and in the table of
	// whoever drives the pool. Of blocks of half a kilobyte that is a third of all. At a
	// tenth, a bound on memory would be none where blocks are small; ten times as much
	// would leave their pipes half empty.
	keyBytes = 256

	// briefTime is the least that a brief pipe holds. Below, each event here would be
	// one for a block or two; ten times as much would make whom it is kept brief for
	// wait as long as a full pipe does.
	briefTime = 20 * time.Millisecond

	// busyTime bounds how much longer a peer has for what it is asked for, because it
	// is asked for something else too. A slow one may need that long for the smallest
	// piece of a list of hashes; at ten times as much, who answers neither would hold
	// its work for a minute.
	busyTime = 4 * time.Second

	// requestTime is how much work one request is. Several requests fill a
	// pipe, so that answers come as a steady stream from which the rate can
	// be read, and a lost request is a small loss.
	requestTime = 150 * time.Millisecond

	// firstKeys is what a peer that nobody knows is asked for, right behind
	// a single key: few, because it may be slow, and enough to see its rate.
	firstKeys = 8

	// startBytes is what a peer may have in flight when it has brought its first keys
	// faster than can be measured, which is within sampleTime: then it is half a second of
	// its link at the most. From there on it grows to growth times as much with each
	// round trip, until the rate says otherwise. A tenth of it is one more round trip
	// until a link is full; ten times as much could be more than it brings in time. With a
	// growth of 3 a fast link takes two more, and with 16 a slow one is given seconds of work.
	startBytes = 128 << 10
	growth     = 6

	// firstDeadline is what the first request may take. Clients of 2014 pause
	// half a second before they answer anything.
	firstDeadline = 2 * time.Second

	// rateTime is how fast a rate is forgotten: a sample counts for as much as it lasted.
	// Answers that were held up together come in a bunch, first late and then too fast; if
	// each of them counted alike, their mean would be too fast by far, and more would be
	// asked for than comes in time. Ten times less follows such noise, ten times more
	// misses a link that changes.
	rateTime = 420 * time.Millisecond

	// tripSamples is how many samples a rate takes until it tells what of the time of a
	// long answer was a round trip. The first ones can be several times too low, and
	// then nothing seems to be left; with ten times as many, the round trip of a guide
	// is taken for longer than it is for the first seconds.
	tripSamples = 8

	// sampleTime is the least time over which a rate is measured: answers
	// that a switch or a buffer let through together say nothing each.
	sampleTime = 20 * time.Millisecond

	// optimism ranks a peer that nobody has measured a little behind the median.
	optimism = 0.9

	// deadlineFactor stretches the expected time of a request, on top of four
	// mean deviations, before it is called late.
	deadlineFactor = 2.5

	// aliveBytes is what must have come from a peer for Alive to count: an answer
	// of that size is worth waiting for, a drip of single bytes is not.
	aliveBytes = 4 << 10

	// aliveShare is how many times slower than it was when it was asked a peer may
	// bring an answer that is under way, and still keep its work. A link that is
	// shared with others loses half or three quarters of its rate; a peer at a
	// hundredth would hold what it has in its pipe for a hundred times as long.
	aliveShare = 8

	// probeInterval is how often a late peer is given one key to show that it
	// is back.
	probeInterval = 5 * time.Second

	// hopelessAfter is how many times in a row a peer may be late without a
	// single byte before it is reported as hopeless.
	hopelessAfter = 3

	// lackTime is how long a peer is not asked again for what it has shown it
	// lacks. It may well get it meanwhile: it is syncing too.
	lackTime = 10 * time.Second

	// A peer that answers with nothing at all rests: at once if it never had
	// anything, otherwise after restAfter times in a row that are unlikely for what
	// it has had before. It may be behind us in the chain, and each key costs a
	// question. The rest doubles from restMin to restMax.
	restAfter = 4
	restMin   = 100 * time.Millisecond
	restMax   = lackTime

	// unlikely is the logarithm of how likely something is that is not chance any
	// more: one in ten thousand, because each peer answers thousands of times.
	unlikely = -9.2

	// lackKeys bounds that memory for one peer; the oldest is forgotten first.
	lackKeys = 4096

	// linkFactorMax bounds how far deadlines stretch when our own link is slow.
	linkFactorMax = 32

	// linkDecay takes the stretch back with each useful answer.
	linkDecay = 0.85

	// tailSlack is how far beyond the common finish a peer may be booked when
	// little work is left.
	tailSlack = 1.05

	// hedgeGain and hedgeMin say when moving a key is clearly sooner: less than
	// this share of the time its holder still needs, and by this much; and by this much
	// its holder must be later than was expected when it was asked, or than any full pipe
	// is. Predictions are wrong by a third of a second where nothing is wrong, and then it
	// is fetched twice; ten times more, and whoever is slow has the last word.
	hedgeGain = 0.5
	hedgeMin  = 500 * time.Millisecond

	// mostSlack bounds what the deviation of a peer adds to the time before it
	// counts as silent. One that has become slow deviates by seconds, and that is
	// no excuse for it.
	mostSlack = 500 * time.Millisecond

	// suspectTime is how long an answer may be overdue, beyond what its peer deviates,
	// before others who have nothing to do are asked instead. TCP makes up for a lost
	// packet in less. Ten times more, and the end of a download waits for whoever has
	// stalled; ten times less, and each hiccup there is fetched twice.
	suspectTime = 300 * time.Millisecond

	// hedgeInterval is how often the tail is looked at while nothing happens.
	hedgeInterval = 100 * time.Millisecond

	// hedgeReserve is granted before anything useful has arrived, so that a
	// download smaller than that can still get past a stalled peer.
	hedgeReserve = 64 << 10

	// byteCapHint tells a server's limit in bytes from one in items: a short
	// answer that weighs this much was cut for its weight.
	byteCapHint = 256 << 10
)
