package wire

// Limit is the most that one message may carry. A message over its limit is
// malformed (section 7, A35): the historic clients had no limits, and could be
// filled up by anybody.
type Limit struct {
	Bytes int // length of the whole payload, N in the frame
	Items int // items after the id
}

// MaxFrame is the longest payload accepted of any message: 10 MiB, as in the
// first historic clients that had a cap (section 1.2, A35). It is five times
// what anybody should send (2 MiB). It bounds what one peer can make us hold: at
// ten times as much a hundred peers could fill 10 GiB; at a tenth, an answer of
// an old client, which sends as many blocks as it was asked for however big,
// would be refused.
const MaxFrame = 10 << 20

const (
	// MaxHashes is the most hashes in a BlockHashes or GetBlocks. It is the most
	// that we ever ask for at once, and serve (A9); a longer answer is a
	// violation anyhow (A8). 8192 hashes are 264 KiB: a round trip of 200 ms
	// still walks 40,000 blocks a second.
	MaxHashes = 8192

	// MaxBlocks is the most blocks in a Blocks, which is the most that we ask
	// for at once (A9). Small blocks are what it bounds, big ones meet MaxFrame.
	MaxBlocks = 1024

	// MaxContent is the most addresses in a GetContent, and so the most payloads
	// in a Content. It is as many as of blocks, and twice as many chunks as a
	// polite answer has room for, so that one that is half without them is full
	// too. At ten times as much, an answer could make us look up 10,000 places
	// for 33 bytes of request each.
	MaxContent = 1024

	// MaxTransactions is the most transactions in a Transactions. The C++ client
	// sends all that it has pending in one message whenever its head moves
	// (section 3), so it must leave room: this many of the usual 110 bytes are
	// 1.8 MiB, about the most that a polite sender puts in any message (A35).
	MaxTransactions = 16384

	// MaxPeers is the most entries in a Peers. Old clients list everybody they
	// know (section 2.4), a few hundred at most; a receiver takes fewer (A31).
	MaxPeers = 512

	// MaxClient is the longest client id in a Hello, in bytes. It is free text;
	// those of 2014 have 25 to 60 bytes, and somebody has to print it.
	MaxClient = 1024
)

const (
	hashItem   = 33 // a0 and a hash
	uint64Item = 9  // 88 and a scalar of 64 bits, the widest
	wordItem   = 33 // a0 and a scalar of 256 bits, the widest
)

// Limits of the single types. Those of a fixed shape are what the shape needs
// at its widest, to the byte.
const (
	// A list of nothing but an id below 0x80.
	emptyBytes = 2

	// One reason, at most 64 bits wide.
	disconnectBytes = 2 + uint64Item

	// The ten fields at their widest are 1,250 bytes. The rest is room for the
	// items after the tenth, which later clients may add and A22 ignores.
	helloBytes = 2048
	helloItems = 32

	// An entry of IPv4, port and node id has at most 76 bytes; 128 leaves room
	// for the longer ones that are to be skipped (IPv6, the fourth item of
	// Java), see A31.
	peersBytes = MaxPeers * 128

	// Twice what a polite sender puts in any message (A35), and less than
	// MaxFrame, because anybody may send it unasked at any time.
	transactionsBytes = 4 << 20

	// Hash and max. The max has room for 256 bits, so that one wider than the 64
	// of A11 is refused for what it is.
	getBlockHashesBytes = 2 + 1 + hashItem + wordItem

	// List header of four bytes, id, hashes.
	hashesBytes = 4 + 1 + MaxHashes*hashItem

	// List header of four bytes, id, kind of up to two bytes, addresses.
	getContentBytes = 4 + 1 + 2 + MaxContent*hashItem

	// List header, id, a number of 256 bits and a hash.
	headBytes = 2 + 1 + wordItem + hashItem

	// What nobody should send, and we read only to throw away. Big enough for
	// the dead GetChain, 256 hashes, with some air.
	unknownBytes = 64 << 10
	unknownItems = 4096
)

// LimitOf returns the limit of the messages with the given id, known or not.
func LimitOf(id ID) Limit {
	switch id {
	case IDHello:
		return Hello{}.Limit()
	case IDDisconnect:
		return Disconnect{}.Limit()
	case IDPing:
		return Ping{}.Limit()
	case IDPong:
		return Pong{}.Limit()
	case IDGetPeers:
		return GetPeers{}.Limit()
	case IDPeers:
		return Peers{}.Limit()
	case IDTransactions:
		return Transactions{}.Limit()
	case IDBlocks:
		return Blocks{}.Limit()
	case IDGetTransactions:
		return GetTransactions{}.Limit()
	case IDGetBlockHashes:
		return GetBlockHashes{}.Limit()
	case IDBlockHashes:
		return BlockHashes{}.Limit()
	case IDGetBlocks:
		return GetBlocks{}.Limit()
	case IDGetContent:
		return GetContent{}.Limit()
	case IDContent:
		return Content{}.Limit()
	case IDHead:
		return Head{}.Limit()
	}
	return Unknown{}.Limit()
}
