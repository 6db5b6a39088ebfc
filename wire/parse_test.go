package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/rlp"
)

// payload builds a payload: a list of the id and of raw items.
func payload(id ID, items ...[]byte) []byte {
	return AppendFrame(nil, Unknown{id, slices.Concat(items...)})[frameHead:]
}

// helloItemsOf returns the items of the demo Hello one by one, to be damaged.
func helloItemsOf(m Hello) [][]byte { return slices.Collect(RawList(m.AppendItems(nil)).All()) }

func TestParseRefuses(t *testing.T) {
	hello := helloItemsOf(demoHello())
	with := func(i int, item string) []byte {
		items := slices.Clone(hello)
		items[i] = unhex(item)
		return payload(IDHello, items...)
	}
	g, zeros31 := "a0"+hexG, strings.Repeat("00", 31)
	for _, test := range []struct {
		name    string
		payload []byte
		want    string // part of the error
	}{
		{"nothing", nil, "empty payload"},
		{"string", unhex("02"), "payload is a string"},
		{"empty list", unhex("c0"), "want a message id"},
		{"trailing byte", unhex("c10200"), "list of 2 bytes in a payload of 3"},
		{"list too long", unhex("c202"), "list of 3 bytes in a payload of 2"},
		{"long size for a short list", unhex("f80102"), "more bytes than it needs"},
		{"size with a leading zero", append(unhex("f90045"), make([]byte, 0x45)...), "more bytes than it needs"},
		{"size of eight bytes", unhex("ffffffffffffffffff"), "does not fit"},
		{"size cut off", unhex("f9"), "does not fit"},
		{"id 0 as byte 00", unhex("c100"), "message id is not a canonical number"},
		{"id as long byte", unhex("c28102"), "message id is not a canonical number"},
		{"id with a leading zero", unhex("c3820010"), "message id is not a canonical number"},
		{"id cut off", unhex("c181"), "message id is not a canonical number"},
		{"id as a list", unhex("c2c102"), "message id is a list"},
		{"id of nine bytes", unhex("ca89010203040506070809"), "wider than 64 bits"},

		{"ping with an operand", unhex("c20201"), "Ping: payload of 3 bytes, want at most 2"},
		{"reason as a list", unhex("c201c0"), "reason is not a string"},
		{"reason with a leading zero", unhex("c401820001"), "leading zero"},
		{"reason as long byte", unhex("c3018108"), "malformed item"},
		{"two reasons", unhex("c3010808"), "number of items exceeds 1"},
		{"reason of nine bytes", unhex("cb0189010203040506070809"), "payload of 12 bytes, want at most 11"},

		{"hashes nested, with max", payload(0x17, unhex("e2"+g+"20")), "operands nested in a list"},
		{"hash without max", payload(0x17, unhex(g)), "number of operands is 1, want 2"},
		{"no operands", payload(0x17), "number of operands is 0, want 2"},
		{"max first", payload(0x17, unhex("20"+g)), "start hash of 1 bytes, want 32"},
		{"max as byte 00", payload(0x17, unhex(g+"00")), "max has a leading zero"},
		{"max with a leading zero", payload(0x17, unhex(g+"820020")), "max has a leading zero"},
		{"max as long byte", payload(0x17, unhex(g+"8120")), "malformed item"},
		{"max as a list", payload(0x17, unhex(g+"c120")), "max is not a string"},
		{"max of nine bytes", payload(0x17, unhex(g+"89010203040506070809")), "max of 72 bits, want at most 64"},
		{"max of 32 bytes", payload(0x17, unhex(g + g)[:33], unhex("a001"+zeros31)), "max of 256 bits, want at most 64"},
		{"start of 31 bytes", payload(0x17, unhex("9f" + hexG)[:32], unhex("20")), "start hash of 31 bytes"},
		{"three operands", payload(0x17, unhex(g+"2020")), "number of items exceeds 2"},

		{"hash of 31 bytes", payload(0x18, unhex("9f" + hexG)[:32]), "hash of 31 bytes, want 32"},
		{"hash with long size", payload(0x18, unhex("b820"+hexG)), "malformed item"},
		{"hashes nested", payload(0x18, unhex("e1"+g)), "hashes nested in a list"},
		{"wanted nested", payload(0x19, unhex("e1"+g)), "hashes nested in a list"},
		{"hash cut off", payload(0x19, unhex(g)[:32]), "malformed item"},
		{"second hash of 20 bytes", payload(0x19, unhex(g+"94"), make([]byte, 20)), "hash of 20 bytes"},

		{"block as a string", payload(0x13, unhex("c0820102")), "block is not a list"},
		{"block cut off", payload(0x13, unhex("c301")), "malformed item"},
		{"block with long size", payload(0x13, unhex("f801c0")), "malformed item"},
		{"transaction cut off", payload(0x12, unhex("c301")), "malformed item"},
		{"peer cut off", payload(0x11, unhex("c301")), "malformed item"},
		{"unknown, cut off", payload(0x1a, unhex("c301")), "malformed item"},

		{"content without a kind", payload(0x20), "no items, want a kind of content"},
		{"content of no address", payload(0x20, unhex("01")), "no address, want at least one"},
		{"content of a nested address", payload(0x20, unhex("01e1"+g)), "hashes nested in a list"},
		{"content of an address of 31 bytes", payload(0x20, unhex("01"), unhex("9f" + hexG)[:32]), "hash of 31 bytes, want 32"},
		{"kind behind the address", payload(0x20, unhex(g+"01")), "kind of content of 256 bits, want at most 8"},
		{"kind as byte 00", payload(0x20, unhex("00"+g)), "kind of content has a leading zero"},
		{"kind as long byte", payload(0x20, unhex("8101"+g)), "malformed item"},
		{"kind of two bytes", payload(0x20, unhex("820101"+g)), "kind of content of 16 bits, want at most 8"},
		{"kind as a list", payload(0x21, unhex("c101")), "kind of content is not a string"},
		{"payloads without a kind", payload(0x21), "no items, want a kind of content"},
		{"payload as a list", payload(0x21, unhex("0183010203c0")), "payload is not a string"},
		{"payload cut off", payload(0x21, unhex("01830102")), "malformed item"},
		{"payload of a small byte, long", payload(0x21, unhex("018101")), "malformed item"},

		{"version with a leading zero", with(0, "82001e"), "protocol version has a leading zero"},
		{"version of nine bytes", with(0, "89010203040506070809"), "protocol version of 72 bits"},
		{"network as byte 00", with(1, "00"), "network id has a leading zero"},
		{"network of 33 bytes", with(1, "a101"+zeros31+"00"), "network id of 264 bits, want at most 256"},
		{"client too long", with(2, "b90401"+strings.Repeat("61", 1025)), "client id of 1025 bytes, want at most 1024"},
		{"caps as a list", with(3, "c0"), "capability mask is not a string"},
		{"port 65536", with(4, "83010000"), "listening port of 24 bits, want at most 16"},
		{"node of 63 bytes", with(5, "b83f"+hexNode[2:]), "node id of 63 bytes, want 64"},
		{"node of 65 bytes", with(5, "b841"+hexNode+"00"), "node id of 65 bytes, want 64"},
		{"node empty", with(5, "80"), "node id of 0 bytes, want 64"},
		{"difficulty with leading zeros", with(6, "83000005"), "total difficulty has a leading zero"},
		{"best of 20 bytes", with(7, "94"+hexG[:40]), "best hash of 20 bytes, want 32"},
		{"genesis of 33 bytes", with(8, "a1"+hexG+"00"), "genesis hash of 33 bytes, want 32"},
		{"extra item malformed", payload(0, append(slices.Clone(hello), unhex("c301"))...), "malformed item"},
		{"too many extra items", payload(0, append(slices.Clone(hello), make([]byte, 24))...), "number of items exceeds 32"},
		{"too much of extra", payload(0, append(slices.Clone(hello), make([]byte, 2000))...), "want at most 2048"},
	} {
		m, err := Parse(test.payload)
		e, ok := errors.AsType[*FormatError](err)
		switch {
		case !ok:
			t.Errorf("%s: %x parsed as %v, %v; want a FormatError", test.name, test.payload, m, err)
		case !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "wire: "):
			t.Errorf("%s: %q, want %q in it", test.name, err, test.want)
		case e.Reason() != ReasonBadProtocol:
			t.Errorf("%s: answered by %v, want %v", test.name, e.Reason(), ReasonBadProtocol)
		case e.Offset < frameHead || e.Offset > frameHead+len(test.payload):
			t.Errorf("%s: offset %d is outside of the payload", test.name, e.Offset)
		}
	}
}

// TestHelloGenerations: a Hello of fewer than ten items is answered by 0x07, not
// 0x02, and the error says whose it is (section 0.2, A22).
func TestHelloGenerations(t *testing.T) {
	hello := helloItemsOf(demoHello())
	split := [][]byte{{0x80}, unhex("83414243"), unhex("c483657468"), unhex("82765f"), hello[5]}
	for _, test := range []struct {
		name  string
		items [][]byte
		want  string
	}{
		{"protocol 28", hello[:8], "number of items is 9, as of protocol 27 or 28; want the 10 of protocol 30"},
		{"eight items", hello[:7], "8, as of no known protocol"},
		{"PoC-5", hello[:6], "7, as of PoC-5"},
		{"split", split, "6, as of the split P2P protocol"},
		{"split, longer", append(slices.Clone(split), hello...), "15, as of the split P2P protocol"},
		{"split, shorter", split[:3], "4, as of the split P2P protocol"},
		{"nothing", nil, "1, as of no known protocol"},
	} {
		_, err := Parse(payload(IDHello, test.items...))
		e, ok := errors.AsType[*FormatError](err)
		if !ok || !e.HasID || e.Kind != IDHello || e.Reason() != ReasonIncompatible || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q and reason %v", test.name, err, test.want, ReasonIncompatible)
		}
	}
}

// TestParseTolerates are encodings that are accepted, and kept as they are.
func TestParseTolerates(t *testing.T) {
	hello := demoHello()
	hello.Extra = unhex("05c20102")
	wide := demoHello()
	wide.Network.SetBytes(unhex(hexG))
	wide.TD.SetAllOne()
	wide.Client, wide.Caps, wide.Port, wide.Version = "", 300, 0, 1<<63
	short := demoHello()
	short.Client = "x"
	long := demoHello()
	long.Client = strings.Repeat("x", MaxClient)
	for _, test := range []struct {
		name    string
		payload []byte
		want    Message
	}{
		{"reason as byte 00", unhex("c20100"), Disconnect{Form: ReasonZeroByte}},
		{"reason beyond the table", unhex("c2010b"), Disconnect{Reason: 0x0b}},
		{"reason of 64 bits", unhex("ca0188ffffffffffffffff"), Disconnect{Reason: 1<<64 - 1}},
		{"max of 64 bits", payload(0x17, unhex("a0"+hexG+"88ffffffffffffffff")), GetBlockHashes{hashG, 1<<64 - 1}},
		{"max 0", payload(0x17, unhex("a0"+hexG+"80")), GetBlockHashes{hashG, 0}},
		{"extra items", payload(0, append(helloItemsOf(demoHello()), unhex("05c20102"))...), hello},
		{"wide numbers, empty client", payload(0, helloItemsOf(wide)...), wide},
		{"client of one byte", payload(0, helloItemsOf(short)...), short},
		{"longest client", payload(0, helloItemsOf(long)...), long},
		{"typed transaction", payload(0x12, unhex("c0820102")), Transactions{unhex("c0820102")}},
		{"empty block", payload(0x13, unhex("c0c0")), Blocks{unhex("c0c0")}},
		{"dead GetChain", unhex("c21480"), Unknown{IDGetChain, unhex("80")}},
		{"dead NotInChain", unhex("c115"), Unknown{Kind: IDNotInChain}},
		{"undefined", unhex("c404c20102"), Unknown{0x04, unhex("c20102")}},
		{"undefined, wide", unhex("c988ffffffffffffffff"), Unknown{Kind: 1<<64 - 1}},
	} {
		got, err := Parse(test.payload)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if d := diff(got, test.want); d != "" {
			t.Errorf("%s: parsed (-want +got):\n%s", test.name, d)
		}
		if again := AppendFrame(nil, got)[frameHead:]; !bytes.Equal(again, test.payload) {
			t.Errorf("%s: encoded as\n%x, want\n%x", test.name, again, test.payload)
		}
	}
}

// TestPeersSkipsMalformed: entries that are not IPv4, port and id are passed
// over, and the message is kept as it was (A31).
func TestPeersSkipsMalformed(t *testing.T) {
	id := unhex("b840" + hexNode)
	entry := func(items ...[]byte) []byte {
		content := slices.Concat(items...)
		return append(appendListHead(nil, len(content)), content...)
	}
	ip, port := unhex("847f000001"), unhex("82765f")
	list := slices.Concat(
		unhex("05"), // not a list
		entry(),     // nothing
		entry(ip, port),
		entry(append([]byte{0x90}, make([]byte, 16)...), port, id), // IPv6
		entry(ip, port, id, unhex("c0")),                           // fourth item, as of Java
		entry(ip, unhex("83010000"), id),                           // port too big
		entry(ip, unhex("00"), id),                                 // port not canonical
		entry(ip, port, unhex("b83f"), id[3:]),                     // short id
		entry(unhex("c0"), port, id),                               // ip is a list
		entry(ip, port, id[:10]),                                   // cut off inside
		entry(ip, port, id),                                        // good
		entry(ip, unhex("80"), id),                                 // good, port 0
	)
	m, err := Parse(payload(IDPeers, list))
	if err != nil {
		t.Fatal(err)
	}
	peers := m.(Peers)
	if got := peers.Entries.Len(); got != 12 {
		t.Errorf("%d entries, want 12", got)
	}
	got := slices.Collect(peers.All())
	want := []PeerAddr{{[4]byte{127, 0, 0, 1}, 30303, node}, {[4]byte{127, 0, 0, 1}, 0, node}}
	if !slices.Equal(got, want) {
		t.Errorf("entries = %v, want %v", got, want)
	}
	if got := got[0].AddrPort().String(); got != "127.0.0.1:30303" {
		t.Errorf("address = %s, want 127.0.0.1:30303", got)
	}
	if !bytes.Equal(AppendFrame(nil, m)[frameHead:], payload(IDPeers, list)) {
		t.Error("entries changed on the way through")
	}
}

func TestLists(t *testing.T) {
	hs := hashes(hashB1, hashG, hashB1)
	if hs.Len() != 3 || hs.At(1) != hashG || hs.At(2) != hashB1 {
		t.Errorf("hashes %x: length %d", hs, hs.Len())
	}
	for h := range hs.All() { // stops when told
		if h != hashB1 {
			t.Errorf("first hash = %v, want %v", h, hashB1)
		}
		break
	}
	raw := RawList(unhex("c0 05 820102 c20102"))
	var got []string
	for item := range raw.All() {
		got = append(got, hex.EncodeToString(item))
	}
	if want := []string{"c0", "05", "820102", "c20102"}; !slices.Equal(got, want) || raw.Len() != 4 {
		t.Errorf("items = %v, %d; want %v", got, raw.Len(), want)
	}
	if bad := RawList(unhex("c0 c301")); bad.Len() != 1 || len(slices.Collect(bad.All())) != 1 {
		t.Errorf("list that is cut off has %d items, want 1", bad.Len())
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{IDGetBlockHashes.String(), "GetBlockHashes"},
		{IDNotInChain.String(), "NotInChain"},
		{ID(0x1a).String(), "message 0x1a"},
		{ReasonWrongGenesis.String(), "wrong genesis block"},
		{Reason(0x0b).String(), "reason 0x0b"},
		{Caps(7).String(), "peers|transactions|chain"},
		{Caps(0x0f).String(), "peers|transactions|chain|content"},
		{Caps(0x14).String(), "chain|0x10"},
		{ContentChunk.String(), "chunk"},
		{ContentReceipts.String(), "receipts"},
		{ContentKind(9).String(), "content of kind 9"},
		{Caps(0).String(), "none"},
		{node.String(), "aa01020304050607…"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
	for id := range ID(0x28) {
		_, err := Parse(payload(id, unhex("81"))) // an item cut off: refused, whatever the type
		if e, ok := errors.AsType[*FormatError](err); !ok || e.Kind != id || !strings.Contains(err.Error(), id.String()) {
			t.Errorf("%v: error %v does not say so", id, err)
		}
		if l := LimitOf(id); l.Bytes < emptyBytes || l.Bytes > MaxFrame {
			t.Errorf("%v: limit of %d bytes", id, l.Bytes)
		}
	}
	if _, err := Parse(unhex("c401820001")); !errors.Is(err, rlp.ErrCanonInt) {
		t.Errorf("%v, want it to wrap %v", err, rlp.ErrCanonInt)
	}
}
