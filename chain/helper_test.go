package chain_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/golang/snappy"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// sharedFiles returns the files of the optional data folder beside the
// repository that match the patterns, and skips the test if there are none.
func sharedFiles(t testing.TB, patterns ...string) (paths []string) {
	t.Helper()
	dir := filepath.Join("..", "..", "shared", "data")
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(p)))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		t.Skipf("real chain data is optional, and %s has none of %s", dir, strings.Join(patterns, ", "))
	}
	return paths
}

// gethEra1 returns the path of a real era1 file in the go-ethereum module.
func gethEra1(t testing.TB, name string) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/ethereum/go-ethereum").Output()
	if err != nil {
		t.Skipf("cannot find the go-ethereum module: %v", err)
	}
	path := filepath.Join(strings.TrimSpace(string(dir)), "core", "rawdb", "eradb", "testdata", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not in the go-ethereum module", name)
	}
	return path
}

// readFile yields the blocks of a chain file: an era1 archive, blocks in
// hexadecimal a line, or else one block after the other. Package archive does
// this in earnest, but stands above this package.
func readFile(t testing.TB, path string, net *chain.Network) iter.Seq[*chain.Block] {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(*chain.Block) bool) {
		data := data      // for every loop anew
		var header []byte // of an era1 archive
		for len(data) > 0 {
			var raw []byte
			switch filepath.Ext(path) {
			case ".era1":
				typ, size := binary.LittleEndian.Uint16(data), binary.LittleEndian.Uint32(data[2:])
				entry := data[8 : 8+size]
				data = data[8+size:]
				switch typ {
				case 3:
					header = unpack(t, entry)
				case 4:
					raw = list(append([][]byte{header}, items(t, unpack(t, entry))...)...)
				}
				if raw == nil {
					continue
				}
			case ".hex":
				var line []byte
				line, data, _ = bytes.Cut(data, []byte("\n"))
				raw = unhex(t, string(line))
			default:
				_, _, rest, err := rlp.Split(data)
				if err != nil {
					t.Fatal(err)
				}
				raw, data = data[:len(data)-len(rest)], rest
			}
			if !yield(mustParse(t, net.Format, raw)) {
				return
			}
		}
	}
}

// unpack undoes snappy's framing format.
func unpack(t testing.TB, packed []byte) []byte {
	t.Helper()
	b, err := io.ReadAll(snappy.NewReader(bytes.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// generate returns all blocks of a generated chain, without its parent.
func generate(c chaingen.Config) []*chain.Block { return slices.Collect(chaingen.Generate(c)) }

// str and list encode RLP, canonically.
func str(b []byte) []byte {
	if len(b) == 1 && b[0] < 0x80 {
		return b
	}
	return append(rlpHead(0x80, len(b)), b...)
}

func list(items ...[]byte) []byte {
	content := bytes.Join(items, nil)
	return append(rlpHead(0xc0, len(content)), content...)
}

func num(x uint64) []byte { return rlp.AppendUint64(nil, x) }

func zeros(n int) []byte { return make([]byte, n) }

func rlpHead(base byte, n int) []byte {
	if n < 56 {
		return []byte{base + byte(n)}
	}
	size := bytes.TrimLeft([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, "\x00")
	return append([]byte{base + 55 + byte(len(size))}, size...)
}

// items splits the content of an RLP list.
func items(t testing.TB, raw []byte) (all [][]byte) {
	t.Helper()
	content, rest, err := rlp.SplitList(raw)
	if err != nil || len(rest) > 0 {
		t.Fatalf("not one list: %x", raw)
	}
	for len(content) > 0 {
		_, _, rest, err := rlp.Split(content)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content[:len(content)-len(rest)])
		content = rest
	}
	return all
}

// parts is a block taken apart: every item in RLP. Tests change some of it and
// join it again.
type parts struct {
	header, txs, uncles [][]byte
	more                [][]byte // items after the uncles
}

// The header items that tie the body, which have the same place in both formats
// or not.
const (
	itemUncles     = 1
	itemTxs        = 4
	itemDifficulty = 7 // Frontier
	itemNumber     = 8 // Frontier
)

func takeApart(t testing.TB, raw []byte) *parts {
	t.Helper()
	b := items(t, raw)
	if len(b) != 3 {
		t.Fatalf("block has %d items", len(b))
	}
	return &parts{header: items(t, b[0]), txs: items(t, b[1]), uncles: items(t, b[2])}
}

func (p *parts) clone() *parts {
	return &parts{slices.Clone(p.header), slices.Clone(p.txs), slices.Clone(p.uncles), slices.Clone(p.more)}
}

func (p *parts) join() []byte {
	return list(append([][]byte{list(p.header...), list(p.txs...), list(p.uncles...)}, p.more...)...)
}

// seal makes the header commit to the body.
func (p *parts) seal(t testing.TB, f chain.Format) *parts {
	t.Helper()
	var leaves [][]byte
	for _, entry := range p.txs {
		if entry[0] < 0xc0 { // typed: its content
			_, content, _, err := rlp.Split(entry)
			if err != nil {
				t.Fatal(err)
			}
			entry = content
		}
		leaves = append(leaves, entry)
	}
	root := str(naiveRoot(leaves).Bytes())
	if len(leaves) == 0 && f == chain.FormatPoC6 {
		root = str(nil)
	}
	p.header[itemTxs] = root
	p.header[itemUncles] = str(crypto.Keccak256(list(p.uncles...)))
	return p
}

// naiveRoot is the root of a trie that maps rlp(index) to the leaves, straight
// from appendix D of the Yellow Paper, for any order of keys.
func naiveRoot(leaves [][]byte) common.Hash {
	if len(leaves) == 0 {
		return types.EmptyRootHash
	}
	keys := make(map[string][]byte)
	for i, leaf := range leaves {
		var key []byte
		for _, c := range num(uint64(i)) {
			key = append(key, c>>4, c&15)
		}
		keys[string(key)] = leaf
	}
	return crypto.Keccak256Hash(naiveNode(keys))
}

func naiveNode(keys map[string][]byte) []byte {
	var prefix string
	first := true
	for k := range keys {
		if first {
			prefix, first = k, false
		}
		n := 0
		for n < min(len(prefix), len(k)) && prefix[n] == k[n] {
			n++
		}
		prefix = prefix[:n]
	}
	if len(keys) == 1 {
		return list(str(hexPrefix(prefix, 2)), str(keys[prefix]))
	}
	if prefix != "" {
		short := make(map[string][]byte)
		for k, v := range keys {
			short[k[len(prefix):]] = v
		}
		return list(str(hexPrefix(prefix, 0)), naiveRef(naiveNode(short)))
	}
	var branch [17][]byte
	for i := range 16 {
		below := make(map[string][]byte)
		for k, v := range keys {
			if k[0] == byte(i) {
				below[k[1:]] = v
			}
		}
		branch[i] = str(nil)
		if len(below) > 0 {
			branch[i] = naiveRef(naiveNode(below))
		}
	}
	branch[16] = str(nil)
	return list(branch[:]...)
}

func naiveRef(node []byte) []byte {
	if len(node) < 32 {
		return node
	}
	return str(crypto.Keccak256(node))
}

func hexPrefix(nibbles string, flag byte) (b []byte) {
	if len(nibbles)%2 == 1 {
		b, nibbles = append(b, (flag+1)<<4|nibbles[0]), nibbles[1:]
	} else {
		b = append(b, flag<<4)
	}
	for i := 0; i < len(nibbles); i += 2 {
		b = append(b, nibbles[i]<<4|nibbles[i+1])
	}
	return b
}

func mustParse(t testing.TB, f chain.Format, raw []byte) *chain.Block {
	t.Helper()
	b, err := chain.ParseBlock(f, raw)
	if err != nil {
		t.Fatalf("%v: %x", err, raw[:min(len(raw), 200)])
	}
	return b
}

func networkOf(f chain.Format) *chain.Network {
	if f == chain.FormatPoC6 {
		return chain.PoC6
	}
	return chain.Dev
}

// wantFormatError checks that err blames the item.
func wantFormatError(t testing.TB, err error, item string) {
	t.Helper()
	e, ok := errors.AsType[*chain.FormatError](err)
	switch {
	case !ok:
		t.Errorf("got error %v, want a *FormatError about %q", err, item)
	case e.Item != item:
		t.Errorf("got %q (%v), want one about %q", e.Item, err, item)
	case e.What == "" || !strings.HasPrefix(e.Error(), "chain: "+item+": "):
		t.Errorf("got a poor sentence: %v", err)
	}
}

// wantRuleError checks that err names the rule and the block.
func wantRuleError(t testing.TB, err error, rule chain.Rule, b *chain.Header) {
	t.Helper()
	e, ok := errors.AsType[*chain.RuleError](err)
	switch {
	case !ok:
		t.Errorf("got error %v, want a *RuleError about %q", err, rule)
	case e.Rule != rule || e.Number != b.Number || e.Hash != b.Hash:
		t.Errorf("got rule %q of block %d (%x), want %q of %d (%x)", e.Rule, e.Number, e.Hash, rule, b.Number, b.Hash)
	case e.Have == e.Want || !strings.Contains(e.Error(), string(rule)) || !strings.Contains(e.Error(), e.Have):
		t.Errorf("got a poor sentence: %v", err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
