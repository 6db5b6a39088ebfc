package chaingen

import (
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
)

const (
	// A block that comes later than this many seconds after its parent lowers
	// the difficulty, an earlier one raises it.
	frontierDurationLimit = 13 // Yellow Paper of July 2015, section 4.3.4
	poc6DurationLimit     = 5  // protocol 30

	// minDifficulty is the floor of Frontier. In 2014 there was none; what is
	// kept there is that the steps do not vanish.
	minDifficulty     = 131072
	poc6MinDifficulty = 1024

	// poc6MinGasLimit is where the gas limit of 2014 stops falling.
	poc6MinGasLimit = 125000

	// txGas is the gas of every generated transaction.
	txGas = 21000

	// startTime is when a chain starts whose genesis block has no time:
	// 6 September 2014.
	startTime = 1410000000
)

// nextTime draws the time of the block after parent, evenly from 1 to twice the
// interval less one second after it.
func (g *Generator) nextTime(parent *chain.Header) uint64 {
	base := parent.Time
	if base == 0 {
		base = startTime
	}
	// The modulo prefers small values by less than 2^-40.
	return base + 1 + g.rng.Uint64()%(2*g.cfg.interval()-1)
}

// adjust sets the fields of h that follow from its parent's. For Frontier this
// is the difficulty of the first release, without the bomb of later years.
func adjust(format chain.Format, parent, h *chain.Header) {
	limit, shift, least := uint64(frontierDurationLimit), uint(11), uint64(minDifficulty)
	h.GasLimit = parent.GasLimit
	if format == chain.FormatPoC6 {
		limit, shift, least = poc6DurationLimit, 10, poc6MinDifficulty
		h.MinGasPrice.SetUint64(10_000_000_000_000)
		// Protocol 30: it follows 6/5 of the usage, by 1/1024 a block.
		h.GasLimit = max(poc6MinGasLimit, (parent.GasLimit*1023+parent.GasUsed*6/5)/1024)
	}
	var step uint256.Int
	step.Rsh(&parent.Difficulty, shift)
	if h.Time < parent.Time+limit {
		h.Difficulty.Add(&parent.Difficulty, &step)
	} else {
		h.Difficulty.Sub(&parent.Difficulty, &step)
	}
	if h.Difficulty.LtUint64(least) {
		h.Difficulty.SetUint64(least)
	}
	if h.Items == 16 {
		h.BaseFee = nextBaseFee(parent)
	}
}

// nextBaseFee is the rule of EIP-1559, as far as gas used does not exceed the
// gas limit.
func nextBaseFee(parent *chain.Header) uint256.Int {
	fee := parent.BaseFee
	target := parent.GasLimit / 2
	if target == 0 || parent.GasUsed == target {
		return fee
	}
	up := parent.GasUsed > target
	gap := target - parent.GasUsed
	if up {
		gap = parent.GasUsed - target
	}
	var delta uint256.Int
	delta.Mul(&fee, uint256.NewInt(gap))
	delta.Div(&delta, uint256.NewInt(target))
	delta.Rsh(&delta, 3)
	if !up {
		fee.Sub(&fee, &delta)
		return fee
	}
	if delta.IsZero() {
		delta.SetOne()
	}
	fee.Add(&fee, &delta)
	return fee
}
