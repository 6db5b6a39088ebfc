// Package web is the page that shows a person what a node does: the chain as a strip
// coloured by who brought which part, the peers, how fast blocks come, and where the time
// goes.
//
// The page is plain HTML, CSS and modules of JavaScript, embedded in the program. It asks
// nobody but the node that serves it, by one stream of server-sent events:
//
//	event: snapshot   an [api.Snapshot], twice a second
//	event: past       the notes and points of [api.Server.Past] that have not been sent
//	                  in this stream, which begins with all that are remembered
//
// Whoever connects again begins anew, so nothing is kept for those who have left. A
// snapshot is made once for all who look, and not at all when nobody does. There are
// bounds on how many look, and on how long one of them may take to read.
//
// The package makes no figures: those are of package api. It has no way to change
// anything.
package web
