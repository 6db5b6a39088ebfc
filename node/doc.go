// Package node puts the rooms together to a node that others can connect to: it
// accepts and dials connections, runs a session over each, joins the sessions to
// the downloader, and serves what the store holds.
//
// It has no protocol logic of its own, that is package peer's; it decides nothing
// about what is fetched, that is package downloader's; and it knows nothing of
// how it is shown to people.
package node
