package chain_test

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/shoalnet/shoal/chain"
)

// sealedBlock1 is the header of block 1 of mainnet, hash 0x88e96d45….
const sealedBlock1 = `f90211
 a0d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3 a01dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347
 9405a56e2d52c817161883f50c441c3228cfe54d9f a0d67e4d450343046425ae4271474353857ab860dbc0a1dde64b41b5cd3a532bf3
 a056e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421 a056e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421
 b90100 BLOOM 8503ff800000 01 821388 80 8455ba4224 99476574682f76312e302e302f6c696e75782f676f312e342e32
 a0969b900de27b6ac6a67742365dd65f55a0526c41fd18e1b16f1a1215c2e66f59 88539bd4979fef1ec4`

func realBlock1(t testing.TB) *chain.Header {
	t.Helper()
	h, err := chain.ParseHeader(chain.FormatFrontier, unhex(t, strings.Replace(sealedBlock1, "BLOOM", strings.Repeat("00", 256), 1)))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ethash is shared by the tests, for its caches: those of later epochs take
// seconds.
var ethash = chain.NewEthash(chain.EthashConfig{Caches: 2})

// needCaches skips a test under the race detector, where one cache takes a
// minute: what is shared, and how, is the same with the small caches of other
// tests.
func needCaches(t *testing.T) {
	t.Helper()
	if chain.Racing() {
		t.Skip("a full cache takes a minute under the race detector")
	}
}

func TestSealOfBlock1(t *testing.T) {
	needCaches(t)
	h := realBlock1(t)
	if got := fmt.Sprintf("%x", h.Hash); got != "88e96d4537bea4d9c05d12549907b32561d3bf31f45aae734cdc119f13406cb6" {
		t.Fatalf("this is not block 1 but %s", got)
	}
	if err := ethash.CheckSeal(h); err != nil {
		t.Error(err)
	}
	// The fields are what counts, not the bytes alone.
	later := *h
	later.Number += 30_000
	if err := ethash.CheckSeal(&later); err == nil {
		t.Error("accepted in another epoch")
	}
	for _, number := range []uint64{61_440_000, 1<<64 - 1} {
		later.Number = number
		wantRuleError(t, ethash.CheckSeal(&later), chain.RuleSeal, &later)
	}
	hard := *h
	hard.Difficulty.SetAllOne()
	wantRuleError(t, ethash.CheckSeal(&hard), chain.RuleSeal, &hard)
	hard.Difficulty.Clear()
	wantRuleError(t, ethash.CheckSeal(&hard), chain.RuleSeal, &hard)
	if chain.RuleSeal.OfBody() {
		t.Error("a seal is not part of the body")
	}
}

// TestSealBits: every bit of nonce and mix digest counts, and a forged one is
// refused without any cache.
func TestSealBits(t *testing.T) {
	h := realBlock1(t)
	e := chain.NewSmallEthash(chain.EthashConfig{}, func(uint64) { t.Error("a forged seal made us generate a cache") })
	mix := len(h.Raw()) - 9 - 32
	bits := 0
	for at := mix; at < len(h.Raw()); at++ {
		if at == mix+32 {
			continue // RLP header of the nonce
		}
		for bit := range 8 {
			raw := slices.Clone(h.Raw())
			raw[at] ^= 1 << bit
			bad, err := chain.ParseHeader(chain.FormatFrontier, raw)
			if err != nil {
				t.Fatal(err)
			}
			wantRuleError(t, e.CheckSeal(bad), chain.RuleSeal, bad)
			bits++
		}
	}
	if bits != 64+256 {
		t.Errorf("tried %d bits", bits)
	}
}

// checkSeals checks the seals of blocks and of their uncles on two goroutines,
// and returns how many it checked. A genesis block has none.
func checkSeals(t *testing.T, s chain.Sealer, blocks iter.Seq[*chain.Block]) int {
	t.Helper()
	headers := make(chan *chain.Header, 16) // enough that the reader is ahead; the reader sends and closes
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for h := range headers {
				if err := s.CheckSeal(h); err != nil {
					t.Error(err)
				}
			}
		})
	}
	n := 0
	for b := range blocks {
		if b.Number == 0 {
			continue
		}
		headers <- &b.Header
		n++
		for u, err := range b.Uncles() {
			if err != nil {
				t.Error(err)
				break
			}
			headers <- u
			n++
		}
	}
	close(headers)
	wg.Wait()
	return n
}

// TestRealSeals checks the blocks in the chain files of mainnet and Sepolia and
// their uncles. Of the thousands in the era1 files it takes a secret random
// sample, unless SHOAL_TEST_SEALS=all asks for all of them, which takes ten
// seconds of two free cores. With -short it takes a smaller sample, of epoch 0
// only.
func TestRealSeals(t *testing.T) {
	needCaches(t)
	few := testing.Short()
	all := os.Getenv("SHOAL_TEST_SEALS") == "all"
	seed := rand.Uint64()
	t.Logf("sample seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for _, f := range []struct {
		pattern string
		net     *chain.Network
		blocks  int // in each file, without a genesis block
		every   int // of how many blocks one is in the sample
	}{
		{"mainnet/besu-0-999.blocks", chain.Mainnet, 999, 1},
		{"era1/mainnet-00000-*.era1", chain.Mainnet, 8191, 16},
		{"era1/sepolia-00000-*.era1", chain.Sepolia, 8191, 16},
		{"mainnet/besu-46350-46399.blocks", chain.Mainnet, 50, 1},
		{"mainnet/besu-block_*.blocks", chain.Mainnet, 1, 1},
		{"mainnet/parity-*.rlp", chain.Mainnet, 1, 1},
	} {
		switch {
		case few:
			f.every = 200
		case all:
			f.every = 1
		}
		for _, path := range sharedFiles(t, f.pattern) {
			blocks, sample := 0, 0
			n := checkSeals(t, ethash, func(yield func(*chain.Block) bool) {
				for b := range readFile(t, path, f.net) {
					if few && b.Number >= 30_000 {
						return
					}
					blocks++
					if b.Number == 0 || rnd.IntN(f.every) > 0 {
						continue
					}
					if sample++; !yield(b) {
						return
					}
				}
			})
			t.Logf("%s: checked %d of %d blocks, with uncles %d seals", path, sample, blocks, n)
			if f.every == 1 && (sample != f.blocks || n < sample) {
				t.Errorf("%s: checked %d seals of %d blocks, want %d blocks", path, n, sample, f.blocks)
			}
		}
	}
}

// TestGethSeals: the same for what the go-ethereum module brings along, so for
// everybody; London headers all of them.
func TestGethSeals(t *testing.T) {
	needCaches(t)
	files := []string{"sepolia-00000-643a00f7.era1"}
	if !testing.Short() {
		files = append(files, "sepolia-00021-b8814b14.era1")
	}
	for _, name := range files {
		var last *chain.Block
		n := checkSeals(t, ethash, func(yield func(*chain.Block) bool) {
			for b := range readFile(t, gethEra1(t, name), chain.Sepolia) {
				if last = b; b.Number%256 == 1 && !yield(b) {
					return
				}
			}
			yield(last)
		})
		if n < 33 || last.Items != 16 {
			t.Errorf("checked %d seals up to a header of %d items", n, last.Items)
		}
	}
}

func TestBadSeal(t *testing.T) {
	refused := 0
	for b := range readFile(t, sharedFiles(t, "mainnet/besu-badpow-1.blocks")[0], chain.Mainnet) {
		if b.Number == 0 {
			continue
		}
		err := ethash.CheckSeal(&b.Header)
		wantRuleError(t, err, chain.RuleSeal, &b.Header)
		t.Log(err)
		refused++
	}
	if refused != 1 {
		t.Errorf("refused %d blocks, want 1", refused)
	}
}

func TestPoC6Seals(t *testing.T) {
	s := chain.NewSealer(chain.FormatPoC6, chain.EthashConfig{})
	for _, f := range []struct {
		path string
		want int
	}{
		{"poc6/chain500-pv30.hex", 500},
		{"poc6/chain6-pv30.hex", 6},
		{"poc6/py-poc6-p28-chainB-1-211.hex", 211},
	} {
		blocks, n := 0, checkSeals(t, s, func(yield func(*chain.Block) bool) {
			for b := range readFile(t, sharedFiles(t, f.path)[0], chain.PoC6) {
				if !yield(b) {
					return
				}
			}
		})
		for b := range readFile(t, sharedFiles(t, f.path)[0], chain.PoC6) {
			if b.Number > 0 {
				blocks++
			}
		}
		t.Logf("%s: %d seals in %d blocks", f.path, n, blocks)
		if blocks != f.want || n < blocks {
			t.Errorf("%s: checked %d seals in %d blocks, want %d blocks", f.path, n, blocks, f.want)
		}
	}
}

// TestPoC6SealBits: the block 1 of the protocol 30 specification is good, and
// no other nonce of one bit's difference.
func TestPoC6SealBits(t *testing.T) {
	b := mustParse(t, chain.FormatPoC6, unhex(t, block1))
	if err := (chain.PoC6Seal{}).CheckSeal(&b.Header); err != nil {
		t.Fatal(err)
	}
	header := items(t, b.Raw())[0]
	for bit := range 256 {
		raw := slices.Clone(header)
		raw[len(raw)-1-bit/8] ^= 1 << (bit % 8)
		bad, err := chain.ParseHeader(chain.FormatPoC6, raw)
		if err != nil {
			t.Fatal(err)
		}
		wantRuleError(t, (chain.PoC6Seal{}).CheckSeal(bad), chain.RuleSeal, bad)
	}
}

// TestSealOfWrongHeader: mistakes of the caller blame nobody.
func TestSealOfWrongHeader(t *testing.T) {
	new, old := realBlock1(t), &mustParse(t, chain.FormatPoC6, unhex(t, block1)).Header
	detached, oldDetached := *new, *old
	detached.Detach()
	oldDetached.Detach()
	for _, c := range []struct {
		what string
		f    chain.Format
		h    *chain.Header
	}{
		{"detached", chain.FormatFrontier, &detached},
		{"detached", chain.FormatPoC6, &oldDetached},
		{"of 2014", chain.FormatFrontier, old},
		{"of 2015", chain.FormatPoC6, new},
		{"zero", chain.FormatFrontier, &chain.Header{}},
		{"zero", chain.FormatPoC6, &chain.Header{}},
		{"without bytes", chain.FormatFrontier, &chain.Header{Nonce: zeros(8)}},
		{"without bytes", chain.FormatPoC6, &chain.Header{Nonce: zeros(32)}},
	} {
		err := chain.NewSealer(c.f, chain.EthashConfig{}).CheckSeal(c.h)
		if _, blame := errors.AsType[*chain.RuleError](err); err == nil || blame {
			t.Errorf("%v seal of a header %s: got %v", c.f, c.what, err)
		}
	}
}

// FuzzSeal: whatever parses as a header has a seal that is right or wrong, at
// any number and difficulty.
func FuzzSeal(f *testing.F) {
	f.Add(false, realBlock1(f).Raw())
	f.Add(true, items(f, unhex(f, block1))[0])
	for _, net := range chain.Networks() {
		f.Add(net.Format == chain.FormatPoC6, items(f, []byte(net.Genesis))[0])
	}
	for _, difficulty := range []uint64{0, 1, 2} {
		p := takeApart(f, []byte(chain.Dev.Genesis))
		p.header[itemDifficulty] = num(difficulty)
		for _, number := range []uint64{0, 29_999, 11_700_000, 61_440_000, 1<<64 - 1} {
			p.header[itemNumber] = num(number)
			f.Add(false, list(p.header...))
			f.Add(false, list(append(slices.Clone(p.header), num(7))...))
		}
	}
	small := chain.NewSmallEthash(chain.EthashConfig{LongEpochs: chain.ClassicLongEpochs}, nil)
	f.Fuzz(func(t *testing.T, old bool, raw []byte) {
		var s chain.Sealer = small
		format := chain.FormatFrontier
		if old {
			format, s = chain.FormatPoC6, chain.PoC6Seal{}
		}
		h, err := chain.ParseHeader(format, raw)
		if err != nil {
			return
		}
		err = s.CheckSeal(h)
		if err != nil {
			wantRuleError(t, err, chain.RuleSeal, h)
			return
		}
		// Good, then not for a neighbour of the number of works.
		if h.Difficulty.IsZero() {
			t.Error("a seal for no work")
		}
		again := *h
		again.Difficulty.SetAllOne()
		if s.CheckSeal(&again) == nil {
			t.Error("a seal for any work")
		}
	})
}
