package testbed

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Era1 returns the path of an archive of real blocks that comes with the source of
// go-ethereum, and skips the test if that is not here.
func Era1(t testing.TB, name string) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/ethereum/go-ethereum").Output()
	if err != nil {
		t.Skipf("the source of go-ethereum is absent: %v", err)
	}
	path := filepath.Join(strings.TrimSpace(string(dir)), "core", "rawdb", "eradb", "testdata", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not in the source of go-ethereum", name)
	}
	return path
}
