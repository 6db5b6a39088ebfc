package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
)

func newVerify() *cobra.Command {
	o := &options{}
	seals := &sealOptions{}
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Check chain files without importing them",
		Long: `Check chain files of any kind that "import" reads, and store nothing. All is checked
that can be without executing transactions: the entries of an era1 archive, its
accumulator, block index and name; of each block the transactions root, the uncles hash
and the receipts root; the rules for headers and uncles, total difficulty, seals as
--seals says, and that each block continues the one before it. Name several files in
the order of their blocks, and each must continue the file before it.

What is wrong is said with file, block and offset. The other files are checked all the
same. The exit code is 1 if anything is wrong with any of them.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			ui, err := o.ui()
			if err != nil {
				return err
			}
			if err := seals.check(); err != nil {
				return err
			}
			net, err := o.networkNamed(paths[0])
			if err != nil {
				return err
			}
			opts := seals.importing(net)
			opts.SkipLinks, opts.Receipts = false, true
			v := archive.NewVerifier(net)
			files := []verifiedJSON{}
			damaged := 0
			for _, path := range paths {
				done, err := verifyFile(cmd, v, path, net, opts, ui)
				if ctxErr := cmd.Context().Err(); ctxErr != nil {
					return ctxErr
				}
				f := verifiedJSON{File: path, OK: err == nil}
				if err != nil {
					damaged++
					f.Error = err.Error()
				} else {
					f.describe(done)
				}
				files = append(files, f)
				if o.json {
					continue
				}
				if err := say(fmt.Appendln(nil, f)); err != nil {
					return err
				}
			}
			if err := o.result(map[string]any{"network": net.Name, "files": files, "damaged": damaged}, func(io.Writer) {}); err != nil {
				return err
			}
			if damaged > 0 {
				return fmt.Errorf("of %d files, %d are not as they should be", len(files), damaged)
			}
			return nil
		},
	}
	o.log.add(cmd)
	o.addJSON(cmd)
	cmd.Flags().StringVar(&o.network, "network", "", "`name` of the network (default: what the first file begins with or is called)")
	seals.addPolicy(cmd)
	return cmd
}

// networkNamed returns the network of the flag, that whose genesis block the file begins
// with, or that which an era1 file is named after.
func (o *options) networkNamed(path string) (*chain.Network, error) {
	if o.network == "" {
		name, _, _ := strings.Cut(filepath.Base(path), "-")
		if net, err := chain.NetworkByName(name); err == nil && strings.HasSuffix(path, ".era1") {
			return net, nil
		}
	}
	return o.networkOf(path)
}

func verifyFile(cmd *cobra.Command, v *archive.Verifier, path string, net *chain.Network, opts archive.Options, ui *ui) (archive.Verified, error) {
	r, err := archive.Open(path, net, opts)
	if err != nil {
		return archive.Verified{}, err
	}
	defer r.Close()
	stop := watchFile("verifying "+path, r, ui)
	defer stop()
	return v.Verify(cmd.Context(), r)
}

// verifiedJSON is what is said of a file.
type verifiedJSON struct {
	File     string      `json:"file"`
	OK       bool        `json:"ok"`
	Error    string      `json:"error,omitempty"`
	Kind     string      `json:"kind,omitempty"`
	From     uint64      `json:"from"`
	To       uint64      `json:"to"`
	Blocks   uint64      `json:"blocks"`
	Receipts bool        `json:"receipts"`
	Follows  bool        `json:"follows"` // the file before
	Head     string      `json:"head,omitempty"`
	TD       json.Number `json:"td,omitempty"`
	Root     string      `json:"root,omitempty"`
}

func (f *verifiedJSON) describe(v archive.Verified) {
	f.Kind, f.From, f.To, f.Blocks = v.Kind.String(), v.First, v.Last, v.Blocks
	f.Receipts, f.Follows, f.Head = v.Receipts, v.Follows, v.Head.Hex()
	if v.TD != nil {
		f.TD = json.Number(v.TD.Dec())
	}
	if v.Kind == archive.Era1 {
		f.Root = v.Root.Hex()
	}
}

func (f verifiedJSON) String() string {
	if !f.OK {
		return "BAD   " + f.Error
	}
	s := fmt.Sprintf("good  %s: %s, blocks %d to %d", f.File, f.Kind, f.From, f.To)
	if f.Receipts {
		s += " with receipts"
	}
	if f.TD != "" {
		s += ", total difficulty " + f.TD.String()
	}
	if f.Follows {
		s += ", continues the file before it"
	}
	return s
}
