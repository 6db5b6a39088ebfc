package peer

import (
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/wire"
)

// Who walks down a chain asks for what follows the last hash of the answer before. So while
// that answer is on its way and is read, the next one is made, by a goroutine of its own,
// because the writer may have blocks to send meanwhile. What it costs is at most one list
// for each that was asked for, which the limiter has counted, and the memory of one.

// ancestors is a list of hashes: those below start, most of them unless the chain ends.
type ancestors struct {
	start common.Hash
	most  int
	made  chan struct{} // closed when there is what follows
	list  wire.HashList
	err   error
}

func newAncestors(start common.Hash, most int) *ancestors {
	return &ancestors{start: start, most: most, made: make(chan struct{})}
}

// ancestry reuses the memory of lists before they are as on the wire.
var ancestry = sync.Pool{New: func() any { return new([]common.Hash) }}

// make fills the list.
func (a *ancestors) make(chain Chain) {
	defer close(a.made)
	hashes := ancestry.Get().(*[]common.Hash)
	defer ancestry.Put(hashes)
	if *hashes, a.err = chain.AppendAncestors((*hashes)[:0], a.start, a.most); a.err == nil {
		a.list = wire.HashListOf(*hashes)
	}
}

// answerHashes answers a question for hashes, and foresees the next one of somebody who walks.
func (s *Session) answerHashes(r wire.GetBlockHashes) (wire.Message, error) {
	limit := max(s.cfg.Upload.answerBytes(33*serveHashes)/33, leastHashes)
	most := int(min(r.Max, uint64(limit)))
	a := s.foreseen
	if a != nil {
		<-a.made // also if it is of no use: there is one at a time
	}
	if a == nil || a.start != r.Start || a.most < most {
		a = newAncestors(r.Start, most)
		a.make(s.cfg.Chain)
	}
	s.foreseen = nil
	if a.err != nil {
		return nil, fmt.Errorf("peer: serving hashes: %w", a.err)
	}
	list := a.list[:min(len(a.list), 33*most)]
	walks := r.Start == s.walked
	s.walked = common.Hash{}
	if n := list.Len(); n == most && n > 0 { // else that was the end of the chain
		s.walked = list.At(n - 1)
		// A throttled session has time enough, and may give less next time.
		if walks && s.cfg.Upload == nil {
			next := newAncestors(s.walked, most)
			s.foreseen = next
			s.foreseeing.Go(func() { next.make(s.cfg.Chain) })
		}
	}
	return wire.BlockHashes{HashList: list}, nil
}

// forget drops what was foreseen and nobody has asked for. It is called every few seconds; to
// do it in the middle of a walk costs one list.
func (s *Session) forget() {
	if s.foreseen == nil {
		return
	}
	select {
	case <-s.foreseen.made:
		s.foreseen = nil
	default:
	}
}
