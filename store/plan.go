package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// planRun is how many hashes one plan key holds at most: 16 KiB. A single hash
// read costs the reading of its run, a single hash per key would cost 20 bytes
// and a search step more for each.
const planRun = 512

// planUnsynced is after how many hashes without a sync AppendPlan makes one:
// 2 MiB, about half a second of a fast walk.
const planUnsynced = 64 << 10

// Plan is the chain of hashes that is being fetched. Hashes have an index:
// 0 is the target head, the youngest; each next one is the parent of the one
// before. If the target's number is right, index i has number Number-i.
type Plan struct {
	Head   common.Hash // index 0
	Number uint64      // of Head
	TD     uint256.Int // claimed for Head
	// Len is how many hashes the plan has.
	Len uint64
	// Complete: the walk has arrived at a block that is linked here; the last
	// hash is that block's child. The ancestor's number is Number-Len.
	Complete bool
}

const planSize = 32 + 8 + 32 + 8 + 1 + planSpare

// planSpare is how many bytes of the format have no meaning. Stores that are about have
// them, as zeros.
const planSpare = 16

// encodePlan: head(32) number(8) TD(32) length(8) complete(1) spare(16).
func encodePlan(p *Plan) []byte {
	td := p.TD.Bytes32()
	b := make([]byte, 0, planSize)
	b = append(b, p.Head[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Number)
	b = append(b, td[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Len)
	if p.Complete {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return b[:planSize]
}

func decodePlan(b []byte) (Plan, error) {
	if len(b) != planSize {
		return Plan{}, badValue(prefixMeta, b)
	}
	p := Plan{
		Head:     common.Hash(b[:32]),
		Number:   binary.BigEndian.Uint64(b[32:]),
		Len:      binary.BigEndian.Uint64(b[72:]),
		Complete: b[80] != 0,
	}
	p.TD.SetBytes(b[40:72])
	return p, nil
}

// Plan returns the plan, false if there is none.
func (s *Store) Plan() (Plan, bool) {
	if p := s.plan.Load(); p != nil {
		return *p, true
	}
	return Plan{}, false
}

// StartPlan begins a plan for p.Head, p.Number and p.TD, and drops the one
// before in the same step. The new plan has one hash, p.Head; Len and Complete
// of p are ignored. Durable when it returns.
func (s *Store) StartPlan(p Plan) error {
	p = Plan{Head: p.Head, Number: p.Number, TD: p.TD, Len: 1}
	return s.updatePlan(func(b *pebble.Batch, _ *Plan) (*Plan, bool, error) {
		if err := clearPlan(b); err != nil {
			return nil, false, err
		}
		key := planKey(0)
		return &p, true, b.Set(key[:], p.Head[:], nil)
	})
}

// AppendPlan adds hashes at the old end, each the parent of the one before.
// complete ends the walk: the parent of the last hash of the plan is linked
// here. hashes may then be empty. A power loss may take the last hashes back,
// see the package doc; a completed plan is durable.
func (s *Store) AppendPlan(hashes []common.Hash, complete bool) error {
	return s.updatePlan(func(b *pebble.Batch, old *Plan) (*Plan, bool, error) {
		switch {
		case old == nil:
			return nil, false, ErrNoPlan
		case old.Complete:
			return nil, false, errors.New("store: plan is complete")
		}
		p := *old
		p.Complete = complete
		for rest := hashes; len(rest) > 0; {
			n := min(len(rest), planRun)
			key := planKey(p.Len)
			op := b.SetDeferred(len(key), n*common.HashLength)
			copy(op.Key, key[:])
			for i, h := range rest[:n] {
				copy(op.Value[i*common.HashLength:], h[:])
			}
			if err := op.Finish(); err != nil {
				return nil, false, err
			}
			p.Len += uint64(n)
			rest = rest[n:]
		}
		s.mu.unsynced += uint64(len(hashes))
		return &p, complete || s.mu.unsynced >= planUnsynced, nil
	})
}

// DropPlan removes the plan, if there is one.
func (s *Store) DropPlan() error {
	return s.updatePlan(func(b *pebble.Batch, _ *Plan) (*Plan, bool, error) {
		return nil, true, clearPlan(b)
	})
}

func clearPlan(b *pebble.Batch) error {
	return b.DeleteRange([]byte{prefixPlan}, prefixEnd(prefixPlan), nil)
}

// updatePlan commits what change writes together with the plan it returns.
func (s *Store) updatePlan(change func(b *pebble.Batch, old *Plan) (p *Plan, sync bool, err error)) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	b := s.db.NewBatch()
	defer b.Close()
	p, sync, err := change(b, s.plan.Load())
	if err != nil {
		return err
	}
	if p == nil {
		err = b.Delete(metaKey(metaPlan), nil)
	} else {
		err = b.Set(metaKey(metaPlan), encodePlan(p), nil)
	}
	if err != nil {
		return fmt.Errorf("store: plan: %w", err)
	}
	opts := pebble.NoSync
	if sync {
		opts = pebble.Sync
	}
	if err := s.commit(b, opts); err != nil {
		return err
	}
	s.plan.Store(p)
	return nil
}

// PlanHashes appends the hashes with index from ≤ i < to. It ends early at the
// end of the plan. Any range costs one search plus the copying.
func (s *Store) PlanHashes(dst []common.Hash, from, to uint64) ([]common.Hash, error) {
	if err := s.gate.enter(); err != nil {
		return dst, err
	}
	defer s.gate.leave()
	p := s.plan.Load()
	if p == nil {
		return dst, nil
	}
	if to = min(to, p.Len); from >= to {
		return dst, nil
	}
	dst = slices.Grow(dst, int(to-from))
	// No run has more than planRun hashes: the one that holds from starts here at the
	// earliest. Going back to it would have Pebble copy it.
	lower, upper := planKey(from-min(from, planRun-1)), planKey(to)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower[:], UpperBound: upper[:]})
	if err != nil {
		return dst, fmt.Errorf("store: read plan: %w", err)
	}
	defer it.Close()
	for ok := it.First(); ok && from < to; ok = it.Next() {
		start, v := keyNumber(it.Key()), it.Value()
		if len(v)%common.HashLength != 0 {
			return dst, badValue(prefixPlan, v)
		}
		n := uint64(len(v) / common.HashLength)
		for ; from >= start && from < min(start+n, to); from++ {
			dst = append(dst, common.Hash(v[(from-start)*common.HashLength:][:common.HashLength]))
		}
	}
	if err := it.Error(); err != nil {
		return dst, fmt.Errorf("store: read plan: %w", err)
	}
	return dst, nil
}
