package api

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/shoalnet/shoal/chain"
)

// debugAPI is the namespace debug: the bytes as they travel, of any format.
type debugAPI struct{ s *Server }

// GetRawBlock is debug_getRawBlock: the RLP of a block.
func (a debugAPI) GetRawBlock(_ context.Context, which rpc.BlockNumberOrHash) (hexutil.Bytes, error) {
	h, known, err := a.s.named(which)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, errNoBlock
	}
	raw, _, err := a.s.raw(h)
	if err == nil && raw == nil {
		err = errNoBlock
	}
	return raw, err
}

// GetRawHeader is debug_getRawHeader: the RLP of a header.
func (a debugAPI) GetRawHeader(ctx context.Context, which rpc.BlockNumberOrHash) (hexutil.Bytes, error) {
	raw, err := a.GetRawBlock(ctx, which)
	if err != nil {
		return nil, err
	}
	content, _, err := rlp.SplitList(raw)
	if err != nil {
		return nil, fmt.Errorf("api: a stored block: %w", err)
	}
	_, rest, err := rlp.SplitList(content)
	if err != nil {
		return nil, fmt.Errorf("api: a stored header: %w", err)
	}
	return content[:len(content)-len(rest)], nil
}

// GetRawReceipts is debug_getRawReceipts: each receipt of a block as it stands in the
// trie of receipts (EIP-2718).
func (a debugAPI) GetRawReceipts(ctx context.Context, which rpc.BlockNumberOrHash) ([]hexutil.Bytes, error) {
	raw, err := a.GetRawBlock(ctx, which)
	if err != nil {
		return nil, err
	}
	if a.s.cfg.Network.Format != chain.FormatFrontier {
		return nil, errOldFormat
	}
	b, err := a.s.cfg.Network.ParseBlock(raw)
	if err != nil {
		return nil, fmt.Errorf("api: a stored block: %w", err)
	}
	if raw, err = a.s.receiptBytes(b.ReceiptRoot); err != nil {
		return nil, err
	}
	rest, _, err := rlp.SplitList(raw)
	out := []hexutil.Bytes{}
	for err == nil && len(rest) > 0 {
		item := rest
		var kind rlp.Kind
		var content []byte
		kind, content, rest, err = rlp.Split(item)
		if kind == rlp.List {
			content = item[:len(item)-len(rest)]
		}
		out = append(out, content)
	}
	if err != nil {
		return nil, fmt.Errorf("api: stored receipts of block %d: %w", b.Number, err)
	}
	return out, nil
}

// errNoBlock is what the namespace debug says of a block that is not here, and of
// pending, which there is none of.
var errNoBlock = &codedError{-32001, "block not found"}

// codedError is an error with a code of JSON-RPC.
type codedError struct {
	code int
	text string
}

func (e *codedError) Error() string  { return e.text }
func (e *codedError) ErrorCode() int { return e.code }
