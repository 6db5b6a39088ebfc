package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/wire"
)

func memoryStore(t *testing.T) *store.Store {
	t.Helper()
	g, err := chain.Dev.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open("d", store.Options{
		FS: vfs.NewMem(), Network: "dev",
		Genesis: store.Genesis{Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func offence(kind downloader.Kind) error {
	return &peer.Violation{Reason: wire.ReasonBadProtocol, Err: &downloader.Offence{Kind: kind, Evidence: "junk under a hash"}}
}

func TestOneLieIsABanThatExpiresAndKeepsItsEvidence(t *testing.T) {
	st := memoryStore(t)
	m, err := loadStandings(st)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_409_400_000, 0)
	if _, banned, err := m.blame("192.0.2.7", offence(downloader.Lie), now); !banned || err != nil {
		t.Fatalf("banned %v, %v", banned, err)
	}
	// Another process reads the same.
	if m, err = loadStandings(st); err != nil {
		t.Fatal(err)
	}
	s, banned := m.banned("192.0.2.7", now.Add(59*time.Minute))
	if !banned || len(s.Evidence) != 1 || !strings.Contains(s.Evidence[0], "junk under a hash") {
		t.Fatalf("after 59 minutes: %v %+v", banned, s)
	}
	if _, banned := m.banned("192.0.2.7", now.Add(61*time.Minute)); banned {
		t.Fatal("the ban does not end")
	}
	if _, banned := m.banned("192.0.2.8", now); banned {
		t.Fatal("somebody else is banned")
	}
	// The second ban lasts twice as long.
	now = now.Add(2 * time.Hour)
	m.blame("192.0.2.7", offence(downloader.Lie), now)
	if _, banned := m.banned("192.0.2.7", now.Add(119*time.Minute)); !banned {
		t.Fatal("the second ban is not longer")
	}
}

// TestF5ClockSetBackEndsBans: a clock that was wrong by years while somebody was banned
// does not make that ban last for years.
func TestF5ClockSetBackEndsBans(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := Standing{Who: "192.0.2.1", Until: now.Add(banTimeMax)}
	if !s.Banned(now) || !s.Banned(now.Add(banTimeMax-1)) || s.Banned(now.Add(banTimeMax)) {
		t.Error("a ban does not last as long as it says")
	}
	if s.Banned(now.AddDate(-3, 0, 0)) {
		t.Error("a ban lasts for three years")
	}
}

func TestFaultsAddUpAndAreForgotten(t *testing.T) {
	m, err := loadStandings(memoryStore(t))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_409_400_000, 0)
	for i := range 20 { // one in twenty minutes: never a ban
		if _, banned, _ := m.blame("a", offence(downloader.Useless), now.Add(time.Duration(i)*20*time.Minute)); banned {
			t.Fatalf("banned for fault %d", i)
		}
	}
	n := 0
	for range 10 { // at once: soon
		n++
		if _, banned, _ := m.blame("b", offence(downloader.Useless), now); banned {
			break
		}
	}
	if n != 4 {
		t.Fatalf("banned after %d faults in a row, want 4", n)
	}
}

func TestWhatIsNobodysFaultCostsNothing(t *testing.T) {
	m, err := loadStandings(memoryStore(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, cause := range []error{
		peer.ErrClosed, peer.ErrTimeout, peer.ErrSelf, errors.New("disk"),
		&peer.Disconnected{Reason: wire.ReasonQuitting, Remote: true}, &peer.Disconnected{Reason: wire.ReasonTooManyPeers},
	} {
		for range 100 {
			if _, banned, _ := m.blame("a", cause, time.Unix(1, 0)); banned {
				t.Fatalf("banned for %v", cause)
			}
		}
	}
}

func TestTheMemoryIsBounded(t *testing.T) {
	st := memoryStore(t)
	m, err := loadStandings(st)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_409_400_000, 0)
	m.blame("liar", offence(downloader.Lie), now)
	for i := range maxStandings {
		who := fmt.Sprint("p", i)
		m.mu.all[who] = &Standing{Who: who, Score: uselessScore, At: now.Add(time.Duration(i) * time.Second)}
	}
	for i := range 20 {
		m.blame(fmt.Sprint("q", i), offence(downloader.Useless), now.Add(time.Duration(maxStandings+i)*time.Second))
	}
	list, err := Standings(st)
	if err != nil || len(list) != maxStandings {
		t.Fatalf("%d remembered, %v", len(list), err)
	}
	if _, banned := m.banned("liar", now); !banned {
		t.Fatal("the ban is forgotten before faults that weigh less")
	}
}
