package wire

import (
	"slices"
	"testing"

	"github.com/holiman/uint256"
)

// The chunk that holds the bytes "foo", under the address that Swarm's own tools
// give to it, and the receipts of a block without transactions, under the root of
// the empty trie.
const (
	hexFoo        = "0300000000000000666f6f"
	hexFooAddress = "2387e8e7d8a48c2a9339c97c1dc3461a9a7aa07e994c5cb8b38fd7c1b3e6ea48"
	hexEmptyTrie  = "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
)

func hashOf(digits string) [32]byte { return [32]byte(unhex(digits)) }

func payloads(ps ...string) (list PayloadList) {
	for _, p := range ps {
		list = AppendPayload(list, unhex(p))
	}
	return list
}

// contentVectors are the frames of docs/content-exchange.md, section 6.
var contentVectors = []struct {
	name  string
	frame string
	m     Message
}{
	{"GetContent, one chunk", "22400891 00000024 e3 20 01 a0" + hexFooAddress,
		GetContent{ContentChunk, hashes(hashOf(hexFooAddress))}},
	{"GetContent, two chunks", "22400891 00000046 f844 20 01 a0" + hexFooAddress + "a0" + hexG,
		GetContent{ContentChunk, hashes(hashOf(hexFooAddress), hashG)}},
	{"GetContent, receipts", "22400891 00000024 e3 20 02 a0" + hexEmptyTrie,
		GetContent{ContentReceipts, hashes(hashOf(hexEmptyTrie))}},
	{"GetContent, kind 200", "22400891 00000025 e4 20 81c8 a0" + hexG,
		GetContent{200, hashes(hashG)}},
	{"Content, the chunk", "22400891 0000000f ce 21 01 8b" + hexFoo,
		Content{ContentChunk, payloads(hexFoo)}},
	{"Content, the first of two", "22400891 00000010 cf 21 01 8b" + hexFoo + "80",
		Content{ContentChunk, payloads(hexFoo, "")}},
	{"Content, the second of two", "22400891 00000010 cf 21 01 80 8b" + hexFoo,
		Content{ContentChunk, payloads("", hexFoo)}},
	{"Content, not held", "22400891 00000004 c3 21 01 80", Content{ContentChunk, payloads("")}},
	{"Content, none of the kind", "22400891 00000003 c2 21 01", Content{Kind: ContentChunk}},
	{"Content, receipts", "22400891 00000005 c4 21 02 81c0", Content{ContentReceipts, payloads("c0")}},
	{"Head", "22400891 00000026 e5 22 8203e8 a0" + hexG, Head{*uint256.NewInt(1000), hashG}},
	{"Head, of nothing", "22400891 00000024 e3 22 80 a0" + hexG, Head{Hash: hashG}},
	{"Content, a small byte", "22400891 00000005 c4 21 81c8 7f", Content{200, payloads("7f")}},
}

func TestPayloads(t *testing.T) {
	list := payloads(hexFoo, "", "c0", "7f", "")
	var got [][]byte
	for p := range list.All() {
		got = append(got, p)
	}
	want := [][]byte{unhex(hexFoo), {}, {0xc0}, {0x7f}, {}}
	if !slices.EqualFunc(got, want, slices.Equal) || list.Len() != 5 {
		t.Errorf("payloads = %x, %d; want %x", got, list.Len(), want)
	}
	for p := range list.All() { // appending to a view must not write behind it
		_ = append(p, 0xee)
		break
	}
	if !slices.Equal(list, payloads(hexFoo, "", "c0", "7f", "")) {
		t.Error("a view that was appended to has written into the list")
	}
	if n := len(slices.Collect(PayloadList(unhex("80c001")).All())); n != 1 {
		t.Errorf("%d payloads before one that is a list", n)
	}
}
