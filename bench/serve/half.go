package serve

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/swarm"
	"github.com/shoalnet/shoal/wire"
)

// Holds reports whether the provider of a number holds something with the address: each
// holds a half of all there is, at random, and somebody holds it. There are 16.
func Holds(provider int, addr []byte) bool {
	bits := uint16(addr[0])<<8 | uint16(addr[1])
	if bits == 0 {
		return provider == int(addr[2])%Providers
	}
	return bits>>provider&1 == 1
}

// Providers is how many there are.
const Providers = 16

// half is the chunks of a file that one provider holds.
type half struct {
	files    *swarm.Files
	provider int
	sent     *atomic.Int64 // bytes of payloads
}

// Payloads is that of the file, for what the provider holds.
func (h half) Payloads(addrs []common.Hash, yield func(payload []byte) bool) error {
	more := true
	for i := 0; i < len(addrs) && more; i++ {
		if !Holds(h.provider, addrs[i][:]) {
			more = yield(nil)
			continue
		}
		if err := h.files.Payloads(addrs[i:i+1], func(p []byte) bool {
			if more = yield(p); more {
				h.sent.Add(int64(len(p)))
			}
			return more
		}); err != nil {
			return err
		}
	}
	return nil
}

// nothing is the chain of a provider.
type nothing struct{}

func (nothing) AppendAncestors(dst []common.Hash, _ common.Hash, _ int) ([]common.Hash, error) {
	return dst, nil
}

func (nothing) AppendBlocks(dst []byte, _ []common.Hash, _, _ int) ([]byte, error) { return dst, nil }

// chunked cuts the file of a configuration into chunks, which stay in memory.
func chunked(file string) (*swarm.Files, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	files := swarm.New(new(swarm.Memory), swarm.Options{})
	if _, _, err := files.Put(context.Background(), "", f); err != nil {
		return nil, fmt.Errorf("serve: cutting %s into chunks: %w", file, err)
	}
	return files, nil
}

// exchange is that of a provider.
func (h half) exchange() *peer.Exchange {
	return &peer.Exchange{
		Kinds:  map[wire.ContentKind]peer.Kind{wire.ContentChunk: {Addresses: swarm.Addresses, Source: h}},
		Answer: func(context.Context, *peer.Session, peer.ContentAnswer) {},
	}
}
