// Package simnet runs the real work pool against thousands of virtual peers in
// virtual time. A day of downloading takes seconds, and the same seed gives the
// same run, request for request.
//
// # The network
//
// A peer answers its requests one after the other, each at the rate of its own
// link, after half a round trip each way; all answers share the client's link. Peers
// stall, slow down, drip, lie, lack blocks, join and leave as the [Scenario] says.
// There are no packets: a link is a queue of bytes, and TCP's own dynamics are not
// in the picture.
//
// # The policies
//
// Who is asked for what is decided by a [Policy]. The policy "shoal" is package
// pool, driven as the downloader drives it. All others are re-implementations, from
// the published constants, of how other programs decide; they are named so wherever
// they show up. They show the order of things, not what these programs really do.
//
// # The measure
//
// A run is compared with a fluid ideal: all links full from the first instant to
// the last, each until the instant of its fault. What the links could have carried
// beyond that is accounted for by [Reason].
//
// It opens no socket, reads no clock, and knows nothing of blocks but what they weigh.
package simnet
