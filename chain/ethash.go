package chain

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"

	"github.com/ethereum/go-ethereum/common"
)

// The constants of Ethash (Yellow Paper appendix J.1).
const (
	rowBytes       = 64 // a row of the cache, an item of the dataset
	pageBytes      = 2 * rowBytes
	cacheInit      = 1 << 24
	cacheGrowth    = 1 << 17
	datasetInit    = 1 << 30
	datasetGrowth  = 1 << 23
	cacheRounds    = 3
	datasetParents = 256
	accesses       = 64

	epochLength     = 30000
	longEpochLength = 60000 // ECIP-1099

	fnvPrime = 0x01000193
)

// ClassicLongEpochs is the block from which on Ethereum Classic has epochs of
// 60,000 blocks (ECIP-1099).
const ClassicLongEpochs = 11_700_000

// maxEpochs bounds the epochs of any network, and by that what a number in a
// header can make us compute: with block 61,440,000, more than twice as far
// as any proof-of-work chain came, a cache has 272 MiB.
const maxEpochs = 2048

// EthashConfig configures an [Ethash]. The zero value is right for mainnet and
// Sepolia.
type EthashConfig struct {
	// Caches is how many epochs' caches are kept, those being generated
	// included; the least recently used gives its place, and its memory, to
	// the next one. A cache has 16 MiB plus 128 KiB an epoch: 16 MiB at block
	// 0, 80 MiB at mainnet's last proof-of-work block, about 64 MiB at Classic
	// in 2026. To import in order with the next epoch prepared, two are
	// needed; a node wants one more for the old blocks it is asked to probe.
	// Zero or less means 3.
	Caches int
	// LongEpochs is the first block of the epochs of 60,000 blocks: for
	// Ethereum Classic [ClassicLongEpochs]. Zero means none ever.
	LongEpochs uint64
	// Epochs is how many epochs there are: a header of a later one is refused
	// before any work, as no block of the network can have its number. Zero
	// or less, or more than 2048, means 2048.
	Epochs int
}

func (c EthashConfig) caches() int {
	if c.Caches <= 0 {
		return 3
	}
	return c.Caches
}

func (c EthashConfig) epochs() uint64 {
	if c.Epochs <= 0 || c.Epochs > maxEpochs {
		return maxEpochs
	}
	return uint64(c.Epochs)
}

// Ethash checks seals by the proof of work of Frontier and later (Yellow Paper
// appendix J): light verification, which needs a cache of some ten megabytes
// for each epoch. Its caller builds and owns it, and by that the caches: with
// its last use they are gone. It starts no goroutine, and is safe for
// concurrent use.
//
// A seal costs about half a millisecond of one core, a cache half a second at
// block 0 and 2.5 seconds at mainnet's end. The first check of an epoch
// generates the cache and others of that epoch wait for it, while checks of
// epochs that have theirs go on. [Ethash.Prepare] does it ahead of need.
type Ethash struct {
	cfg EthashConfig
	// sizes computes the size of an epoch's cache and dataset in bytes. It is
	// called once for each generation, and is a field so that tests can have
	// small caches.
	sizes func(epoch uint64) (cache, dataset uint64)

	mu struct {
		sync.Mutex
		caches  []*cache      // at most cfg.caches()
		tick    uint64        // rises with every use of a cache
		changed chan struct{} // see Ethash.wake; nil if nobody waits
	}
}

// NewEthash returns an Ethash without any cache yet.
func NewEthash(cfg EthashConfig) *Ethash { return &Ethash{cfg: cfg, sizes: ethashSizes} }

// CheckSeal implements [Sealer].
//
// Three hashes come first: the result of the work is a hash of the header, the
// nonce and the mix digest that the header claims. If that does not meet the
// target, then the header is refused before any cache is touched or made, so
// nobody gets a cache out of us, or half a millisecond, without having done
// the work that the stated difficulty asks for. What is left then is to
// recompute the mix digest. (Who states a low difficulty gets it cheap: check
// the difficulty first.)
func (e *Ethash) CheckSeal(h *Header) error {
	epoch, ok := e.epochOf(h.Number)
	if !ok {
		return &RuleError{
			Rule: RuleSeal, Number: h.Number, Hash: h.Hash, Have: "of a later epoch than there is",
			Want: fmt.Sprintf("of one of the first %d", e.cfg.epochs()),
		}
	}
	s := sealing.Get().(*sealScratch)
	defer sealing.Put(s)
	// Mix digest and nonce are items 13 and 14; since London the base fee
	// follows, and is sealed like the rest (EIP-1559).
	if len(h.Nonce) != len(s.nonce) || !s.sealHash(h, 13, 2) {
		return errNotSealed
	}
	s.start(binary.BigEndian.Uint64(h.Nonce))
	s.digest = h.MixDigest
	s.finish()
	if err := checkTarget(h, &s.result); err != nil {
		return err
	}
	c, err := e.acquire(context.Background(), epoch)
	if err != nil {
		return err // never: the context has no end
	}
	s.hashimoto(c)
	e.release(c)
	if s.digest != h.MixDigest {
		return &RuleError{
			Rule: RuleSeal, Number: h.Number, Hash: h.Hash,
			Have: "mix digest " + h.MixDigest.Hex(), Want: s.digest.Hex(),
		}
	}
	return nil
}

// NextEpoch returns the first block of the epoch after that of the given
// block: what to give to [Ethash.Prepare] while working on this one.
func (e *Ethash) NextEpoch(number uint64) uint64 {
	from := e.cfg.LongEpochs
	if from != 0 && number >= from {
		return (number/longEpochLength + 1) * longEpochLength
	}
	next := (number/epochLength + 1) * epochLength
	if from != 0 && next > from {
		return from
	}
	return next
}

// epochKey says which cache: sizes grow with the epoch, but the seed with every
// 30,000 blocks, also where epochs have twice as many (ECIP-1099).
type epochKey struct{ epoch, seed uint64 }

// epochOf returns the epoch of a block, and whether there is such an epoch.
func (e *Ethash) epochOf(number uint64) (epochKey, bool) {
	length := uint64(epochLength)
	if e.cfg.LongEpochs != 0 && number >= e.cfg.LongEpochs {
		length = longEpochLength
	}
	epoch := number / length
	// ECIP-1099: "keep using oldEpochLength here so seeds don't overlap", from
	// the first block of the epoch.
	return epochKey{epoch, epoch * (length / epochLength)}, epoch < e.cfg.epochs()
}

// ethashSizes computes the size of cache and dataset (Yellow Paper appendix
// J.2): they grow linearly, down to the next size with a prime number of rows
// or pages. Both together take some ten microseconds, which is why there is
// no table.
func ethashSizes(epoch uint64) (cache, dataset uint64) {
	largest := func(limit, unit uint64) uint64 {
		size := limit - unit
		for !isPrime(size / unit) {
			size -= 2 * unit
		}
		return size
	}
	return largest(cacheInit+cacheGrowth*epoch, rowBytes), largest(datasetInit+datasetGrowth*epoch, pageBytes)
}

// isPrime is for the odd numbers up to 2^28 that sizes ask about.
func isPrime(n uint64) bool {
	for d := uint64(3); d*d <= n; d += 2 {
		if n%d == 0 {
			return false
		}
	}
	return n%2 == 1
}

// seedHash is the seed of a cache (Yellow Paper appendix J.3): zero, hashed as
// often as there were epochs before.
func seedHash(seed uint64) (h common.Hash) {
	for range seed {
		h = Keccak256(h[:])
	}
	return h
}

// fnv is the mixing function of Ethash (Yellow Paper appendix J.3.1), inspired
// by the FNV hash but not one.
func fnv(a, b uint32) uint32 { return a*fnvPrime ^ b }

// start begins the work on s.hash with a nonce (Yellow Paper appendix J.4).
func (s *sealScratch) start(nonce uint64) {
	binary.LittleEndian.PutUint64(s.nonce[:], nonce)
	s.k512.Reset()
	s.k512.Write(s.hash[:])
	s.k512.Write(s.nonce[:])
	s.k512.Read(s.seed[:])
}

// finish computes the result of the work from the seed that start made and the
// mix digest.
func (s *sealScratch) finish() { s.result = s.sum256(s.seed[:], s.digest[:]) }

// hashimoto computes the mix digest from the seed that start made, by way of
// 64 pages of the dataset, which are made from the cache (Yellow Paper
// appendix J.4).
func (s *sealScratch) hashimoto(c *cache) {
	m := &s.mix
	for i := range s.a {
		m[i] = binary.LittleEndian.Uint32(s.seed[4*i:])
		m[i+16] = m[i]
	}
	first := m[0]
	for i := range uint32(accesses) {
		// A page is two items of the dataset, one after the other.
		s.items(c, 2*(fnv(first^i, m[i%32])%c.pages))
		for k := range s.a {
			m[k] = fnv(m[k], s.a[k])
			m[k+16] = fnv(m[k+16], s.b[k])
		}
	}
	for i := 0; i < len(m); i += 4 {
		binary.LittleEndian.PutUint32(s.digest[i:], fnv(fnv(fnv(m[i], m[i+1]), m[i+2]), m[i+3]))
	}
}

// items computes the items i and i+1 of the dataset into s.a and s.b (Yellow
// Paper appendix J.3.3). Each is a chain of 256 loads from random rows of the
// cache, where the next row is known only after the one before, so one item
// alone waits for memory nearly all the time. Going through both chains at once
// lets one load happen while the other is waited for, and working out the next
// row from the one word that decides it, before all the others are mixed, lets
// the next load start that much earlier. Together they take about half the time
// of one item after the other; more than two at once gain nothing.
func (s *sealScratch) items(c *cache, i uint32) {
	a, b := &s.a, &s.b
	*a = c.rows[c.mod(i)]
	*b = c.rows[c.mod(i+1)]
	a[0] ^= i
	b[0] ^= i + 1
	s.sum512(a)
	s.sum512(b)
	nextX := c.mod(fnv(i, a[0]))
	nextY := c.mod(fnv(i+1, b[0]))
	for j := range uint32(datasetParents) {
		x, y := &c.rows[nextX], &c.rows[nextY]
		j++ // past the last one this works out a row that nobody loads
		nextX = c.mod(fnv(i^j, fnv(a[j%16], x[j%16])))
		nextY = c.mod(fnv((i+1)^j, fnv(b[j%16], y[j%16])))
		a.mix(x)
		b.mix(y)
	}
	s.sum512(a)
	s.sum512(b)
}

// mix mixes x into r, word by word. It is what a check does 32,768 times, and
// written out because the compiler does not unroll loops.
func (r *row) mix(x *row) {
	r[0] = r[0]*fnvPrime ^ x[0]
	r[1] = r[1]*fnvPrime ^ x[1]
	r[2] = r[2]*fnvPrime ^ x[2]
	r[3] = r[3]*fnvPrime ^ x[3]
	r[4] = r[4]*fnvPrime ^ x[4]
	r[5] = r[5]*fnvPrime ^ x[5]
	r[6] = r[6]*fnvPrime ^ x[6]
	r[7] = r[7]*fnvPrime ^ x[7]
	r[8] = r[8]*fnvPrime ^ x[8]
	r[9] = r[9]*fnvPrime ^ x[9]
	r[10] = r[10]*fnvPrime ^ x[10]
	r[11] = r[11]*fnvPrime ^ x[11]
	r[12] = r[12]*fnvPrime ^ x[12]
	r[13] = r[13]*fnvPrime ^ x[13]
	r[14] = r[14]*fnvPrime ^ x[14]
	r[15] = r[15]*fnvPrime ^ x[15]
}

// sum512 replaces a row by its Keccak-512 digest.
func (s *sealScratch) sum512(r *row) {
	r.bytes(&s.buf)
	s.k512.Reset()
	s.k512.Write(s.buf[:])
	s.k512.Read(s.buf[:])
	r.set(&s.buf)
}

// mod is x modulo the number of rows, without a division (D. Lemire et al.,
// "Faster remainder by direct computation", 2019: exact for 32 bits).
func (c *cache) mod(x uint32) uint32 {
	hi, _ := bits.Mul64(c.magic*uint64(x), uint64(len(c.rows)))
	return uint32(hi)
}
