package archive

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// Verifier checks chain files, one after the other, that together hold one chain. It
// stores nothing and holds some blocks at a time.
type Verifier struct {
	trail
	known bool // the total difficulty of the last block
}

// NewVerifier returns a verifier for files of a network.
func NewVerifier(net *chain.Network) *Verifier { return &Verifier{trail: trail{net: net}} }

// Verified says what a file holds that is as it should be.
type Verified struct {
	Kind        Kind
	First, Last uint64 // numbers of the first and the last block
	Head        common.Hash
	Blocks      uint64
	Receipts    bool // the receipts of all blocks are there
	// TD is the total difficulty of the last block, nil if nothing tells it. It rests
	// on the word of the first file unless that begins with the genesis block.
	TD *uint256.Int
	// Root is the accumulator root of an era1 file.
	Root common.Hash
	// Follows: the first block stands on the last one of the file before.
	Follows bool
}

// Verify reads the rest of a file and checks all that there is to be checked without
// executing transactions: entries, roots, accumulator, index, the rules for headers and
// uncles, total difficulty, the links between blocks and to the file before, the seals
// that [Options.Seal] stands for, and whether the file has the name that belongs to it.
// The uncles of the first blocks are held against their headers only if the blocks
// before them have not been seen.
//
// The error is an *[Error], or that of the context. After it the next file begins anew.
func (v *Verifier) Verify(ctx context.Context, r *Reader) (done Verified, err error) {
	done.Kind, done.Receipts = r.Kind(), r.Kind() == Era1 && r.opts.Receipts
	done.Follows = v.before != nil
	defer func() {
		if err != nil {
			*v = *NewVerifier(v.net)
		}
	}()
	s := seals{reader: r}
	for bytes := 0; ctx.Err() == nil; {
		b, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return done, err
		}
		if err := v.check(b); err != nil {
			if done.Blocks == 0 && done.Follows {
				err = fmt.Errorf("does not continue the file before it: %w", err)
			}
			return done, r.errorAt(b, err)
		}
		if done.Blocks == 0 {
			done.First = b.Number
		}
		done.Blocks++
		s.add(b)
		if bytes += len(b.Raw()); bytes >= importBytes || len(s.blocks) >= importBlocks {
			if _, err := s.check(); err != nil {
				return done, err
			}
			bytes = 0
		}
	}
	if err := ctx.Err(); err != nil {
		return done, err
	}
	if _, err := s.check(); err != nil {
		return done, err
	}
	done.Last, done.Head, done.Root = v.last.Number, v.last.Hash, r.Root()
	if v.known {
		done.TD = v.last.TD.Clone()
	}
	return done, checkName(r, done)
}

// check checks a block against the one before.
func (v *Verifier) check(b Block) error {
	switch {
	case v.before == nil && b.Number == 0:
		genesis, err := v.net.GenesisBlock()
		if err != nil {
			return err
		}
		if b.Hash != genesis.Hash {
			return ErrGenesis
		}
		v.known = true
		return v.take(b)
	case v.before == nil:
		// Nothing is known of what is before it but what the file says.
		v.known = b.TD != nil
		v.last = store.Link{}
		if v.known {
			v.last.TD.Sub(b.TD, &b.Difficulty)
		}
		return v.take(b)
	case uint64(len(v.before)) < min(b.Number, chain.UncleDepth):
		if err := v.net.CheckLink(&v.before[0].Header, &b.Header); err != nil {
			return err
		}
		return v.take(b)
	}
	return v.follow(b)
}

// era1Names are the names that Era1Name gives.
var era1Names = regexp.MustCompile(`^.+-([0-9]{5,})-([0-9a-f]{8})\.era1$`)

// checkName compares the name of an era1 file with what is in it, if it is one that is
// made of that.
func checkName(r *Reader, done Verified) error {
	name := era1Names.FindStringSubmatch(filepath.Base(r.name))
	if name == nil || done.Kind != Era1 {
		return nil
	}
	wrong := func(what, have, want string) error {
		return &Error{File: r.name, Number: done.First, NumberKnown: true, Err: fmt.Errorf("the name of the file says %s %s, its blocks have %s", what, have, want)}
	}
	if epoch, err := strconv.ParseUint(name[1], 10, 64); err != nil || epoch != done.First/Epoch {
		return wrong("epoch", name[1], fmt.Sprintf("%05d", done.First/Epoch))
	}
	if root := fmt.Sprintf("%x", done.Root[:4]); root != name[2] {
		return wrong("accumulator root", name[2], root)
	}
	return nil
}
