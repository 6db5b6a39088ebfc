package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holiman/uint256"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/shoalnet/shoal/api"
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
func (o *options) result(v any, people func(io.Writer)) error {
	var out bytes.Buffer
	if o.json {
		enc := json.NewEncoder(&out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			return err
		}
	} else {
		people(&out)
	}
	return say(out.Bytes())
}

// say writes a result, or a part of it. What could not be written is an error: a script that
// keeps it in a file would else take a full disk for success.
func say(text []byte) error {
	if _, err := os.Stdout.Write(text); err != nil {
		return fmt.Errorf("the result could not be written: %w", err)
	}
	return nil
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

const (
	// lockPatience is how long a command waits for a data directory that another process has
	// and does not answer for. Who only looks into it, as "shoal status" does, has it for some
	// ten milliseconds, or for seconds if a crash has left much to repair. At ten times as
	// much, who syncs into a directory during an import would wonder what is going on.
	lockPatience = 5 * time.Second

	// lockNews is when a person is told of it, lockPause how long it is between two tries.
	lockNews  = time.Second
	lockPause = 20 * time.Millisecond
)

// patiently does what needs the data directory. If another process has that, it is done
// again, so that nothing fails because somebody looks into the directory just then. A node
// or a sync, which has it for long, can be told by answering.
func (o *options) patiently(log *slog.Logger, do func() error) error {
	told := false
	for began := time.Now(); ; time.Sleep(lockPause) {
		err := do()
		waited := time.Since(began)
		if !errors.Is(err, store.ErrLocked) || waited >= lockPatience || o.answers() {
			return err
		}
		if !told && waited >= lockNews {
			told = true
			log.Info("waiting for another process to be done with the data directory", "dir", o.dataDir)
		}
	}
}

// answers reports whether a process can be asked about the data directory.
func (o *options) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	c, err := api.Dial(ctx, o.dataDir)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// awaitNetwork finds the network. It waits for who looks into the directory.
func (o *options) awaitNetwork(log *slog.Logger) (net *chain.Network, err error) {
	err = o.patiently(log, func() error {
		net, err = o.findNetwork()
		return err
	})
	return net, err
}

// open opens the store. It waits for who looks into it.
func (o *options) open(log *slog.Logger, as access) (st *store.Store, net *chain.Network, err error) {
	err = o.patiently(log, func() error {
		st, net, err = o.openNow(log, as)
		return err
	})
	return st, net, err
}

func (o *options) openNow(log *slog.Logger, as access) (*store.Store, *chain.Network, error) {
	net, err := o.findNetwork()
	if err != nil {
		return nil, nil, err
	}
	st, err := openStore(o.dataDir, net, log, nil, as)
	return st, net, err
}

// askOrLook asks the node that uses the data directory, or looks into the store if none
// does. Who has the directory and does not answer may be about to, or about to end.
func (o *options) askOrLook(ctx context.Context, method string, answer any, look func(*store.Store) error) error {
	ui, err := o.ui()
	if err != nil {
		return err
	}
	for began := time.Now(); ; time.Sleep(lockPause) {
		asked := o.ask(ctx, method, answer)
		silent := errors.Is(asked, context.DeadlineExceeded) // the question may be lost if it ends just then
		if !silent && !errors.Is(asked, api.ErrNotRunning) {
			return asked
		}
		st, _, err := o.openNow(ui.Logger, reads)
		switch {
		case err == nil:
			err = look(st)
			closeStore(st, &err)
			return err
		case !errors.Is(err, store.ErrLocked):
			return err
		case silent:
			return asked
		case time.Since(began) >= lockPatience:
			return err
		}
	}
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
