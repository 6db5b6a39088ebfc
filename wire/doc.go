// Package wire holds the messages of Ethereum protocol 30, the monolithic wire
// protocol of PoC-6 (August and September 2014): their types, their framing and
// their limits, with a [Reader] and a [Writer] over plain byte streams.
//
// It does not open sockets, keep timers or remember what was asked; it does not
// know the fields of a block or of a transaction, which pass through as raw
// RLP; and it decides about no peer: it says what is malformed, and which
// [Reason] answers it. Section numbers in this package are those of the
// protocol 30 specification.
//
// # Frame
//
// Everything is sent in frames (section 1.1), one message in each:
//
//	+0       22 40 08 91     synchronisation token
//	+4       00 00 00 24     N, the length of the payload, big-endian
//	+8       e3              payload: one RLP list of exactly N bytes
//	+9         17              item 0: message id, a scalar (0 is written 80)
//	+10        a0 50f0...a290  items 1..: the fields, flat, without an inner list
//	+43        20
//	+8+N     next frame
//
// This is GetBlockHashes(50f0...a290, 32). A stream is frame after frame, with
// nothing between; TCP may split and join them anywhere.
//
// # Messages
//
//	id    type             items after the id     sent by              answered by
//	0x00  Hello            9 or more              both, first, once    -
//	0x01  Disconnect       reason, or nothing     either, last         closing
//	0x02  Ping             -                      either               Pong, at once
//	0x03  Pong             -                      who was pinged       -
//	0x10  GetPeers         -                      either               Peers, perhaps
//	0x11  Peers            [ip, port, node id]    who was asked        -
//	0x12  Transactions     transactions           either, unasked too  -
//	0x13  Blocks           blocks                 either, unasked too  -
//	0x14  (GetChain)       dead                   nobody               -
//	0x15  (NotInChain)     dead                   nobody               -
//	0x16  GetTransactions  -                      either               Transactions, perhaps
//	0x17  GetBlockHashes   hash, max              who is behind        BlockHashes
//	0x18  BlockHashes      hashes, youngest first who was asked        -
//	0x19  GetBlocks        hashes                 who is behind        Blocks
//	0x20  GetContent       kind, addresses        who misses some      Content
//	0x21  Content          kind, payloads         who was asked        -
//	0x22  Head             TD, hash               either, unasked      -
//
// The last three are an extension that protocol 30 did not have. They go only
// between peers that have both announced it by a bit in Hello that the clients of
// 2014 ignore; docs/content-exchange.md describes them byte by byte.
//
// There are no request ids: answers come in the order of the questions
// (section 7, A15). A new block is announced by an unasked Blocks (section 3).
// Any other id parses as [Unknown], to be ignored (A27).
//
// # Views
//
// A parsed message is a view: its lists are slices of the payload it was parsed
// from, and live as long as that buffer. [Reader.Next] reuses its buffer, so a
// message is good until the next call, or for ever after [Reader.Detach].
//
// Exactly one encoding is accepted for each value: sizes and integers must be
// minimal, hashes and node ids full width. So whatever parses encodes to the
// same bytes again, and everything else is a [*FormatError].
//
// # Limits
//
// Each type states the most bytes and items it may have, see [Message] and
// [Limit]. The Reader knows a message's id and length from its first few bytes
// and refuses one over its limit there, before it buffers the rest; and below
// the limit its buffer grows only as bytes arrive, so that a length without
// data costs nothing.
package wire
