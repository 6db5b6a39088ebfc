package node

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/p2p/netutil"

	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/wire"
)

// The limits of the address book.
const (
	// maxAddresses bounds the book. It is a thousand times what is connected at
	// once; ten times more would be megabytes written again and again, for
	// addresses that are mostly stale.
	maxAddresses = 1024

	// maxPerSource is how many addresses that nobody has been found at may come from
	// one network (see group), and maxPerGroup how many may lie in one. So whoever
	// wants the book for himself needs addresses in many networks. Ten times more,
	// and a dozen of them would fill it.
	maxPerSource = 64
	maxPerGroup  = 32

	// firstRedial is how long an address is not dialled again that did not answer,
	// or whose session is over. It doubles with each failure in a row, up to
	// lastRedial, and after maxFailures an address is forgotten: in about two days.
	firstRedial = 30 * time.Second
	lastRedial  = 6 * time.Hour
	maxFailures = 16

	// sharedFor is how long after a session others are told of an address, and
	// sharedAtOnce how many of them in one answer: enough to begin with, and
	// so few that the book is not read out by asking.
	sharedFor    = 24 * time.Hour
	sharedAtOnce = 32

	// heardAtOnce is how many addresses of one answer are looked at (A31). It is three
	// times what we tell; each costs a look at the whole book.
	heardAtOnce = 100

	// bookKey is where the store keeps the book.
	bookKey = "book"
)

// address is what the book knows of one place.
type address struct {
	Addr netip.AddrPort `json:"addr"`
	// Node is who listens there, as far as anybody said.
	Node wire.NodeID `json:"node"`
	// Source is the network of whoever named it.
	Source netip.Prefix `json:"source"`
	// Met is when there was last a session with whoever says that he listens here, and
	// has this address; zero if there never was one.
	Met time.Time `json:"met,omitzero"`
	// Tried is when it was last dialled or a session with it ended, Failures how
	// often that came to nothing since it was met.
	Tried    time.Time `json:"tried,omitzero"`
	Failures uint      `json:"failures,omitempty"`
	// Own is set when we found ourselves there.
	Own bool `json:"own,omitempty"`
}

// due reports whether an address may be dialled.
func (a *address) due(now time.Time) bool {
	wait := min(firstRedial<<min(a.Failures, 16), lastRedial)
	// A clock that was set back must not keep it for ever.
	return !a.Own && (now.Sub(a.Tried) >= wait || now.Before(a.Tried))
}

// book is where a node knows that other nodes listen: pure state, which does no I/O
// and reads no clock.
type book struct {
	all     map[netip.AddrPort]*address
	rand    *rand.Rand
	changed bool // since it was saved
}

func newBook(r *rand.Rand) *book {
	return &book{all: make(map[netip.AddrPort]*address), rand: r}
}

// group is the network that an address is in, as far as it costs something to have
// addresses in several: 65,536 of IPv4, one site of IPv6.
func group(a netip.Addr) netip.Prefix {
	bits := 16
	if a.Is6() {
		bits = 48
	}
	p, _ := a.Prefix(bits) // fails only for an address that is none
	return p
}

// hear notes an address that somebody named. It reports whether the book has it now:
// not if it cannot be reached from here, or there are too many of its kind.
func (b *book) hear(at netip.AddrPort, node wire.NodeID, from netip.Addr) bool {
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	from = from.Unmap()
	if at.Port() == 0 || netutil.CheckRelayAddr(from, at.Addr()) != nil || at.Addr().IsMulticast() {
		return false
	}
	if b.all[at] != nil {
		return true
	}
	source := group(from)
	// Whoever is in the operator's own networks is let through.
	if !netutil.AddrIsLAN(from) && b.count(func(a *address) bool { return a.Met.IsZero() && a.Source == source }) >= maxPerSource {
		return false
	}
	if g := group(at.Addr()); !netutil.AddrIsLAN(at.Addr()) && b.count(func(a *address) bool { return group(a.Addr.Addr()) == g }) >= maxPerGroup {
		return false
	}
	if len(b.all) >= maxAddresses && !b.makeRoom() {
		return false
	}
	b.all[at] = &address{Addr: at, Node: node, Source: source}
	b.changed = true
	return true
}

func (b *book) count(is func(*address) bool) (n int) {
	for _, a := range b.all {
		if is(a) {
			n++
		}
	}
	return n
}

// makeRoom forgets an address that nobody was ever found at, the one that failed most
// often. It reports false if all are better than that.
func (b *book) makeRoom() bool {
	var worst *address
	for _, a := range b.all {
		if a.Met.IsZero() && !a.Own && (worst == nil || a.Failures > worst.Failures) {
			worst = a
		}
	}
	if worst == nil {
		return false
	}
	delete(b.all, worst.Addr)
	return true
}

// met notes that there is a session with whoever listens at an address.
func (b *book) met(at netip.AddrPort, node wire.NodeID, now time.Time) {
	if a := b.all[at]; a != nil {
		a.Node, a.Met, a.Tried, a.Failures = node, now, now, 0
		b.changed = true
	}
}

// left notes that a session with an address that had been met is over.
func (b *book) left(at netip.AddrPort, now time.Time) {
	if a := b.all[at]; a != nil {
		a.Tried = now
		b.changed = true
	}
}

// failed notes that no session with an address came about.
func (b *book) failed(at netip.AddrPort, now time.Time) {
	a := b.all[at]
	if a == nil {
		return
	}
	a.Tried = now
	if a.Failures++; a.Failures >= maxFailures {
		delete(b.all, at)
	}
	b.changed = true
}

// isOwn notes that an address is our own: it is kept, so that it is not heard of again.
func (b *book) isOwn(at netip.AddrPort) {
	if a := b.all[at]; a != nil {
		a.Own, b.changed = true, true
	}
}

// pick chooses an address to dial of those that are due and not excepted: by turns one
// where somebody was met before and any other, so that neither old friends nor
// rumours have all places. It reports false if there is none.
func (b *book) pick(now time.Time, except func(*address) bool) (netip.AddrPort, bool) {
	var known, rumoured []*address
	for _, a := range b.all {
		switch {
		case !a.due(now) || except(a):
		case a.Met.IsZero():
			rumoured = append(rumoured, a)
		default:
			known = append(known, a)
		}
	}
	from := known
	if len(known) == 0 || len(rumoured) > 0 && b.rand.IntN(2) == 0 {
		from = rumoured
	}
	if len(from) == 0 {
		return netip.AddrPort{}, false
	}
	slices.SortFunc(from, byAddr) // maps have no order, and a choice has a seed
	return from[b.rand.IntN(len(from))].Addr, true
}

func byAddr(a, b *address) int { return a.Addr.Compare(b.Addr) }

// share chooses addresses to tell somebody of: those at which somebody was met lately,
// whom the one who asks can reach.
func (b *book) share(to netip.Addr, now time.Time) (list []wire.PeerAddr) {
	var good []*address
	for _, a := range b.all {
		ip := a.Addr.Addr()
		if a.Met.IsZero() || a.Own || a.Failures > 0 || now.Sub(a.Met) > sharedFor || !ip.Is4() {
			continue
		}
		if netutil.CheckRelayAddr(to.Unmap(), ip) == nil {
			good = append(good, a)
		}
	}
	slices.SortFunc(good, byAddr)
	b.rand.Shuffle(len(good), func(i, j int) { good[i], good[j] = good[j], good[i] })
	for _, a := range good[:min(len(good), sharedAtOnce)] {
		list = append(list, wire.PeerAddr{IP: a.Addr.Addr().As4(), Port: a.Addr.Port(), Node: a.Node})
	}
	return list
}

// load reads what save has written. What cannot be is left out.
func (b *book) load(raw []byte) error {
	var list []*address
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("node: the address book in the store %w: %w", errUnreadable, err)
	}
	for _, a := range list[:min(len(list), maxAddresses)] {
		if a != nil && a.Addr.IsValid() && a.Addr.Port() != 0 {
			b.all[a.Addr] = a
		}
	}
	return nil
}

// save returns the book as load reads it.
func (b *book) save() ([]byte, error) {
	b.changed = false
	return json.Marshal(slices.SortedFunc(maps.Values(b.all), func(a, b *address) int {
		return cmp.Or(b.Met.Compare(a.Met), byAddr(a, b))
	}))
}

// errUnreadable marks what in the store is not as this program writes it.
var errUnreadable = errors.New("cannot be read")

// loadBook reads the book of a store; there may be none. With errUnreadable the book is empty.
func loadBook(st *store.Store, r *rand.Rand) (*book, error) {
	b := newBook(r)
	raw, err := st.Meta(bookKey)
	if errors.Is(err, store.ErrNotFound) {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	return b, b.load(raw)
}
