package downloader

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// TestRecent compares with a list of everything that was ever added, of which the last
// ones are remembered.
func TestRecent(t *testing.T) {
	hash := func(i int) (h common.Hash) {
		binary.BigEndian.PutUint64(h[:], uint64(i))
		return h
	}
	r, all := newRecent(), 0
	rng := rand.New(rand.NewPCG(1, 2))
	for all < 4*recentBlocks {
		var run []follower
		for range rng.IntN(3000) {
			f := follower{}
			f.header.Hash, f.header.Number = hash(all), uint64(all)
			run = append(run, f)
			all++
		}
		r.add(run)
		oldest := max(0, all-recentBlocks)
		from := rng.IntN(all + 1)
		var hashes []common.Hash
		for i := from; i < from+5000; i++ {
			hashes = append(hashes, hash(i))
		}
		got, missing := r.append(nil, hashes)
		want := 0 // in front
		if from >= oldest {
			want = min(5000, all-from)
		}
		if len(got) != want {
			t.Fatalf("from %d of %d: %d blocks, want %d", from, all, len(got), want)
		}
		for i := range got {
			if got[i].header.Number != uint64(from+i) {
				t.Fatalf("block %d instead of %d", got[i].header.Number, from+i)
			}
		}
		wantMissing := 5000 - want
		if from < oldest {
			wantMissing = min(5000, oldest-from)
		}
		if missing != wantMissing {
			t.Fatalf("from %d of %d: %d are missing, want %d", from, all, missing, wantMissing)
		}
	}
}
