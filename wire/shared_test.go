package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// sharedPath returns the path of a file or pattern in the project's shared data,
// which lies beside the repository and is not part of it.
func sharedPath(name string) string {
	return filepath.Join("..", "..", "shared", filepath.FromSlash(name))
}

// readShared returns a file of the shared data, and skips the test without it.
func readShared(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(sharedPath(name))
	if os.IsNotExist(err) {
		t.Skipf("shared data is absent: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Values of section 1.4 of the specification.
const (
	hexG    = "08436a4d33c77e6acf013e586a3333ad152f25d31df8b68749d85046810e1f4b"
	hexB1   = "50f045ff42d134ea5e094250d184babfd704c8c0e9d64550d588aa756e6aa290"
	hexNode = "aa0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
	hexTx   = "f86b04648609184e72a00094cd2a3d9f938e13cd947ec05abc7fe734df8dd826881bc16d674ec80000801ba05c89ebf2b77eeab88251e553f6f9d53badc1d800bbac02d830801c2aa94a4c9fa00b7907532b1f29c79942b75fff98822293bf5fdaa3653a8d9f424c6a3265f06c"
	hexBlk  = "f8bef8baa0" + hexG + "a01dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d493479400112233445566778899aabbccddeeff00112233a09b777e8bf13ee6652dd054fb81c8235def9bf73c177863c79dbb1b3596ebf510808301ff80018609184e72a000830f3e6f80845402000089505633302064656d6fa00000000000000000000000000000000000000000000000000000000000051721c0c0"
)

var (
	hashG  = common.HexToHash(hexG)
	hashB1 = common.HexToHash(hexB1)
	node   = NodeID(unhex(hexNode))
)

// unhex decodes hexadecimal digits, between which there may be spaces.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

func hashes(hs ...common.Hash) HashList { return HashListOf(hs) }

func demoHello() Hello {
	m := Hello{
		Version: Version,
		Client:  "PV30/demo",
		Caps:    CapPeers | CapTransactions | CapChain,
		Port:    30303,
		Node:    node,
		Best:    hashB1,
		Genesis: hashG,
	}
	m.TD.SetUint64(131072 + 130944)
	return m
}

func genesisHello() Hello {
	m := demoHello()
	m.TD.SetUint64(131072)
	m.Best = hashG
	return m
}

func demoPeers() (list RawList) {
	list = AppendPeer(list, PeerAddr{IP: [4]byte{54, 72, 69, 180}, Port: 30303, Node: node})
	return AppendPeer(list, PeerAddr{IP: [4]byte{81, 99, 225, 18}, Port: 80, Node: NodeID(bytes.Repeat([]byte{0x5f}, 64))})
}

// vectors are the worked frames of section 1.4, by their names in the shared
// wire-vectors.json: what is sent, and the message that it is. The long ones are
// written out from the same parts as the specification does.
var vectors = []struct {
	name  string
	frame string
	m     Message
}{
	{"Hello genesis-only", "22400891 0000009b f899 80 1e 80 89505633302f64656d6f 07 82765f b840" + hexNode + "83020000 a0" + hexG + "a0" + hexG, genesisHello()},
	{"Hello with block1", "22400891 0000009b f899 80 1e 80 89505633302f64656d6f 07 82765f b840" + hexNode + "8303ff80 a0" + hexB1 + "a0" + hexG, demoHello()},
	{"Disconnect 0x08", "22400891 00000003 c20108", Disconnect{Reason: ReasonQuitting}},
	{"Disconnect 0x06", "22400891 00000003 c20106", Disconnect{Reason: ReasonWrongGenesis}},
	{"Disconnect 0x00", "22400891 00000003 c20180", Disconnect{Reason: ReasonRequested}},
	{"Disconnect none", "22400891 00000002 c101", Disconnect{Form: ReasonAbsent}},
	{"Ping", "22400891 00000002 c102", Ping{}},
	{"Pong", "22400891 00000002 c103", Pong{}},
	{"GetPeers", "22400891 00000002 c110", GetPeers{}},
	{"Peers 0", "22400891 00000002 c111", Peers{}},
	{"Peers 2", "22400891 00000099 f897 11 f84a 84364845b4 82765f b840" + hexNode + "f848 845163e112 50 b840" + strings.Repeat("5f", 64), Peers{demoPeers()}},
	{"Transactions 0", "22400891 00000002 c112", Transactions{}},
	{"Transactions 1", "22400891 00000070 f86e12" + hexTx, Transactions{unhex(hexTx)}},
	{"GetTransactions", "22400891 00000002 c116", GetTransactions{}},
	{"GetBlockHashes 32", "22400891 00000024 e317 a0" + hexB1 + "20", GetBlockHashes{hashB1, 32}},
	{"GetBlockHashes 256", "22400891 00000026 e517 a0" + hexB1 + "820100", GetBlockHashes{hashB1, 256}},
	{"BlockHashes [G]", "22400891 00000023 e218 a0" + hexG, BlockHashes{hashes(hashG)}},
	{"BlockHashes 0", "22400891 00000002 c118", BlockHashes{}},
	{"BlockHashes 2", "22400891 00000045 f84318 a0" + hexB1 + "a0" + hexG, BlockHashes{hashes(hashB1, hashG)}},
	{"GetBlocks 1", "22400891 00000023 e219 a0" + hexB1, GetBlocks{hashes(hashB1)}},
	{"GetBlocks 2", "22400891 00000045 f84319 a0" + hexB1 + "a0" + hexG, GetBlocks{hashes(hashB1, hashG)}},
	{"Blocks 0", "22400891 00000002 c113", Blocks{}},
	{"Blocks 1", "22400891 000000c3 f8c113" + hexBlk, Blocks{unhex(hexBlk)}},
}
