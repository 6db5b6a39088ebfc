package wire

import "fmt"

// Version is the protocol version that this package speaks, the first field of
// a [Hello]. The number alone does not name the messages: two sets of them
// carried it (section 0.2), told apart by the shape of the Hello.
const Version = 30

// ID is the number of a message, the first item of its payload (section 2).
type ID uint64

// The messages of protocol 30, and the three of the content exchange.
const (
	IDHello           ID = 0x00
	IDDisconnect      ID = 0x01
	IDPing            ID = 0x02
	IDPong            ID = 0x03
	IDGetPeers        ID = 0x10
	IDPeers           ID = 0x11
	IDTransactions    ID = 0x12
	IDBlocks          ID = 0x13
	IDGetChain        ID = 0x14 // dead since protocol 27: ignored, never sent (A27)
	IDNotInChain      ID = 0x15 // dead since protocol 27: ignored, never sent (A27)
	IDGetTransactions ID = 0x16
	IDGetBlockHashes  ID = 0x17
	IDBlockHashes     ID = 0x18
	IDGetBlocks       ID = 0x19
	IDGetContent      ID = 0x20 // only to peers with CapContent
	IDContent         ID = 0x21 // only to peers with CapContent
	IDHead            ID = 0x22 // only to peers with CapContent
)

// String returns the name of the message, or the number in hexadecimal if the
// protocol defines none.
func (id ID) String() string {
	switch id {
	case IDHello:
		return "Hello"
	case IDDisconnect:
		return "Disconnect"
	case IDPing:
		return "Ping"
	case IDPong:
		return "Pong"
	case IDGetPeers:
		return "GetPeers"
	case IDPeers:
		return "Peers"
	case IDTransactions:
		return "Transactions"
	case IDBlocks:
		return "Blocks"
	case IDGetChain:
		return "GetChain"
	case IDNotInChain:
		return "NotInChain"
	case IDGetTransactions:
		return "GetTransactions"
	case IDGetBlockHashes:
		return "GetBlockHashes"
	case IDBlockHashes:
		return "BlockHashes"
	case IDGetBlocks:
		return "GetBlocks"
	case IDGetContent:
		return "GetContent"
	case IDContent:
		return "Content"
	case IDHead:
		return "Head"
	}
	return fmt.Sprintf("message 0x%02x", uint64(id))
}
