package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoalnet/shoal/internal/memnet"
)

// pair returns both ends of a connection in memory.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	sea := memnet.New()
	l, err := sea.Host("10.0.0.1").Listen(1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = sea.Host("10.0.0.2").Dial(t.Context(), "10.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// only lets in some keys.
func only(ids ...ID) func(ID) bool { return func(id ID) bool { return slices.Contains(ids, id) } }

// receive lets somebody in, or not, while another plays the other side.
func receive(t *testing.T, k *Key, may func(ID) bool, other func(net.Conn)) (*Conn, error) {
	t.Helper()
	client, server := pair(t)
	var wg sync.WaitGroup
	wg.Go(func() { other(client) })
	c, err := k.Server(t.Context(), server, may)
	wg.Wait()
	return c, err
}

// TestLink: both sides know whom they speak to, and what one says comes to the other, also
// after it has said that it says no more.
func TestLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newKey(t), newKey(t)
		said := strings.Repeat("blocks ", 100_000)
		s, err := receive(t, b, only(a.ID()), func(conn net.Conn) {
			c, err := a.Client(t.Context(), conn, b.ID())
			if err != nil {
				t.Error(err)
				return
			}
			if c.Peer() != b.ID() {
				t.Errorf("it is %v there", c.Peer())
			}
			go func() {
				defer c.Close()
				io.WriteString(c, said)
				c.CloseWrite()
				if heard, err := io.ReadAll(c); err != nil || string(heard) != "goodbye" {
					t.Errorf("heard %q: %v", heard, err)
				}
			}()
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if s.Peer() != a.ID() || s.RemoteAddr().String() == "" {
			t.Errorf("%v has come", s.Peer())
		}
		if heard, err := io.ReadAll(s); err != nil || string(heard) != said {
			t.Errorf("heard %d bytes: %v", len(heard), err)
		}
		io.WriteString(s, "goodbye")
		s.CloseWrite()
		synctest.Wait()
	})
}

// TestStranger: who is not let in learns that, and so does who finds somebody else.
func TestStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newKey(t), newKey(t), newKey(t)
		_, err := receive(t, b, only(c.ID()), func(conn net.Conn) {
			s, err := a.Client(t.Context(), conn, b.ID())
			if err != nil {
				t.Error("who dials finds the one whom it expects:", err)
				return
			}
			defer s.Close()
			if _, err := s.Read(make([]byte, 1)); !errors.Is(err, ErrRefused) {
				t.Errorf("who is not let in hears %v", err)
			}
		})
		if e, ok := errors.AsType[*StrangerError](err); !ok || e.ID != a.ID() {
			t.Errorf("a stranger: %v", err)
		}

		_, err = receive(t, b, only(a.ID()), func(conn net.Conn) {
			_, err := a.Client(t.Context(), conn, c.ID())
			if e, ok := errors.AsType[*StrangerError](err); !ok || e.ID != b.ID() || e.Want != c.ID() {
				t.Errorf("somebody else: %v", err)
			}
		})
		if err == nil || !strings.Contains(err.Error(), "bad certificate") {
			t.Errorf("taken for somebody else: %v", err)
		}
	})
}

// TestPlain: whoever does not speak TLS is told from whoever has a wrong key, by either side.
func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newKey(t), newKey(t)
		hello := []byte{0x22, 0x40, 0x08, 0x91, 0, 0, 0, 4, 1, 2, 3, 4}
		_, err := receive(t, b, only(a.ID()), func(conn net.Conn) {
			defer conn.Close()
			conn.Write(hello)
			io.Copy(io.Discard, conn)
		})
		if err != ErrPlain {
			t.Errorf("who dials in plain: %v", err)
		}
		client, server := pair(t)
		go server.Write(hello)
		if _, err := a.Client(t.Context(), client, b.ID()); err != ErrPlain {
			t.Errorf("who listens in plain: %v", err)
		}
	})
}

// TestSlow: a handshake has its time, whether nothing comes or too little, on either side.
// One that the context ends is over at once.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKey(t)
		silent := func(conn net.Conn) { io.Copy(io.Discard, conn) }
		drip := func(conn net.Conn) {
			// A record of 200 bytes that may be a ClientHello, a byte a second.
			for _, b := range append([]byte{22, 3, 1, 0, 200, 1, 0, 0, 196}, make([]byte, 200)...) {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
			t.Error("it may take its time")
		}
		for name, other := range map[string]func(net.Conn){"silent": silent, "drip": drip} {
			began := time.Now()
			client, server := pair(t)
			go other(client)
			if _, err := k.Server(t.Context(), server, only()); err != ErrTimeout || time.Since(began) != handshakeTimeout {
				t.Errorf("%s client: %v after %v", name, err, time.Since(began))
			}
		}
		began := time.Now()
		client, server := pair(t)
		go silent(server)
		if _, err := k.Client(t.Context(), client, k.ID()); err != ErrTimeout || time.Since(began) != handshakeTimeout {
			t.Errorf("silent server: %v after %v", err, time.Since(began))
		}

		began = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		client, server = pair(t)
		go silent(client)
		if _, err := k.Server(ctx, server, only()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("cancelled: %v after %v", err, time.Since(began))
		}
		time.Sleep(time.Minute) // all others have seen the end
	})
}

// TestTooMuch: who has not proved yet who it is cannot make us read much.
func TestTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t)
		go func() {
			record := []byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff} // of 16 KiB, the first of a message of 64
			record = append(record, make([]byte, 5+0x4000-len(record))...)
			for {
				if _, err := client.Write(record); err != nil {
					return
				}
				copy(record[5:], make([]byte, 4))
			}
		}()
		_, err := newKey(t).Server(t.Context(), server, only())
		if err == nil || !strings.Contains(err.Error(), "more than 16384 bytes") {
			t.Errorf("%v", err)
		}
		synctest.Wait()
	})
}

// TestForged: a key that somebody only shows, and does not have, opens nothing. Nor does one
// without proof, without key, in an older TLS or for something else. What the certificate
// around the key says, such as when it ended, does not matter.
func TestForged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newKey(t), newKey(t), newKey(t)
		form := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Unix(1, 0), NotAfter: time.Unix(2, 0), DNSNames: []string{"example.org"}}
		expired, err := x509.CreateCertificate(nil, form, form, a.cert.Leaf.PublicKey, a.cert.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []struct {
			name string
			cert *tls.Certificate
			tune func(*tls.Config)
			want string // "": let in
		}{
			{name: "as it should be", cert: &a.cert},
			{name: "expired", cert: &tls.Certificate{Certificate: [][]byte{expired}, PrivateKey: a.cert.PrivateKey}},
			{name: "with another's key", cert: &tls.Certificate{Certificate: a.cert.Certificate, PrivateKey: c.cert.PrivateKey}, want: "invalid signature"},
			{name: "behind a stranger's certificate", cert: &tls.Certificate{Certificate: [][]byte{c.cert.Certificate[0], expired}, PrivateKey: c.cert.PrivateKey}, want: c.ID().String()},
			{name: "without a key", want: "didn't provide a certificate"},
			{name: "TLS 1.2", cert: &a.cert, tune: func(cfg *tls.Config) { cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, want: "versions"},
			{name: "for something else", cert: &a.cert, tune: func(cfg *tls.Config) { cfg.NextProtos = []string{"h2"} }, want: "application protocols"},
			{name: "for nothing", cert: &a.cert, tune: func(cfg *tls.Config) { cfg.NextProtos = nil }, want: "not shoal/30 inside"},
		} {
			_, err := receive(t, b, only(a.ID()), func(conn net.Conn) {
				defer conn.Close()
				cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{Protocol}}
				if x.cert != nil {
					cfg.Certificates = []tls.Certificate{*x.cert}
				}
				if x.tune != nil {
					x.tune(cfg)
				}
				s := tls.Client(conn, cfg)
				if s.Handshake() == nil && x.want != "" {
					io.Copy(io.Discard, s)
				}
			})
			if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
				t.Errorf("%s: %v, want %q", x.name, err, x.want)
			}
		}
	})
}

// TestNoTickets: nobody comes in with what an earlier link has left.
func TestNoTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newKey(t), newKey(t)
		cfg := &tls.Config{
			InsecureSkipVerify: true, NextProtos: []string{Protocol}, Certificates: []tls.Certificate{a.cert},
			ServerName: "b", ClientSessionCache: tls.NewLRUClientSessionCache(10),
		}
		for range 3 {
			s, err := receive(t, b, only(a.ID()), func(conn net.Conn) {
				s := tls.Client(conn, cfg)
				if err := s.Handshake(); err != nil {
					t.Error(err)
				}
				go io.Copy(io.Discard, s)
				if s.ConnectionState().DidResume {
					t.Error("an old session goes on")
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			binary.Write(s, binary.BigEndian, uint64(1))
			s.Close()
			synctest.Wait()
		}
		if _, ok := cfg.ClientSessionCache.Get("b"); ok {
			t.Error("tickets are given out")
		}
	})
}
