package simnet

import (
	"encoding/binary"
	"time"

	"github.com/shoalnet/shoal/pool"
)

// shoal drives package pool as the loop of the downloader does: the same calls in
// the same order, the same window, the same reaction to peers without hope.
type shoal struct {
	Setup
	pool  *pool.Pool[int, key]
	now   time.Time
	peers []*shoalPeer // by number, nil if not connected
	young int          // all blocks from here up have been given to the pool
	old   int          // and all below here
	known int
	guide int
	rank  int64
	items []pool.Item[key]
	taken []bool
}

type shoalPeer struct {
	seen int64 // bytes received at the last look
	late int64 // and when it was last late
}

// blocks is the class of all that is fetched.
const blocks pool.Class = 0

// key has the size of a hash, because maps care.
type key [32]byte

func keyOf(block int) (k key) {
	binary.LittleEndian.PutUint64(k[:], uint64(block))
	binary.LittleEndian.PutUint64(k[8:], mix(uint64(block)))
	return k
}

func (k *key) block() int { return int(binary.LittleEndian.Uint64(k[:])) }

// epoch is where the pool's time starts. It could be any but the zero time.
var epoch = time.Unix(1_409_400_000, 0)

func newShoal(s Setup) Policy {
	return &shoal{Setup: s, pool: pool.New[int, key](pool.Config{Rand: s.Rand}), young: s.Blocks, known: s.Blocks, guide: -1}
}

func (s *shoal) Join(now time.Duration, peer int) {
	for len(s.peers) <= peer {
		s.peers = append(s.peers, nil)
	}
	n := s.Network.Received(peer)
	s.peers[peer] = &shoalPeer{n, n}
	s.pool.Join(epoch.Add(now), peer, blocks)
}

func (s *shoal) Leave(_ time.Duration, peer int) {
	s.peers[peer] = nil
	s.pool.Leave(peer)
}

func (s *shoal) Known(_ time.Duration, from int) { s.known = from }

func (s *shoal) Walks(now time.Duration, peer int, bytes int64) {
	if peer != s.guide {
		s.pool.Brief(s.guide, false)
		s.pool.Brief(peer, true)
		s.guide = peer
	}
	s.pool.Busy(epoch.Add(now), peer, bytes)
}

func (s *shoal) Walked(now time.Duration, peer int, bytes int64) {
	s.pool.Free(epoch.Add(now), peer, bytes)
}

func (s *shoal) Deliver(now time.Duration, a Answer) []bool {
	s.items, s.taken = s.items[:0], s.taken[:0]
	for i, b := range a.Blocks {
		s.items = append(s.items, pool.Item[key]{Key: keyOf(b), Size: a.Sizes[i]})
	}
	for _, v := range s.pool.Deliver(epoch.Add(now), a.Peer, a.ID, s.items, true) {
		s.taken = append(s.taken, v == pool.Useful)
	}
	return s.taken
}

func (s *shoal) Checked(now time.Duration, peer int, blocks []int, ok bool) {
	for _, b := range blocks {
		if ok {
			s.pool.Done(keyOf(b))
		} else {
			s.pool.Reject(epoch.Add(now), peer, keyOf(b))
		}
	}
}

func (s *shoal) Step(now time.Duration) {
	t := epoch.Add(now)
	s.now = t
	s.expire(t)
	s.feed()
	for _, r := range s.pool.Reserve(t) {
		blocks := make([]int, len(r.Keys))
		for i := range r.Keys {
			blocks[i] = r.Keys[i].block()
		}
		s.Network.Send(r.Peer, r.ID, blocks)
	}
}

func (s *shoal) expire(t time.Time) {
	if at, ok := s.pool.NextDeadline(); ok && !at.After(t) {
		for peer, p := range s.peers {
			if p == nil {
				continue
			}
			n := s.Network.Received(peer)
			if s.pool.Alive(t, peer, n-p.seen) {
				p.seen = n
			}
		}
	}
	for _, late := range s.pool.Expire(t) {
		p := s.peers[late.Peer]
		n := s.Network.Received(late.Peer)
		if late.Hopeless && n == p.late {
			s.Network.Drop(late.Peer)
		}
		p.late = n
	}
}

// walkAhead is how many blocks wait to be asked for at the most while the walk goes
// on.
const walkAhead = 4096

// feed gives the pool what is known: from the young end while the walk goes on, then
// from the old end.
func (s *shoal) feed() {
	defer func() { s.pool.Expect(blocks, s.young-s.old) }()
	most := s.Window
	if s.known > 0 {
		most = min(most, walkAhead)
	}
	if s.pool.Wanted(blocks) > most/2 {
		return
	}
	for s.pool.Wanted(blocks) < most {
		var block int
		switch {
		case s.old >= s.young, s.known > 0 && s.young == s.known:
			return
		case s.known > 0:
			s.young--
			block = s.young
		default:
			block = s.old
			s.old++
		}
		s.rank++
		s.pool.Want(blocks, keyOf(block), s.rank, 0)
	}
}

func (s *shoal) Next() (time.Duration, bool) {
	at, ok := s.pool.NextDeadline()
	return at.Sub(epoch), ok
}

func (s *shoal) Why(peer int) Reason {
	stats, _ := s.pool.PeerStats(s.now, peer)
	switch stats.Why {
	case pool.WhyTransferring:
		return Transferring
	case pool.WhyLacking:
		return Ineligible
	case pool.WhyLate:
		return Snubbed
	case pool.WhyChecking:
		return Checking
	case pool.WhyBudget:
		return Window
	}
	return Tail
}
