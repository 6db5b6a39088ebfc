// Command shoal downloads an Ethereum proof-of-work block chain from many peers
// at once, checks what it can, stores it, and serves it on.
//
// It only turns flags into configuration, errors into sentences and exit codes,
// and events into something to look at. What it does is in the other packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() { os.Exit(run()) }

// The exit codes, as documented in the help of the root command.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitIncomplete  = 3
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// exitError gives an error an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func incomplete(format string, args ...any) error {
	return &exitError{exitIncomplete, fmt.Errorf(format, args...)}
}

func run() int {
	// The first signal asks to stop; a second one kills at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	defer stop()

	cmd, err := newRoot().ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := exitFailure
	if e, ok := errors.AsType[*exitError](err); ok {
		code = e.code
	}
	if errors.Is(err, context.Canceled) {
		code, err = exitInterrupted, errors.New("interrupted; what has been stored stays, run the command again to go on")
	}
	if wantsJSON(cmd) {
		jsonLogger(os.Stderr, slog.LevelError).Error("shoal ends", "err", err, "exit", code)
	} else {
		fmt.Fprintln(os.Stderr, "shoal:", err)
	}
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:     "shoal",
		Version: fmt.Sprintf("%s, network protocol %d", version(), protocol),
		Short:   "Download a proof-of-work block chain from many peers at once, and serve it on",
		Long: `Shoal downloads an Ethereum proof-of-work block chain from many peers at once,
trusts none of them, and serves it on. It speaks network protocol 30 of 2014.

Exit codes:
  0    done
  1    failed; the last line of standard error says why
  2    wrong use of the command line
  3    sync: not everything that the peers offer could be fetched
  130  interrupted before the end (node stops with 0)`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetVersionTemplate("shoal {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if v, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
			want := "true or false"
			if what, _ := pflag.UnquoteUsage(v.GetFlag()); what != "" {
				want = "a " + what
			}
			return usage("--%s %q: want %s (see %q)", v.GetFlag().Name, v.GetValue(), want, cmd.CommandPath()+" --help")
		}
		return usage("%w (see %q)", err, cmd.CommandPath()+" --help")
	})
	root.PersistentFlags().String(configFlag, "", "`file` with what flags say, see \"shoal config\"; or $SHOAL_CONFIG")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return configure(cmd) }
	root.AddCommand(
		newDemo(), newNode(), newMine(), newSync(), newImport(), newExport(), newVerify(), newStatus(), newTop(), newPeers(),
		newKey(),
		newPut(), newGet(), newPin(), newUnpin(), newLs(), newSim(), newConfig(), newVersion(),
	)
	wrapArgs(root)
	if err := complete(root); err != nil { // only for a flag that there is not
		panic(err)
	}
	return root
}

// wrapArgs makes mistakes in the arguments of any command a matter of usage, and says what
// would be right.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			err := check(c, args)
			switch {
			case err == nil:
				return nil
			case !c.HasSubCommands():
				return usage("it is used as: %s (see %q)", c.UseLine(), c.CommandPath()+" --help")
			}
			c.SuggestionsMinimumDistance = 2 // letters that may differ
			if like := c.SuggestionsFor(args[0]); len(like) > 0 {
				return usage("%w; is %s meant? (see %q)", err, strings.Join(like, " or "), c.CommandPath()+" --help")
			}
			return usage("%w (see %q)", err, c.CommandPath()+" --help")
		}
	}
	for _, c := range cmd.Commands() {
		wrapArgs(c)
	}
}

func newVersion() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.result(map[string]any{"version": version(), "protocol": protocol}, func(to io.Writer) {
				fmt.Fprintf(to, "shoal %s, network protocol %d\n", version(), protocol)
			})
		},
	}
	o.addJSON(cmd)
	return cmd
}

// version is what the Go tool recorded in the binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
