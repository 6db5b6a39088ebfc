package main

import "slices"

// rows are those of the table.
var rows = []row{
	efficiency("P1", "T*/T, 8 peers of 20 Mbit/s, blocks of 20 kB, round trip 50 ms", "equal", 0.95, 0.985),
	efficiency("P2", "T*/T, peers of 1, 2, 4 .. 128 Mbit/s", "mixed", 0.90, 0.95),
	efficiency("P3", "T*/T, 8 equal peers, blocks of 600 B", "tiny", 0.90, 0.95),
	efficiency("P4", "T*/T, 8 equal peers, round trip 200 ms", "rtt200", 0.92, 0.97),
	speedup,
	over("P6", "bytes down, in those of blocks and hashes: the most of all scenarios without faults", 1.005, 1.002, "",
		faultless, func(r *synced) float64 { return r.Down }),
	over("P7", "bytes up, in those of 33 for each block: the most of all scenarios without faults", 1.15, 1.05, "",
		faultless, func(r *synced) float64 { return r.Up }),
	over("P8", "duplicate blocks: the most of all scenarios without faults", 0, 0, "",
		faultless, func(r *synced) float64 { return float64(r.Report.Duplicates) }),
	over("P9", "duplicate bytes, as a share: the most of all scenarios with faults", 0.01, 0.003, "",
		faulty, (*synced).duplicates),
	inflation("P10", "T/T*, 2 of 8 peers stall at 25 %", "stall", 1.10, 1.03),
	inflation("P11", "T/T*, 4 of 8 peers slow down to 1 % at 25 %", "slow", 1.12, 1.04),
	inflation("P12", "T/T*, 2 of 8 peers send one block for each request, after 1 s", "drip", 1.10, 1.04),
	func() row {
		r := inflation("P13", "T/T*, 32 mixed peers of which 3 stall at random times, 7 seeds; the worst ≤ 1.4", "churn32", 1.25, 1.05)
		r.runs, r.limit = 7, 1.40
		return r
	}(),
	liar,
	over("P15", "time of the last hundredth of the bytes, in half a second or 3 % of all, whichever is more: the most of all scenarios", 1, 0.6, "",
		slices.Concat(faultless, faulty), func(r *synced) float64 { return r.Tail / max(0.5, 0.03*r.Seconds) }),
	pending,
	million,
	endless,
	ceiling("P18", "10kB", 0.60, 0.80),
	ceiling("P19", "600B", 0.50, 0.70),
	crowd("P20", 64, 1.15, 1.05),
	crowd("P20b", 256, 1.40, 1.05),
	schedulerCost,
	walkRate,
	overlap,
	killed,
	restart,
	providers,
	providersTwice,
	capped,
	inflation("P28", "T/T*, 2 of 8 peers stall at 95 %", "latestall", 1.08, 1.02),
}
