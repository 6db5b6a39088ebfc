package memnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoalnet/shoal/internal/memnet"
)

// sea is a network with two hosts, one of which listens.
type sea struct {
	*testing.T
	cod, hake *memnet.Host
	listener  net.Listener
}

func inBubble(t *testing.T, f func(t *testing.T, s *sea)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		s := &sea{T: t, cod: n.Host("10.0.0.1"), hake: n.Host("10.0.0.2")}
		var err error
		if s.listener, err = s.cod.Listen(30303); err != nil {
			t.Fatal(err)
		}
		defer s.listener.Close()
		f(t, s)
	})
}

// connect returns the two ends of a new connection.
func (s *sea) connect() (cod, hake net.Conn) {
	s.Helper()
	hake, err := s.hake.Dial(s.Context(), "10.0.0.1:30303")
	if err != nil {
		s.Fatal(err)
	}
	if cod, err = s.listener.Accept(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		cod.Close()
		hake.Close()
	})
	return cod, hake
}

func (s *sea) write(c net.Conn, data []byte) {
	s.Helper()
	if n, err := c.Write(data); n != len(data) || err != nil {
		s.Fatalf("wrote %d of %d: %v", n, len(data), err)
	}
}

func (s *sea) read(c net.Conn, n int) []byte {
	s.Helper()
	p := make([]byte, n)
	if _, err := io.ReadFull(c, p); err != nil {
		s.Fatal(err)
	}
	return p
}

// took fails if the virtual time since begun is not what it must be.
func (s *sea) took(begun time.Time, want time.Duration) {
	s.Helper()
	if got := time.Since(begun); got != want {
		s.Fatalf("took %v, want %v", got, want)
	}
}

func TestAddresses(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sea) {
		cod, hake := s.connect()
		if got := s.listener.Addr().String(); got != "10.0.0.1:30303" {
			t.Errorf("listens on %s", got)
		}
		if got := cod.LocalAddr().String(); got != "10.0.0.1:30303" {
			t.Errorf("accepted at %s", got)
		}
		if a, ok := cod.RemoteAddr().(*net.TCPAddr); !ok || a.IP.String() != "10.0.0.2" || a.String() != hake.LocalAddr().String() {
			t.Errorf("accepted from %v, dialled from %v", cod.RemoteAddr(), hake.LocalAddr())
		}
		if got := hake.RemoteAddr().String(); got != "10.0.0.1:30303" {
			t.Errorf("dialled %s", got)
		}
		_, second := s.connect()
		if second.LocalAddr().String() == hake.LocalAddr().String() {
			t.Errorf("two connections from %v", second.LocalAddr())
		}
	})
}

// What was written before Close arrives, then the end.
func TestClose(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sea) {
		s.hake.SetDelay(time.Second)
		cod, hake := s.connect()
		s.write(hake, []byte("herrings"))
		hake.Close()
		if got, err := io.ReadAll(cod); string(got) != "herrings" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		for name, err := range map[string]error{
			"reading": second(hake.Read(make([]byte, 1))), "writing": second(hake.Write([]byte("x"))),
			"closing": hake.Close(), "a deadline": hake.SetDeadline(time.Time{}),
		} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after Close: %v", name, err)
			}
		}
	})
}

func second(_ int, err error) error { return err }

// Either end may have said all and still listen.
func TestCloseWrite(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sea) {
		cod, hake := s.connect()
		s.write(hake, []byte("how many?"))
		if err := hake.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(cod); string(got) != "how many?" || err != nil {
			t.Fatalf("read %q, %v", got, err)
		}
		if _, err := hake.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write after CloseWrite: %v", err)
		}
		s.write(cod, []byte("three"))
		cod.Close()
		if got, err := io.ReadAll(hake); string(got) != "three" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

// Closing with something unread, and writing to somebody who has closed, is a
// reset.
func TestReset(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sea) {
		cod, hake := s.connect()
		s.write(hake, []byte("unread"))
		cod.Close()
		if _, err := hake.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read from one who did not read: %v", err)
		}
		if _, err := hake.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write to one who did not read: %v", err)
		}

		cod, hake = s.connect()
		cod.Close()
		s.write(hake, []byte("nobody is there")) // which is not known yet
		if _, err := hake.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("second write to one who has closed: %v", err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sea) {
		cod, hake := s.connect()
		begun := time.Now()
		hake.SetReadDeadline(begun.Add(time.Second))
		_, err := hake.Read(make([]byte, 1))
		if e, ok := errors.AsType[net.Error](err); !errors.Is(err, os.ErrDeadlineExceeded) || !ok || !e.Timeout() {
			t.Errorf("read ended with %v", err)
		}
		s.took(begun, time.Second)

		// A writer waits for a reader, and not for ever.
		big := make([]byte, 1<<20)
		cod.SetWriteDeadline(begun.Add(3 * time.Second))
		n, err := cod.Write(big)
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == len(big) {
			t.Errorf("wrote %d of %d: %v", n, len(big), err)
		}
		s.took(begun, 3*time.Second)

		// Moving it wakes who waits, into the past too.
		hake.SetReadDeadline(time.Time{})
		s.read(hake, n)
		go func() {
			time.Sleep(time.Second)
			hake.SetReadDeadline(time.Unix(1, 0))
		}()
		if _, err := hake.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read ended with %v", err)
		}
		s.took(begun, 4*time.Second)

		// And without one all goes on.
		hake.SetReadDeadline(time.Time{})
		cod.SetWriteDeadline(time.Time{})
		s.write(cod, []byte("on"))
		if got := s.read(hake, 2); string(got) != "on" {
			t.Errorf("read %q", got)
		}
	})
}

// Closing ends the waits of the same end.
func TestCloseWakes(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sea) {
		_, hake := s.connect()
		errs := make(chan error, 2)
		go func() { errs <- second(hake.Read(make([]byte, 1))) }()
		go func() { errs <- second(hake.Write(make([]byte, 1<<20))) }()
		synctest.Wait()
		hake.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		}
	})
}

func TestDelayAndRates(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sea) {
		s.cod.SetDelay(20 * time.Millisecond)
		s.hake.SetDelay(30 * time.Millisecond)
		begun := time.Now()
		cod, hake := s.connect()
		s.took(begun, 100*time.Millisecond) // a round trip

		begun = time.Now()
		s.write(hake, []byte("x"))
		s.read(cod, 1)
		s.took(begun, 50*time.Millisecond)

		// The slower of the two links decides, behind the faster one's first
		// segment.
		s.hake.SetUpload(200_000)
		s.cod.SetDownload(100_000)
		begun = time.Now()
		s.write(hake, make([]byte, 100_000))
		s.read(cod, 100_000)
		s.took(begun, 50*time.Millisecond+time.Second+10*time.Millisecond)

		// A rate changes for what is under way.
		s.hake.SetUpload(1)
		begun = time.Now()
		s.write(hake, make([]byte, 100))
		s.read(cod, 10)
		s.hake.SetUpload(0)
		s.read(cod, 90)
		if took := time.Since(begun); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("ten slow bytes and ninety fast ones took %v", took)
		}
	})
}

// All connections of a host share its link evenly, however much each has to say.
func TestSharing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sea) {
		s.hake.SetUpload(100_000)
		codA, hakeA := s.connect()
		codB, hakeB := s.connect()
		begun := time.Now()
		s.write(hakeA, make([]byte, 200_000))
		s.write(hakeB, make([]byte, 50_000))
		s.read(codB, 50_000)
		if took := time.Since(begun); took < 950*time.Millisecond || took > 1050*time.Millisecond {
			t.Errorf("half of the link brought 50 kB in %v", took)
		}
		s.read(codA, 200_000)
		s.took(begun, 2500*time.Millisecond)
	})
}

func TestCut(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sea) {
		cod, hake := s.connect()
		s.write(cod, []byte("lost"))
		errs := make(chan error, 1)
		go func() { errs <- second(cod.Read(make([]byte, 1))) }()
		synctest.Wait()
		s.cod.Cut()
		for name, err := range map[string]error{
			"waiting read": <-errs, "read": second(hake.Read(make([]byte, 1))), "write": second(hake.Write([]byte("x"))),
		} {
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s ended with %v", name, err)
			}
		}
		s.connect() // the listener is still there
	})
}

func TestSilence(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sea) {
		cod, hake := s.connect()
		s.cod.Silence()
		s.write(hake, []byte("to"))
		s.write(cod, []byte("fro"))
		cod.Close()
		hake.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := hake.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read ended with %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := s.hake.Dial(ctx, "10.0.0.1:30303"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dialling ended with %v", err)
		}
		s.cod.Heal()
		hake.SetReadDeadline(time.Time{})
		if got := s.read(hake, 3); string(got) != "fro" {
			t.Errorf("read %q", got)
		}
		s.connect()
	})
}

func TestDialErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sea) {
		for addr, want := range map[string]error{"10.0.0.1:1": syscall.ECONNREFUSED, "10.9.9.9:1": syscall.EHOSTUNREACH} {
			if _, err := s.hake.Dial(t.Context(), addr); !errors.Is(err, want) {
				t.Errorf("%s: %v", addr, err)
			}
		}
		if _, err := s.hake.Dial(t.Context(), "nowhere"); err == nil {
			t.Error("nowhere was reached")
		}
		if _, err := s.cod.Listen(30303); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("listened twice: %v", err)
		}
		// Who is not accepted is closed with the listener.
		c, err := s.hake.Dial(t.Context(), "10.0.0.1:30303")
		if err != nil {
			t.Fatal(err)
		}
		s.listener.Close()
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read ended with %v", err)
		}
		c.Close()
		if _, err := s.listener.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accepting ended with %v", err)
		}
		if _, err := s.hake.Dial(t.Context(), "10.0.0.1:30303"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialling a closed listener: %v", err)
		}
	})
}

// Whatever the links are like and however the bytes are cut up, they arrive in
// order, in both directions at once.
func TestBytesArriveInOrder(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *sea) {
				r := rand.New(rand.NewPCG(seed, 1))
				cod, hake := s.connect()
				shake := func(h *memnet.Host) {
					h.SetDelay(time.Duration(r.IntN(50)) * time.Millisecond)
					h.SetUpload(memnet.BytesPerSec(r.IntN(2) * (1000 + r.IntN(1e6))))
					h.SetDownload(memnet.BytesPerSec(r.IntN(2) * (1000 + r.IntN(1e6))))
				}
				var wg sync.WaitGroup
				random := rand.NewChaCha8([32]byte{byte(seed)})
				for _, dir := range [][2]net.Conn{{cod, hake}, {hake, cod}} {
					data := make([]byte, r.IntN(1<<20))
					random.Read(data)
					cuts := rand.New(rand.NewPCG(seed, 2))
					wg.Go(func() {
						for rest := data; len(rest) > 0; {
							n := min(len(rest), 1+cuts.IntN(100_000))
							if _, err := dir[0].Write(rest[:n]); err != nil {
								t.Error(err)
								return
							}
							rest = rest[n:]
						}
						dir[0].(interface{ CloseWrite() error }).CloseWrite()
					})
					wg.Go(func() {
						got, err := io.ReadAll(dir[1])
						if err != nil || !bytes.Equal(got, data) {
							t.Errorf("of %d bytes %d came, or not as they were: %v", len(data), len(got), err)
						}
					})
				}
				for range 20 {
					shake(s.cod)
					shake(s.hake)
					if r.IntN(4) == 0 {
						s.cod.Silence()
						time.Sleep(time.Second)
						s.cod.Heal()
					}
					time.Sleep(200 * time.Millisecond)
				}
				wg.Wait()
			})
		})
	}
}
