package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/swarm"
)

// quotaOption is the flag that bounds the room for files.
type quotaOption struct{ text string }

func (o *quotaOption) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.text, "quota", "0",
		"`size` that files may take on disk, such as 10GB; when it is reached, what is not pinned goes (default: no limit)")
}

func (o *quotaOption) bytes() (int64, error) {
	if o.text == "0" {
		return 0, nil
	}
	return parseSize("--quota", o.text, 16<<20, "")
}

// files opens the files of the data directory.
func (o *options) files(log *slog.Logger, as access, quota int64) (*swarm.Files, *store.Store, error) {
	st, _, err := o.open(log, as)
	if err != nil {
		return nil, nil, err
	}
	return swarm.New(swarm.OnDisk(st), swarm.Options{Quota: quota}), st, nil
}

// parseRef reads a reference as people write them.
func parseRef(text string) (ref common.Hash, err error) {
	b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(b) != common.HashLength {
		return ref, usage("%q is not a reference, which has 64 hexadecimal digits", text)
	}
	return common.Hash(b), nil
}

func newPut() *cobra.Command {
	o := &options{}
	quota := &quotaOption{}
	var name string
	cmd := &cobra.Command{
		Use:   "put FILE",
		Short: "Keep a file, for others to get by its reference",
		Long: `Cut a file into chunks, keep them in the data directory, and print the reference
of the file: the one that Swarm's own tools give to the same bytes. The file stays
until it is unpinned. "-" stands for standard input.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ui, err := o.ui()
			if err != nil {
				return err
			}
			room, err := quota.bytes()
			if err != nil {
				return err
			}
			in, size := os.Stdin, int64(0)
			if args[0] != "-" {
				if in, err = os.Open(args[0]); err != nil {
					return err
				}
				defer in.Close()
				size = fileSize(args[0])
				if name == "" {
					name = filepath.Base(args[0])
				}
			}
			files, st, err := o.files(ui.Logger, makes, room)
			if err != nil {
				return err
			}
			defer closeStore(st, &err)
			b := newBar("putting "+args[0], decor.SizeB1024(0), ui)
			ref, n, err := files.Put(cmd.Context(), name, &countingReader{in, func(done int64) { b.set(done, max(done, size), "") }, 0})
			b.stop()
			if err != nil {
				return fmt.Errorf("put %s: %w", args[0], err)
			}
			return o.result(map[string]any{"reference": hex.EncodeToString(ref[:]), "bytes": n}, func(to io.Writer) {
				fmt.Fprintf(to, "%x\n", ref)
			})
		},
	}
	o.add(cmd)
	quota.add(cmd)
	cmd.Flags().StringVar(&name, "name", "", "`name` to list it under (default: that of the file)")
	return cmd
}

// countingReader tells how much has been read.
type countingReader struct {
	io.Reader
	told func(int64)
	n    int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += int64(n)
	r.told(r.n)
	return n, err
}

func newPin() *cobra.Command {
	o := &options{}
	var name string
	cmd := &cobra.Command{
		Use:   "pin REFERENCE",
		Short: "Keep the file with a reference, whatever happens to the room for files",
		Long: `Keep the file with the reference, or as much of it as there is and will be, until it
is unpinned. To pin it again gives it another name.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return o.onFile(args[0], makes, "pinned", func(f *swarm.Files, ref common.Hash) error {
				return f.Pin(swarm.Pin{Ref: ref, Name: name})
			})
		},
	}
	o.add(cmd)
	cmd.Flags().StringVar(&name, "name", "", "`name` to list it under")
	return cmd
}

func newUnpin() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "unpin REFERENCE",
		Short: "Let a file go",
		Long: `Let the file with the reference go. Its chunks stay until a quota is reached, or until
"shoal ls --collect".`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return o.onFile(args[0], changes, "unpinned", func(f *swarm.Files, ref common.Hash) error { return f.Unpin(ref) })
		},
	}
	o.add(cmd)
	return cmd
}

// onFile does something about the file with a reference, and says what.
func (o *options) onFile(text string, as access, what string, do func(*swarm.Files, common.Hash) error) (err error) {
	ui, err := o.ui()
	if err != nil {
		return err
	}
	ref, err := parseRef(text)
	if err != nil {
		return err
	}
	files, st, err := o.files(ui.Logger, as, 0)
	if err != nil {
		return err
	}
	defer closeStore(st, &err)
	if err := do(files, ref); err != nil {
		return err
	}
	return o.result(map[string]any{"reference": hex.EncodeToString(ref[:]), what: true}, func(to io.Writer) {
		fmt.Fprintf(to, "%s %x\n", what, ref)
	})
}

// listed is how a pinned file looks in JSON.
type listed struct {
	Reference string `json:"reference"`
	Name      string `json:"name"`
	Size      uint64 `json:"bytes"`
	Held      uint64 `json:"held"`
	Known     bool   `json:"known"` // how big it is
	Broken    string `json:"broken,omitempty"`
}

func (l listed) state() string {
	switch {
	case l.Broken != "":
		return "broken"
	case !l.Known:
		return "missing"
	case l.Held < l.Size:
		return fmt.Sprintf("%.1f %%", 100*float64(l.Held)/float64(l.Size))
	}
	return "whole"
}

func newLs() *cobra.Command {
	o := &options{}
	var collect bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the files that are pinned",
		Long: `List the files that are pinned: reference, size, how much is held, name. With --collect,
first remove everything else and give its room back.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ui, err := o.ui()
			if err != nil {
				return err
			}
			as := reads
			if collect {
				as = changes
			}
			files, st, err := o.files(ui.Logger, as, 0)
			if err != nil {
				return err
			}
			defer closeStore(st, &err)
			removed := 0
			if collect {
				if removed, err = files.Collect(cmd.Context()); err != nil {
					return err
				}
			}
			pins, err := files.Pins()
			if err != nil {
				return err
			}
			list := []listed{}
			for _, p := range pins {
				l := listed{Reference: hex.EncodeToString(p.Ref[:]), Name: p.Name, Known: true}
				progress, err := files.Check(cmd.Context(), p.Ref)
				if broken, ok := errors.AsType[*swarm.TreeError](err); ok {
					l.Broken = broken.Error()
				} else if errors.Is(err, swarm.ErrNotHeld) {
					l.Known = false
				} else if err != nil {
					return err
				}
				l.Size, l.Held = progress.Size, progress.Held
				list = append(list, l)
			}
			bytes, err := st.ChunkBytes()
			if err != nil {
				return err
			}
			v := map[string]any{"files": list, "chunks": st.Chunks(), "bytes_on_disk": bytes, "removed": removed}
			return o.result(v, func(to io.Writer) {
				for _, l := range list {
					fmt.Fprintf(to, "%s  %10s  %8s  %q\n", l.Reference, humanize.IBytes(l.Size), l.state(), l.Name)
				}
				if collect {
					fmt.Fprintf(to, "removed %d chunks\n", removed)
				}
				fmt.Fprintf(to, "%d chunks held, %s on disk\n", st.Chunks(), humanize.IBytes(uint64(bytes)))
			})
		},
	}
	o.add(cmd)
	cmd.Flags().BoolVar(&collect, "collect", false, "remove what is not pinned")
	return cmd
}
