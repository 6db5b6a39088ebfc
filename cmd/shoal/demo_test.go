package main

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/api"
)

// TestDemoOfSepolia is the demo as a newcomer runs it, beside the source: the real
// blocks of Sepolia come to an empty node, every peer contributes, and no block
// comes twice.
//
// A machine that stands still for a second makes peers look late, and their work
// is asked for again; so what depends on time may take a few tries. It runs before
// the tests that run side by side.
func TestDemoOfSepolia(t *testing.T) {
	if sepoliaFile() == "" {
		t.Skip("the source of go-ethereum is absent, and with it the blocks of Sepolia")
	}
	const tries = 4
	for _, peers := range []int{4, 1} {
		args := []string{"demo", "--json"}
		if peers == 1 {
			args = append(args, "--peers", "1", sepoliaFile())
		}
		for try := 1; ; try++ {
			p := start(t, args...)
			r := decode[demoReport](t, p.succeed(t))
			want := api.Head{Number: 8191, Hash: common.HexToHash(sepoliaHead), TD: sepoliaTD}
			if r.Network != "sepolia" || r.Blocks != 8191 || r.Head != want || len(r.Peers) != peers {
				t.Fatalf("the demo reports %+v, want the %d blocks up to %v on sepolia, from %d peers", r, want.Number, want, peers)
			}
			idle, sum := 0, uint64(0)
			for _, x := range r.Peers {
				if x.Blocks == 0 || x.Bytes == 0 {
					idle++
				}
				sum += x.Blocks
			}
			if sum != r.Blocks {
				t.Errorf("the shares of the peers are %d blocks together, want %d", sum, r.Blocks)
			}
			t.Logf("%d peers, try %d: %.2f s, %d duplicates, %d idle peers, %v", peers, try, r.Seconds, r.Duplicates, idle, r.Peers)
			if r.Duplicates == 0 && idle == 0 {
				break
			}
			if try == tries {
				t.Errorf("%d peers: %d duplicate blocks and %d peers without a share, at every try; want none; it wrote:\n%s", peers, r.Duplicates, idle, tail(p.all.String()))
				break
			}
		}
	}
}
