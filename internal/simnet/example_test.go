package simnet_test

import (
	"context"
	"fmt"

	"github.com/shoalnet/shoal/internal/simnet"
)

// Two peers, one of which stalls halfway: the other one does the rest.
func Example() {
	s, err := simnet.Parse([]byte(`{
		"blocks": 2000, "bytes": 10000,
		"peers": [
			{"count": 1, "mbit": 8, "rtt": 40},
			{"count": 1, "mbit": 8, "rtt": 40, "stall": 0.5}
		]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := simnet.Run(context.Background(), s, simnet.Options{Policy: simnet.Shoal, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d blocks, ideal time %.0f s\n", r.Blocks, r.Ideal)
	fmt.Println("efficiency above 95 %:", r.Efficiency > 0.95)
	// Output:
	// 2000 blocks, ideal time 15 s
	// efficiency above 95 %: true
}
