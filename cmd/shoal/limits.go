package main

import (
	"math"
	"os"
	"runtime/debug"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/node"
)

// limitOptions are the flags about what a node may use.
type limitOptions struct {
	memory, download, upload string
	maxPeers                 int
}

func (o *limitOptions) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.memory, "memory", humanize.IBytes(node.DefaultMemory),
		"`size` of the memory to use, such as 512MiB; it decides how many peers there may be")
	f.IntVar(&o.maxPeers, "max-peers", 0,
		"largest `number` of peers at once, those that connect to us included (default: as many as --memory has room for, up to 64)")
	f.StringVar(&o.download, "download-limit", "0",
		"`bytes` a second to receive from all peers together, such as 10MB or 500KiB; 0: no limit")
	f.StringVar(&o.upload, "upload-limit", "0",
		"`bytes` a second to send to all peers together, shared evenly among them; 0: no limit")
}

// gcPercent is how much garbage gathers before it is collected, in percent of what is in
// use. The memory of blocks serves again without the collector and has no pointers for it
// to follow, so that a collection takes three milliseconds and all of them a fortieth of
// what a sync takes of the processor. A quarter of what Go does by itself saves a third of
// the memory; a tenth of it would cost four times as much for a sixth more.
const gcPercent = 25

// configure turns the flags into what a node needs, which gets what is not reserved of the
// memory, and has the garbage collector keep to all of it, unless the environment says
// something else (GOMEMLIMIT, GOGC).
func (o *limitOptions) configure(cfg *node.Config, reserved int64) (err error) {
	memory, err := parseSize("--memory", o.memory, uint64(node.MinMemory+reserved), "")
	if err != nil {
		return err
	}
	cfg.Memory = memory - reserved
	if cfg.Download, err = parseRate("--download-limit", o.download); err != nil {
		return err
	}
	if cfg.Upload, err = parseRate("--upload-limit", o.upload); err != nil {
		return err
	}
	switch room := node.RoomFor(cfg.Memory); {
	case o.maxPeers < 0:
		return usage("--max-peers %d: want a number of peers, or 0", o.maxPeers)
	case o.maxPeers > room:
		return usage("--max-peers %d: --memory %s has room for %d, each at its worst; %d peers take --memory %dMiB",
			o.maxPeers, o.memory, room, o.maxPeers, (node.MemoryFor(o.maxPeers)+reserved)>>20)
	}
	cfg.MaxPeers = o.maxPeers
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(memory)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	return nil
}

// parseSize reads a number of bytes that must be at least so many.
func parseSize(flag, text string, least uint64, per string) (int64, error) {
	size, err := humanize.ParseBytes(text)
	if err != nil || size > math.MaxInt64 {
		return 0, usage("%s %q is not a size%s, such as 512MiB or 2GB", flag, text, per)
	}
	if size < least {
		return 0, usage("%s %s is too little: it takes %s%s", flag, text, humanize.IBytes(least), per)
	}
	return int64(size), nil
}

// parseRate reads a number of bytes a second, 0 for any.
func parseRate(flag, text string) (int64, error) {
	size := strings.TrimSuffix(text, "/s")
	if size == "0" {
		return 0, nil
	}
	return parseSize(flag, size, node.MinRate, " a second")
}
