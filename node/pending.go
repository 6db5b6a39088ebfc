package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"golang.org/x/time/rate"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/wire"
)

// The limits of pending transactions.
const (
	// maxPending and maxPendingBytes bound those that are kept; the oldest go first.
	// They are what miners of the time would put into the next few blocks. Ten times
	// more would be 40 MB for who has no use for them but to pass them on.
	maxPending      = 4096
	maxPendingBytes = 4 << 20

	// maxTransaction bounds one of them. A block of the biggest gas limit under proof of
	// work has room for a few of that size.
	maxTransaction = 128 << 10

	// pendingTime is how long a transaction is kept that no block takes up.
	pendingTime = time.Hour

	// signaturesPerSec and signaturesAtOnce bound how many signatures are checked, each a
	// tenth of a millisecond: a hundredth of a core. The main network never had more than
	// twenty transactions a second. What is over is passed over; it may come again.
	signaturesPerSec = 100
	signaturesAtOnce = 2000
)

var (
	errKnown  = errors.New("node: the transaction is known")
	errTooBig = fmt.Errorf("node: a transaction of more than %d bytes", maxTransaction)
	errBusy   = errors.New("node: too many transactions at once")
)

// pending are transactions that no block has taken up. They are well-formed and signed by
// somebody; whether they can be executed nobody can say without the state of accounts. It
// is pure state, which does no I/O and reads no clock.
type pending struct {
	signer     types.Signer
	signatures *rate.Limiter
	all        map[common.Hash]*transaction
	order      []*transaction // the oldest first; those that are gone have no bytes
	bytes      int
}

type transaction struct {
	hash common.Hash
	raw  []byte // as it travels: a list, or a string if it is of a typed kind
	at   time.Time
}

func newPending(net *chain.Network) *pending {
	return &pending{
		signer:     net.Signer(),
		signatures: rate.NewLimiter(signaturesPerSec, signaturesAtOnce),
		all:        make(map[common.Hash]*transaction),
	}
}

// hashOfTransaction returns the hash of a transaction as it travels.
func hashOfTransaction(raw []byte) common.Hash {
	if kind, content, _, err := rlp.Split(raw); err == nil && kind != rlp.List {
		return crypto.Keccak256Hash(content)
	}
	return crypto.Keccak256Hash(raw)
}

// add takes a transaction, which it copies, and its hash. The errors are errKnown,
// errTooBig, errBusy, or say what is wrong with it.
func (p *pending) add(h common.Hash, raw []byte, now time.Time) (*transaction, error) {
	if len(raw) > maxTransaction {
		return nil, errTooBig
	}
	if p.all[h] != nil {
		return nil, errKnown
	}
	var tx types.Transaction
	if err := rlp.DecodeBytes(raw, &tx); err != nil {
		return nil, fmt.Errorf("node: not a transaction: %w", err)
	}
	if !p.signatures.AllowN(now, 1) {
		return nil, errBusy
	}
	if _, err := types.Sender(p.signer, &tx); err != nil {
		return nil, fmt.Errorf("node: a transaction that nobody has signed: %w", err)
	}
	t := &transaction{h, slices.Clone(raw), now}
	p.all[h] = t
	p.order = append(p.order, t)
	p.bytes += len(raw)
	p.trim(now)
	return t, nil
}

// trim forgets what is too old or too much.
func (p *pending) trim(now time.Time) {
	for len(p.order) > 0 {
		t := p.order[0]
		gone := p.all[t.hash] != t
		if !gone && len(p.all) <= maxPending && p.bytes <= maxPendingBytes && now.Sub(t.at) < pendingTime {
			break
		}
		if !gone {
			p.remove(t.hash)
		}
		p.order[0] = nil
		p.order = p.order[1:]
	}
	// What a block has taken up from the middle is let go of now and then.
	if len(p.order) > 2*len(p.all)+64 {
		p.order = slices.DeleteFunc(p.order, func(t *transaction) bool { return p.all[t.hash] != t })
	}
}

// remove forgets a transaction, which a block has taken up.
func (p *pending) remove(h common.Hash) {
	if t := p.all[h]; t != nil {
		delete(p.all, h)
		p.bytes -= len(t.raw)
	}
}

// list appends all that are pending, the oldest first, up to so many bytes.
func (p *pending) list(dst wire.RawList, now time.Time, limit int) wire.RawList {
	p.trim(now)
	for _, t := range p.order {
		if p.all[t.hash] != t {
			continue
		}
		if len(dst)+len(t.raw) > limit {
			break
		}
		dst = append(dst, t.raw...)
	}
	return dst
}
