package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/holiman/uint256"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/wire"
)

const protocol = wire.Version

// options are the flags that commands have in common.
type options struct {
	dataDir string
	network string
	log     logOptions
	json    bool
}

func (o *options) add(cmd *cobra.Command) {
	o.addDataDir(cmd)
	o.addNetwork(cmd)
	o.log.add(cmd)
	o.addJSON(cmd)
}

func (o *options) addDataDir(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.dataDir, "datadir", defaultDataDir(), "`directory` that holds the chain")
}

func (o *options) addNetwork(cmd *cobra.Command) {
	var names []string
	for _, n := range chain.Networks() {
		names = append(names, n.Name)
	}
	cmd.Flags().StringVar(&o.network, "network", "", "`name` of the network: "+strings.Join(names, ", ")+
		" (default: that of the data directory; mainnet for a new one)")
}

func (o *options) addJSON(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object on standard output at the end, nothing else")
}

func defaultDataDir() string {
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".shoal")
	}
	return ".shoal"
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// result prints the result of a command: as one JSON object, or by the function
// that prints it for people.
func (o *options) result(v any, people func()) error {
	if !o.json {
		people()
		return nil
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// findNetwork returns the network of the flag, or that of the data directory.
func (o *options) findNetwork() (*chain.Network, error) {
	name := o.network
	if name == "" {
		var err error
		if name, err = store.NetworkOf(o.dataDir); errors.Is(err, store.ErrNotExist) {
			name = chain.Mainnet.Name
		} else if err != nil {
			return nil, err
		}
	}
	net, err := chain.NetworkByName(name)
	if err != nil {
		return nil, usage("--network: %w", err)
	}
	return net, nil
}

// access is what a command does to a data directory.
type access int

const (
	reads   access = iota // it must be there, and keeps the format that it has
	changes               // it must be there
	makes                 // it is made if there is none
)

// open opens the store.
func (o *options) open(log *slog.Logger, as access) (*store.Store, *chain.Network, error) {
	net, err := o.findNetwork()
	if err != nil {
		return nil, nil, err
	}
	st, err := openStore(o.dataDir, net, log, nil, as)
	return st, net, err
}

// openStore opens a store, whose content may also be elsewhere.
func openStore(dir string, net *chain.Network, log *slog.Logger, elsewhere store.Elsewhere, as access) (*store.Store, error) {
	b, err := net.GenesisBlock()
	if err != nil {
		return nil, err
	}
	td, err := net.TotalDifficulty(new(uint256.Int), b)
	if err != nil {
		return nil, err
	}
	return store.Open(dir, store.Options{
		Network:    net.Name,
		Genesis:    store.Genesis{Record: store.Record{Hash: b.Hash, Number: 0, Raw: b.Raw()}, TD: td},
		Elsewhere:  elsewhere,
		Logger:     log,
		MustExist:  as != makes,
		KeepFormat: as == reads,
	})
}

// closeStore closes the store and reports the error if there is no other.
func closeStore(st *store.Store, err *error) {
	if e := st.Close(); e != nil && *err == nil {
		*err = e
	}
}
