package chaingen

import (
	"errors"
	"fmt"
	"iter"

	"github.com/shoalnet/shoal/chain"
)

// Config says which chain to generate. The zero value is a chain of empty blocks
// on the genesis block of [chain.Dev].
type Config struct {
	// Network is whose chain it is; nil means chain.Dev.
	Network *chain.Network
	// Seed chooses one of 2^64 chains of this shape.
	Seed uint64
	// Parent is the block that the first generated block continues; nil means
	// the network's genesis block. See From.
	Parent *chain.Block
	// Blocks is how many blocks [Generate] yields. A [Generator] takes no notice
	// of it: it never ends.
	Blocks uint64
	// Txs is the number of transactions in a block. 0 means as many as give
	// Size with about 1,000 bytes each.
	Txs int
	// Size is the size in bytes that a block should have, which it meets within
	// a few bytes for each transaction. Blocks do not get smaller than their
	// header and their transactions without payload, 113 bytes each. 0 means
	// such transactions, Txs of them.
	Size int
	// Shape, if not nil, takes the place of Txs and Size for the block of the
	// given number. For chains that can be continued anywhere it must depend
	// on the number only.
	Shape func(number uint64) (txs, size int)
	// UncleEvery makes every block whose number is a multiple of it list one
	// uncle, a sibling of its parent. 0 means no uncles. A block on the genesis
	// block never has one.
	UncleEvery uint64
	// Interval is the mean time between blocks in seconds. 0 means the value
	// at which the difficulty about stays as it is: 13, in the 2014 format 5.
	// Of two branches, the one with the shorter interval gets heavier.
	Interval uint64
	// Clock is the time of the next block, in seconds since 1970, unless its parent is as
	// young; nil: the time is drawn from Interval.
	Clock func() uint64
}

// From returns the configuration with another parent: the start of a fork, or
// of the rest of a chain.
func (c Config) From(parent *chain.Block) Config {
	c.Parent = parent
	return c
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	n := c.network()
	switch n.Format {
	case chain.FormatFrontier, chain.FormatPoC6:
	default:
		errs = append(errs, fmt.Errorf("chaingen: blocks of format %v cannot be generated", n.Format))
	}
	if c.Parent == nil {
		if _, err := n.GenesisBlock(); err != nil {
			errs = append(errs, fmt.Errorf("chaingen: %w", err))
		}
	} else if c.Parent.Format() != n.Format {
		errs = append(errs, fmt.Errorf("chaingen: parent has format %v, network %s has %v", c.Parent.Format(), n.Name, n.Format))
	}
	if c.Txs < 0 || c.Size < 0 {
		errs = append(errs, errors.New("chaingen: Txs and Size must not be negative"))
	}
	return errors.Join(errs...)
}

func (c *Config) network() *chain.Network {
	if c.Network == nil {
		return chain.Dev
	}
	return c.Network
}

func (c *Config) interval() uint64 {
	switch {
	case c.Interval > 0:
		return c.Interval
	case c.network().Format == chain.FormatPoC6:
		return 5
	}
	return 13
}

func (c *Config) shape(number uint64) (txs, size int) {
	txs, size = c.Txs, c.Size
	if c.Shape != nil {
		txs, size = c.Shape(number)
	}
	return max(txs, 0), max(size, 0)
}

// Generate yields c.Blocks blocks in order, without the parent. It panics if c
// is not valid, for it is meant for tests. Use [New] for an error.
func Generate(c Config) iter.Seq[*chain.Block] {
	g, err := New(c)
	if err != nil {
		panic(err)
	}
	return g.Blocks(c.Blocks)
}
