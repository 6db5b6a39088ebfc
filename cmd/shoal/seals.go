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

// importing turns the flags into what an import needs. A file has no claim and no
// secret order, so a sample is one block in a hundred; a checkpoint is of no use,
// since what it vouches for comes before it.
func (o *sealOptions) importing(net *chain.Network) (opts archive.Options, err error) {
	policy, err := downloader.ParsePolicy(o.policy)
	if err != nil {
		return opts, usage("--seals: %w", err)
	}
	opts.SkipLinks = true // Import holds each block against its parent itself
	if sealer := sealerOf(net); sealer != nil && policy != downloader.SealNone {
		opts.Seal = sealer.CheckSeal
		if policy == downloader.SealSample {
			opts.Sealed = func(*chain.Block) bool { return rand.IntN(100) == 0 }
		}
	}
	return opts, nil
}

// configure turns the flags into what a node needs.
func (o *sealOptions) configure(cfg *node.Config, net *chain.Network) error {
	policy, err := downloader.ParsePolicy(o.policy)
	if err != nil {
		return usage("--seals: %w", err)
	}
	cfg.Seals = policy
	cfg.Checkpoints = map[common.Hash]bool{}
	for _, s := range o.checkpoints {
		h, err := parseHash(s)
		if err != nil {
			return usage("--checkpoint: %w", err)
		}
		cfg.Checkpoints[h] = true
	}
	if last := net.LastBlock.Hash; last != (common.Hash{}) {
		cfg.Checkpoints[last] = true
	}
	cfg.Sealer = sealerOf(net)
	return nil
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
