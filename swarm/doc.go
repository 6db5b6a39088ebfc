// Package swarm keeps and moves content by its hash, in the form of Ethereum's
// Swarm: a file is cut into chunks of 4 KiB, each of which is known by an address
// that is computed from its bytes, and chunks of addresses hold the others
// together, up to one whose address is the reference of the file. It is the one
// that Swarm's own tools compute for the same bytes.
//
// [Split] makes the tree of a stream. [Files] joins the rest: it puts and opens
// files over a [Store] of chunks, asks a [Source] for those that are not there,
// fetches whole trees, and makes room when a quota is reached.
//
//	Put(io.Reader) ──▶ Split ──▶ chunks ──▶ Store ◀── Deliver ◀─┐
//	                                          │                 │
//	Open(ref) ──▶ File: reads, seeks ◀────────┤              Source
//	Fetch(ref): the whole tree ◀──────────────┘                 ▲
//	     └───────── what is missing: Want, Cancel ──────────────┘
//
// It knows nothing of peers, and has no scheduler: a Source is told which chunks
// are wanted, and which of them first. The one of a node of the network is its
// downloader; [From] makes one of other files in the same process. It does not
// encrypt, and does not read trees with redundancy.
//
// # Chunk
//
//	+---------------------+-------------------+
//	| span (8), little-   | data (0..4096)    |   payload of a chunk
//	| endian              |                   |
//	+---------------------+-------------------+
//
// The address is keccak256(span ‖ root), where root is that of the binary Merkle
// tree over the data, filled up with zeros to 128 segments of 32 bytes: neighbours
// are digested in pairs, seven times, until one is left.
//
// # Tree
//
// The span is how many bytes of the file are below. Up to 4096, the data are those
// bytes. Above, the data are addresses: of chunks that are full, which means that
// they cover 4096 · 128^k bytes, the greatest such number below the span, and a last
// one that covers the rest. So the span of a chunk determines those of all chunks
// below it, and each is checked against it: a tree that does not keep to this is a
// [TreeError], at the address of the chunk to blame.
//
//	span 4096·128 + 1           [ A  B ]
//	                              │   └─ span 1: one byte, a level higher than
//	span 4096·128       [ … 128 addresses … ]     others of its kind
//	                      │
//	span 4096           bytes
//
// A file without bytes is one chunk with the span 0 and no data.
package swarm
