package chain

import (
	"iter"
	"math/bits"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
)

// maxRootItems is how many items ListRoot holds in memory at once: ten times what
// any block has had. More, which only a block that is made up has, go through a
// trie that takes them one by one.
const maxRootItems = 1 << 14

// ListRoot returns the root of the trie that maps rlp(index) to each value (Yellow
// Paper section 4.3.2): the transactions root or the receipts root of a block. The
// values are those of the trie, encoded as they stand there; none is empty.
//
// The nodes of one depth do not depend on each other, so they are digested all
// together, which is about twice as fast as one by one.
func ListRoot(values [][]byte) common.Hash {
	switch {
	case len(values) == 0:
		return types.EmptyRootHash
	case len(values) > maxRootItems:
		root, err := longRoot(func(yield func([]byte, error) bool) {
			for _, v := range values {
				if !yield(v, nil) {
					return
				}
			}
		})
		if err != nil { // of values none is too long for a trie
			panic(err)
		}
		return root
	}
	b := rootBuilders.Get().(*rootBuilder)
	defer rootBuilders.Put(b)
	return b.root(values)
}

// rootBuilder is the trie of one list while its root is computed. Its slices are
// kept between uses.
type rootBuilder struct {
	values [][]byte
	keys   [][4]byte // rlp(index), left-aligned, in ascending order
	sizes  []uint8   // of the keys
	index  []int32   // of the values under the keys
	nodes  []rootNode
	depths [][]int32 // nodes by depth
	kids   []int32   // of the branches, each in ascending order
	bytes  []byte    // of the nodes of one depth, encoded
	ends   []int
	inputs [][]byte
	hashes []common.Hash
}

// rootNode is a leaf, a branch, or an extension with the branch behind it.
type rootNode struct {
	leaf   int32  // the key; also one of those below a branch
	mask   uint16 // of a branch: which nibbles have a child; 0 for a leaf
	kids   int32  // of a branch: where its children begin
	from   uint8  // the nibbles of the key that the node itself stands for
	to     uint8
	ref    [33]byte // how the parent names it: its digest, or all of it if that is short
	refLen uint8
}

var rootBuilders = sync.Pool{New: func() any { return new(rootBuilder) }}

func (b *rootBuilder) root(values [][]byte) common.Hash {
	b.values = values
	b.order(len(values))
	b.nodes, b.kids = b.nodes[:0], b.kids[:0]
	for i := range b.depths {
		b.depths[i] = b.depths[i][:0]
	}
	b.build(0, len(values), 0, 0)
	for depth := len(b.depths) - 1; depth > 0; depth-- {
		b.name(b.depths[depth])
	}
	b.bytes = b.encode(b.bytes[:0], &b.nodes[b.depths[0][0]])
	root := Keccak256(b.bytes)
	b.values = nil
	for i := range b.inputs {
		b.inputs[i] = nil
	}
	return root
}

// order lists the keys of n values in ascending order: rlp(0) = 0x80 stands between
// rlp(127) = 0x7f and rlp(128) = 0x8180.
func (b *rootBuilder) order(n int) {
	b.keys, b.sizes, b.index = b.keys[:0], b.sizes[:0], b.index[:0]
	add := func(i int) {
		var key [9]byte
		k := rlp.AppendUint64(key[:0], uint64(i))
		b.keys = append(b.keys, [4]byte(key[:4]))
		b.sizes = append(b.sizes, uint8(len(k)))
		b.index = append(b.index, int32(i))
	}
	for i := 1; i < min(n, 128); i++ {
		add(i)
	}
	add(0)
	for i := 128; i < n; i++ {
		add(i)
	}
}

// nibble returns the nibble of a key at a position.
func (b *rootBuilder) nibble(key, at int) byte {
	x := b.keys[key][at/2]
	if at%2 == 0 {
		return x >> 4
	}
	return x & 15
}

// build makes the nodes for the keys from lo up to below hi, which have the nibbles
// before at in common, and returns their root. No key is a prefix of another one.
func (b *rootBuilder) build(lo, hi, at, depth int) int32 {
	n := int32(len(b.nodes))
	b.nodes = append(b.nodes, rootNode{leaf: int32(lo), from: uint8(at)})
	if depth == len(b.depths) {
		b.depths = append(b.depths, nil)
	}
	b.depths[depth] = append(b.depths[depth], n)
	if hi-lo == 1 {
		b.nodes[n].to = 2 * b.sizes[lo]
		return n
	}
	for b.nibble(lo, at) == b.nibble(hi-1, at) { // the keys are in order
		at++
	}
	b.nodes[n].to = uint8(at)
	var mask uint16
	var kids [16]int32
	count := 0
	for from := lo; from < hi; {
		to := from + 1
		for to < hi && b.nibble(to, at) == b.nibble(from, at) {
			to++
		}
		mask |= 1 << b.nibble(from, at)
		kids[count] = b.build(from, to, at+1, depth+1)
		count++
		from = to
	}
	b.nodes[n].mask, b.nodes[n].kids = mask, int32(len(b.kids))
	b.kids = append(b.kids, kids[:count]...)
	return n
}

// name computes how the parents name the nodes of one depth.
func (b *rootBuilder) name(nodes []int32) {
	b.bytes, b.ends, b.inputs = b.bytes[:0], b.ends[:0], b.inputs[:0]
	for _, n := range nodes {
		b.bytes = b.encode(b.bytes, &b.nodes[n])
		b.ends = append(b.ends, len(b.bytes))
	}
	from := 0
	for i, n := range nodes {
		enc := b.bytes[from:b.ends[i]]
		from = b.ends[i]
		if len(enc) < common.HashLength {
			node := &b.nodes[n]
			node.refLen = uint8(copy(node.ref[:], enc))
			continue
		}
		b.inputs = append(b.inputs, enc)
	}
	b.hashes = Keccak256s(b.hashes[:0], b.inputs...)
	next := 0
	for _, n := range nodes {
		if node := &b.nodes[n]; node.refLen == 0 {
			node.ref[0] = 0x80 + common.HashLength
			copy(node.ref[1:], b.hashes[next][:])
			node.refLen = 1 + common.HashLength
			next++
		}
	}
}

// encode appends a node (Yellow Paper appendix D, equation 195).
func (b *rootBuilder) encode(dst []byte, n *rootNode) []byte {
	if n.mask == 0 {
		value := b.values[b.index[n.leaf]]
		path := b.path(n, true)
		dst = appendListHead(dst, path.encodedLen()+int(rlp.BytesSize(value)))
		dst = path.encode(dst)
		return appendString(dst, value)
	}
	if n.from == n.to {
		return b.encodeBranch(dst, n)
	}
	// An extension, whose child is the branch: it is named as every other node.
	start := len(dst)
	branch := b.encodeBranch(dst, n)[start:]
	var ref []byte
	if len(branch) < common.HashLength {
		ref = append(ref, branch...)
	} else {
		h := Keccak256(branch)
		ref = append(append(ref, 0x80+common.HashLength), h[:]...)
	}
	path := b.path(n, false)
	dst = appendListHead(dst, path.encodedLen()+len(ref))
	dst = path.encode(dst)
	return append(dst, ref...)
}

func (b *rootBuilder) encodeBranch(dst []byte, n *rootNode) []byte {
	kids := b.kids[n.kids:][:bits.OnesCount16(n.mask)]
	size := 17 - len(kids) // an empty string for each nibble without child, and the value
	for _, k := range kids {
		size += int(b.nodes[k].refLen)
	}
	dst = appendListHead(dst, size)
	next := 0
	for nibble := range 16 {
		if n.mask&(1<<nibble) == 0 {
			dst = append(dst, 0x80)
			continue
		}
		kid := &b.nodes[kids[next]]
		dst = append(dst, kid.ref[:kid.refLen]...)
		next++
	}
	return append(dst, 0x80)
}

// nibbles is a path in its compact form, of at most four bytes: a key has eight
// nibbles at the most (Yellow Paper appendix C).
type nibbles struct {
	bytes [5]byte
	size  int
}

func (b *rootBuilder) path(n *rootNode, leaf bool) (p nibbles) {
	flag := byte(0)
	if leaf {
		flag = 2
	}
	at, to := int(n.from), int(n.to)
	if (to-at)%2 == 1 {
		p.bytes[0] = (flag|1)<<4 | b.nibble(int(n.leaf), at)
		at++
	} else {
		p.bytes[0] = flag << 4
	}
	p.size = 1
	for ; at < to; at += 2 {
		p.bytes[p.size] = b.nibble(int(n.leaf), at)<<4 | b.nibble(int(n.leaf), at+1)
		p.size++
	}
	return p
}

func (p *nibbles) encodedLen() int { return int(rlp.BytesSize(p.bytes[:p.size])) }

func (p *nibbles) encode(dst []byte) []byte { return appendString(dst, p.bytes[:p.size]) }

func appendString(dst, s []byte) []byte {
	if len(s) == 1 && s[0] < 0x80 {
		return append(dst, s[0])
	}
	return append(appendHead(dst, 0x80, len(s)), s...)
}

// appendListHead and appendHead append the head of an RLP list or, of the given
// kind, of any item with so many bytes of content (Yellow Paper appendix B).
func appendListHead(dst []byte, size int) []byte { return appendHead(dst, 0xc0, size) }

func appendHead(dst []byte, kind byte, size int) []byte {
	if size < 56 {
		return append(dst, kind+byte(size))
	}
	n := (bits.Len(uint(size)) + 7) / 8
	dst = append(dst, kind+55+byte(n))
	for n--; n >= 0; n-- {
		dst = append(dst, byte(size>>(8*n)))
	}
	return dst
}

// tries reuses stack tries.
var tries = sync.Pool{New: func() any { return trie.NewStackTrie(nil) }}

// longRoot is ListRoot for lists of any length. It holds one item at a time, and
// ends at the first error.
func longRoot(items iter.Seq2[[]byte, error]) (common.Hash, error) {
	t := tries.Get().(*trie.StackTrie)
	t.Reset()
	defer tries.Put(t)

	var (
		key   [9]byte
		first []byte
		i     uint64
	)
	// The trie takes its keys in ascending order, see rootBuilder.order.
	for item, err := range items {
		if err != nil {
			return common.Hash{}, err
		}
		switch {
		case i == 0:
			first = item
		case i == 128:
			if err := t.Update(rlp.AppendUint64(key[:0], 0), first); err != nil {
				return common.Hash{}, err
			}
			fallthrough
		default:
			if err := t.Update(rlp.AppendUint64(key[:0], i), item); err != nil {
				return common.Hash{}, err
			}
		}
		i++
	}
	if i <= 128 {
		if err := t.Update(rlp.AppendUint64(key[:0], 0), first); err != nil {
			return common.Hash{}, err
		}
	}
	return t.Hash(), nil
}
