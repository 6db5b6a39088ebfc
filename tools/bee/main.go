// Command bee computes with the packages of the Swarm client what the room swarm
// must compute, too, and prints it as the JSON of swarm/testdata/bee.json:
//
//	go run . > ../../swarm/testdata/bee.json
//
// It is a module of its own so that nobody else has the client's dependencies.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"github.com/ethersphere/bee/v2/pkg/cac"
	"github.com/ethersphere/bee/v2/pkg/file/pipeline/builder"
	"github.com/ethersphere/bee/v2/pkg/file/redundancy"
	"github.com/ethersphere/bee/v2/pkg/storage/inmemchunkstore"
	"github.com/ethersphere/bee/v2/pkg/swarm"
)

// file is a file of the test content and the reference that the client gives it.
type file struct {
	Size      int    `json:"size"`
	Reference string `json:"reference"`
	Chunks    int    `json:"chunks"` // that differ
}

// chunk is a payload, span included, and its address.
type chunk struct {
	Payload string `json:"payload"`
	Address string `json:"address"`
}

const (
	chunkSize = 4096
	full      = 128 * chunkSize // what one chunk of references covers
)

// content returns the test content: byte i is the top byte of i times 2654435761,
// modulo 2^32.
func content(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(uint32(i) * 2654435761 >> 24)
	}
	return b
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bee:", err)
		os.Exit(1)
	}
}

func run() error {
	var out struct {
		Origin  string  `json:"origin"`
		Content string  `json:"content"`
		Files   []file  `json:"files"`
		Chunks  []chunk `json:"chunks"`
	}
	out.Origin = "computed by github.com/ethersphere/bee/v2 v2.5.0: pkg/file/pipeline/builder and pkg/cac, see tools/bee; the npm package @fairdatasociety/bmt-js 2.1.0 computes the same references up to 10485760 bytes"
	out.Content = "byte i of every file is the top byte of i * 2654435761 mod 2^32"
	for _, size := range []int{
		0, 1, 31, 32, 33, 63, 64, 65, 4095, 4096, 4097, 2 * chunkSize, 2*chunkSize + 1,
		full - 1, full, full + 1, full + chunkSize, full + chunkSize + 1, 2 * full, 2*full + 1,
		10_000_000, 10 << 20, 128*full - 1, 128 * full, 128*full + 1, 128*full + full + 1,
	} {
		f, err := reference(content(size))
		if err != nil {
			return fmt.Errorf("file of %d bytes: %w", size, err)
		}
		out.Files = append(out.Files, f)
	}
	for _, text := range []string{"", "foo", "hello world"} {
		c, err := cac.New([]byte(text))
		if err != nil {
			return err
		}
		out.Chunks = append(out.Chunks, chunk{hex.EncodeToString(c.Data()), c.Address().String()})
	}
	// A span says nothing about the bytes behind it, but is part of the address.
	for _, span := range []uint64{0, 1, 1 << 63} {
		data := append(binary.LittleEndian.AppendUint64(nil, span), content(100)...)
		c, err := cac.NewWithDataSpan(data)
		if err != nil {
			return err
		}
		out.Chunks = append(out.Chunks, chunk{hex.EncodeToString(data), c.Address().String()})
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "\t")
	return enc.Encode(out)
}

// reference computes a file's reference as the client does for an upload.
//
// The client's older pkg/file/splitter is not asked: for some sizes beyond 128
// chunks, the first of them 1048576, it has another tree than the client itself.
func reference(b []byte) (file, error) {
	ctx := context.Background()
	store := inmemchunkstore.New()
	addr, err := builder.FeedPipeline(ctx, builder.NewPipelineBuilder(ctx, store, false, redundancy.NONE), bytes.NewReader(b))
	if err != nil {
		return file{}, err
	}
	chunks := 0
	if err := store.Iterate(ctx, func(swarm.Chunk) (bool, error) { chunks++; return false, nil }); err != nil {
		return file{}, err
	}
	return file{len(b), addr.String(), chunks}, nil
}
