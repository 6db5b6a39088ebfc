package node

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/link"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/store"
)

// Standing is what a node remembers of a peer that gave cause for it.
type Standing struct {
	// Who is the key of a peer that is met over encrypted links, as link.ID prints it.
	// Of one in plain it is the address without port; on this machine, where everybody
	// has the same address, with the port that it says it listens on.
	Who string `json:"who"`
	// Score is 0 for a peer without fault and falls with each offence. It comes
	// back to 0 by half every ten minutes.
	Score float64   `json:"score"`
	At    time.Time `json:"at"` // when the score was that
	// Until is when the ban ends; zero if there is none.
	Until time.Time `json:"until,omitzero"`
	Bans  int       `json:"bans,omitempty"` // how many there were
	// Evidence says what the peer did, the latest last.
	Evidence []string `json:"evidence"`
}

// Banned reports whether the peer is banned at the given time. A ban that is further
// from its end than any ban is long is from a clock that has been set back since.
func (s *Standing) Banned(now time.Time) bool {
	return now.Before(s.Until) && s.Until.Sub(now) <= banTimeMax
}

// ScoreAt is the score at a later time.
func (s *Standing) ScoreAt(now time.Time) float64 {
	return s.Score * math.Exp2(-max(0, now.Sub(s.At).Seconds())/scoreHalfLife.Seconds())
}

const (
	// scoreHalfLife is how fast faults are forgotten: a peer that stumbles now
	// and then is never banned, one that does so again and again is.
	scoreHalfLife = 10 * time.Minute

	// banScore is the score at which a peer is banned: one lie, or four times
	// useless in a few minutes, in which a part of it is forgotten already.
	banScore     = -100.0
	lieScore     = -100.0
	uselessScore = -30.0

	// banTime is how long the first ban lasts; each further one lasts twice as
	// long as the one before, up to banTimeMax. Addresses change hands.
	banTime    = time.Hour
	banTimeMax = 24 * time.Hour

	// maxStandings bounds how many peers are remembered, maxEvidence how much
	// of each. The best of them are forgotten first.
	maxStandings = 1024
	maxEvidence  = 5

	// standingKey is where the store keeps them.
	standingKey = "standing"
)

// whoIs returns the name under which a session's peer is remembered. The key that it has
// proved to have, zero in plain, is its own wherever it comes from. An address may be
// somebody else's too, but in plain there is nothing better. It is "" if nothing tells the
// peer from others: one on this machine that does not listen.
func whoIs(s *peer.Session, key link.ID) string {
	if !key.IsZero() {
		return key.String()
	}
	host, ip := hostOf(s.RemoteAddr())
	if ip == nil || ip.IsLoopback() {
		if s.Hello().Port == 0 {
			return ""
		}
		return net.JoinHostPort(host, fmt.Sprint(s.Hello().Port))
	}
	return host
}

// nameOf returns the name of a peer that listens at an address, in plain.
func nameOf(at netip.AddrPort) string {
	if at.Addr().IsLoopback() {
		return at.String()
	}
	return at.Addr().String()
}

// hostOf returns an address without its port, and the IP that it is, nil if it is
// none.
func hostOf(a net.Addr) (host string, ip net.IP) {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		host = a.String()
	}
	return host, net.ParseIP(host)
}

// standings is the memory of all peers. It is safe for concurrent use.
type standings struct {
	store *store.Store
	mu    struct {
		sync.Mutex
		all map[string]*Standing
	}
}

// Standings reads what a store remembers of peers, the worst first.
func Standings(st *store.Store) ([]Standing, error) {
	raw, err := st.Meta(standingKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Standing
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("node: the memory of peers in the store %w: %w", errUnreadable, err)
	}
	return list, nil
}

// loadStandings reads the memory of a store. With an error it remembers nobody.
func loadStandings(st *store.Store) (*standings, error) {
	list, err := Standings(st)
	s := &standings{store: st}
	s.mu.all = make(map[string]*Standing)
	for i := range list {
		s.mu.all[list[i].Who] = &list[i]
	}
	return s, err
}

// banned reports whether a peer is banned, and until when and why.
func (s *standings) banned(who string, now time.Time) (Standing, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.mu.all[who]
	if st == nil || !st.Banned(now) {
		return Standing{}, false
	}
	return *st, true
}

// penaltyFor grades the end of a session. Only what the other side did counts.
func penaltyFor(cause error) float64 {
	v, ok := errors.AsType[*peer.Violation](cause)
	if !ok {
		return 0
	}
	o, ok := errors.AsType[*downloader.Offence](v.Err)
	if v.Lie || ok && o.Kind == downloader.Lie {
		return lieScore
	}
	return uselessScore
}

// blame notes what a peer did. It returns the standing, and whether the peer has
// been banned for it.
func (s *standings) blame(who string, cause error, now time.Time) (Standing, bool, error) {
	penalty := penaltyFor(cause)
	if penalty == 0 {
		return Standing{}, false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.mu.all[who]
	if st == nil {
		st = &Standing{Who: who}
		s.mu.all[who] = st
	}
	st.Score = st.ScoreAt(now) + penalty
	st.At = now
	st.Evidence = append(st.Evidence, now.UTC().Format(time.DateTime)+" "+cause.Error())
	st.Evidence = st.Evidence[max(0, len(st.Evidence)-maxEvidence):]
	banned := st.Score <= banScore
	if banned {
		st.Until = now.Add(min(banTime<<min(st.Bans, 10), banTimeMax))
		st.Bans++
		st.Score = 0 // the ban pays for it
	}
	return *st, banned, s.save(now)
}

// worst lists what is remembered, the worst first. It is called with the lock held.
func (s *standings) worst(now time.Time) []*Standing {
	return slices.SortedFunc(maps.Values(s.mu.all), func(a, b *Standing) int {
		return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.ScoreAt(now), b.ScoreAt(now)), cmp.Compare(a.Who, b.Who))
	})
}

// list returns a copy of what is remembered, the worst first.
func (s *standings) list(now time.Time) (list []Standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.worst(now) {
		list = append(list, *st)
		list[len(list)-1].Evidence = slices.Clone(st.Evidence)
	}
	return list
}

// save writes the memory to the store, the worst peers first. It is called with
// the lock held; offences are rare enough for that.
func (s *standings) save(now time.Time) error {
	list := s.worst(now)
	for _, st := range list[min(len(list), maxStandings):] {
		delete(s.mu.all, st.Who)
	}
	raw, err := json.Marshal(list[:min(len(list), maxStandings)])
	if err != nil {
		return err
	}
	return s.store.SetMeta(standingKey, raw)
}
