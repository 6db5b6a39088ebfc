package chain

import (
	"context"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/sha3"

	"github.com/ethereum/go-ethereum/common"
)

// row is a row of a cache or an item of the dataset: 64 bytes as little-endian
// words.
type row [rowBytes / 4]uint32

func (r *row) bytes(b *[rowBytes]byte) {
	for i, x := range r {
		binary.LittleEndian.PutUint32(b[4*i:], x)
	}
}

func (r *row) set(b *[rowBytes]byte) {
	for i := range r {
		r[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
}

// cache is the cache of an epoch. It stands in Ethash.mu.caches from the moment
// somebody decides to generate it:
//
//	generating ──▶ ready ──▶ taken out of the table, once nobody uses it
//	     └───────▶ given up (its context ended), taken out at once
//
// Whoever holds it, generating it or checking seals with it, counts in users,
// and a cache with users keeps its place. So there are never more rows in use
// than the table has places.
type cache struct {
	key   epochKey
	done  chan struct{} // closed by the generator, when ready or given up
	ready bool          // set before done is closed

	// Written by the generator; read-only once ready.
	rows  []row
	magic uint64 // see cache.mod
	pages uint32 // of the dataset

	users int    // guarded by Ethash.mu
	used  uint64 // tick of the last use, guarded by Ethash.mu
}

// Prepare sees to it that the cache of a block's epoch is there, so that no
// check of the epoch has to wait. It takes as long as it takes to generate it,
// a second or two of one core, in which checks of other epochs go on: so a
// caller runs it on a goroutine beside them, early enough before the epoch
// begins (see [Ethash.NextEpoch]). If the cache is there, it counts as just
// used and nothing else happens. With [EthashConfig.Caches] = 1 it takes the
// place of the one in use, which is no gain.
//
// The error is the context's if that ended first, or says that no block can
// have the number.
func (e *Ethash) Prepare(ctx context.Context, number uint64) error {
	epoch, ok := e.epochOf(number)
	if !ok {
		return fmt.Errorf("chain: ethash cache for block %d: there are %d epochs only", number, e.cfg.epochs())
	}
	c, err := e.acquire(ctx, epoch)
	if err != nil {
		return err
	}
	e.release(c)
	return nil
}

// acquire returns the cache of an epoch, generating it if nobody has or does. The
// caller gives it back to release. The error is that of the context.
func (e *Ethash) acquire(ctx context.Context, key epochKey) (*cache, error) {
	e.mu.Lock()
	for {
		if c := e.find(key); c != nil {
			e.mu.tick++
			c.used = e.mu.tick
			c.users++
			e.mu.Unlock()
			if err := waitFor(ctx, c.done); err != nil {
				e.release(c)
				return nil, err
			}
			if c.ready {
				return c, nil
			}
			// Whoever was generating it gave up; we try.
			e.mu.Lock()
			continue
		}
		c, ok := e.place(key)
		if ok {
			e.mu.Unlock()
			return c, e.generate(ctx, c)
		}
		// Every place is in use, each for milliseconds or one generation.
		if e.mu.changed == nil {
			e.mu.changed = make(chan struct{})
		}
		changed := e.mu.changed
		e.mu.Unlock()
		if err := waitFor(ctx, changed); err != nil {
			return nil, err
		}
		e.mu.Lock()
	}
}

func waitFor(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives a cache back that acquire returned.
func (e *Ethash) release(c *cache) {
	e.mu.Lock()
	c.users--
	if c.users == 0 {
		e.wake()
	}
	e.mu.Unlock()
}

// wake tells those who wait for a place to look again, by closing mu.changed:
// it has no capacity, nobody sends on it, and who waits makes it. Called with
// mu held.
func (e *Ethash) wake() {
	if e.mu.changed != nil {
		close(e.mu.changed)
		e.mu.changed = nil
	}
}

// find returns the cache with the key, if it is in the table. Called with mu
// held.
func (e *Ethash) find(key epochKey) *cache {
	for _, c := range e.mu.caches {
		if c.key == key {
			return c
		}
	}
	return nil
}

// place puts a new cache in the table, with the caller as its user and
// generator. If the table is full it takes the place and the rows of the least
// recently used one that nobody uses, if there is one. Called with mu held.
func (e *Ethash) place(key epochKey) (*cache, bool) {
	at := -1
	if len(e.mu.caches) < e.cfg.caches() {
		at = len(e.mu.caches)
		e.mu.caches = append(e.mu.caches, nil)
	} else {
		for i, c := range e.mu.caches {
			if c.users == 0 && (at < 0 || c.used < e.mu.caches[at].used) {
				at = i
			}
		}
		if at < 0 {
			return nil, false
		}
	}
	e.mu.tick++
	c := &cache{key: key, done: make(chan struct{}), users: 1, used: e.mu.tick}
	if old := e.mu.caches[at]; old != nil {
		c.rows = old.rows
	}
	e.mu.caches[at] = c
	return c, true
}

// generate fills a cache that place has put in the table. If the context ends
// first, the cache leaves the table and those who wait for it try themselves.
func (e *Ethash) generate(ctx context.Context, c *cache) error {
	size, dataset := e.sizes(c.key.epoch)
	c.resize(int(size / rowBytes))
	c.pages = uint32(dataset / pageBytes)
	err := c.fill(ctx, seedHash(c.key.seed))

	e.mu.Lock()
	defer e.mu.Unlock()
	if c.ready = err == nil; !c.ready {
		for i, other := range e.mu.caches {
			if other == c {
				last := len(e.mu.caches) - 1
				e.mu.caches[i], e.mu.caches[last] = e.mu.caches[last], nil
				e.mu.caches = e.mu.caches[:last]
				break
			}
		}
		c.rows = nil
		e.wake()
	}
	close(c.done)
	return err
}

// resize makes n rows, out of those that were taken over if they are enough.
// Memory is taken in steps of 4 MiB, the growth of 32 epochs: whoever follows
// a chain then fills the same memory again and again.
func (c *cache) resize(n int) {
	const step = 32 * cacheGrowth / rowBytes
	if cap(c.rows) < n {
		c.rows = nil // before there are others
		c.rows = make([]row, n, (n+step-1)/step*step)
	}
	c.rows = c.rows[:n]
	c.magic = ^uint64(0)/uint64(n) + 1
}

// fill computes the rows (Yellow Paper appendix J.3.2): a chain of hashes, then
// three rounds of RandMemoHash over it. Every row needs the one before, so this
// is work for one core only.
func (c *cache) fill(ctx context.Context, seed common.Hash) error {
	// How many rows, a few hundred nanoseconds each, until the context is
	// looked at again.
	const stride = 4096
	var (
		k   = sha3.NewLegacyKeccak512().(keccakState)
		buf = new([rowBytes]byte)
	)
	sum := func(r *row, in []byte) {
		k.Reset()
		k.Write(in)
		k.Read(buf[:])
		r.set(buf)
	}
	in := seed[:]
	for i := range c.rows {
		if i%stride == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		sum(&c.rows[i], in)
		in = buf[:]
	}
	for range cacheRounds {
		before := &c.rows[len(c.rows)-1]
		for i := range c.rows {
			if i%stride == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			r := &c.rows[i]
			other := &c.rows[c.mod(r[0])]
			var x row
			for k := range x {
				x[k] = before[k] ^ other[k]
			}
			x.bytes(buf)
			sum(r, buf[:])
			before = r
		}
	}
	return nil
}
