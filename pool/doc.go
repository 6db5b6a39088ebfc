// Package pool is the work pool: which content is wanted, which peer is asked
// for what, what is overdue, and who is fast. All downloads of a process share
// one pool, so that nothing is asked of two peers at once without need.
//
// It is a pure state machine. Content enters only as comparable keys with a
// rank and a size, peers as comparable names; the time is an argument, requests
// are return values. It starts no goroutine, reads no clock, touches no bytes
// and never decides by the order of a map: the same calls give the same
// answers, in production as in simulation.
//
// # Classes
//
// Blocks, receipts and chunks of files share one pool, and so the links of the peers
// and all limits. A key is wanted in a [Class]; a peer joins with the classes that it
// serves, and is never asked for others. A request has keys of one class, as a message
// of a protocol has content of one kind. What is asked for first is decided by the
// rank alone, whatever the class. What a key weighs, what a server answers at once,
// and whether a peer has anything is learnt for each class.
//
// # Life of a key
//
//	         Want            Reserve            Deliver           Done
//	(unknown) ──────▶ wanted ────────▶ in flight ────────▶ held ──────▶ (unknown)
//	                   ▲  ▲                │                │
//	                   │  └── late, short, │                │
//	                   │      peer left ───┘                │
//	                   └──────────── Reject ────────────────┘
//
// A key that is held has arrived and waits to be checked and stored: its bytes
// count against [Config.HeldBytes], which is how slow checking or a slow disk
// holds back the network. Content is accepted from whoever brings it, in any
// order, also late.
//
// # Driving it
//
// The owner calls one method for each thing that happens ([Pool.Join],
// [Pool.Leave], [Pool.Want], [Pool.Expect], [Pool.Deliver], [Pool.Done],
// [Pool.Reject]), then
// [Pool.Expire] and [Pool.Reserve], sends the requests it is given, and sleeps
// until the next event or [Pool.NextDeadline]. A Pool is not safe for
// concurrent use.
package pool
