package chain

import (
	"math"

	"github.com/holiman/uint256"
)

const (
	// frontierDurationLimit: a block that comes at least so many seconds after
	// its parent lowers the difficulty, until Homestead (Yellow Paper of July
	// 2015, section 4.3.4).
	frontierDurationLimit = 13
	// poc6DurationLimit is the same in protocol 30 (specification, section 4.1).
	poc6DurationLimit = 5

	// Difficulty changes by 1/2048 of itself a step, in 2014 by 1/1024.
	difficultyShift     = 11
	poc6DifficultyShift = 10

	// maxStepsDown bounds how far the difficulty falls from one block to the
	// next (EIP-2).
	maxStepsDown = 99

	// bombPeriod is how many blocks it takes the bomb to double (Yellow Paper,
	// section 4.3.4).
	bombPeriod = 100_000
)

// minDifficulty is the floor of difficulty since Frontier, D0 in the Yellow
// Paper, section 4.3.4. In 2014 there was none.
var minDifficulty = *uint256.NewInt(131072)

// bombDelay is how many blocks behind the real ones the bomb counts.
func (f *Forks) bombDelay(number uint64) uint64 {
	switch {
	case f.GrayGlacier.Active(number):
		return 11_400_000 // EIP-5133
	case f.ArrowGlacier.Active(number):
		return 10_700_000 // EIP-4345
	case f.London.Active(number):
		return 9_700_000 // EIP-3554
	case f.MuirGlacier.Active(number):
		return 9_000_000 // EIP-2384
	case f.Constantinople.Active(number):
		return 5_000_000 // EIP-1234
	case f.Byzantium.Active(number):
		return 3_000_000 // EIP-649
	}
	return 0
}

// bombNumber returns the block number that the bomb counts with for the given
// block, false if there is no bomb any more.
func (f *Forks) bombNumber(number uint64) (uint64, bool) {
	pause, pauses := f.BombPause.Block()
	resume, _ := f.BombResume.Block()
	switch {
	case f.BombRemoved.Active(number): // ECIP-1041
		return 0, false
	case pauses && f.BombResume.Active(number): // ECIP-1010
		return number - min(number, resume-min(resume, pause)), true
	case f.BombPause.Active(number): // ECIP-1010
		return pause, true
	}
	return number - min(number, f.bombDelay(number)), true
}

// Difficulty returns the difficulty that a block at the given time must have on
// top of parent. Of the parent it reads number, time, difficulty and uncles
// hash. It is defined for all values: a time before the parent's counts as the
// parent's, and what exceeds 256 bits becomes 2^256-1. Neither happens in a
// chain that passes [Network.CheckLink].
func (n *Network) Difficulty(parent *Header, time uint64) uint256.Int {
	if n.FixedDifficulty > 0 {
		return *uint256.NewInt(n.FixedDifficulty)
	}
	late := time - min(time, parent.Time)
	if n.Format == FormatPoC6 {
		// Protocol 30 specification, section 4.1.
		return move(&parent.Difficulty, poc6DifficultyShift, oneStep(late, n.durationLimit()))
	}
	number := parent.Number + 1
	if number == 0 {
		number = math.MaxUint64
	}
	var steps int64
	switch f := &n.Forks; {
	case f.Byzantium.Active(number):
		// EIP-100: max(y - late // 9, -99), y = 2 if the parent has uncles.
		steps = 1
		if parent.HasUncles() {
			steps = 2
		}
		steps -= int64(min(late/9, maxStepsDown+2))
		steps = max(steps, -maxStepsDown)
	case f.Homestead.Active(number):
		// EIP-2: max(1 - late // 10, -99).
		steps = max(1-int64(min(late/10, maxStepsDown+2)), -maxStepsDown)
	default:
		steps = oneStep(late, n.durationLimit())
	}
	d := move(&parent.Difficulty, difficultyShift, steps)
	if d.Lt(&minDifficulty) {
		d = minDifficulty
	}

	// The bomb, or ice age: floor(2^(number/100000 - 2)) more.
	counted, ok := n.Forks.bombNumber(number)
	if periods := counted / bombPeriod; ok && periods >= 2 {
		var bomb uint256.Int
		bomb.SetOne()
		bomb.Lsh(&bomb, uint(min(periods-2, 256)))
		if _, over := d.AddOverflow(&d, &bomb); over || bomb.IsZero() {
			d.SetAllOne()
		}
	}
	return d
}

// durationLimit is the network's limit for [oneStep].
func (n *Network) durationLimit() uint64 {
	switch {
	case n.DurationLimit > 0:
		return n.DurationLimit
	case n.Format == FormatPoC6:
		return poc6DurationLimit
	}
	return frontierDurationLimit
}

// oneStep is the rule before Homestead: up by a step, or down if the block comes
// late.
func oneStep(late, limit uint64) int64 {
	if late >= limit {
		return -1
	}
	return 1
}

// move returns d changed by a number of steps of d>>shift each, at most as many
// as keep it from falling below zero.
func move(d *uint256.Int, shift uint, steps int64) (moved uint256.Int) {
	var by uint256.Int
	by.Rsh(d, shift)
	if steps < 0 {
		by.Mul(&by, uint256.NewInt(uint64(-steps)))
		moved.Sub(d, &by)
		return moved
	}
	by.Mul(&by, uint256.NewInt(uint64(steps)))
	if _, over := moved.AddOverflow(d, &by); over {
		moved.SetAllOne()
	}
	return moved
}
