package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	datasync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoalnet/shoal/bench/serve"
)

// How many pieces bitswap is asked for at a time: several times what the links hold, and
// no more than a server of it remembers (1024).
const (
	bitswapAsks  = 16
	bitswapBatch = 64
)

// overBitswap fetches the file from all addresses, each of which has a half. Unlike a node
// of IPFS it knows the names of all pieces from the start.
func overBitswap(ctx context.Context, cfg *Config) (r Result, err error) {
	digests, err := os.ReadFile(cfg.Pieces)
	if err != nil {
		return r, err
	}
	at := make(map[cid.Cid]int64)
	var keys []cid.Cid
	for i := 0; i < len(digests); i += 32 {
		id, err := serve.PieceID(digests[i : i+32])
		if err != nil {
			return r, err
		}
		at[id] = int64(i/32) * serve.PieceSize
		keys = append(keys, id)
	}
	f, err := os.Create(filepath.Join(cfg.Dir, "bitswap"))
	if err != nil {
		return r, err
	}
	defer f.Close()
	h, err := serve.QuietHost(libp2p.NoListenAddrs)
	if err != nil {
		return r, err
	}
	defer h.Close()
	exchange := bsnet.NewFromIpfsHost(h)
	held := blockstore.NewBlockstore(datasync.MutexWrap(datastore.NewMapDatastore()))
	bs := bitswap.New(ctx, exchange, nil, held, bitswap.WithServerEnabled(false))
	defer bs.Close()
	if err := connectAll(ctx, h.Connect, cfg.Addrs); err != nil {
		return r, err
	}

	session := bs.NewSession(ctx)
	batches := make(chan []cid.Cid)
	errs := make([]error, bitswapAsks)
	var written atomic.Int64
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for batch := range batches {
				got, err := session.GetBlocks(ctx, batch)
				if err != nil {
					errs[i] = err
					continue
				}
				for b := range got {
					n, err := f.WriteAt(b.RawData(), at[b.Cid()])
					if written.Add(int64(n)); err != nil {
						errs[i] = err
					}
				}
			}
		})
	}
	for len(keys) > 0 {
		n := min(bitswapBatch, len(keys))
		batches <- keys[:n]
		keys = keys[n:]
	}
	close(batches)
	wg.Wait()
	st, err := bs.Stat()
	if err != nil {
		return r, err
	}
	r.Duplicates = int64(st.DataReceived) - cfg.Bytes
	if n := written.Load(); n != cfg.Bytes {
		errs = append(errs, fmt.Errorf("%d bytes have come, want %d", n, cfg.Bytes), ctx.Err())
	}
	return r, errors.Join(append(errs, f.Sync())...)
}

// connectAll connects to all providers.
func connectAll(ctx context.Context, connect func(context.Context, peer.AddrInfo) error, addrs []string) error {
	errs := make([]error, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() {
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				errs[i] = err
				return
			}
			key, err := serve.Identity(i)
			if err != nil {
				errs[i] = err
				return
			}
			id, err := peer.IDFromPrivateKey(key)
			if err != nil {
				errs[i] = err
				return
			}
			a, err := multiaddr.NewMultiaddr("/ip4/" + host + "/tcp/" + port)
			if err != nil {
				errs[i] = err
				return
			}
			errs[i] = connect(ctx, peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{a}})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
