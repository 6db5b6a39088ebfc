package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
)

// logOptions are the flags about what is logged, and how.
type logOptions struct{ level, format string }

const (
	formatFlag = "log-format"
	formatText = "text"
	formatJSON = "json"
)

func (o *logOptions) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.level, "log-level", "info", "`level` of what is logged: debug, info, warn, error")
	f.StringVar(&o.format, formatFlag, formatText, "`format` of what is logged: text, or json for one object a line, see docs/logs.md")
}

// parse returns the level, if both flags say what there is.
func (o *logOptions) parse() (level slog.Level, err error) {
	if err := level.UnmarshalText([]byte(o.level)); err != nil {
		return 0, usage("--log-level %q: there are debug, info, warn and error", o.level)
	}
	if o.format != formatText && o.format != formatJSON {
		return 0, usage("--log-format %q: there are text and json", o.format)
	}
	return level, nil
}

// ui is how a command talks to a person while it works: by log lines and bars on
// standard error, which do not get into each other's way. Programs get lines alone.
type ui struct {
	*slog.Logger
	out  *lineWriter
	json bool // the lines are for a program
	bars bool // there is a terminal to draw on
}

// ui returns the command's ui.
func (o *options) ui() (*ui, error) {
	level, err := o.log.parse()
	if err != nil {
		return nil, err
	}
	u := &ui{out: &lineWriter{to: os.Stderr}, json: o.log.format == formatJSON}
	u.bars = !u.json && isTerminal(os.Stderr)
	switch {
	case u.json:
		u.Logger = jsonLogger(u.out, level)
	case u.bars && os.Getenv("NO_COLOR") == "":
		u.Logger = slog.New(tint.NewTextHandler(u.out, &tint.Options{Level: level, TimeFormat: "15:04:05"}))
	default:
		u.Logger = slog.New(slog.NewTextHandler(u.out, &slog.HandlerOptions{Level: level}))
	}
	return u, nil
}

// jsonLogger writes one object a line. Times that something takes are seconds there, as
// they are everywhere that programs read.
func jsonLogger(to io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(to, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.Float64Value(a.Value.Duration().Seconds())
		}
		return a
	}}))
}

// wantsJSON reports whether what a command logs, and why it fails, is for a program. It may
// have failed before its flags were read from the environment.
func wantsJSON(cmd *cobra.Command) bool {
	if f := cmd.Flag(formatFlag); f != nil && f.Changed {
		return f.Value.String() == formatJSON
	}
	return os.Getenv(envName(formatFlag)) == formatJSON
}
