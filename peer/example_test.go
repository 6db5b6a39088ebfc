package peer_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/wire"
)

// one serves a chain of one block, and fetches the block that it is told to.
type one struct {
	raw  []byte
	want common.Hash
}

func (o one) hash() common.Hash { h, _ := chain.HashOf(o.raw); return h }

func (o one) AppendAncestors(dst []common.Hash, _ common.Hash, _ int) ([]common.Hash, error) {
	return dst, nil
}

func (o one) AppendBlocks(dst []byte, hashes []common.Hash, _, _ int) ([]byte, error) {
	if slices.Contains(hashes, o.hash()) {
		dst = append(dst, o.raw...)
	}
	return dst, nil
}

func (o one) Joined(_ context.Context, s *peer.Session) {
	if o.want != (common.Hash{}) {
		s.GetBlocks(1, []common.Hash{o.want})
	}
}

func (o one) Blocks(_ context.Context, s *peer.Session, a peer.Answer) {
	fmt.Printf("%s sent %x in answer to request %d\n", s.Hello().Client, a.Blocks[0].Raw, a.ID)
	s.Disconnect(wire.ReasonRequested)
}

func (one) Hashes(context.Context, *peer.Session, common.Hash, []common.Hash) {}
func (one) Announced(context.Context, *peer.Session, []peer.Block)            {}
func (one) Left(_ *peer.Session, cause error)                                 {}

func Example() {
	server := one{raw: []byte{0xc5, 0xc2, 1, 2, 0xc0, 0xc0}} // a header of two items, and nothing else
	client := one{want: server.hash()}
	config := func(name string, o one) *peer.Config {
		return &peer.Config{
			Client: name, Node: wire.NodeID(fmt.Appendf(nil, "%-64s", name)), Genesis: server.hash(),
			Status: func() peer.Status { return peer.Status{} },
			Hashes: chain.HashesOf, Chain: o, Handler: o,
		}
	}
	here, there := net.Pipe() // two ends of a connection
	var wg sync.WaitGroup
	wg.Go(func() {
		cause := peer.New(there, true, config("herring", server)).Run(context.Background())
		fmt.Println("herring:", cause)
	})
	cause := peer.New(here, false, config("mackerel", client)).Run(context.Background())
	wg.Wait()
	fmt.Println("mackerel:", cause)
	// Output:
	// herring sent c5c20102c0c0 in answer to request 1
	// herring: peer: it disconnected: requested
	// mackerel: peer: we disconnected: requested
}
