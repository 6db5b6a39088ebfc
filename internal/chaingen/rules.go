package chaingen

import (
	"github.com/shoalnet/shoal/chain"
)

const (
	// poc6MinGasLimit is where the gas limit of 2014 stops falling.
	poc6MinGasLimit = 125000

	// txGas is the gas of every generated transaction.
	txGas = 21000

	// startTime is when a chain starts whose genesis block has no time:
	// 6 September 2014.
	startTime = 1410000000
)

// nextTime is the time of the block after parent: that of the clock, or drawn evenly from
// 1 to twice the interval less one second after it.
func (g *Generator) nextTime(parent *chain.Header) uint64 {
	base := parent.Time
	if base == 0 {
		base = startTime
	}
	if g.cfg.Clock != nil {
		return max(base+1, g.cfg.Clock())
	}
	// The modulo prefers small values by less than 2^-40.
	return base + 1 + g.rng.Uint64()%(2*g.cfg.interval()-1)
}

// adjust sets the fields of h that follow from its parent's, by the rules of the
// network.
func adjust(net *chain.Network, parent, h *chain.Header) {
	h.GasLimit = parent.GasLimit
	if net.Format == chain.FormatPoC6 {
		h.MinGasPrice.SetUint64(10_000_000_000_000)
		// Protocol 30: it follows 6/5 of the usage, by 1/1024 a block.
		h.GasLimit = max(poc6MinGasLimit, (parent.GasLimit*1023+parent.GasUsed*6/5)/1024)
	}
	h.Difficulty = net.Difficulty(parent, h.Time)
	if h.Items == 16 {
		h.BaseFee, _ = net.BaseFee(parent)
	}
}
