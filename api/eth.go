package api

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// ethAPI is the namespace eth, as far as it needs no state: blocks, transactions in
// them, and how the sync goes. It answers from the canonical chain; a block that is
// asked for by its hash may be off it. What is not there is null; receipts and logs that
// should be there and are not are an error.
type ethAPI struct {
	s      *Server
	signer types.Signer
}

func newEth(s *Server) ethAPI { return ethAPI{s, s.cfg.Network.Signer()} }

// ChainId is eth_chainId.
func (a ethAPI) ChainId() hexutil.Uint64 { return hexutil.Uint64(a.s.cfg.Network.ChainID()) }

// BlockNumber is eth_blockNumber: of the head, below which everything is here.
func (a ethAPI) BlockNumber() hexutil.Uint64 { return hexutil.Uint64(a.s.cfg.Store.Head().Number) }

// syncStatus is the answer of eth_syncing while a chain is fetched (schema
// SyncingStatus). The highest block is the head of that chain, which has been
// seen: no claim.
type syncStatus struct {
	Starting hexutil.Uint64 `json:"startingBlock"`
	Current  hexutil.Uint64 `json:"currentBlock"`
	Highest  hexutil.Uint64 `json:"highestBlock"`
}

// Syncing is eth_syncing.
func (a ethAPI) Syncing() any {
	if s := a.s.syncStatus(); s != nil {
		return s
	}
	return false
}

// syncStatus is nil while nothing is fetched.
func (s *Server) syncStatus() *syncStatus {
	from, to, ok := s.cfg.Tracker.span()
	if !ok {
		return nil
	}
	return &syncStatus{hexutil.Uint64(from), hexutil.Uint64(s.cfg.Store.Head().Number), hexutil.Uint64(to)}
}

// resolve turns what a caller may name a block by into its hash. It reports false if
// there is no such block.
func (s *Server) resolve(n rpc.BlockNumber) (common.Hash, bool, error) {
	switch {
	case n == rpc.LatestBlockNumber:
		return s.cfg.Store.Head().Hash, true, nil
	case n == rpc.EarliestBlockNumber:
		n = 0
	case n == rpc.SafeBlockNumber || n == rpc.FinalizedBlockNumber:
		return common.Hash{}, false, errors.New("proof of work has no safe and no finalized blocks")
	case n < 0: // pending: nobody mines here
		return common.Hash{}, false, nil
	}
	h, err := s.cfg.Store.Canonical(uint64(n))
	if errors.Is(err, store.ErrNotFound) {
		return h, false, nil
	}
	return h, err == nil, err
}

// named is resolve for what may be a hash too, which need not be that of a block.
func (s *Server) named(which rpc.BlockNumberOrHash) (common.Hash, bool, error) {
	if n, ok := which.Number(); ok {
		return s.resolve(n)
	}
	h, ok := which.Hash()
	return h, ok, nil
}

// raw returns the bytes of a block that is linked, and its total difficulty; nil if
// there is no such block.
func (s *Server) raw(h common.Hash) ([]byte, *big.Int, error) {
	link, linked, err := s.cfg.Store.Linked(h)
	if err != nil || !linked {
		return nil, nil, err
	}
	raw, err := s.cfg.Store.AppendRaw(nil, h)
	if err != nil {
		return nil, nil, fmt.Errorf("api: block %d: %w", link.Number, err)
	}
	return raw, link.TD.ToBig(), nil
}

// block returns a block that is linked, nil if there is no such block.
func (s *Server) block(h common.Hash) (*types.Block, *big.Int, error) {
	raw, td, err := s.raw(h)
	if err != nil || raw == nil {
		return nil, nil, err
	}
	if s.cfg.Network.Format != chain.FormatFrontier {
		return nil, nil, errOldFormat
	}
	b, err := decode(raw)
	return b, td, err
}

// find is block for a number or a tag.
func (s *Server) find(n rpc.BlockNumber) (*types.Block, *big.Int, error) {
	h, ok, err := s.resolve(n)
	if err != nil || !ok {
		return nil, nil, err
	}
	return s.block(h)
}

// GetBlockByNumber is eth_getBlockByNumber.
func (a ethAPI) GetBlockByNumber(_ context.Context, n rpc.BlockNumber, full bool) (any, error) {
	b, td, err := a.s.find(n)
	return a.shape(b, td, full, err)
}

// GetBlockByHash is eth_getBlockByHash.
func (a ethAPI) GetBlockByHash(_ context.Context, h common.Hash, full bool) (any, error) {
	b, td, err := a.s.block(h)
	return a.shape(b, td, full, err)
}

func (a ethAPI) shape(b *types.Block, td *big.Int, full bool, err error) (any, error) {
	if err != nil || b == nil {
		return null, err
	}
	return shapeBlock(b, td, a.signer, full)
}

// GetBlockTransactionCountByNumber is eth_getBlockTransactionCountByNumber.
func (a ethAPI) GetBlockTransactionCountByNumber(_ context.Context, n rpc.BlockNumber) (any, error) {
	b, _, err := a.s.find(n)
	return count(b, err, func() int { return len(b.Transactions()) })
}

// GetBlockTransactionCountByHash is eth_getBlockTransactionCountByHash.
func (a ethAPI) GetBlockTransactionCountByHash(_ context.Context, h common.Hash) (any, error) {
	b, _, err := a.s.block(h)
	return count(b, err, func() int { return len(b.Transactions()) })
}

// GetUncleCountByBlockNumber is eth_getUncleCountByBlockNumber.
func (a ethAPI) GetUncleCountByBlockNumber(_ context.Context, n rpc.BlockNumber) (any, error) {
	b, _, err := a.s.find(n)
	return count(b, err, func() int { return len(b.Uncles()) })
}

// GetUncleCountByBlockHash is eth_getUncleCountByBlockHash.
func (a ethAPI) GetUncleCountByBlockHash(_ context.Context, h common.Hash) (any, error) {
	b, _, err := a.s.block(h)
	return count(b, err, func() int { return len(b.Uncles()) })
}

func count(b *types.Block, err error, of func() int) (any, error) {
	if err != nil || b == nil {
		return null, err
	}
	return hexutil.Uint64(of()), nil
}

// GetUncleByBlockNumberAndIndex is eth_getUncleByBlockNumberAndIndex.
func (a ethAPI) GetUncleByBlockNumberAndIndex(_ context.Context, n rpc.BlockNumber, i hexutil.Uint) (any, error) {
	b, _, err := a.s.find(n)
	return uncle(b, i, err)
}

// GetUncleByBlockHashAndIndex is eth_getUncleByBlockHashAndIndex.
func (a ethAPI) GetUncleByBlockHashAndIndex(_ context.Context, h common.Hash, i hexutil.Uint) (any, error) {
	b, _, err := a.s.block(h)
	return uncle(b, i, err)
}

func uncle(b *types.Block, i hexutil.Uint, err error) (any, error) {
	if err != nil || b == nil || uint64(i) >= uint64(len(b.Uncles())) {
		return null, err
	}
	return shapeUncle(b.Uncles()[i]), nil
}
