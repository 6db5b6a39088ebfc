package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"
)

// TestViem: the JavaScript library viem reads from the real binary, over HTTP and over a
// WebSocket, what is in the archive, and comes to the same hashes and signers.
func TestViem(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "tools", "viem")
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node to run JavaScript with")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "viem")); err != nil {
		t.Skip("viem is not installed: run npm ci in tools/viem, as .ci/run does")
	}
	p, blocks := serveSigned(t)
	type entry struct {
		Block    *types.Header  `json:"block"`
		Receipts types.Receipts `json:"receipts"`
	}
	var all []entry
	for _, b := range blocks {
		all = append(all, entry{b.block.Header(), append(types.Receipts{}, b.receipts...)})
	}
	expected, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "expected.json")
	if err := os.WriteFile(file, expected, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "check.mjs", webAddress(t, p), file)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), `"blocks":40`) != 2 {
		t.Fatalf("%v:\n%s", err, out)
	}
	t.Logf("%s", out)
	p.interrupt(t)
	p.exits(t, exitOK)
}
