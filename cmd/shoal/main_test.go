package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary be the command when it is called shoal, as it is
// in the scripts: so they run what is compiled for the test, with -race if asked.
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"shoal": main})
}

// suite removes at the end what outlives a single test.
type suite struct{ m *testing.M }

func (s suite) Run() int {
	defer func() {
		if built.dir != "" {
			os.RemoveAll(built.dir)
		}
	}()
	return s.m.Run()
}

// built is where the binary of the process tests lies.
var built struct {
	once sync.Once
	dir  string
	path string
	note string
}

// program returns the path of the command, built the way users build it: without
// the race detector, which would make fifty runs of it take minutes. Where it
// cannot be built, the test binary takes its place.
func program(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		built.path, _ = exec.LookPath("shoal") // the one of TestMain
		dir, err := os.MkdirTemp("", "shoal-test-")
		if err != nil {
			built.note = err.Error()
			return
		}
		built.dir = dir
		path := filepath.Join(dir, "shoal")
		if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
			built.note = fmt.Sprintf("go build: %v\n%s", err, out)
			return
		}
		built.path = path
	})
	if built.note != "" {
		t.Logf("the test binary takes the place of the command: %s", built.note)
	}
	if built.path == "" {
		t.Fatal("there is no binary to test")
	}
	return built.path
}

// The real chains that tests use where they are at hand.
const (
	mainnetHead = "0xa6860fefa339c963e1bb622526cc8dd4344eedd2a9b969e74de5cccc445fbed4"
	mainnetTD   = "1344623723034024"
	sepoliaHead = "0x8e3e7dc9ef199c05683417b4aa572f0b7a8bcfafca7edb6045baabc01aa4fb0c"
	sepoliaTD   = "14255663800"
	poc6TD      = "84414393"
)

// shared returns the path of a file of the shared data, which lies beside the
// repository and is optional; "" if it is not there.
func shared(name string) string {
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", filepath.FromSlash(name)))
	if err != nil || fileSize(path) == 0 {
		return ""
	}
	return path
}

func mainnetFile() string { return shared("data/era1/mainnet-00000-5ec1ffb8.era1") }
func poc6File() string    { return shared("data/poc6/chain500-pv30.hex") }

// sepoliaFile is the file in the source of go-ethereum, "" if there is none.
var sepoliaFile = sync.OnceValue(func() string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/ethereum/go-ethereum").Output()
	if err != nil || len(out) == 0 {
		return ""
	}
	path := filepath.Join(strings.TrimSpace(string(out)), "core", "rawdb", "eradb", "testdata", "sepolia-00000-643a00f7.era1")
	if fileSize(path) == 0 {
		return ""
	}
	return path
})
