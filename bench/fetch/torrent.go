package fetch

import (
	"context"
	"net/netip"

	"github.com/anacrolix/torrent"
	"github.com/anacrolix/torrent/metainfo"
	"github.com/anacrolix/torrent/storage"
	"golang.org/x/time/rate"

	"github.com/shoalnet/shoal/bench/serve"
)

// overTorrent fetches the file from all addresses, which are seeds. Unlike by
// default it knows them from the start and may dial them all at once.
func overTorrent(ctx context.Context, cfg *Config) (r Result, err error) {
	info, err := metainfo.LoadFromFile(cfg.Torrent)
	if err != nil {
		return r, err
	}
	tc := serve.Quiet()
	tc.DialRateLimiter = rate.NewLimiter(rate.Inf, 0)
	tc.EstablishedConnsPerTorrent = max(tc.EstablishedConnsPerTorrent, len(cfg.Addrs))
	tc.NoUpload = true
	tc.ListenPort = 0
	tc.DefaultStorage = storage.NewFileOpts(storage.NewFileClientOpts{
		ClientBaseDir: cfg.Dir, PieceCompletion: storage.NewMapPieceCompletion(),
	})
	c, err := torrent.NewClient(tc)
	if err != nil {
		return r, err
	}
	defer c.Close()
	t, err := c.AddTorrent(info)
	if err != nil {
		return r, err
	}
	var peers []torrent.PeerInfo
	for _, a := range cfg.Addrs {
		addr, err := netip.ParseAddrPort(a)
		if err != nil {
			return r, err
		}
		peers = append(peers, torrent.PeerInfo{Addr: peerAddr(addr), Trusted: true})
	}
	t.AddPeers(peers)
	t.DownloadAll()
	select {
	case <-t.Complete().On():
	case <-ctx.Done():
		return r, context.Cause(ctx)
	}
	st := t.Stats()
	r.Duplicates = st.BytesReadData.Int64() - cfg.Bytes
	return r, nil
}

// peerAddr is an address as the BitTorrent client takes it.
type peerAddr netip.AddrPort

func (a peerAddr) String() string { return netip.AddrPort(a).String() }
