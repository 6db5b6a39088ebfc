// Package store keeps one block chain on disk: the raw bytes of every block by
// hash, which of them form the canonical chain, the total difficulty (TD) of
// each block whose ancestry is known, the plan (the chain of hashes that is
// being fetched) and small named values for other rooms. It also keeps content
// of other kinds by hash: the receipts of blocks, and chunks of files.
//
// It knows a block as a hash, a number, a parent, a TD and bytes, and other
// content as a kind, a hash and bytes, all as given by the caller. It never
// parses what it is given, never checks it, and never hears of peers: what is
// put in must have been verified before.
//
// # The two halves
//
// A data directory holds
//
//	LOCK                  one process at a time
//	segments/000001.seg   payload: records, append-only, never rewritten
//	segments/000002.seg   …
//	chunks/000001.seg     the same for chunks
//	index/                Pebble: everything small
//
// Blocks and receipts share one log of segments, since nothing of a chain ever
// goes. Chunks have a log of their own: what is kept of files changes, and a
// segment with little left in it can be given up without moving a block. [Store.Reclaim]
// does that: it puts what is left again, durably, then takes the segment out of the index,
// then removes the file, so a crash leaves at worst a file in which nothing is held.
//
// Content can also be elsewhere: the index knows it, and its bytes are read by
// [Options.Elsewhere]. Its place is in segment 0, which there is none of, and of receipts it
// has the number of a block. This is how chain archives are served as they are.
//
// The payload log is the write-ahead log of the index. [Store.Put] appends its
// records to the segment, syncs it once, and only then commits the index
// entries together with a checkpoint "indexed up to (segment, offset)", without
// another sync. [Open] scans the segments from the checkpoint and indexes again
// what it finds, so a lost index tail costs a scan and never a block. Moves of
// the head ([Store.Link]) are synced. The index is also synced whenever a
// segment is full, so that the scan never covers more than about one segment.
//
// # What survives what
//
//	operation   kill -9                   power loss
//	Put …       survives                  survives
//	Link        survives                  survives
//	SetMeta     survives                  survives
//	StartPlan   survives                  survives
//	AppendPlan  the last 32 KiB may go    the last 2 MiB of hashes may go
//
// The plan is always a prefix of what was appended: a walk resumes a little
// earlier, nothing else.
//
// A torn tail is cut by sealing: the segment's valid end is a number in the
// index, bytes beyond it have no meaning, and the next record goes to a fresh
// segment. Nothing is ever written over old bytes, hence no half of an old
// record can be taken for a new one. If a segment is shorter than the index
// says (a disk that lied about a sync, a file cut by hand), Open drops the
// entries of what is lost and moves the head below the lowest lost block, in
// one atomic step, and logs it.
//
// # Segment file
//
// All integers are big-endian. crc is CRC-32C (Castagnoli) over everything that
// follows it in the header or record.
//
//	header, 64 bytes
//	+-----------+--------+------------+------------+-------------+------------+
//	| magic (8) | crc(4) | version(4) | segment(4) | genesis(32) | zeros (12) |
//	+-----------+--------+------------+------------+-------------+------------+
//
//	record, 52 bytes + n
//	+--------+----------+----------+-----------+------------+----------+---------+
//	| crc(4) | n (4)    | kind (1) | zeros (3) | number (8) | hash(32) | raw (n) |
//	+--------+----------+----------+-----------+------------+----------+---------+
//
// kind is 0 for a block, 1 for a chunk, 2 for receipts. Only a block has a number.
//
// # Index keys
//
//	'b' hash(32)       → segment(4) offset(4) length(4) number(8)     every block held
//	'n' number(8)      → width(1) hash(32)… TD(width)…                canonical chain, in runs
//	'r' hash(32)       → segment(4) offset(4) length(4) zeros(8)      all receipts held
//	's' hash(32)       → number(8) parent(32) TD(0..32)               linked, not canonical
//	'g' segment(4)     → end(4)                                       valid end of a full segment
//	'h' segment(4)     → end(4)                                       the same of one of chunks
//	'k' hash(32)       → segment(4) offset(4) length(4) zeros(8)      every chunk held
//	'p' index(8)       → hash(32) × 1..512                            plan, youngest first
//	'm' "checkpoint"   → segment(4) offset(4) blocks(8)
//	'm' "chunks"       → segment(4) offset(4) chunks(8)
//	'm' "elsewhere"    → nothing                                      some content is elsewhere
//	'm' "format"       → version(4)
//	'm' "genesis"      → hash(32)
//	'm' "network"      → name
//	'm' "plan"         → see encodePlan
//	'm' "transactions" → number(8) hash(32)                            up to which block 't' is complete
//	'm' "upgrade"      → nothing                                      to the format that is named, and not done
//	't' hash(8) number(4) → nothing                                      block may have the transaction
//	'u' name           → value                                        for other rooms
//
// TD is big-endian without leading zeros.
//
// A run of the canonical chain is of the block with the number and those above it, as many
// as the value has hashes; each has its TD, in the width of the last one:
//
//	width (1) | hash of n (32) | of n+1 (32) | … | TD of n (width) | of n+1 (width) | …
//
// Runs begin at each 128th number from 0 on and are full, but for the last one. So a hash
// list is a copy out of a few values. The head is the end of the last 'n' entry: there is no
// second place that could disagree with it. A linked block is in 'n' or in 's', never in
// both, and its parent is linked too.
//
// # Formats
//
// Whatever is drawn here has the version [Format]. A newer one is refused. A
// directory of an older one is upgraded by [Open], unless [Options.KeepFormat]
// is set: a list of steps, each from one version to the next, changes the
// index. A step that is cut off is done again at the next opening, and an older
// program refuses the directory from its beginning on. Segments are never
// rewritten: a reader knows every version that a segment's header can name.
//
// Format 1 had a key for each block of the canonical chain instead of runs:
//
//	'c' number(8)      → hash(32) TD(0..32)                           canonical chain, no gaps from 0
package store
