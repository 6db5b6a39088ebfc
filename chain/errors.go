package chain

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// FormatError says that bytes are not a block (or header) of the format they
// were read as. Whoever sent the bytes is to blame.
type FormatError struct {
	Item string // which part of the block, in the terms of the specification
	What string // what is wrong with it
	Err  error  // cause, may be nil
}

func (e *FormatError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("chain: %s: %s: %v", e.Item, e.What, e.Err)
	}
	return fmt.Sprintf("chain: %s: %s", e.Item, e.What)
}

func (e *FormatError) Unwrap() error { return e.Err }

// Rule names a rule that a block can break.
type Rule string

// The rules of body and chain; those of headers and uncles stand where they are
// checked. Each is a constant so that blame, logs and tests use the same word for
// the same thing.
const (
	// RuleTransactionsRoot: the header's transactions root is that of the body.
	// A violation convicts the peer that served the block, not the source of
	// its hash.
	RuleTransactionsRoot Rule = "transactions root"
	// RuleUnclesHash: the header's uncles hash is that of the body. Blame as
	// for RuleTransactionsRoot.
	RuleUnclesHash Rule = "uncles hash"
	// RuleReceiptsRoot: the header's receipts root is that of the receipts. A
	// violation convicts who served the receipts, and says nothing of the block.
	RuleReceiptsRoot Rule = "receipts root"
	// RuleParent: the block names the expected parent.
	RuleParent Rule = "parent hash"
	// RuleNumber: a block's number is its parent's plus one (Yellow Paper,
	// section 4.3.4).
	RuleNumber Rule = "number"
	// RuleTotalDifficulty: total difficulty stays below 2^256.
	RuleTotalDifficulty Rule = "total difficulty"
)

// OfBody reports whether the rule is about the bytes that travel under a hash
// but are not covered by it: then the same hash may still have a valid block,
// and the blame is the server's.
func (r Rule) OfBody() bool { return r == RuleTransactionsRoot || r == RuleUnclesHash }

// RuleError says which rule a well-formed block breaks.
type RuleError struct {
	Rule   Rule
	Number uint64      // of the block that breaks it
	Hash   common.Hash // of the block that breaks it
	Have   string      // what the block says
	Want   string      // what the rule asks for
	Err    error       // cause, may be nil: of an uncle what is wrong with it
}

func (e *RuleError) Error() string {
	s := fmt.Sprintf("chain: block %d (%x…): %s is %s, want %s", e.Number, e.Hash[:4], e.Rule, e.Have, e.Want)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *RuleError) Unwrap() error { return e.Err }
