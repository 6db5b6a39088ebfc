// Package fetch is the clients of the lab that Shoal is compared with: a download
// over HTTP from one server, BitTorrent, plain TCP from all servers at once, which
// is what the links allow, and Shoal itself as it would be with one peer and one
// request at a time.
//
// Each runs in a process of its own, the lab's binary, so that it can be put into
// the client's network namespace and be measured from outside. It reads a [Config]
// from standard input and prints a [Result]. What it has fetched is on disk when it
// ends.
package fetch
