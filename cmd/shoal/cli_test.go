package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestCLIDoc: the documentation of the command line says what the commands say.
func TestCLIDoc(t *testing.T) {
	t.Setenv("HOME", "~") // the data directory is in that of whoever reads
	var b strings.Builder
	b.WriteString("# The command line\n\nThis is made of what the commands say of themselves, by `go test ./cmd/shoal -run TestCLIDoc -update`.\n")
	root := newRoot()
	describe(&b, root)
	golden(t, "../../../docs/cli.md", b.String())
}

// describe writes the chapters of a command and of those below it.
func describe(b *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n", cmd.CommandPath())
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(long), "\n\n") {
		if text, table, ok := strings.Cut(paragraph, ":\n  "); ok {
			fmt.Fprintf(b, "%s:\n\n", text)
			paragraph = "  " + table
		}
		if strings.HasPrefix(paragraph, "  ") {
			paragraph = "```text\n" + paragraph + "\n```"
		}
		fmt.Fprintf(b, "%s\n\n", paragraph)
	}
	block := func(kind, text string) { fmt.Fprintf(b, "```%s\n%s\n```\n", kind, strings.Trim(text, "\n")) }
	block("usage", cmd.UseLine())
	if cmd.Example != "" {
		b.WriteString("\nFor example:\n\n<!-- test: skip: the addresses and files of examples are nobody's -->\n")
		block("sh", cmd.Example)
	}
	if flags := cmd.NonInheritedFlags().FlagUsages(); flags != "" {
		b.WriteString("\n")
		block("text", flags)
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			describe(b, c)
		}
	}
}
