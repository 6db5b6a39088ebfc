package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Kind is a client.
type Kind string

// The clients.
const (
	HTTP       Kind = "http"       // from the first address
	Torrent    Kind = "torrent"    // from all
	Bitswap    Kind = "bitswap"    // from all, each of which has half
	Raw        Kind = "raw"        // from all, each its share
	Sequential Kind = "sequential" // protocol 30 from the first address
	Blast      Kind = "blast"      // zeros from all for some time, to see what the links carry
)

// Config says what is to be fetched.
type Config struct {
	Kind  Kind
	Addrs []string
	Dir   string // where it goes
	Bytes int64  // how many, from the beginning of the file

	Torrent string        // description of the file
	Pieces  string        // file with the digests of its pieces
	Shares  []float64     // of each address; they add up to 1
	Time    time.Duration // of a blast
	Windows []int         // of it, in bytes, for each address
	Head    common.Hash   // at which the sequential client is done
	Request int64         // bytes of one request of it
}

// Result is what came of it.
type Result struct {
	Seconds    float64   // from the first connection to the last byte on disk
	Duplicates int64     // bytes that came more than once
	Rates      []float64 // of a blast, in bytes a second
}

// Argument makes the lab's binary a client.
const Argument = "fetch"

// Run is the process of a client.
func Run(ctx context.Context, in io.Reader, out io.Writer) error {
	var cfg Config
	if err := json.NewDecoder(in).Decode(&cfg); err != nil {
		return fmt.Errorf("fetch: reading the configuration: %w", err)
	}
	clients := map[Kind]func(context.Context, *Config) (Result, error){
		HTTP: overHTTP, Torrent: overTorrent, Bitswap: overBitswap, Raw: overTCP, Sequential: sequentially, Blast: blast,
	}
	client := clients[cfg.Kind]
	if client == nil || len(cfg.Addrs) == 0 {
		return fmt.Errorf("fetch: there is no kind %q, or nobody to fetch from", cfg.Kind)
	}
	began := time.Now()
	r, err := client(ctx, &cfg)
	if err != nil {
		return fmt.Errorf("fetch: %s: %w", cfg.Kind, err)
	}
	r.Seconds = time.Since(began).Seconds()
	return json.NewEncoder(out).Encode(r)
}

// overHTTP fetches the file from one server.
func overHTTP(ctx context.Context, cfg *Config) (r Result, err error) {
	f, err := os.Create(filepath.Join(cfg.Dir, "http"))
	if err != nil {
		return r, err
	}
	defer f.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cfg.Addrs[0]+"/", nil)
	if err != nil {
		return r, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=0-%d", cfg.Bytes-1))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, resp.Body, make([]byte, bufferSize))
	if err == nil && n != cfg.Bytes {
		err = fmt.Errorf("%s: %d bytes, want %d", resp.Status, n, cfg.Bytes)
	}
	return r, errors.Join(err, f.Sync())
}

// bufferSize is that of a careful program.
const bufferSize = 1 << 20

// overTCP fetches from each address its share, all at once.
func overTCP(ctx context.Context, cfg *Config) (r Result, err error) {
	f, err := os.Create(filepath.Join(cfg.Dir, "raw"))
	if err != nil {
		return r, err
	}
	defer f.Close()
	errs := make([]error, len(cfg.Addrs))
	var wg sync.WaitGroup
	var from int64
	for i, addr := range cfg.Addrs {
		n := int64(cfg.Shares[i] * float64(cfg.Bytes))
		if i == len(cfg.Addrs)-1 {
			n = cfg.Bytes - from
		}
		at := from
		from += n
		wg.Go(func() {
			conn, err := ask(ctx, addr, 0, at, n)
			if err == nil {
				defer conn.Close()
				var got int64
				got, err = io.CopyBuffer(struct{ io.Writer }{io.NewOffsetWriter(f, at)}, io.LimitReader(conn, n), make([]byte, bufferSize))
				if err == nil && got != n {
					err = io.ErrUnexpectedEOF
				}
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return r, errors.Join(append(errs, f.Sync())...)
}

// ask asks a raw server for a part of its file, or for zeros. The window is how much of
// it may be on its way, 0 for as much as the system sees fit.
func ask(ctx context.Context, addr string, window int, from, n int64) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if window > 0 {
		err = conn.(*net.TCPConn).SetReadBuffer(window)
	}
	if err == nil {
		_, err = fmt.Fprintf(conn, "%d %d\n", from, n)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// warmUp is how long a blast goes before it counts: TCP has filled the link by then.
const warmUp = 700 * time.Millisecond

// blast measures the goodput of all links at once, as a download uses them. No more is on
// its way than their queues hold: else TCP loses half a second of packets at the start,
// whatever has come behind them is read when they have been sent again, and a link seems
// to carry more by a quarter.
func blast(ctx context.Context, cfg *Config) (r Result, err error) {
	r.Rates = make([]float64, len(cfg.Addrs))
	errs := make([]error, len(cfg.Addrs))
	var wg sync.WaitGroup
	for i, addr := range cfg.Addrs {
		wg.Go(func() {
			conn, err := ask(ctx, addr, cfg.Windows[i], -1, 0)
			if err != nil {
				errs[i] = err
				return
			}
			defer conn.Close()
			began := time.Now()
			conn.SetReadDeadline(began.Add(warmUp + cfg.Time))
			buf := make([]byte, bufferSize)
			var first time.Time
			var n int64
			for {
				m, err := conn.Read(buf)
				if err != nil {
					break // the deadline
				}
				now := time.Now()
				if first.IsZero() {
					if now.Sub(began) >= warmUp {
						first = now
					}
					continue
				}
				n += int64(m)
				r.Rates[i] = float64(n) / now.Sub(first).Seconds()
			}
			if r.Rates[i] == 0 {
				errs[i] = fmt.Errorf("nothing came from %s", addr)
			}
		})
	}
	wg.Wait()
	return r, errors.Join(errs...)
}
