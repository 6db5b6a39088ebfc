// Package serve is the servers of the lab: a process that plays any number of
// peers, each at the end of a link of its own, and all of their faults.
//
// A peer is served by what a real one is made of, packages peer and store for
// protocol 30, net/http and a BitTorrent client for the competitors. Faults are put
// between that and the connection, or the chain: what comes from the client is
// handed on later (round trip), what goes to it is held back (stall, slow) or cut
// short (items). So all programs meet the same faults at the same time.
//
// The process is the lab's own binary. It reads its [Config] and then commands from
// standard input and answers on standard output, one line of JSON each; it ends
// when its input does. [Start] runs one.
package serve
