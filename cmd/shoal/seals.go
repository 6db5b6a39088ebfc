package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/node"
)

// sealOptions are the flags about seals.
type sealOptions struct {
	policy      string
	checkpoints []string

	which   downloader.Policy // from check on, as trusted
	trusted map[common.Hash]bool
}

func (o *sealOptions) add(cmd *cobra.Command) {
	o.addPolicy(cmd)
	cmd.Flags().StringArrayVar(&o.checkpoints, "checkpoint", nil,
		"`hash` of a block that you trust: it vouches for everything below it, whose seals are not checked; may be given again")
}

func (o *sealOptions) addPolicy(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.policy, "seals", downloader.SealSample.String(),
		"of `which` blocks the proof of work is checked: all, sample (heads, probes, the youngest, one in 100) or none")
}

// check refuses what is no policy and no hash, before a data directory is made.
func (o *sealOptions) check() (err error) {
	if o.which, err = downloader.ParsePolicy(o.policy); err != nil {
		return usage("--seals: %w", err)
	}
	o.trusted = map[common.Hash]bool{}
	for _, s := range o.checkpoints {
		h, err := parseHash(s)
		if err != nil {
			return usage("--checkpoint: %w", err)
		}
		o.trusted[h] = true
	}
	return nil
}

// importing turns the flags into what an import needs. A file has no claim and no
// secret order, so a sample is one block in a hundred; a checkpoint is of no use,
// since what it vouches for comes before it.
func (o *sealOptions) importing(net *chain.Network) archive.Options {
	opts := archive.Options{SkipLinks: true} // Import holds each block against its parent itself
	if sealer := sealerOf(net); sealer != nil && o.which != downloader.SealNone {
		opts.Seal = sealer.CheckSeal
		if o.which == downloader.SealSample {
			opts.Sealed = func(*chain.Block) bool { return rand.IntN(100) == 0 }
		}
	}
	return opts
}

// configure turns the flags into what a node needs.
func (o *sealOptions) configure(cfg *node.Config, net *chain.Network) {
	cfg.Seals, cfg.Checkpoints = o.which, o.trusted
	if last := net.LastBlock.Hash; last != (common.Hash{}) {
		cfg.Checkpoints[last] = true
	}
	cfg.Sealer = sealerOf(net)
}

// sealerOf returns what checks the seals of a network, nil for generated chains,
// which have none.
func sealerOf(net *chain.Network) downloader.Sealer {
	if net.Name == chain.Dev.Name {
		return nil
	}
	var cfg chain.EthashConfig
	if first, ok := net.Forks.Thanos.Block(); ok {
		cfg.LongEpochs = first
	}
	return chain.NewSealer(net.Format, cfg)
}

func parseHash(s string) (h common.Hash, err error) {
	if err := h.UnmarshalText([]byte(s)); err != nil {
		return h, fmt.Errorf("%q is not a hash, which is 0x and 64 hexadecimal digits", s)
	}
	return h, nil
}
