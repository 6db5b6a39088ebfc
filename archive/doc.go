// Package archive streams blocks from and to chain files, and verifies them. It knows era1
// archives, the RLP streams of `geth export`, both plain or gzipped, and text
// files with one block in hexadecimal a line. Which of them a file is, the
// first bytes tell, never its name.
//
// A [Reader] hands out one block after the other and holds no more than one of
// them, whatever the length of the file. A file is as hostile as a peer: every
// block has been parsed, checked against its own header and linked to the one
// before it when it is handed out, and no allocation is sized by a number that
// the file merely claims. A [Writer] writes RLP streams, an [Era1Writer] era1
// archives, under a temporary name that becomes the real one only when all of it
// is on disk. A [Verifier] checks all that can be checked of files that follow on
// each other.
//
// # era1
//
// An era1 file is a sequence of e2store entries. All integers are little
// endian (https://github.com/eth-clients/e2store-format-specs, era1.md):
//
//	 0       2               6       8                 8+length
//	+-------+---------------+-------+-------------------+
//	| type  |    length     |   0   |      payload      |
//	+-------+---------------+-------+-------------------+
//
//	65 32  version        empty, the first entry: the magic number of e2store
//	03 00  header         rlp(header), in snappy's framing format    \
//	04 00  body           rlp([transactions, uncles]), same framing   | for each
//	05 00  receipts       rlp(receipts), same framing                 | block
//	06 00  TD             total difficulty with this block, 32 bytes /
//	07 00  accumulator    hash tree root over (hash, TD) of all blocks
//	66 32  block index    first | offset of block 0 … n-1 | n, each 8 bytes;
//	                      offsets are relative to the index entry, so negative
//
// A file has at most 8192 blocks. The payload of a block is taken apart in the
// file and joined again here: the RLP of a block is the list whose content is
// the header's bytes followed by the content of the body's list.
//
// What is written is byte for byte what has been published: each compressed payload
// is a snappy stream of its own, with its identifier, in chunks of up to 64 KiB of
// content; the file is called network-epoch-root.era1, where epoch is the number of
// the first block over 8192 in five digits, and root the first four bytes of the
// accumulator. Only the last epoch under proof of work has fewer than 8192 blocks.
//
// # RLP stream
//
// Blocks one after the other, nothing between, no header, no end mark:
//
//	rlp(block) rlp(block) rlp(block) …
//
// # What this package does not do
//
// It opens no store: [Import] writes to one that the caller has opened, [Export]
// reads from one. It knows no fork choice; the store decides which branch is
// canonical. Seals are checked by a function that the caller has. A [Reader] does
// not compare the first block with the network's genesis block, Import and Verify do.
package archive
