package simnet

import "slices"

// sizes tells what each block weighs: a function of seed and height, so that
// millions of blocks need no memory.
type sizes struct {
	seed  uint64
	bytes Range
	curve []era
	total int64
	n     int
}

// era is a point of a size curve: from this height on, blocks weigh so much on
// the average.
type era struct {
	height int
	bytes  float64
}

// mainnet is the mean block size of Ethereum's proof-of-work mainnet by height,
// rounded. The first two values are measured on era1 files; the others are estimates
// after public charts of the average block size, not measurements. It adds up to about
// 460 GB. What it is for is the course of the years: half a kilobyte at the
// beginning, a hundred times more at the end.
var mainnet = []era{
	{0, 635}, {8192, 579}, {200_000, 900}, {1_000_000, 1_500}, {2_000_000, 2_000}, {3_000_000, 2_500},
	{3_800_000, 8_000}, {4_300_000, 15_000}, {4_800_000, 25_000}, {6_000_000, 21_000}, {8_000_000, 22_000},
	{9_000_000, 26_000}, {10_000_000, 35_000}, {11_000_000, 43_000}, {12_000_000, 52_000}, {13_000_000, 72_000},
	{14_000_000, 80_000},
}

// curveSpread is how far a block is from the mean of its era at the most.
const curveSpread = 0.75

func newSizes(s *Scenario, seed uint64) *sizes {
	z := &sizes{seed: seed, bytes: s.Bytes, n: s.Blocks}
	if s.Curve == "mainnet" {
		z.curve = mainnet
	}
	for k := range s.Blocks {
		z.total += int64(z.of(k))
	}
	return z
}

// of returns what a block weighs.
func (z *sizes) of(block int) int {
	r := z.bytes
	if z.curve != nil {
		i, found := slices.BinarySearchFunc(z.curve, block, func(e era, b int) int { return e.height - b })
		if !found {
			i--
		}
		mean := z.curve[i].bytes
		r = Range{mean * (1 - curveSpread), mean * (1 + curveSpread)}
	}
	if r.Low == r.High {
		return int(r.Low)
	}
	return max(1, int(r.Low+(r.High-r.Low)*share(z.seed, uint64(block))))
}

// mean returns what a block weighs on the average.
func (z *sizes) mean() float64 { return float64(z.total) / float64(z.n) }

// share hashes two numbers to one in [0, 1).
func share(a, b uint64) float64 { return float64(mix(a*0x9e3779b97f4a7c15+b)>>11) / (1 << 53) }

// mix is the finaliser of splitmix64: every bit of the input moves half of the bits
// of the output.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
