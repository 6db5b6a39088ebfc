package main

import (
	"math"
	"runtime/debug"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/node"
)

// memoryOption is the flag about memory.
type memoryOption struct{ text string }

func (o *memoryOption) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.text, "memory", humanize.IBytes(node.DefaultMemory),
		"`size` of the memory to use, such as 512MiB; it decides how many peers there may be")
}

// configure turns the flag into what a node needs, and has the garbage collector
// keep to it, unless the environment says something else (GOMEMLIMIT).
func (o *memoryOption) configure(cfg *node.Config) error {
	size, err := humanize.ParseBytes(o.text)
	if err != nil || size > math.MaxInt64 {
		return usage("--memory %q is not a size, such as 512MiB or 2GiB", o.text)
	}
	if size < node.MinMemory {
		return usage("--memory %s is too little: it takes %s", o.text, humanize.IBytes(node.MinMemory))
	}
	cfg.Memory = int64(size)
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(cfg.Memory)
	}
	return nil
}
