package chain

import (
	"fmt"
	"math"

	"github.com/holiman/uint256"
)

const (
	// gasLimitDivisor: from one block to the next the gas limit changes by less
	// than 1/1024 (Yellow Paper, section 4.3.4).
	gasLimitDivisor = 1024
	// minGasLimit is the least gas limit (Yellow Paper, section 4.3.4).
	minGasLimit = 5000
	// maxGasLimit is the greatest one (EIP-1985).
	maxGasLimit = math.MaxInt64
	// poc6MinGasLimit is where the gas limit of 2014 stops falling (protocol 30
	// specification, section 4.1).
	poc6MinGasLimit = 125000

	// elasticity is how often the gas target goes into the gas limit, and
	// baseFeeDivisor bounds the change of the base fee, by 1/8 a block
	// (EIP-1559).
	elasticity     = 2
	baseFeeDivisor = 8
	// initialBaseFee is the base fee of the London block, in wei (EIP-1559).
	initialBaseFee = 1_000_000_000
)

// checkGasLimit checks the gas limit against the parent's.
func (n *Network) checkGasLimit(parent, h *Header) error {
	if n.Format == FormatPoC6 {
		if want := poc6GasLimit(parent); !want.IsUint64() || want.Uint64() != h.GasLimit {
			return h.breaks(RuleGasLimit, fmt.Sprint(h.GasLimit), want.Dec())
		}
		return nil
	}
	base := parent.GasLimit
	// EIP-1559: in the London block the limit doubles, so that the target is
	// what the limit was.
	if n.Forks.London.Active(h.Number) && !n.Forks.London.Active(parent.Number) {
		base = min(base, math.MaxUint64/elasticity) * elasticity
	}
	// Yellow Paper, section 4.3.4: |limit - parent's| < parent's / 1024.
	room := base / gasLimitDivisor
	if room > 0 {
		least := max(base-room+1, minGasLimit)
		most := min(base, maxGasLimit-room+1) + room - 1
		if least <= h.GasLimit && h.GasLimit <= most {
			return nil
		}
		if least <= most {
			return h.breaks(RuleGasLimit, fmt.Sprint(h.GasLimit), fmt.Sprintf("%d to %d", least, most))
		}
	}
	return h.breaks(RuleGasLimit, fmt.Sprint(h.GasLimit), fmt.Sprintf("what cannot be after one of %d", parent.GasLimit))
}

// poc6GasLimit is the gas limit on top of parent in 2014, which left the miner no
// choice (protocol 30 specification, section 4.1).
func poc6GasLimit(parent *Header) uint256.Int {
	var limit, used uint256.Int
	limit.Mul(uint256.NewInt(parent.GasLimit), uint256.NewInt(1023))
	used.Mul(uint256.NewInt(parent.GasUsed), uint256.NewInt(6))
	used.Div(&used, uint256.NewInt(5))
	limit.Add(&limit, &used)
	limit.Rsh(&limit, 10)
	if limit.LtUint64(poc6MinGasLimit) {
		limit.SetUint64(poc6MinGasLimit)
	}
	return limit
}

// checkBaseFee checks the base fee of a header that has one.
func (n *Network) checkBaseFee(parent, h *Header) error {
	want, ok := n.BaseFee(parent)
	switch {
	case !ok:
		return h.breaks(RuleBaseFee, h.BaseFee.Dec(), "over 256 bits")
	case want != h.BaseFee:
		return h.breaks(RuleBaseFee, h.BaseFee.Dec(), want.Dec())
	}
	return nil
}

// BaseFee returns the base fee in wei that a block on top of parent must have,
// if it has one (EIP-1559). Of the parent it reads number, gas limit, gas used
// and base fee. It reports false if the fee has more than 256 bits.
func (n *Network) BaseFee(parent *Header) (fee uint256.Int, ok bool) {
	if !n.Forks.LondonAsParent && !n.Forks.London.Active(parent.Number) {
		return *uint256.NewInt(initialBaseFee), true
	}
	fee = parent.BaseFee
	target := parent.GasLimit / elasticity
	if target == 0 || parent.GasUsed == target {
		return fee, true
	}
	up := parent.GasUsed > target
	gap := target - parent.GasUsed
	if up {
		gap = parent.GasUsed - target
	}
	// fee * gap // target // 8, which is fee * gap // (target * 8), with the
	// product in 512 bits.
	var delta, divisor uint256.Int
	divisor.Mul(uint256.NewInt(target), uint256.NewInt(baseFeeDivisor))
	if _, over := delta.MulDivOverflow(&fee, uint256.NewInt(gap), &divisor); over {
		return fee, false
	}
	if !up {
		// gap <= target: it stays above zero.
		fee.Sub(&fee, &delta)
		return fee, true
	}
	if delta.IsZero() {
		delta.SetOne()
	}
	_, over := fee.AddOverflow(&fee, &delta)
	return fee, !over
}
