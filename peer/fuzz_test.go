package peer

import (
	"errors"
	"testing"
	"time"

	"github.com/shoalnet/shoal/wire"
)

// FuzzZ5Session: any bytes in any pieces, after a good Hello or in its place, from a
// side that reads or does not, and closes or does not: the session never panics,
// ends, holds no more than its limits, and blames nobody for what is our fault.
func FuzzZ5Session(f *testing.F) {
	frames := func(ms ...wire.Message) (b []byte) {
		for _, m := range ms {
			b = wire.AppendFrame(b, m)
		}
		return b
	}
	for i, seed := range [][]byte{
		nil,
		frames(wire.Ping{}, wire.Pong{}, wire.GetPeers{}, wire.GetTransactions{}),
		frames(wire.Peers{}, wire.Transactions{}, wire.Unknown{Kind: 0x14}),
		frames(hello()),
		frames(blocks(1, 2, 3), blocks(), blocks(7), blocks(1000)),
		frames(blocks(1), blocks(2), blocks(3), blocks(4, 5, 6, 1000)),
		frames(hashes(9, 8), hashes()),
		frames(hashes(9, 8, 7, 6, 5, 4)),
		frames(wire.GetBlocks{HashList: hashList(1, 2, 1000, 1)}, wire.GetBlockHashes{Start: toyHash(9), Max: 1 << 63}),
		frames(getThings(2, 3), things(1, -1), things(), things(7)),
		frames(things(-1, 2, 3), things(4)),
		frames(wire.Disconnect{Reason: 4}, wire.Ping{}),
		unhex("2240089100000003c20100"),
		unhex("2240089100000003c213c0"),
		unhex("22400891ffffffff"),
		unhex("2240089100a00000fa9ffffc13"),
	} {
		f.Add(seed, byte(i), byte(i*37))
		f.Add(append(frames(hello()), seed...), byte(i), byte(i*37|8))
		f.Add(seed, byte(i), byte(0x11))
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece, how byte) {
		reads, closes, pauses, greets, exchanges := how&1 > 0, how&2 > 0, how&4 > 0, how&8 == 0, how&16 > 0
		inBubble(t, func(t *testing.T) {
			l := &listener{heard: make(chan string, 1<<14)}
			l.then = func(s *Session, _ *Answer) {
				if len(l.heard) == 1 { // joined
					s.GetBlocks(1, toyHashes(1, 2, 3))
					s.GetBlocks(2, toyHashes(4, 5, 6))
					s.GetHashes(toyHash(10), 3)
					if s.Exchanges() {
						s.GetContent(3, wire.ContentChunk, thingAddrs(1, 2))
						s.GetContent(4, wire.ContentChunk, thingAddrs(3))
					}
				}
				if len(l.heard) > cap(l.heard)/2 {
					for len(l.heard) > 1 {
						<-l.heard
					}
				}
			}
			ours, theirs := memPipe(1000)
			cfg := testConfig(ourNode, toyChain{top: 40, pad: 500}, l)
			cfg.Exchange = toyExchange(l, thingSource{payload: evenThings})
			s := New(ours, true, cfg)
			result := make(chan error, 1)
			go func() { result <- s.Run(t.Context()) }()

			done := make(chan bool, 2)
			go func() {
				defer func() { done <- true }()
				if greets {
					h := hello()
					if exchanges {
						h.Caps |= wire.CapContent
					}
					if _, err := theirs.Write(wire.AppendFrame(nil, h)); err != nil {
						return
					}
				}
				for rest := stream; len(rest) > 0; {
					n := min(int(piece)+1, len(rest))
					if _, err := theirs.Write(rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
					if pauses {
						time.Sleep(time.Second)
					}
				}
				if closes {
					theirs.CloseWrite()
				}
			}()
			go func() {
				defer func() { done <- true }()
				in := wire.NewReader(theirs)
				for reads {
					if _, err := in.Next(); err != nil {
						if _, ok := errors.AsType[*wire.FormatError](err); ok {
							t.Errorf("the session sends rubbish: %v", err)
						}
						return
					}
				}
			}()

			begun := time.Now()
			cause := <-result
			slack := 10*time.Minute + time.Duration(len(stream))*time.Second
			if took := time.Since(begun); cause == nil || took > slack {
				t.Errorf("ends by %v after %v", cause, took)
			}
			if l.left != l.joined || l.joined > 1 || l.wrong != "" || l.left == 1 && l.cause != cause {
				t.Errorf("joined %d times, left %d times, %s, %v and %v", l.joined, l.left, l.wrong, l.cause, cause)
			}
			if s.mu.pongs > maxPongs || len(s.mu.serve) > maxPending+1 || s.mu.serveBytes > maxPendingBytes+wire.MaxHashes*33+100 || len(s.mu.ours) > 5 {
				t.Errorf("%d pongs, %d requests, %d of ours wait", s.mu.pongs, len(s.mu.serve), len(s.mu.ours))
			}
			theirs.Close()
			<-done
			<-done
		})
	})
}
