// Package link makes the networks of the lab: one network namespace for the
// client with a bridge, one for each peer with a virtual cable to it, whose end at
// the peer sends through a token bucket (tc tbf). So each peer has a link of its
// own whose rate the kernel holds, for every program alike.
//
//	peer 0  eth0 ─ tbf ──┐
//	peer 1  eth0 ─ tbf ──┤ bridge, 10.77.0.1: the client
//	peer 2  eth0 ─ tbf ──┘
//
// It needs root, ip and tc. Where they are missing, [Loopback] gives addresses of
// this machine and no rates: then the servers have to keep to the rates themselves.
//
// What it does not do: it knows no protocol and delays nothing.
package link
