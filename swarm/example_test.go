package swarm_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/swarm"
)

// neighbour is a Source that takes what is wanted from the files of another node.
type neighbour struct{ other, files *swarm.Files }

func (n *neighbour) Want(wants []swarm.Want) {
	go func() { // a Source must not keep anybody waiting
		for _, w := range wants {
			n.other.Payloads([]common.Hash{w.Address}, func(p []byte) bool {
				if len(p) > 0 {
					n.files.Deliver(context.Background(), []swarm.Chunk{{Address: w.Address, Payload: p}})
				}
				return true
			})
		}
	}()
}

func (n *neighbour) Cancel([]common.Hash) {}

// A file is put at one node and read at another.
func Example() {
	ctx := context.Background()
	alice := swarm.New(new(swarm.Memory), swarm.Options{})
	link := &neighbour{other: alice}
	bob := swarm.New(new(swarm.Memory), swarm.Options{Source: link})
	link.files = bob

	ref, size, err := alice.Put(ctx, "song", strings.NewReader(strings.Repeat("la ", 5000)))
	fmt.Printf("%x…: %d bytes, %v\n", ref[:6], size, err)

	f, err := bob.Open(ctx, ref)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	f.Seek(-9, io.SeekEnd)
	end, err := io.ReadAll(f)
	fmt.Printf("%q, %v\n", end, err)
	// Output:
	// 95198b0b788a…: 15000 bytes, <nil>
	// "la la la ", <nil>
}
