package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/wire"
)

// TestBrowser: the page of a node that syncs real blocks from four others, in Chromium;
// tools/browser/check.mjs says what is looked at. One peer has a name that would like to
// run in the page, and one lies and is banned.
func TestBrowser(t *testing.T) {
	t.Parallel()
	check := checkPage(t)
	data := t.TempDir()
	args := []string{"--datadir", data + "/page", "--network", "sepolia", "--seals", "none", "--listen", "127.0.0.1:0"}
	for _, limit := range []string{"25kB", "35kB", "45kB", "30kB"} { // half a minute
		dir := filepath.Join(data, limit)
		shoal(t, "import", "--datadir", dir, sepoliaFile())
		_, addr := startNode(t, "--datadir", dir, "--listen", "127.0.0.1:0", "--upload-limit", limit)
		args = append(args, "--peer", addr)
	}
	in, err := check.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := check.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	said := newOutput()
	check.Stderr = said
	if err := check.Start(); err != nil {
		t.Fatal(err)
	}
	var (
		node   *process
		web    = "127.0.0.1:0" // and later the same port again
		status api.Status
		peers  api.Peers
		last   string
	)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch last = lines.Text(); last {
		case "please start":
			var addr string
			node, addr = startNode(t, append(args, "--http-addr", web)...)
			named := helloFor(t, chain.Sepolia)
			named.Caps = wire.CapPeers // it is asked for nothing, and so stays
			named.Client = `<img src=x onerror="window.harmed=1">`
			joinAs(t, addr, named).stay()
			if web == "127.0.0.1:0" {
				liar := helloFor(t, chain.Sepolia)
				liar.Port = 30303
				joinAs(t, addr, liar).Write(frame([]byte{0xc6, 0x13, 0xc4, 0xc3, 1, 2, 3})) // a block that is none
			}
			url := webAddress(t, node)
			web = strings.TrimPrefix(url, "http://")
			fmt.Fprintln(in, url)
		case "please stop": // what the page has just shown is what the commands say
			status = decode[api.Status](t, shoal(t, "status", "--datadir", data+"/page", "--json"))
			peers = decode[api.Peers](t, shoal(t, "peers", "--datadir", data+"/page", "--json"))
			node.interrupt(t)
			node.exits(t, exitOK)
			fmt.Fprintln(in)
		default:
			fmt.Fprintln(said, last)
		}
	}
	if err := check.Wait(); err != nil {
		t.Fatalf("%v:\n%s", err, said)
	}
	shown := decode[struct {
		Blocks       uint64
		Brought      map[string]uint64
		Bans, Events []string
	}](t, last)
	if shown.Blocks != 8191 || shown.Blocks != status.Head.Number {
		t.Errorf("the page shows %d blocks, the status %d", shown.Blocks, status.Head.Number)
	}
	brought, total := map[string]uint64{}, uint64(0)
	for _, p := range peers.Connected {
		brought[p.Name] = p.Blocks
		total += p.Blocks
	}
	if !maps.Equal(shown.Brought, brought) || total < 8191 { // one may have come twice
		t.Errorf("the page shows %v, the command %v", shown.Brought, brought)
	}
	if len(shown.Bans) != 1 || !strings.Contains(shown.Bans[0], "127.0.0.1:30303") {
		t.Errorf("bans: %q", shown.Bans)
	}
	for _, want := range []string{"joined", "started", "finished"} {
		if !slices.Contains(shown.Events, want) {
			t.Errorf("events: %q, and not %q", shown.Events, want)
		}
	}
	node.interrupt(t)
	node.exits(t, exitOK)
}

// checkPage is the command that looks at a page, if all that it needs is here.
func checkPage(t *testing.T) *exec.Cmd {
	t.Helper()
	dir := filepath.Join("..", "..", "tools", "browser")
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node to run JavaScript with")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "playwright-core")); err != nil {
		t.Skip("playwright-core is not installed: run npm ci in tools/browser, as .ci/run does")
	}
	if !slices.ContainsFunc([]string{"chromium", "chromium-browser", "google-chrome"}, func(name string) bool {
		_, err := os.Stat("/usr/bin/" + name)
		return err == nil
	}) {
		t.Skip("there is no Chromium")
	}
	if sepoliaFile() == "" {
		t.Skip("the source of go-ethereum is absent, and with it the blocks of Sepolia")
	}
	artifacts := os.Getenv("SHOAL_TEST_ARTIFACTS")
	if artifacts == "" {
		artifacts = t.TempDir()
	}
	cmd := exec.CommandContext(t.Context(), "node", "check.mjs", artifacts)
	cmd.Dir = dir
	return cmd
}
