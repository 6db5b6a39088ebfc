package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDashboard: every metric that the dashboard draws is one that a node has.
func TestDashboard(t *testing.T) {
	raw, err := os.ReadFile("../../deploy/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	p, _ := startNode(t, "--network", "dev", "--datadir", t.TempDir(), "--listen", "127.0.0.1:0", "--http-addr", "127.0.0.1:0")
	url := p.await(t, `answering on (http://\S+)`)
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\b(shoal|go|process)_[a-z_]+`)
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			for _, name := range names.FindAllString(target.Expr, -1) {
				if !strings.Contains(string(body), "# TYPE "+name+" ") {
					t.Errorf("%s: a node has no metric %s", panel.Title, name)
				}
			}
		}
	}
	if len(board.Panels) < 10 {
		t.Errorf("%d panels", len(board.Panels))
	}
}

// TestUnit: the commands in the files for operators are commands that there are.
func TestUnit(t *testing.T) {
	for file, line := range map[string]string{
		"../../deploy/shoal.service": `(?m)^ExecStart=/usr/local/bin/shoal (.*)$`,
		"../../deploy/Dockerfile":    `(?m)^CMD \[(.*)\]$`,
	} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(line).FindStringSubmatch(string(raw))
		if m == nil {
			t.Fatalf("%s runs nothing", file)
		}
		args := strings.Fields(strings.NewReplacer(`"`, "", ",", "").Replace(m[1]))
		cmd, rest, err := newRoot().Find(args)
		if err != nil || cmd.Name() != "node" {
			t.Fatalf("%s: %v", file, err)
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if listen := cmd.Flag("listen").Value.String(); listen != "" {
			if _, _, err := net.SplitHostPort(listen); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}
