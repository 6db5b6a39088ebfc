package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/shoalnet/shoal/api"
)

// order is by what the peers of a picture are sorted: the key that asks for it.
type order string

// orders are the ways to sort peers, the best first, and where that is no matter of figures,
// the name.
var orders = []struct {
	key     order
	name    string
	compare func(a, b api.Peer) int
}{
	{"r", "rate", func(a, b api.Peer) int { return cmp.Compare(b.Rate, a.Rate) }},
	{"t", "round trip", func(a, b api.Peer) int { return cmp.Compare(a.RoundTrip, b.RoundTrip) }},
	{"f", "in flight", func(a, b api.Peer) int { return cmp.Compare(b.InFlight, a.InFlight) }},
	{"b", "blocks", func(a, b api.Peer) int { return cmp.Compare(b.Blocks, a.Blocks) }},
	{"s", "standing", func(a, b api.Peer) int { return cmp.Compare(a.Score, b.Score) }},
	{"n", "name", func(a, b api.Peer) int { return 0 }},
}

const (
	// pictureEvents is how many of the latest events a picture has if there is room for them
	// and for the peers, and leastPeers how many peers there must be room for before.
	pictureEvents = 6
	leastPeers    = 4
)

// picture draws a picture of a node in so many columns and lines; 0 lines: as many as it takes.
func picture(v *api.View, width, height int, by order) string {
	n := v.Status.Node
	head := fmt.Sprintf("%s · %s · %s · up %s · %d connected", n.Client, v.Status.Network, blockName(v.Status.Head.Number), rough(v.At.Sub(n.Since).Seconds()), len(v.Peers.Connected))
	if n.Links > 0 {
		head += fmt.Sprintf(", %d encrypted", n.Links)
	}
	lines := []string{head, v.Summary, ""}
	if s := n.Sync; s != nil {
		lines = append(lines, progressBar(s.Here, s.All, width), fmt.Sprintf("%s of %s blocks, %s blk/s", comma(s.Here), comma(s.All), comma(uint64(s.BlocksPerSec+0.5))))
		if s.ETA != nil {
			lines[len(lines)-1] += ", ETA " + eta(s.ETA)
		}
	}
	rate := 0.0
	if n.Sync != nil {
		rate = n.Sync.BytesPerSec
	}
	figure := fmt.Sprintf("%.1f MB/s ", rate/1e6)
	lines = append(lines, figure+sparkline(v.Points, width-len(figure)), "time: "+spentLine(&v.Why), "")

	room, events := len(v.Peers.Connected), min(len(v.Notes), pictureEvents)
	if height > 0 {
		room = height - len(lines) - 3 // the heads of both tables, and the foot
		events = min(events, max(room-leastPeers, 0))
		room -= events
	}
	notes := v.Notes[len(v.Notes)-events:]
	lines = append(lines, peerTable(v.Peers.Connected, width, room, by)...)
	if len(notes) > 0 {
		lines = append(lines, "events")
		for _, e := range notes {
			lines = append(lines, fmt.Sprintf("%s %s: %s", e.At.Format(time.TimeOnly), e.Kind, e.Text))
		}
	}
	if height > 0 {
		lines = lines[:min(len(lines), height-1)]
		lines = append(lines, slices.Repeat([]string{""}, height-1-len(lines))...)
		lines = append(lines, footer(by))
	}
	for i, l := range lines {
		lines[i] = runewidth.Truncate(strings.TrimRight(visible(l), " "), width, "…")
	}
	return strings.Join(lines, "\n")
}

func blockName(n uint64) string { return "block " + comma(n) }

// footer says which keys do what.
func footer(by order) string {
	text := "q leaves, sort:"
	for _, o := range orders {
		mark := " "
		if o.key == by {
			mark = "*"
		}
		text += fmt.Sprintf(" %s%s %s", mark, o.key, o.name)
	}
	return text
}

// progressBar draws how much of all is here.
func progressBar(here, all uint64, width int) string {
	text := " " + percent(here, all)
	cells := max(width-len(text)-2, 0)
	done := 0
	if all > 0 {
		done = int(float64(cells) * float64(here) / float64(all))
	}
	return "[" + strings.Repeat("█", done) + strings.Repeat("·", cells-done) + "]" + text
}

// sparkline draws what came lately, as many points as there are columns.
func sparkline(points []api.Point, width int) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	points = points[max(0, len(points)-max(width, 0)):]
	sums := make([]float64, len(points))
	most := 0.0
	for i, p := range points {
		for _, rate := range p.By {
			sums[i] += rate
		}
		most = max(most, sums[i])
	}
	var out strings.Builder
	for _, s := range sums {
		level := 0
		if most > 0 {
			level = int(s / most * float64(len(levels)-1))
		}
		out.WriteRune(levels[level])
	}
	return out.String()
}

// spentLine says where the time of all peers went, the most first.
func spentLine(s *api.Spent) string {
	total := s.Total()
	if total == 0 {
		return "no peer has been connected yet"
	}
	list := api.Reasons()
	slices.SortStableFunc(list, func(a, b api.Reason) int { return cmp.Compare(s[b], s[a]) })
	var parts []string
	for _, r := range list {
		if share := 100 * s[r].Seconds() / total.Seconds(); share >= 0.1 {
			parts = append(parts, fmt.Sprintf("%v %.1f %%", r, share))
		}
	}
	return strings.Join(parts, ", ")
}

// peerTable draws the peers for which there is room, under a head, with as many columns as
// fit.
func peerTable(peers []api.Peer, width, room int, by order) []string {
	peers = slices.Clone(peers)
	for _, o := range orders {
		if o.key == by {
			slices.SortStableFunc(peers, func(a, b api.Peer) int { return cmp.Or(o.compare(a, b), strings.Compare(a.Name, b.Name)) })
		}
	}
	columns := []struct {
		name string
		size int // negative: to the left
		of   func(p *api.Peer) string
	}{
		{"peer", -21, func(p *api.Peer) string { return p.Name }},
		{"MB/s", 6, func(p *api.Peer) string { return fmt.Sprintf("%.2f", p.Rate/1e6) }},
		{"ms", 5, func(p *api.Peer) string { return fmt.Sprintf("%.0f", 1000*p.RoundTrip) }},
		{"in flight", 9, func(p *api.Peer) string { return comma(uint64(p.InFlight)) }},
		{"blocks", 9, func(p *api.Peer) string { return comma(p.Blocks) }},
		{"late", 4, func(p *api.Peer) string { return comma(p.Late) }},
		{"score", 5, func(p *api.Peer) string { return fmt.Sprintf("%.0f", p.Score) }},
		{"doing", -1, func(p *api.Peer) string { return p.Why.String() }},
	}
	row := func(cell func(i int) string) string {
		var line strings.Builder
		used := 0
		for i, c := range columns {
			size := max(c.size, -c.size)
			if used += size + 1; used > width+1 {
				break
			}
			text := runewidth.Truncate(cell(i), size, "…")
			switch pad := strings.Repeat(" ", size-runewidth.StringWidth(text)); {
			case c.size == -1:
				line.WriteString(cell(i)) // it is the last one
			case c.size < 0:
				line.WriteString(text + pad + " ")
			default:
				line.WriteString(pad + text + " ")
			}
		}
		return line.String()
	}
	lines := []string{row(func(i int) string { return columns[i].name })}
	for i, p := range peers {
		if i == room-1 && len(peers) > room {
			lines = append(lines, fmt.Sprintf("… and %d more", len(peers)-i))
			break
		}
		lines = append(lines, row(func(i int) string { return visible(columns[i].of(&p)) }))
	}
	return lines
}
