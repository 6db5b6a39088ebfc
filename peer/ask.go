package peer

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/wire"
)

func (s *Session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// GetBlocks asks for at most [wire.MaxBlocks] blocks. The answer comes to
// Handler.Blocks with the id.
func (s *Session) GetBlocks(id uint64, hashes []common.Hash) {
	list := wire.HashListOf(hashes)
	s.mu.Lock()
	s.mu.asked.add(id, hashes)
	s.mu.ours = append(s.mu.ours, wire.GetBlocks{HashList: list})
	s.mu.Unlock()
	s.poke()
}

// GetHashes asks for the ancestors of a block, its parent first. More than
// [wire.MaxHashes] are not asked for: old servers would send them.
func (s *Session) GetHashes(start common.Hash, max int) {
	most := uint64(min(max, wire.MaxHashes))
	s.mu.Lock()
	s.mu.hashRequests = append(s.mu.hashRequests, hashRequest{start, most})
	s.mu.ours = append(s.mu.ours, wire.GetBlockHashes{Start: start, Max: most})
	s.mu.Unlock()
	s.poke()
}

// GetPeers asks for addresses of other nodes, unless that has been asked and not been
// answered: the answer may never come (A32). It comes to [Directory.Heard].
func (s *Session) GetPeers() {
	s.mu.Lock()
	asked := s.mu.peersAsked
	if !asked {
		s.mu.peersAsked = true
		s.mu.ours = append(s.mu.ours, wire.GetPeers{})
	}
	s.mu.Unlock()
	if !asked {
		s.poke()
	}
}

// GetTransactions asks for the pending transactions. They come to [Relay.Received], if
// there are any (A33).
func (s *Session) GetTransactions() {
	s.mu.Lock()
	s.mu.ours = append(s.mu.ours, wire.GetTransactions{})
	s.mu.Unlock()
	s.poke()
}

// SendTransactions sends transactions that the other side did not ask for. If it does not
// read those before, they are dropped.
func (s *Session) SendTransactions(list wire.RawList) {
	s.mu.Lock()
	if len(s.mu.transactions)+len(list) <= maxOutgoing {
		s.mu.transactions = append(s.mu.transactions, list...)
	}
	s.mu.Unlock()
	s.poke()
}

// Announce sends a block that the other side did not ask for. The block must not
// change any more. When many announcements wait for a slow peer, the oldest is
// dropped.
func (s *Session) Announce(raw []byte) {
	s.mu.Lock()
	if s.mu.announced++; s.mu.announced > maxAnnounced {
		i := slices.IndexFunc(s.mu.ours, isAnnouncement)
		s.mu.ours = slices.Delete(s.mu.ours, i, i+1)
		s.mu.announced--
	}
	s.mu.ours = append(s.mu.ours, wire.Blocks{RawList: raw})
	s.mu.Unlock()
	s.poke()
}

func isAnnouncement(m wire.Message) bool { return m.ID() == wire.IDBlocks }
