package serve

import (
	"fmt"
	"net"
	"path/filepath"

	"github.com/anacrolix/log"
	"github.com/anacrolix/torrent"
	"github.com/anacrolix/torrent/metainfo"
	"github.com/anacrolix/torrent/storage"
)

// Quiet returns a configuration of the BitTorrent client in which it speaks to the
// peers it is told and to nobody else, in clear text, which saves it work.
func Quiet() *torrent.ClientConfig {
	cfg := torrent.NewDefaultClientConfig()
	cfg.NoDHT, cfg.DisableTrackers, cfg.DisableUTP, cfg.DisableIPv6, cfg.DisablePEX = true, true, true, true, true
	cfg.DisableWebtorrent, cfg.DisableWebseeds, cfg.NoDefaultPortForwarding = true, true, true
	cfg.HeaderObfuscationPolicy = torrent.HeaderObfuscationPolicy{}
	// It grants memory for requests in the order in which they came but waits for
	// them in any order (v1.59.1): with more requested than the limit, which is 1
	// MiB, it waits for ever.
	cfg.MaxAllocPeerRequestDataPerConn = 64 << 20
	cfg.Logger = log.Default.FilterLevel(log.Disabled)
	return cfg
}

// seed serves the file to whoever comes to the listener, until stop is called.
func seed(l net.Listener, file, description string) (stop func(), err error) {
	info, err := metainfo.LoadFromFile(description)
	if err != nil {
		return nil, fmt.Errorf("serve: %s: %w", description, err)
	}
	unmarshalled, err := info.UnmarshalInfo()
	if err != nil {
		return nil, fmt.Errorf("serve: %s: %w", description, err)
	}
	// That the file is whole is known, it was hashed when it was described.
	whole := storage.NewMapPieceCompletion()
	for i := range unmarshalled.NumPieces() {
		if err := whole.Set(metainfo.PieceKey{InfoHash: info.HashInfoBytes(), Index: i}, true); err != nil {
			return nil, err
		}
	}
	cfg := Quiet()
	cfg.Seed, cfg.DisableTCP = true, true
	cfg.DefaultStorage = storage.NewFileOpts(storage.NewFileClientOpts{
		ClientBaseDir: filepath.Dir(file), PieceCompletion: whole,
	})
	c, err := torrent.NewClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("serve: seed: %w", err)
	}
	c.AddListener(l)
	if _, err := c.AddTorrent(info); err != nil {
		c.Close()
		return nil, fmt.Errorf("serve: seed: %w", err)
	}
	return func() { c.Close() }, nil
}
