package node

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/wire"
)

var (
	bookNow = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	nobody  = func(*address) bool { return false }
)

func testBook() *book { return newBook(rand.New(rand.NewPCG(1, 2))) }

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
func ip(s string) netip.Addr     { return netip.MustParseAddr(s) }

// TestBookHears: what cannot be reached from where it was heard is not taken.
func TestBookHears(t *testing.T) {
	for _, c := range []struct {
		addr, from string
		want       bool
	}{
		{"8.8.4.4:30303", "9.9.9.9", true},
		{"8.8.4.4:0", "9.9.9.9", false},
		{"0.0.0.0:30303", "9.9.9.9", false},
		{"255.255.255.255:30303", "9.9.9.9", false},
		{"224.0.0.1:30303", "9.9.9.9", false},
		{"203.0.113.7:30303", "9.9.9.9", false}, // for documentation only
		{"10.0.0.1:30303", "9.9.9.9", false},
		{"192.168.1.1:30303", "9.9.9.9", false},
		{"127.0.0.1:30303", "9.9.9.9", false},
		{"127.0.0.1:30303", "10.0.0.2", false},
		{"10.0.0.1:30303", "10.0.0.2", true},
		{"8.8.4.4:30303", "10.0.0.2", true},
		{"127.0.0.1:30303", "127.0.0.1", true},
		{"[::ffff:10.0.0.1]:30303", "9.9.9.9", false},
		{"[::ffff:8.8.4.4]:30303", "::ffff:9.9.9.9", true},
	} {
		if got := testBook().hear(at(c.addr), wire.NodeID{1}, ip(c.from)); got != c.want {
			t.Errorf("%s named by %s: taken is %v, want %v", c.addr, c.from, got, c.want)
		}
	}
}

// TestBookIsBounded: one network fills neither the book nor a part that others need.
func TestBookIsBounded(t *testing.T) {
	b := testBook()
	hear := func(addr netip.Addr, from string) bool {
		return b.hear(netip.AddrPortFrom(addr, 30303), wire.NodeID{1}, ip(from))
	}
	// Everything that one network says, of addresses in as many networks.
	for i := range 1000 {
		hear(netip.AddrFrom4([4]byte{byte(20 + i/250), byte(i % 250), 1, 1}), "9.9.9.9")
	}
	if len(b.all) != maxPerSource {
		t.Errorf("one network named %d addresses, want %d", len(b.all), maxPerSource)
	}
	// Addresses of one network, named by many.
	for i := range 200 {
		hear(netip.AddrFrom4([4]byte{99, 1, byte(i), 1}), netip.AddrFrom4([4]byte{50, byte(i), 1, 1}).String())
	}
	if n := len(b.all) - maxPerSource; n != maxPerGroup {
		t.Errorf("one network has %d addresses, want %d", n, maxPerGroup)
	}
	// Those that were met stay, whatever comes.
	friend := at("8.8.4.4:30303")
	b.hear(friend, wire.NodeID{1}, ip("9.9.9.9"))
	b.hear(friend, wire.NodeID{1}, ip("7.7.7.7"))
	b.met(friend, wire.NodeID{1}, bookNow)
	for i := range 4_000 {
		hear(netip.AddrFrom4([4]byte{byte(100 + i/25_000), byte(i % 250), byte(i / 250), 2}), netip.AddrFrom4([4]byte{60, byte(i % 256), 1, 1}).String())
	}
	if len(b.all) > maxAddresses {
		t.Errorf("%d addresses, want at most %d", len(b.all), maxAddresses)
	}
	if b.all[friend] == nil {
		t.Error("an address where somebody was met has been forgotten for a rumour")
	}
}

// TestBookPicks: an address that fails is tried again later and later, and in the end
// forgotten; one that is our own is never dialled.
func TestBookPicks(t *testing.T) {
	b, now := testBook(), bookNow
	addr := at("8.8.4.4:30303")
	b.hear(addr, wire.NodeID{1}, ip("9.9.9.9"))
	last := time.Duration(0)
	for i := range maxFailures {
		if got, ok := b.pick(now, nobody); !ok || got != addr {
			t.Fatalf("try %d: %v, %v", i, got, ok)
		}
		b.failed(addr, now)
		if len(b.all) == 0 {
			if i != maxFailures-1 {
				t.Fatalf("forgotten after %d failures", i+1)
			}
			return
		}
		began := now
		for now.Sub(began) <= lastRedial {
			now = now.Add(time.Second)
			if _, ok := b.pick(now, nobody); ok {
				break
			}
		}
		if wait := now.Sub(began); wait < last || wait < firstRedial {
			t.Fatalf("failure %d: tried again after %v, and after %v before", i+1, wait, last)
		} else {
			last = wait
		}
	}
	t.Error("an address that never answered has not been forgotten")
}

// TestBookMixes: neither those that were met nor rumours have all tries.
func TestBookMixes(t *testing.T) {
	b := testBook()
	for i := range 40 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i), 1, 1, 1}), 30303)
		b.hear(addr, wire.NodeID{1}, netip.AddrFrom4([4]byte{9, byte(i), 1, 1}))
		if i < 4 {
			b.met(addr, wire.NodeID{1}, bookNow)
		}
	}
	own := at("8.8.4.4:30303")
	b.hear(own, wire.NodeID{1}, ip("9.9.9.9"))
	b.isOwn(own)
	now, known := bookNow.Add(time.Hour), 0
	for range 200 {
		addr, ok := b.pick(now, nobody)
		if !ok || addr == own {
			t.Fatal(addr, ok)
		}
		if !b.all[addr].Met.IsZero() {
			known++
		}
	}
	if known < 50 || known > 150 {
		t.Errorf("%d of 200 tries were for the 4 of 40 that were met, want about half", known)
	}
}

// TestBookShares: others are told only of what is good, and of what they can reach.
func TestBookShares(t *testing.T) {
	b := testBook()
	for i := range 100 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i), 1, 1, 1}), 30303)
		b.hear(addr, wire.NodeID{byte(i)}, netip.AddrFrom4([4]byte{9, byte(i), 1, 1}))
		if i%2 == 0 {
			b.met(addr, wire.NodeID{byte(i)}, bookNow)
		}
		if i%4 == 0 {
			b.failed(addr, bookNow)
		}
	}
	home := at("10.0.0.1:30303")
	b.hear(home, wire.NodeID{200}, ip("10.0.0.2"))
	b.met(home, wire.NodeID{200}, bookNow)
	for range 20 {
		list := b.share(ip("9.9.9.9"), bookNow)
		if len(list) != 25 {
			t.Fatalf("%d addresses are shared, want the 25 good ones", len(list))
		}
		for _, p := range list {
			if p.AddrPort() == home || p.Node[0]%4 != 2 {
				t.Fatalf("%v of node %d is shared", p.AddrPort(), p.Node[0])
			}
		}
	}
	if n := len(b.share(ip("10.0.0.3"), bookNow)); n != 26 {
		t.Errorf("a neighbour is told of %d addresses, want 26", n)
	}
	if n := len(b.share(ip("10.0.0.3"), bookNow.Add(sharedFor+time.Second))); n != 0 {
		t.Errorf("%d addresses are shared a day later, want none", n)
	}
}

// TestBookIsKept: a book survives, and what is in its place does no harm.
func TestBookIsKept(t *testing.T) {
	b := testBook()
	addr := at("8.8.4.4:30303")
	b.hear(addr, wire.NodeID{1, 63: 2}, ip("9.9.9.9"))
	b.met(addr, wire.NodeID{1, 63: 2}, bookNow)
	raw, err := b.save()
	if err != nil || b.changed {
		t.Fatal(err, b.changed)
	}
	c := testBook()
	if err := c.load(raw); err != nil {
		t.Fatal(err)
	}
	if got, want := *c.all[addr], *b.all[addr]; got != want {
		t.Errorf("loaded %+v, saved %+v", got, want)
	}
	for _, bad := range []string{"", "{}", `[{"addr":"x"}]`, `[{"node":"00"}]`, `[{"addr":"1.2.3.4:5","failures":-1}]`} {
		if testBook().load([]byte(bad)) == nil {
			t.Errorf("%q is taken for a book", bad)
		}
	}
	for _, empty := range []string{"[]", "[null]", `[{"addr":"1.2.3.4:0"}]`} {
		c := testBook()
		if err := c.load([]byte(empty)); err != nil || len(c.all) != 0 {
			t.Errorf("%q: %d addresses, %v", empty, len(c.all), err)
		}
	}
}

// TestUnreadableRecords: a node begins anew what it cannot read of its own records, and
// says so.
func TestUnreadableRecords(t *testing.T) {
	st := memoryStore(t)
	for _, key := range []string{bookKey, standingKey} {
		if err := st.SetMeta(key, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	var log strings.Builder
	n, err := New(Config{Network: chain.Dev, Store: st, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Standings()) > 0 || len(n.mu.book.all) > 0 {
		t.Error("it remembers somebody")
	}
	for _, what := range []string{"address book", "memory of peers"} {
		if !strings.Contains(log.String(), "beginning anew\" err=\"node: the "+what+" in the store cannot be read") {
			t.Errorf("nothing is told of the %s:\n%s", what, log.String())
		}
	}
}
