package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/shoalnet/shoal/api"
)

// progressLine says in one line how a sync goes.
func progressLine(n *api.Node) string {
	if n.Sync == nil {
		return "sync " + progressRest(n)
	}
	return fmt.Sprintf("sync %s/%s (%s) %s", comma(n.Sync.Here), comma(n.Sync.All), percent(n.Sync.Here, n.Sync.All), progressRest(n))
}

// progressRest is the line without how many blocks are here and how many there will
// be, which a bar shows.
func progressRest(n *api.Node) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if s := n.Sync; s != nil {
		add("%s blk/s %.1f MB/s eff %.0f %% dup %.1f %%", comma(uint64(s.BlocksPerSec+0.5)), s.BytesPerSec/1e6, 100*s.Efficiency, 100*s.Duplicates)
		if s.ETA != nil {
			add("ETA %s", eta(s.ETA))
		}
		add("hashes %s linked %s", short(s.Hashes), short(s.Linked))
	} else {
		add("looking for the head of a chain,")
	}
	add("peers %d up/%d late", n.Peers, n.Late)
	switch {
	case n.Waiting != "":
		add("waiting: %s", n.Waiting)
	case n.Sync != nil:
		add("why:%s", n.Sync.Why)
	}
	return strings.Join(parts, " ")
}

func comma(n uint64) string { return humanize.Comma(int64(n)) }

func percent(part, all uint64) string {
	if all == 0 {
		return "0.0 %"
	}
	// 100.0 % is when it is done, not a little before.
	return fmt.Sprintf("%.1f %%", float64(1000*part/all)/10)
}

// short is a number with two or three digits.
func short(n uint64) string {
	v, unit := float64(n), ""
	for _, unit = range []string{"", "k", "M", "G"} {
		if v < 999.5 {
			break
		}
		v /= 1000
	}
	if unit != "" && v < 9.95 {
		return fmt.Sprintf("%.1f%s", v, unit)
	}
	return fmt.Sprintf("%.0f%s", v, unit)
}

// eta is one time if the two ends look the same, otherwise both.
func eta(e *api.ETA) string {
	least, most := rough(e.Least), rough(e.Most)
	switch {
	case e.Most == 0:
		return "over " + least
	case e.Most < 1.1*e.Least || least == most:
		return most
	}
	return least + "–" + most
}

// rough is a number of seconds to about a hundredth.
func rough(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	unit := time.Second
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	case d >= time.Hour:
		unit = time.Minute
	case d >= 2*time.Minute:
		unit = 5 * time.Second
	}
	text := d.Round(unit).String()
	if strings.HasSuffix(text, "m0s") {
		return strings.TrimSuffix(text, "0s")
	}
	return text
}
