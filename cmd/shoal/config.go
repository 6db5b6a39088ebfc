package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every flag has one name and can be given in four ways. The first that there is counts:
//
//	--http-addr :8545        the command line
//	SHOAL_HTTP_ADDR=:8545    the environment
//	[node]                   the table of the command in the configuration file
//	http-addr = ":8545"
//	http-addr = ":8545"      the top of the file, for all commands that have the flag

const (
	// configFlag names the configuration file; it is the one flag that is not in it.
	configFlag = "config"

	// envPrefix is what the names of the variables begin with, and testPrefix those that
	// belong to the tests of this program.
	envPrefix  = "SHOAL_"
	testPrefix = envPrefix + "TEST_"

	// maxConfig bounds a configuration file: all flags of all commands take some
	// kilobytes.
	maxConfig = 1 << 20
)

// envName returns the variable of a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// config is a configuration file.
type config struct {
	path string // "": there is none
	all  map[string]any
}

// loadConfig reads the file that a command was given, if it was.
func loadConfig(cmd *cobra.Command) (config, error) {
	flag := cmd.Flag(configFlag)
	path := flag.Value.String()
	if !flag.Changed {
		path = os.Getenv(envName(configFlag))
	}
	if path == "" {
		return config{}, nil
	}
	return readConfig(path)
}

func readConfig(path string) (config, error) {
	c := config{path: path, all: map[string]any{}}
	switch st, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return c, usage("--config %s: there is no such file", path)
	case err != nil:
		return c, fmt.Errorf("--config: %w", err)
	case st.Size() > maxConfig:
		return c, usage("--config %s: %d bytes are too many for a configuration: at most %d are read", path, st.Size(), maxConfig)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("--config: %w", err)
	}
	err = toml.Unmarshal(data, &c.all)
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := e.Position()
		return c, usage("%s:%d: %w", path, line, err)
	}
	if err != nil {
		return c, usage("%s: %w", path, err)
	}
	return c, nil
}

// configure fills in the flags of a command that are not on the command line.
func configure(cmd *cobra.Command) error {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	if problems := c.check(cmd.Root()); len(problems) > 0 {
		return usage("%s (\"shoal config check\" says all that is wrong)", problems[0])
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if err != nil || !configurable(f) || f.Changed {
			return
		}
		if text := os.Getenv(envName(f.Name)); text != "" {
			err = set(cmd.Flags(), f, envName(f.Name), splitEnv(f, text))
		} else if value, where, ok := c.lookup(cmd, f.Name); ok {
			err = set(cmd.Flags(), f, where, value)
		}
	})
	return err
}

// configurable reports whether a flag can be given otherwise than on the command line.
func configurable(f *pflag.Flag) bool { return f.Name != configFlag && f.Name != "help" }

// splitEnv splits a list, whose parts have commas between.
func splitEnv(f *pflag.Flag, text string) any {
	if _, list := f.Value.(pflag.SliceValue); !list {
		return text
	}
	var parts []any
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// lookup finds the value for a flag of a command, and says where.
func (c *config) lookup(cmd *cobra.Command, flag string) (value any, where string, ok bool) {
	if table, is := c.all[cmd.Name()].(map[string]any); is {
		if value, ok = table[flag]; ok {
			return value, fmt.Sprintf("%s: [%s] %s", c.path, cmd.Name(), flag), true
		}
	}
	value, ok = c.all[flag]
	if _, table := value.(map[string]any); table { // of a command with the same name
		ok = false
	}
	return value, fmt.Sprintf("%s: %s", c.path, flag), ok
}

// set gives a flag a value, which is a text, a number, a truth value or a list of them.
func set(flags *pflag.FlagSet, f *pflag.Flag, where string, value any) error {
	list, isList := value.([]any)
	if _, takes := f.Value.(pflag.SliceValue); isList && !takes {
		return usage("%s: want one value, not a list", where)
	}
	if !isList {
		list = []any{value}
	}
	for _, v := range list {
		switch v.(type) {
		case string, int64, float64, bool:
		default:
			return usage("%s: want a text, a number, true or false", where)
		}
		if err := flags.Set(f.Name, fmt.Sprint(v)); err != nil {
			return usage("%s: %w", where, err)
		}
	}
	return nil
}

// check says what in a file no command knows, in the order of the names.
func (c *config) check(root *cobra.Command) (problems []string) {
	known := func(flag string, commands ...*cobra.Command) bool {
		return slices.ContainsFunc(commands, func(cmd *cobra.Command) bool {
			f := cmd.Flags().Lookup(flag)
			return f != nil && configurable(f)
		})
	}
	for _, name := range slices.Sorted(maps.Keys(c.all)) {
		table, isTable := c.all[name].(map[string]any)
		if !isTable {
			if !known(name, root.Commands()...) {
				problems = append(problems, fmt.Sprintf("%s: %s: no command has this flag", c.path, name))
			}
			continue
		}
		cmd, _, err := root.Find([]string{name})
		if err != nil || cmd == root {
			problems = append(problems, fmt.Sprintf("%s: [%s]: there is no such command", c.path, name))
			continue
		}
		for _, flag := range slices.Sorted(maps.Keys(table)) {
			if !known(flag, cmd) {
				problems = append(problems, fmt.Sprintf("%s: [%s] %s: the command has no such flag", c.path, name, flag))
			}
		}
	}
	return problems
}
