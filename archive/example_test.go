package archive_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// Write a chain to a file and read it again.
func Example() {
	dir, err := os.MkdirTemp("", "archive")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "dev.rlp.gz")

	w, err := archive.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Abort()
	for b := range chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 3}) {
		if err := w.Append(b.Raw()); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		log.Fatal(err)
	}

	for b, err := range archive.Blocks(path, chain.Dev) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(b.Number, b.Offset)
	}
	_, err = archive.Create("chain.zip")
	fmt.Println(err)
	// Output:
	// 1 0
	// 2 512
	// 3 1024
	// archive: the extension of chain.zip tells no format that can be written: use one of .rlp, .blocks, .rlp.gz, .gz
}
