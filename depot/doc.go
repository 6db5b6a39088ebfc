// Package depot serves era1 archives as they are: those of a directory, of a web server or
// of a bucket, without their blocks being copied anywhere.
//
// A [Depot] knows which archives there are. [Depot.Index] reads each of them once, checks
// everything that an import checks, and registers its blocks and receipts with a store,
// which from then on knows the chain and reads the bytes from the depot
// (store.Options.Elsewhere). Whoever serves from a store serves from archives so, and
// notices nothing of it:
//
//	peers, JSON-RPC ──▶ store ──▶ segments
//	                      │
//	                      └─────▶ Depot ──▶ pages in memory ──▶ directory, web server, bucket
//
// What an archive says is believed no more than what a peer says: each block is checked
// against its hash whenever it is read. One that is damaged or gone is fetched from peers and
// then is in the store.
//
// It reads pages of 256 KiB and keeps the latest of them, up to a bound. Who reads on behind
// a page gets more and more of them at a time, so that one request to a bucket brings some
// megabytes while a sync goes on, and a page when a block is looked at.
package depot
