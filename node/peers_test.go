package node_test

import (
	"testing"
	"time"

	"github.com/shoalnet/shoal/internal/testbed"
)

// TestWhatWasSent: the bytes that a node has served are counted while a peer is there and
// after it has left, and the node that fetched them says whom the blocks came from.
func TestWhatWasSent(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := testbed.Grow(t, nil, 0, 1, 0, 300)
		server := w.node("server", c, nil)
		client := w.node("client", nil, nil, server.addr)
		client.settled(c)
		sent := server.node.Sent()
		if p := client.last(); sent < p.Bytes {
			t.Errorf("%d bytes were sent, and %d of blocks came", sent, p.Bytes)
		}
		s, ok := client.node.Survey(t.Context())
		if !ok || s.Head != 300 || s.Names[0] != server.addr || !s.Present[0] {
			t.Errorf("up to block %d, by %q", s.Head, s.Names[0])
		}
		client.stop()
		time.Sleep(time.Minute)
		if after := server.node.Sent(); after < sent || len(server.node.Peers()) != 0 {
			t.Errorf("after the peer has left, %d bytes were sent, before %d", after, sent)
		}
	})
}
