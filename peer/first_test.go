package peer

import (
	"net"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/wire"
)

// emptyChain has nothing.
type emptyChain struct{ Chain }

func (emptyChain) AppendAncestors(dst []common.Hash, _ common.Hash, _ int) ([]common.Hash, error) {
	return dst, nil
}

func (emptyChain) AppendBlocks(dst []byte, _ []common.Hash, _, _ int) ([]byte, error) {
	return dst, nil
}

// TestHashesAreServedFirst: of the requests that wait, those for hashes are answered
// before all others, and each kind in order.
func TestHashesAreServedFirst(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	s := New(a, true, &Config{Chain: emptyChain{}})
	served := func(n int) (ids []wire.ID) {
		for range n {
			m, ok, err := s.next()
			if !ok || err != nil {
				t.Fatal(ok, err)
			}
			ids = append(ids, m.ID())
		}
		return ids
	}
	put := func(list ...wire.Message) {
		for _, m := range list {
			if err := s.put(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(wire.GetBlocks{}, wire.GetBlockHashes{Max: 1}, wire.GetPeers{}, wire.GetBlockHashes{Max: 2})
	if got, want := served(3), []wire.ID{wire.IDBlockHashes, wire.IDBlockHashes, wire.IDBlocks}; !slices.Equal(got, want) {
		t.Errorf("served %v, want %v", got, want)
	}
	put(wire.GetBlocks{}, wire.GetBlockHashes{Max: 3})
	if got, want := served(3), []wire.ID{wire.IDBlockHashes, wire.IDPeers, wire.IDBlocks}; !slices.Equal(got, want) {
		t.Errorf("served %v, want %v", got, want)
	}
}
