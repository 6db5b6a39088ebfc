// Command checkdemo reads the result of "shoal demo --json" from standard input
// and checks that it is the one that the real blocks of Sepolia have.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// What the first 8192 blocks of Sepolia end in.
const (
	wantBlocks = 8191 // without the genesis block
	wantHash   = "0x8e3e7dc9ef199c05683417b4aa572f0b7a8bcfafca7edb6045baabc01aa4fb0c"
	wantTD     = "14255663800"
	wantPeers  = 4
)

func main() {
	if err := check(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "checkdemo:", err)
		os.Exit(1)
	}
}

// check reads a result, says in a line what it is, and returns all that is wrong
// with it.
func check(in io.Reader, out io.Writer) error {
	var r struct {
		Source string
		Blocks uint64
		Head   struct {
			Number uint64
			Hash   string
			TD     json.Number
		}
		Peers []struct {
			ID     string
			Blocks uint64
		}
		Duplicates *uint64 `json:"duplicate_blocks"`
		Seconds    float64
	}
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return fmt.Errorf("the demo printed no result: %w", err)
	}
	fmt.Fprintf(out, "%d blocks from %d peers in %.2f s: %s\n", r.Blocks, len(r.Peers), r.Seconds, r.Source)
	var wrong []error
	expect := func(what string, got, want any) {
		if got != want {
			wrong = append(wrong, fmt.Errorf("%s: got %v, want %v", what, got, want))
		}
	}
	expect("blocks", r.Blocks, uint64(wantBlocks))
	expect("head number", r.Head.Number, uint64(wantBlocks))
	expect("head hash", r.Head.Hash, wantHash)
	expect("total difficulty", r.Head.TD.String(), wantTD)
	expect("peers", len(r.Peers), wantPeers)
	if r.Duplicates == nil {
		wrong = append(wrong, errors.New("duplicate blocks: not in the result"))
	} else {
		expect("duplicate blocks", *r.Duplicates, uint64(0))
	}
	sum := uint64(0)
	for _, p := range r.Peers {
		if p.Blocks == 0 {
			wrong = append(wrong, fmt.Errorf("peer %s contributed nothing", p.ID))
		}
		sum += p.Blocks
	}
	expect("blocks of all peers", sum, uint64(wantBlocks))
	return errors.Join(wrong...)
}
