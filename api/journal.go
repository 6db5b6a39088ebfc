package api

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/node"
)

// Note is something that happened to a node and that its operator may want to know.
type Note struct {
	Seq  uint64    `json:"seq"` // from 1, in the order in which they were made
	At   time.Time `json:"at"`
	Kind NoteKind  `json:"kind"`
	Text string    `json:"text"` // who or what, and why; parts of it may come from a peer
}

// NoteKind says what a note is about. Its text is part of the interface.
type NoteKind string

// The kinds of notes.
const (
	NoteJoined   NoteKind = "joined"
	NoteLeft     NoteKind = "left"
	NoteStarted  NoteKind = "started"  // a chain is fetched
	NoteFinished NoteKind = "finished" // it is here
	NoteGaveUp   NoteKind = "given up" // or not
	NoteReorg    NoteKind = "reorg"
	NoteStall    NoteKind = "stall"
	NoteDropped  NoteKind = "dropped" // a peer, for what it did
	NoteBanned   NoteKind = "banned"
	NoteFull     NoteKind = "disk full"
)

const (
	// maxNotes bounds how many notes are remembered: of peers that come and go, and
	// of everything else, so that a crowd at the door hides nothing. It is more than
	// anybody reads; ten times more would be a log, which there is.
	maxNotes = 50

	// maxNote bounds the text of a note, in bytes: a peer may have written some of it.
	maxNote = 400

	// newsBlocks is from how many blocks on it is worth a note that a chain is
	// fetched. A node that is in sync fetches a few each minute.
	newsBlocks = 64
)

// journal is the latest notes.
type journal struct {
	seq            uint64
	traffic, other []Note // oldest first
	fetching       bool   // its beginning was worth a note
}

// add makes a note.
func (j *journal) add(kind NoteKind, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxNote {
		cut := maxNote
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	j.seq++
	list := &j.other
	if kind == NoteJoined || kind == NoteLeft {
		list = &j.traffic
	}
	*list = append(*list, Note{j.seq, time.Now(), kind, text})
	*list = slices.Delete(*list, 0, max(0, len(*list)-maxNotes))
}

// event makes a note of an event if it is worth one.
func (j *journal) event(e any, head uint64) {
	switch e := e.(type) {
	case downloader.Joined:
		j.add(NoteJoined, "%s", e.Peer)
	case downloader.Left:
		j.add(NoteLeft, "%s, after bringing %d blocks", e.Name, e.Useful)
	case downloader.Started:
		if j.fetching = e.Number >= head+newsBlocks || e.Resumed; j.fetching && e.Resumed {
			j.add(NoteStarted, "going on with a chain up to block %d that was begun before", e.Number)
		} else if j.fetching {
			j.add(NoteStarted, "a chain up to block %d is fetched", e.Number)
		}
	case downloader.Finished:
		switch {
		case j.fetching && e.Moved:
			j.add(NoteFinished, "the chain is here and linked")
		case j.fetching:
			j.add(NoteFinished, "the chain is here, and lighter than the one we have")
		}
	case downloader.Abandoned:
		j.add(NoteGaveUp, "%s", e.Why)
	case downloader.HeadMoved:
		if e.Reorged {
			j.add(NoteReorg, "the chain moved to another branch: %d blocks after block %d were replaced, the head is block %d", e.Old.Number-min(e.Ancestor, e.Old.Number), e.Ancestor, e.New.Number)
		}
	case downloader.Stalled:
		j.add(NoteStall, "nothing useful has come for %v, and idle peers: %d; all are asked again", e.For.Round(time.Second), len(e.Idle))
	case downloader.Dropped:
		j.add(NoteDropped, "%s: %s", e.Peer, e.Evidence)
	case node.Banned:
		j.add(NoteBanned, "%s until %s UTC", e.Who, e.Until.UTC().Format(time.DateTime)) // the evidence is in its standing
	case downloader.Full:
		j.add(NoteFull, "what is here is served, and the download goes on when there is room")
	}
}

// since returns the notes after one, oldest first.
func (j *journal) since(seq uint64) (list []Note) {
	for _, of := range [][]Note{j.traffic, j.other} {
		for _, n := range of {
			if n.Seq > seq {
				list = append(list, n)
			}
		}
	}
	slices.SortFunc(list, func(a, b Note) int { return int(int64(a.Seq) - int64(b.Seq)) })
	return list
}
