package testbed

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/wire"
)

// Rogue is somebody with real sessions behind which is no real chain. Without its hooks
// it is honest.
type Rogue struct {
	Chain *Branch
	TD    uint256.Int // claimed
	Best  common.Hash // claimed
	Root  common.Hash // its genesis block, as it says
	Seed  uint64      // of the chain that it makes for itself

	// The hooks change what is served. Pause is called before each answer with blocks,
	// Joined after each handshake; both must end with the rogue.
	Ancestry func(start common.Hash, honest []common.Hash) []common.Hash
	Block    func(h common.Hash, honest []byte) []byte // nil: not held
	Pause    func()
	Most     int // blocks in an answer; 0: as many as there are
	Joined   func(ctx context.Context, s *peer.Session)

	ctx      context.Context
	mu       sync.Mutex
	served   int // blocks
	sessions int // that came to a handshake
}

// NewRogue returns one that claims what the chain has, and nothing more yet. The context
// ends it.
func NewRogue(ctx context.Context, c *Branch) *Rogue {
	return &Rogue{Chain: c, TD: c.TD, Best: c.Head().Hash, Root: c.Blocks[0].Hash, ctx: ctx}
}

// ClaimMore makes a rogue claim more than the chain has, so that it is followed.
func (r *Rogue) ClaimMore() { r.TD.AddUint64(&r.TD, 1_000_000) }

// Elsewhere gives it a chain of its own, on top of a block of the one that it has, with
// a claim that nobody beats.
func (r *Rogue) Elsewhere(t testing.TB, from, n int) {
	r.Chain = Grow(t, r.Chain, from, 77+r.Seed, 1, n)
	r.Best = r.Chain.Head().Hash
	r.TD.Lsh(&r.Chain.TD, 8)
}

// Sleep waits, but not beyond the end of the rogue.
func (r *Rogue) Sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.ctx.Done():
	}
}

// Count returns how many blocks it has served, and over how many sessions.
func (r *Rogue) Count() (served, sessions int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.served, r.sessions
}

// Run runs a session over a connection, as the node that it is told to be, and returns
// why it ended.
func (r *Rogue) Run(conn net.Conn, inbound bool, name string, node wire.NodeID, port uint16) error {
	h := &handler{rogue: r}
	defer h.hooks.Wait()
	return peer.New(conn, inbound, &peer.Config{
		Network: r.Chain.Network.ID, Genesis: r.Root, Client: name, Node: node, Port: port,
		Status: func() peer.Status { return peer.Status{TD: r.TD, Head: r.Best} },
		Hashes: chain.HashesOf, Chain: r, Handler: h,
	}).Run(r.ctx)
}

// AppendAncestors implements peer.Chain.
func (r *Rogue) AppendAncestors(dst []common.Hash, h common.Hash, max int) ([]common.Hash, error) {
	answer := r.Chain.Ancestors(h, max)
	if r.Ancestry != nil {
		answer = r.Ancestry(h, answer)
	}
	return append(dst, answer[:min(len(answer), max)]...), nil
}

// serve returns what it sends for a hash.
func (r *Rogue) serve(h common.Hash) []byte {
	var raw []byte
	if i, ok := r.Chain.At[h]; ok {
		raw = slices.Clone(r.Chain.Blocks[i].Raw())
	}
	if r.Block != nil {
		raw = r.Block(h, raw)
	}
	return raw
}

// AppendBlocks implements peer.Chain.
func (r *Rogue) AppendBlocks(dst []byte, hashes []common.Hash, most, limit int) ([]byte, error) {
	if r.Pause != nil {
		r.Pause()
	}
	if r.Most > 0 {
		most = min(most, r.Most)
	}
	begin, n := len(dst), 0
	for _, h := range hashes {
		raw := r.serve(h)
		if raw == nil {
			continue
		}
		if n == most || n > 0 && len(dst)-begin+len(raw) > limit {
			break
		}
		dst = append(dst, raw...)
		n++
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.served += n
	return dst, nil
}

// handler is what one session of a rogue makes of what it receives: it wants nothing.
type handler struct {
	rogue *Rogue
	hooks sync.WaitGroup
}

// Joined and the next ones implement peer.Handler.
func (h *handler) Joined(ctx context.Context, s *peer.Session) {
	r := h.rogue
	r.mu.Lock()
	r.sessions++
	r.mu.Unlock()
	if r.Joined != nil {
		h.hooks.Go(func() { r.Joined(ctx, s) })
	}
}

func (*handler) Hashes(context.Context, *peer.Session, common.Hash, []common.Hash) {}
func (*handler) Blocks(context.Context, *peer.Session, peer.Answer)                {}
func (*handler) Announced(context.Context, *peer.Session, []peer.Block)            {}
func (*handler) Left(*peer.Session, error)                                         {}
