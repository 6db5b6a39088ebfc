package serve

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/ipfs/boxo/bitswap/network/bsnet"
	bitswap "github.com/ipfs/boxo/bitswap/server"
	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	datasync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
)

// PieceSize is how many bytes of a file bitswap moves at once: as many as a chunk has.
const PieceSize = 4096

// PieceID is the name of a piece with a digest (SHA-256).
func PieceID(digest []byte) (cid.Cid, error) {
	h, err := multihash.Encode(digest, multihash.SHA2_256)
	return cid.NewCidV1(cid.Raw, h), err
}

// Identity is the key of the bitswap node of a provider.
func Identity(provider int) (crypto.PrivKey, error) {
	seed := [ed25519.SeedSize]byte{byte(provider), 1}
	return crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
}

// QuietHost is a node of libp2p that speaks TCP in clear text, which saves it work, with
// those that it is told of.
func QuietHost(opts ...libp2p.Option) (host.Host, error) {
	return libp2p.New(append(opts, libp2p.NoSecurity, libp2p.DisableRelay(), libp2p.DisableMetrics(),
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()), libp2p.ResourceManager(&network.NullResourceManager{}))...)
}

// bitswapNode serves half of the pieces of a file to whoever comes to the listener, until
// stop is called. The node itself is on this machine, and what comes is passed on to it.
func bitswapNode(l net.Listener, file string, provider int) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			cancel()
		}
	}()
	held := blockstore.NewBlockstore(datasync.MutexWrap(datastore.NewMapDatastore()))
	if err := holdHalf(ctx, held, file, provider); err != nil {
		return nil, fmt.Errorf("serve: bitswap: %w", err)
	}
	key, err := Identity(provider)
	if err != nil {
		return nil, err
	}
	h, err := QuietHost(libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		return nil, fmt.Errorf("serve: bitswap: %w", err)
	}
	exchange := bsnet.NewFromIpfsHost(h)
	s := bitswap.New(ctx, exchange, held)
	exchange.Start(s)
	to, err := h.Addrs()[0].ValueForProtocol(multiaddr.P_TCP)
	if err != nil {
		return nil, err
	}
	go accept(l, func(c net.Conn) { passOn(c, net.JoinHostPort("127.0.0.1", to)) })
	return func() {
		cancel()
		exchange.Stop()
		s.Close()
		h.Close()
	}, nil
}

// holdHalf reads the pieces that a provider holds.
func holdHalf(ctx context.Context, held blockstore.Blockstore, file string, provider int) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		piece := make([]byte, PieceSize)
		n, err := io.ReadFull(f, piece)
		if n > 0 {
			digest := sha256.Sum256(piece[:n])
			if Holds(provider, digest[:]) {
				id, err := PieceID(digest[:])
				if err != nil {
					return err
				}
				b, err := blocks.NewBlockWithCid(piece[:n], id)
				if err == nil {
					err = held.Put(ctx, b)
				}
				if err != nil {
					return err
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// passOn connects a connection with an address.
func passOn(c net.Conn, to string) {
	defer c.Close()
	d, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(d, struct{ io.Reader }{c}) // not around Read
		d.(*net.TCPConn).CloseWrite()
	})
	io.Copy(c, d)
	c.Close()
	both.Wait()
	d.Close()
}
