// Package peer is one session of protocol 30 over a net.Conn: the handshake,
// keep-alive, our requests and the answers to them, and the serving of the other
// side's requests.
//
// A [Session] has two goroutines, one that reads and one that writes, and ends
// exactly once, with one cause that both of them and [Session.Run] report. What
// comes in is handed to a [Handler]; what goes out is queued by methods that
// never block. The two directions do not wait for each other: requests of the
// other side are put aside by the reader and served by the writer, so two nodes
// that are busy with each other cannot lock up.
//
//	            ┌──────── reader: decode, match answers ────────▶ Handler
//	net.Conn ───┤                     │ requests to serve, bounded
//	            └──────── writer ◀────┴─────── GetBlocks, GetHashes, Announce
//
// Protocol 30 has no request numbers. Each GetBlocks is answered by exactly one
// Blocks, in order (protocol 30 specification, A15), so answers are matched first
// in, first out, and by hash: a block that was never asked for is an
// announcement and closes nothing (A13).
//
// Content of other kinds than blocks is exchanged with peers that have announced
// that they do, if [Config.Exchange] is set (docs/content-exchange.md). A Content
// answers the oldest GetContent, place by place, and all of it is checked against
// its addresses before anybody hears of it.
//
// What this package does not do: it does not decide what to ask for, does not
// check blocks beyond their hash, and does not dial or listen.
package peer
