package chain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
	"golang.org/x/crypto/sha3"
)

// Racing reports whether the race detector is on: it makes seals and caches
// many times slower and learns nothing from the ten-thousandth, so tests do less.
func Racing() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// NewSmallEthash returns an Ethash with caches of some hundred rows, for tests
// that are not about the size. Generating is called, without locks, at the
// beginning of each generation; it may be nil.
func NewSmallEthash(cfg EthashConfig, generating func(epoch uint64)) *Ethash {
	e := NewEthash(cfg)
	e.sizes = func(epoch uint64) (cache, dataset uint64) {
		if generating != nil {
			generating(epoch)
		}
		cache, dataset = 1<<14+epoch<<7, 1<<20+epoch<<12
		for cache -= rowBytes; !isPrime(cache / rowBytes); {
			cache -= 2 * rowBytes
		}
		for dataset -= pageBytes; !isPrime(dataset / pageBytes); {
			dataset -= 2 * pageBytes
		}
		return cache, dataset
	}
	return e
}

// plainEthash is Ethash once more, written down from the Yellow Paper's appendix
// J without a thought for speed: one value after the other, with divisions.
type plainEthash struct {
	cache   [][]uint32
	dataset uint64 // bytes
}

func keccak512(parts ...[]byte) []byte {
	k := sha3.NewLegacyKeccak512()
	for _, p := range parts {
		k.Write(p)
	}
	return k.Sum(nil)
}

func words(b []byte) (w []uint32) {
	for ; len(b) > 0; b = b[4:] {
		w = append(w, binary.LittleEndian.Uint32(b))
	}
	return w
}

func unwords(w []uint32) (b []byte) {
	for _, x := range w {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return b
}

func newPlainEthash(seed []byte, cache, dataset uint64) *plainEthash {
	p := &plainEthash{dataset: dataset}
	n := int(cache / 64)
	row := keccak512(seed)
	for range n {
		p.cache = append(p.cache, words(row))
		row = keccak512(row)
	}
	for range 3 {
		for i := range n {
			v := p.cache[i][0] % uint32(n)
			x := slices.Clone(p.cache[(i-1+n)%n])
			for k := range x {
				x[k] ^= p.cache[v][k]
			}
			p.cache[i] = words(keccak512(unwords(x)))
		}
	}
	return p
}

func (p *plainEthash) item(i uint32) []uint32 {
	fnv := func(a, b uint32) uint32 { return a*0x01000193 ^ b }
	n := uint32(len(p.cache))
	mix := slices.Clone(p.cache[i%n])
	mix[0] ^= i
	mix = words(keccak512(unwords(mix)))
	for j := range uint32(256) {
		parent := p.cache[fnv(i^j, mix[j%16])%n]
		for k := range mix {
			mix[k] = fnv(mix[k], parent[k])
		}
	}
	return words(keccak512(unwords(mix)))
}

func (p *plainEthash) work(hash common.Hash, nonce uint64) (digest, result common.Hash) {
	fnv := func(a, b uint32) uint32 { return a*0x01000193 ^ b }
	s := keccak512(hash[:], binary.LittleEndian.AppendUint64(nil, nonce))
	mix := append(words(s), words(s)...)
	for i := range uint32(64) {
		page := fnv(i^binary.LittleEndian.Uint32(s), mix[i%32]) % uint32(p.dataset/128)
		data := append(p.item(2*page), p.item(2*page+1)...)
		for k := range mix {
			mix[k] = fnv(mix[k], data[k])
		}
	}
	var cmix []uint32
	for i := 0; i < 32; i += 4 {
		cmix = append(cmix, fnv(fnv(fnv(mix[i], mix[i+1]), mix[i+2]), mix[i+3]))
	}
	digest = common.Hash(unwords(cmix))
	return digest, crypto.Keccak256Hash(s, digest[:])
}

// work is what a check computes, with nothing compared.
func (e *Ethash) work(t testing.TB, epoch epochKey, hash common.Hash, nonce uint64) (digest, result common.Hash) {
	t.Helper()
	c, err := e.acquire(t.Context(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	defer e.release(c)
	s := sealing.Get().(*sealScratch)
	defer sealing.Put(s)
	s.hash = hash
	s.start(nonce)
	s.hashimoto(c)
	s.finish()
	return s.digest, s.result
}

func TestEthashAgainstPlain(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	e := NewSmallEthash(EthashConfig{}, nil)
	epochs, inputs := 10, 20
	if Racing() {
		epochs, inputs = 2, 3
	}
	for range epochs {
		epoch := epochKey{rnd.Uint64N(2048), rnd.Uint64N(50)}
		cache, dataset := e.sizes(epoch.epoch)
		s := seedHash(epoch.seed)
		plain := newPlainEthash(s[:], cache, dataset)
		for range inputs {
			var hash common.Hash
			for i := range hash {
				hash[i] = byte(rnd.Uint32())
			}
			nonce := rnd.Uint64()
			digest, result := e.work(t, epoch, hash, nonce)
			if d, r := plain.work(hash, nonce); d != digest || r != result {
				t.Fatalf("epoch %v, work on %x with nonce %x: got %x, %x, want %x, %x", epoch, hash, nonce, digest, result, d, r)
			}
		}
	}
}

// TestEthashMod: the remainder without a division is the remainder.
func TestEthashMod(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	c := new(cache)
	c.resize(1 << 16) // enough memory for all
	for range 1000 {
		n := 1 + rnd.Uint32N(1<<rnd.Uint32N(17))
		c.resize(int(n))
		for _, x := range []uint32{0, 1, n - 1, n, n + 1, 2*n - 1, rnd.Uint32(), rnd.Uint32(), 1<<32 - 1, -n} {
			if got, want := c.mod(x), x%n; got != want {
				t.Fatalf("%d modulo %d is %d, want %d", x, n, got, want)
			}
		}
	}
	// Every number of rows there is, at the most awkward numbers.
	for epoch := range uint64(maxEpochs) {
		size, _ := ethashSizes(epoch)
		n := uint32(size / rowBytes)
		for _, x := range []uint32{n - 1, n, (1<<32-1)/n*n - 1, (1<<32 - 1) / n * n, 1<<32 - 1} {
			if got := modOf(^uint64(0)/uint64(n)+1, x, n); got != x%n {
				t.Fatalf("%d modulo %d is %d", x, n, got)
			}
		}
	}
}

// modOf is cache.mod for a cache that nobody wants to allocate.
func modOf(magic uint64, x, n uint32) uint32 {
	var p big.Int
	p.Mul(new(big.Int).SetUint64(magic*uint64(x)), big.NewInt(int64(n)))
	return uint32(p.Rsh(&p, 64).Uint64())
}

func TestEthashSizes(t *testing.T) {
	for _, c := range []struct{ epoch, cache, dataset uint64 }{
		{0, 16776896, 1073739904}, // ethereum/tests, PoWTests
		{1, 16907456, 1082130304},
		{2047, 285081536, 18245220736}, // the last of the tables of Yellow Paper and clients
	} {
		if cache, dataset := ethashSizes(c.epoch); cache != c.cache || dataset != c.dataset {
			t.Errorf("epoch %d has cache %d and dataset %d, want %d and %d", c.epoch, cache, dataset, c.cache, c.dataset)
		}
	}
	// Of every epoch: the greatest size below the line with a prime number of
	// units.
	prime := func(size, unit uint64) bool { return new(big.Int).SetUint64(size / unit).ProbablyPrime(1) }
	check := func(epoch, size, line, unit uint64) {
		if size%unit != 0 || size >= line || !prime(size, unit) {
			t.Errorf("epoch %d: size %d is none", epoch, size)
		}
		for size += 2 * unit; size < line; size += 2 * unit {
			if prime(size, unit) {
				t.Errorf("epoch %d: there is a greater size %d", epoch, size)
			}
		}
	}
	for epoch := range uint64(maxEpochs) {
		cache, dataset := ethashSizes(epoch)
		check(epoch, cache, 1<<24+epoch<<17, 64)
		check(epoch, dataset, 1<<30+epoch<<23, 128)
	}
}

func TestEthashEpochs(t *testing.T) {
	always := NewEthash(EthashConfig{})
	classic := NewEthash(EthashConfig{LongEpochs: ClassicLongEpochs})
	few := NewEthash(EthashConfig{Epochs: 3})
	odd := NewEthash(EthashConfig{LongEpochs: 70_000})
	for _, c := range []struct {
		e           *Ethash
		number      uint64
		epoch, seed uint64
		next        uint64
		ok          bool
	}{
		{always, 0, 0, 0, 30_000, true},
		{always, 29_999, 0, 0, 30_000, true},
		{always, 30_000, 1, 1, 60_000, true},
		{always, 15_537_393, 517, 517, 15_540_000, true},
		{always, 61_439_999, 2047, 2047, 61_440_000, true},
		{always, 61_440_000, 2048, 2048, 61_470_000, false},
		{always, 1<<64 - 1, 614891469123651, 614891469123651, (1<<64 - 1) / 30000 * 30000, false},
		{few, 89_999, 2, 2, 90_000, true},
		{few, 90_000, 3, 3, 120_000, false},
		// ECIP-1099: the seed is that of the epoch's first block in both
		// halves of it.
		{classic, 11_669_999, 388, 388, 11_670_000, true},
		{classic, 11_699_999, 389, 389, 11_700_000, true},
		{classic, 11_700_000, 195, 390, 11_760_000, true},
		{classic, 11_730_000, 195, 390, 11_760_000, true},
		{classic, 11_759_999, 195, 390, 11_760_000, true},
		{classic, 11_760_000, 196, 392, 11_820_000, true},
		{classic, 122_880_000, 2048, 4096, 122_940_000, false},
		{odd, 65_000, 2, 2, 70_000, true},
		{odd, 70_000, 1, 2, 120_000, true},
	} {
		key, ok := c.e.epochOf(c.number)
		if key != (epochKey{c.epoch, c.seed}) || ok != c.ok {
			t.Errorf("block %d is in epoch %v, %v, want %d with seed %d, %v", c.number, key, ok, c.epoch, c.seed, c.ok)
		}
		if next := c.e.NextEpoch(c.number); c.number < 1<<63 && next != c.next {
			t.Errorf("the epoch after that of block %d begins at %d, want %d", c.number, next, c.next)
		}
	}
	for seed, want := range map[uint64]string{ // input-output-hk/mantis, EthashUtilsSpec
		0:   "0x0000000000000000000000000000000000000000000000000000000000000000",
		1:   "0x290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563",
		382: "0xd3d0aa11197dcdcfcb3ad3c73d415af47299bddb47fda6081d31d9dd06462f6a",
		384: "0xbf532874eb434842e7a3e4acd113fe454541651872760d9b95d11d7f90ca25dc",
	} {
		if got := seedHash(seed); got.Hex() != want {
			t.Errorf("seed %d is %v, want %s", seed, got, want)
		}
	}
}

// TestClassicSeal: the long epochs of Ethereum Classic, by a share that a miner
// found in the second half of the first of them, and by caches that
// go-ethereum's fork for Classic made at a rehearsal.
// From valar999/etchash-test (main.go) and iquidus/ecip-1099-data (MAINNET.md).
func TestClassicSeal(t *testing.T) {
	if testing.Short() || Racing() {
		t.Skip("large caches take long")
	}
	e := NewEthash(EthashConfig{LongEpochs: ClassicLongEpochs, Caches: 1})
	epoch, _ := e.epochOf(11_736_639)
	_, result := e.work(t, epoch, common.HexToHash("cf1a5330162c4e138aa3a37ad270040d29c73f3d41b1748a2c912d8944e3bb42"), 0x002930008bd54abd)
	// The share comes with a mix digest that does not belong to it, but with
	// another size or seed its nonce would be as good as any. So many zeros
	// are found once in four billion.
	if binary.BigEndian.Uint32(result[:]) != 0 {
		t.Errorf("the work comes to %v: that is not what the miner computed", result)
	}
	// The files are those of go-ethereum: eight bytes of magic, then the cache.
	// In blocks before the fork and after it, at 11,460,000 in that rehearsal.
	for number, want := range map[uint64]string{
		11_459_999: "2502c63d8e89ae5ab4ac9e2d353b458effd46ad5f1f18cd7b66491856014aa3d",
		11_460_000: "9b26943b372f61f6b16674f55b1ad2d072f9058bf7c1b6a3065d4d8f8f8143e9",
	} {
		e := NewEthash(EthashConfig{LongEpochs: 11_460_000, Caches: 1})
		epoch, _ := e.epochOf(number)
		c, err := e.acquire(t.Context(), epoch)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		h.Write([]byte{0xfe, 0xca, 0xdd, 0xba, 0xad, 0xde, 0xe1, 0xfe})
		for i := range c.rows {
			var b [rowBytes]byte
			c.rows[i].bytes(&b)
			h.Write(b[:])
		}
		e.release(c)
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("the cache for block %d has SHA-256 %s, want %s", number, got, want)
		}
	}
}

func TestEthashVectors(t *testing.T) {
	if Racing() {
		t.Skip("a full cache takes a minute under the race detector")
	}
	path := filepath.Join("..", "..", "shared", "data", "ethereum-tests", "PoWTests", "ethash_tests.json")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("the ethash vectors are optional: %v", err)
	}
	var vectors map[string]struct {
		Nonce, MixHash, Header, Seed, Result string
		CacheSize                            uint64 `json:"cache_size"`
		FullSize                             uint64 `json:"full_size"`
		HeaderHash                           string `json:"header_hash"`
		CacheHash                            string `json:"cache_hash"`
	}
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 2 {
		t.Errorf("there are %d vectors", len(vectors))
	}
	e := NewEthash(EthashConfig{})
	for name, v := range vectors {
		raw, err := hex.DecodeString(v.Header)
		if err != nil {
			t.Fatal(err)
		}
		h, err := ParseHeader(FormatFrontier, raw)
		if err != nil {
			t.Fatal(err)
		}
		// Nobody mined them: the work is right and does not suffice.
		wantSealError(t, e.CheckSeal(h), h)
		easy := *h
		easy.Difficulty.SetOne()
		if err := e.CheckSeal(&easy); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s := sealing.Get().(*sealScratch)
		if !s.sealHash(h, 13, 2) {
			t.Errorf("%s: no seal found", name)
		}
		epoch, _ := e.epochOf(h.Number)
		digest, result := e.work(t, epoch, s.hash, binary.BigEndian.Uint64(h.Nonce))
		c, err := e.acquire(t.Context(), epoch)
		if err != nil {
			t.Fatal(err)
		}
		var cache bytes.Buffer
		for i := range c.rows {
			var b [rowBytes]byte
			c.rows[i].bytes(&b)
			cache.Write(b[:])
		}
		e.release(c)
		size, dataset := ethashSizes(epoch.epoch)
		for _, c := range []struct{ what, got, want string }{
			{"seed", fmt.Sprintf("%x", seedHash(epoch.seed)), v.Seed},
			{"cache size", fmt.Sprint(size), fmt.Sprint(v.CacheSize)},
			{"size of the cache", fmt.Sprint(cache.Len()), fmt.Sprint(v.CacheSize)},
			{"dataset size", fmt.Sprint(dataset), fmt.Sprint(v.FullSize)},
			{"cache hash", fmt.Sprintf("%x", crypto.Keccak256(cache.Bytes())), v.CacheHash},
			{"header hash", fmt.Sprintf("%x", s.hash), v.HeaderHash},
			{"nonce", fmt.Sprintf("%x", h.Nonce), v.Nonce},
			{"mix digest", fmt.Sprintf("%x", digest), v.MixHash},
			{"result", fmt.Sprintf("%x", result), v.Result},
		} {
			if c.got != c.want {
				t.Errorf("%s: %s is %s, want %s", name, c.what, c.got, c.want)
			}
		}
	}
}

// frontierHeader encodes and parses a header.
func frontierHeader(t testing.TB, g *types.Header) *Header {
	t.Helper()
	raw, err := rlp.EncodeToBytes(g)
	if err != nil {
		t.Fatal(err)
	}
	h, err := ParseHeader(FormatFrontier, raw)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// mine returns a header with the number and difficulty and a seal.
func mine(t testing.TB, e *Ethash, number, difficulty uint64) *Header {
	t.Helper()
	g := &types.Header{Number: new(big.Int).SetUint64(number), Difficulty: new(big.Int).SetUint64(difficulty)}
	h := frontierHeader(t, g)
	s := new(sealScratch)
	*s = *sealing.New().(*sealScratch)
	s.sealHash(h, 13, 2)
	epoch, _ := e.epochOf(number)
	for nonce := uint64(0); ; nonce++ {
		var result common.Hash
		g.MixDigest, result = e.work(t, epoch, s.hash, nonce)
		if checkTarget(h, &result) == nil {
			g.Nonce = types.EncodeNonce(nonce)
			return frontierHeader(t, g)
		}
	}
}

func wantSealError(t testing.TB, err error, h *Header) {
	t.Helper()
	if e, ok := errors.AsType[*RuleError](err); !ok || e.Rule != RuleSeal || e.Number != h.Number || e.Hash != h.Hash || e.Have == e.Want {
		t.Errorf("got %v, want block %d refused for its seal", err, h.Number)
	}
}

// TestEasySealBits: where the target lets everything through, the mix digest
// alone decides, and every bit of the seal still counts.
func TestEasySealBits(t *testing.T) {
	e := NewSmallEthash(EthashConfig{}, nil)
	h := mine(t, e, 1, 1)
	if err := e.CheckSeal(h); err != nil {
		t.Fatal(err)
	}
	step := 1
	if Racing() {
		step = 13
	}
	seal := bytes.Index(h.Raw(), h.MixDigest[:])
	for bit := 0; bit < 8*(32+1+8); bit += step {
		at := seal + bit/8
		if bit/8 == 32 {
			continue // the RLP header of the nonce
		}
		raw := slices.Clone(h.Raw())
		raw[at] ^= 1 << (bit % 8)
		bad, err := ParseHeader(FormatFrontier, raw)
		if err != nil {
			t.Fatal(err)
		}
		wantSealError(t, e.CheckSeal(bad), bad)
	}
}

// TestTarget compares the target with a division of large integers.
func TestTarget(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	top := new(big.Int).Lsh(big.NewInt(1), 256)
	random := func() *uint256.Int {
		x := &uint256.Int{rnd.Uint64(), rnd.Uint64(), rnd.Uint64(), rnd.Uint64()}
		return x.Rsh(x, uint(rnd.IntN(256)))
	}
	difficulties := []*uint256.Int{uint256.NewInt(1), uint256.NewInt(2), uint256.NewInt(3), new(uint256.Int).SetAllOne()}
	for i := range uint(256) {
		p := new(uint256.Int).Lsh(uint256.NewInt(1), i)
		difficulties = append(difficulties, p, new(uint256.Int).AddUint64(p, 1), random())
	}
	for _, d := range difficulties {
		if d.IsZero() {
			continue
		}
		target := new(big.Int).Div(top, d.ToBig())
		results := []*big.Int{new(big.Int), random().ToBig(), target, new(big.Int).Add(target, big.NewInt(1)), new(big.Int).Sub(top, big.NewInt(1))}
		for _, r := range results {
			if r.Cmp(top) >= 0 {
				continue
			}
			h, result := &Header{Difficulty: *d}, common.BigToHash(r)
			if err := checkTarget(h, &result); (err == nil) != (r.Cmp(target) <= 0) {
				t.Errorf("difficulty %v, result %v: %v", d, result, err)
			} else if err != nil {
				wantSealError(t, err, h)
			}
		}
	}
	none := new(Header)
	wantSealError(t, checkTarget(none, new(common.Hash)), none)
}

// TestSealHash compares the hash without seal with one over a list that
// go-ethereum encodes from the remaining items, at lengths where the list
// header changes.
func TestSealHash(t *testing.T) {
	s := sealing.New().(*sealScratch)
	for _, extra := range []int{0, 1, 32, 1024, 65000, 65535, 70000} {
		for _, fee := range []*big.Int{nil, new(big.Int), big.NewInt(7), new(big.Int).Lsh(big.NewInt(1), 255)} {
			h := frontierHeader(t, &types.Header{
				Number: big.NewInt(1), Difficulty: big.NewInt(1), Extra: make([]byte, extra), BaseFee: fee,
			})
			var items []rlp.RawValue
			if err := rlp.DecodeBytes(h.Raw(), &items); err != nil {
				t.Fatal(err)
			}
			raw, err := rlp.EncodeToBytes(slices.Delete(items, 13, 15))
			if err != nil {
				t.Fatal(err)
			}
			if !s.sealHash(h, 13, 2) || s.hash != crypto.Keccak256Hash(raw) {
				t.Errorf("%d bytes of extra data, base fee %v: got %v, want %x", extra, fee, s.hash, crypto.Keccak256(raw))
			}
		}
	}
	for n := 1; n < 1<<25; n = 3*n + 1 {
		want, _ := rlp.EncodeToBytes([]rlp.RawValue{make([]byte, n)})
		if got := appendListHead(nil, n); !bytes.Equal(got, want[:len(want)-n]) {
			t.Errorf("a list of %d bytes begins %x, want %x", n, got, want[:len(want)-n])
		}
	}
}

func TestCheckSealAllocatesNothing(t *testing.T) {
	if Racing() {
		t.Skip("under the race detector a pool drops what it is given at random")
	}
	e := NewSmallEthash(EthashConfig{}, nil)
	h := mine(t, e, 30_000, 2)
	if n := testing.AllocsPerRun(100, func() {
		if err := e.CheckSeal(h); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("a check allocates %v times", n)
	}
	old := &Header{raw: []byte{0xc0}}
	raw, _ := rlp.EncodeToBytes([][]byte{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, make([]byte, 32)})
	old.raw, old.Nonce = raw, make([]byte, 32)
	old.Difficulty.SetOne()
	if n := testing.AllocsPerRun(100, func() {
		if err := (PoC6Seal{}).CheckSeal(old); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("a check of 2014 allocates %v times", n)
	}
}

// counts counts generations.
type counts struct {
	sync.Mutex
	of map[uint64]int
}

func (c *counts) add(epoch uint64) {
	c.Lock()
	defer c.Unlock()
	if c.of == nil {
		c.of = make(map[uint64]int)
	}
	c.of[epoch]++
}

// minedIn returns sealed headers, one in each of the first n epochs.
func minedIn(t testing.TB, n int) (all []*Header) {
	e := NewSmallEthash(EthashConfig{Caches: n}, nil)
	for epoch := range n {
		all = append(all, mine(t, e, uint64(epoch)*epochLength+7, 2))
	}
	return all
}

func TestEthashGeneratesOnce(t *testing.T) {
	headers := minedIn(t, 5)
	var generated counts
	e := NewSmallEthash(EthashConfig{Caches: len(headers)}, generated.add)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for k := range headers {
				h := headers[(i+k)%len(headers)]
				if err := e.CheckSeal(h); err != nil {
					t.Error(err)
				}
				bad := *h
				bad.MixDigest[i] ^= 1
				if err := e.CheckSeal(&bad); err == nil {
					t.Error("a wrong mix digest was accepted")
				}
			}
		})
		wg.Go(func() {
			if err := e.Prepare(t.Context(), headers[i%len(headers)].Number); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for epoch, n := range generated.of {
		if n != 1 {
			t.Errorf("the cache of epoch %d was generated %d times", epoch, n)
		}
	}
	if len(generated.of) != len(headers) {
		t.Errorf("%d caches were generated, want %d", len(generated.of), len(headers))
	}
}

// TestEthashBound: more epochs at once than there may be caches. All get their
// turn and never are there more caches, generated ones included.
func TestEthashBound(t *testing.T) {
	headers := minedIn(t, 6)
	for _, places := range []int{1, 2, 3} {
		var e *Ethash
		var most, now int
		var mu sync.Mutex
		// Called at the beginning of a generation: all the rows that there are
		// belong to a cache of the table, and this one is already in it.
		e = NewSmallEthash(EthashConfig{Caches: places}, func(epoch uint64) {
			mu.Lock()
			defer mu.Unlock()
			now++
			e.mu.Lock()
			defer e.mu.Unlock()
			most = max(most, len(e.mu.caches))
			for _, c := range e.mu.caches {
				if c.users < 0 {
					t.Error("a cache has been given back too often")
				}
			}
		})
		rounds := 10
		if Racing() {
			rounds = 3
		}
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				for k := range rounds {
					if err := e.CheckSeal(headers[(i+k*(1+i%2))%len(headers)]); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if most > places || now < len(headers) {
			t.Errorf("with %d places there were %d caches at a time, in %d generations", places, most, now)
		}
		for _, c := range e.mu.caches {
			if c.users != 0 || !c.ready {
				t.Errorf("with %d places: a cache is left with %d users", places, c.users)
			}
		}
	}
}

// TestEthashLeastRecentlyUsed: the cache that goes is the one that was not used
// for longest, and its memory serves the next.
func TestEthashLeastRecentlyUsed(t *testing.T) {
	headers := minedIn(t, 4)
	var generated counts
	e := NewSmallEthash(EthashConfig{Caches: 2}, generated.add)
	use := func(epoch int, want ...int) {
		t.Helper()
		if err := e.CheckSeal(headers[epoch]); err != nil {
			t.Fatal(err)
		}
		for k, n := range want {
			if generated.of[uint64(k)] != n {
				t.Errorf("after a check in epoch %d: cache %d was generated %d times, want %d", epoch, k, generated.of[uint64(k)], n)
			}
		}
	}
	use(0, 1, 0, 0, 0)
	use(1, 1, 1, 0, 0)
	use(0, 1, 1, 0, 0)
	memory := &e.find(epochKey{1, 1}).rows[0]
	use(2, 1, 1, 1, 0) // in place of 1
	if &e.find(epochKey{2, 2}).rows[0] != memory {
		t.Error("the memory of the old cache was not used again")
	}
	use(0, 1, 1, 1, 0)
	use(3, 1, 1, 1, 1) // in place of 2
	use(0, 1, 1, 1, 1)
	use(2, 1, 1, 2, 1) // in place of 3
	if err := e.Prepare(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	use(1, 1, 2, 2, 1) // in place of 2: Prepare has used 0
	use(0, 1, 2, 2, 1)
}

// TestEthashOthersGoOn: while a cache is generated, checks of other epochs go
// on, those of its own wait.
func TestEthashOthersGoOn(t *testing.T) {
	headers := minedIn(t, 3)
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		e := NewSmallEthash(EthashConfig{Caches: 2}, func(epoch uint64) {
			if epoch == 1 {
				<-hold
			}
		})
		var wg sync.WaitGroup
		var mu sync.Mutex
		checked := make([]int, len(headers))
		check := func(epoch int) {
			wg.Go(func() {
				if err := e.CheckSeal(headers[epoch]); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				checked[epoch]++
			})
		}
		want := func(what string, n ...int) {
			t.Helper()
			synctest.Wait()
			if !slices.Equal(checked, n) {
				t.Errorf("%s: checks done per epoch are %v, want %v", what, checked, n)
			}
		}
		wg.Go(func() {
			if err := e.Prepare(t.Context(), headers[1].Number); err != nil {
				t.Error(err)
			}
		})
		want("generating 1", 0, 0, 0)
		check(0)
		check(0)
		want("0 goes on", 2, 0, 0)
		check(1)
		check(1)
		want("1 waits", 2, 0, 0)
		check(2)
		want("2 takes the place of 0, not that of 1", 2, 0, 1)
		check(0)
		check(2)
		want("and back", 3, 0, 2)
		// A place is in use while somebody checks with it: nothing else fits.
		c, err := e.acquire(t.Context(), epochKey{2, 2})
		if err != nil {
			t.Fatal(err)
		}
		check(0)
		want("no place for 0", 3, 0, 2)
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			if err := e.Prepare(ctx, headers[0].Number); err != context.Canceled {
				t.Errorf("got %v, want the context's error", err)
			}
		})
		synctest.Wait()
		cancel()
		e.release(c)
		want("a place for 0", 4, 0, 2)
		close(hold)
		want("1 is ready", 4, 2, 2)
		wg.Wait()
	})
}

// TestEthashPrepareCancelled: a generation given up is no generation, and those
// who waited for it do it themselves.
func TestEthashPrepareCancelled(t *testing.T) {
	h := minedIn(t, 1)[0]
	synctest.Test(t, func(t *testing.T) {
		var generated counts
		hold := make(chan struct{})
		e := NewSmallEthash(EthashConfig{Caches: 1}, func(epoch uint64) {
			generated.add(epoch)
			<-hold
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		prepare := func(ctx context.Context, want error) {
			wg.Go(func() {
				if err := e.Prepare(ctx, h.Number); err != want {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
		prepare(ctx, context.Canceled)
		synctest.Wait()
		prepare(ctx, context.Canceled) // waits, and waits no longer
		prepare(t.Context(), nil)      // waits, and one of the two tries again
		wg.Go(func() {
			if err := e.CheckSeal(h); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		close(hold)
		wg.Wait()
		if generated.of[0] != 2 {
			t.Errorf("there were %d generations, want one given up and one more", generated.of[0])
		}
		if len(e.mu.caches) != 1 || e.mu.caches[0].users != 0 {
			t.Error("the cache is missing, or not given back")
		}
	})
	e := NewEthash(EthashConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Prepare(ctx, 0); err != context.Canceled || len(e.mu.caches) != 0 {
		t.Errorf("got %v and %d caches", err, len(e.mu.caches))
	}
	if err := e.Prepare(t.Context(), maxEpochs*epochLength); err == nil || len(e.mu.caches) != 0 {
		t.Errorf("got %v and %d caches for an epoch that there cannot be", err, len(e.mu.caches))
	}
}
