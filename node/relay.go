package node

import (
	"context"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/lru"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/wire"
)

const (
	// relayInterval is how long transactions are gathered before they are passed on: a
	// message each would cost more than what is in it.
	relayInterval = 200 * time.Millisecond

	// knownTransactions is how many a peer is remembered to know. What is forgotten is
	// sent to it once more at the worst; ten times as much would be a megabyte a peer.
	knownTransactions = 1024

	// answerTransactions bounds an answer to GetTransactions: a polite message (A35).
	answerTransactions = 2 << 20

	// includedBlocks is how many blocks the head may move at once and still be looked
	// through for transactions that are pending. In a sync it moves by thousands, and
	// nobody sends us transactions of the time that they are from.
	includedBlocks = 64
)

// relay passes transactions on: each new one to every peer that is not known to have it.
type relay struct {
	net   *chain.Network
	store *store.Store
	clock func() time.Time
	moves chan store.Move // of the head; a full one means that there is more to come

	mu      sync.Mutex
	pending *pending
	news    []*transaction // that have not been passed on
	known   map[*peer.Session]*lru.BasicLRU[common.Hash, struct{}]
}

func newRelay(cfg *Config) *relay {
	return &relay{
		net: cfg.Network, store: cfg.Store, clock: cfg.Clock, moves: make(chan store.Move, 16),
		pending: newPending(cfg.Network), known: make(map[*peer.Session]*lru.BasicLRU[common.Hash, struct{}]),
	}
}

// run passes on what comes until the context is cancelled.
func (r *relay) run(ctx context.Context) {
	tick := time.NewTicker(relayInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.pass()
		case m := <-r.moves:
			r.included(m)
		case <-ctx.Done():
			return
		}
	}
}

// pass passes the news on.
func (r *relay) pass() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.news) == 0 {
		return
	}
	for s, known := range r.known {
		var list wire.RawList
		for _, t := range r.news {
			if !known.Contains(t.hash) && r.pending.all[t.hash] == t {
				known.Add(t.hash, struct{}{})
				list = append(list, t.raw...)
			}
		}
		if len(list) > 0 {
			s.SendTransactions(list)
		}
	}
	r.news = nil
}

// join begins to pass transactions on to a peer, and asks for those that it has.
func (r *relay) join(s *peer.Session) {
	if !s.Hello().Caps.Has(wire.CapTransactions) { // A39
		return
	}
	known := lru.NewBasicLRU[common.Hash, struct{}](knownTransactions)
	r.mu.Lock()
	r.known[s] = &known
	r.mu.Unlock()
	s.GetTransactions()
}

func (r *relay) leave(s *peer.Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, s)
}

// Pending implements peer.Relay.
func (r *relay) Pending(*peer.Session) wire.RawList {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pending.list(nil, r.clock(), answerTransactions)
}

// Received implements peer.Relay. What is none is passed over: old clients have sent all
// kinds of things, and the limits of a session bound how much of it there is.
func (r *relay) Received(from *peer.Session, list wire.RawList) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.known[from]
	for raw := range list.All() {
		h := hashOfTransaction(raw)
		if known != nil {
			known.Add(h, struct{}{})
		}
		r.take(h, raw)
	}
}

// take makes a transaction pending, which is passed on. It is called with the lock held.
func (r *relay) take(h common.Hash, raw []byte) error {
	t, err := r.pending.add(h, raw, r.clock())
	if err == nil && len(r.news) < maxPending {
		r.news = append(r.news, t)
	}
	return err
}

// moved notes that the head has moved. It does not wait.
func (r *relay) moved(m downloader.HeadMoved) {
	if m.New.Number-m.Ancestor > includedBlocks {
		return
	}
	select {
	case r.moves <- m.Move:
	default: // what is pending is forgotten in time
	}
}

// included forgets the transactions that blocks have taken up.
func (r *relay) included(m store.Move) {
	r.mu.Lock()
	none := len(r.pending.all) == 0
	r.mu.Unlock()
	if none {
		return
	}
	for number := m.Ancestor + 1; number <= m.New.Number; number++ {
		hashes, err := r.transactionsOf(number)
		if err != nil {
			return // the head has moved on; it is only to save memory
		}
		r.mu.Lock()
		for _, h := range hashes {
			r.pending.remove(h)
		}
		r.mu.Unlock()
	}
}

// transactionsOf returns the hashes of the transactions of a canonical block.
func (r *relay) transactionsOf(number uint64) (hashes []common.Hash, err error) {
	hash, err := r.store.Canonical(number)
	if err != nil {
		return nil, err
	}
	raw, err := r.store.AppendRaw(nil, hash)
	if err != nil {
		return nil, err
	}
	b, err := r.net.ParseBlockAs(hash, raw)
	if err != nil {
		return nil, err
	}
	for leaf, err := range b.Transactions() {
		if err != nil {
			return nil, err
		}
		if b.Format() == chain.FormatPoC6 { // the transaction and what came of it
			content, _, err := rlp.SplitList(leaf)
			if err != nil {
				return nil, err
			}
			_, _, rest, err := rlp.Split(content)
			if err != nil {
				return nil, err
			}
			leaf = content[:len(content)-len(rest)]
		}
		hashes = append(hashes, crypto.Keccak256Hash(leaf))
	}
	return hashes, nil
}

// SendTransaction passes a signed transaction on to the peers, in the encoding of
// eth_sendRawTransaction, which it copies, and returns its hash. Whether it can be executed
// nobody here can say. It fails if it is no transaction that somebody has signed for the
// network, is known already or too big, or if there are too many at once. It is safe for
// concurrent use.
func (n *Node) SendTransaction(raw []byte) (common.Hash, error) {
	if len(raw) > 0 && raw[0] < 0xc0 { // of a typed kind: as a string it travels
		enc, err := rlp.EncodeToBytes(raw)
		if err != nil {
			return common.Hash{}, err
		}
		raw = enc
	}
	h := hashOfTransaction(raw)
	r := n.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	return h, r.take(h, raw)
}
