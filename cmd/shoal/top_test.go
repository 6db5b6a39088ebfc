package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/mattn/go-runewidth"

	"github.com/shoalnet/shoal/api"
)

// aView is a node in the middle of a sync.
func aView() *api.View {
	const s = time.Second
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	v := &api.View{Snapshot: api.Snapshot{
		At: now, Summary: "Fetching blocks from 6 peers; their links are the limit.",
		Status: api.Status{Network: "mainnet", Head: api.Head{Number: 398_120}, Node: &api.Node{
			Client: "Shoal/v1", Since: now.Add(-754 * s), Phase: "blocks", Peers: 6, Links: 1, Sync: &api.Sync{
				Here: 412_331, All: 1_000_000, BlocksPerSec: 8431, BytesPerSec: 47.1e6, Hashes: 1_000_000, Linked: 398_120, ETA: &api.ETA{Least: 70, Most: 71},
			},
		}},
		Why: api.Spent{api.Transferring: 581 * s, api.Late: 13 * s, api.WaitingHashes: 41 * s},
	}}
	for i := range 6 {
		v.Peers.Connected = append(v.Peers.Connected, api.Peer{
			Name: fmt.Sprintf("192.0.2.%d:30303", 7+i), Rate: float64(i) * 1.5e6, RoundTrip: 0.1 / float64(i+1), InFlight: 120 + 1000*(i%2),
			Blocks: uint64(31_000 + 100*(i*5%6)), Late: uint64(i / 3), Score: float64(-7 * (i % 3)), Why: api.Reason(i % 2 * int(api.Late)),
		})
	}
	v.Peers.Connected[5].Name = "[2001:db8:1234:5678::1]:30303"
	for i := range 90 {
		v.Points = append(v.Points, api.Point{Seq: uint64(i), By: map[string]float64{"A": float64(i%10) * 1e6, "B": float64(i) * 1e5}})
	}
	for i := range 9 {
		v.Notes = append(v.Notes, api.Note{Seq: uint64(i), At: now.Add(time.Duration(i-9) * s), Kind: api.NoteJoined, Text: fmt.Sprintf("192.0.2.%d:30303", i)})
	}
	v.Notes[8] = api.Note{At: now, Kind: api.NoteDropped, Text: "192.0.2.9:30303: evil\x1b[2J\nname " + strings.Repeat("x", 100)}
	return v
}

// TestPicture: how a node looks on terminals of several sizes, sorted in several ways, and
// when it has nothing to do.
func TestPicture(t *testing.T) {
	var out strings.Builder
	show := func(what string, v *api.View, width, height int, by order) {
		fmt.Fprintf(&out, "%s\n%s\n%s\n%s\n", what, strings.Repeat("=", width), picture(v, width, height, by), strings.Repeat("=", width))
	}
	v := aView()
	show("usual", v, 80, 24, "r")
	show("narrow and low, by round trip", v, 40, 16, "t")
	show("wide, without end, by name", v, 120, 0, "n")
	v.Status.Node.Sync, v.Points, v.Notes, v.Summary, v.Why = nil, nil, nil, "No peer is connected.", api.Spent{}
	v.Peers.Connected, v.Status.Node.Links = nil, 0
	show("alone", v, 80, 12, "r")
	golden(t, "top.golden", out.String())
}

// TestPictureFits: a picture has the size that it should, whatever the terminal, and nothing
// in it that plays with one.
func TestPictureFits(t *testing.T) {
	v := aView()
	v.Peers.Connected[0].Name = "界界界界界界界界界界界界\x1b[31m"
	for _, o := range orders {
		for width := 1; width < 150; width += 7 {
			for height := range 40 {
				lines := strings.Split(picture(v, width, height, o.key), "\n")
				if height > 0 && len(lines) != height {
					t.Fatalf("%d×%d has %d lines", width, height, len(lines))
				}
				for _, l := range lines {
					if runewidth.StringWidth(l) > width || strings.ContainsFunc(l, unicode.IsControl) {
						t.Fatalf("%d×%d: %q has %d columns", width, height, l, runewidth.StringWidth(l))
					}
				}
			}
		}
	}
}

// TestTop: keys sort and leave, a node that is gone leaves its last picture and says so, and
// comes back.
func TestTop(t *testing.T) {
	var err error
	m := &top{ctx: t.Context(), view: aView(), by: "r", ask: func(context.Context) (*api.View, error) { return aView(), err }}
	if m.View().Content != "" {
		t.Error("it draws before it knows how much room there is")
	}
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	shows := func(want string) {
		t.Helper()
		if !strings.Contains(m.View().Content, want) {
			t.Errorf("%q is not in\n%s", want, m.View().Content)
		}
	}
	shows("*r rate")
	m.Update(tea.KeyPressMsg{Code: 'b', Text: "b"})
	shows("*b blocks")
	m.Update(tea.KeyPressMsg{Code: 'x', Text: "x"})
	shows("*b blocks")
	m.Update(looked{err: errors.New("no node runs")})
	shows("An old picture: no node runs")
	shows("412,331 of 1,000,000")
	m.Update(looked{view: aView()})
	shows("Fetching blocks from 6 peers")
	for _, key := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		if _, cmd := m.Update(key); cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%v does not leave", key)
		}
	}
}
