package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/anacrolix/torrent/bencode"
	"github.com/anacrolix/torrent/metainfo"

	"github.com/shoalnet/shoal/bench/serve"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/internal/simnet"
	"github.com/shoalnet/shoal/store"
)

// network is that of all chains here: its rules are those of Frontier and it has no
// seals.
var network = chain.Dev

// sizes names how much blocks weigh.
type sizes string

// The sizes.
const (
	tiny      sizes = "600B"      // with one transaction or none
	middling  sizes = "10kB"      // all of them
	big       sizes = "20kB"      // 10 to 30 kB
	realistic sizes = "realistic" // about those of mainnet's first million
)

// sizesOf returns the sizes of a scenario of the simulator.
func sizesOf(r simnet.Range) (sizes, error) {
	switch {
	case r.Low == 500 && r.High == 700:
		return tiny, nil
	case r.Low == 10_000 && r.High == 30_000:
		return big, nil
	}
	return "", fmt.Errorf("no chain here has blocks of %v to %v bytes", r.Low, r.High)
}

// bounds returns about the least and the most that a block weighs.
func (z sizes) bounds() (low, high float64) {
	switch z {
	case tiny:
		return 530, 650
	case middling:
		return 10_000, 10_000
	case big:
		return 10_000, 30_000
	}
	return 530, 1_900
}

func (z sizes) mean() float64 {
	low, high := z.bounds()
	return (low + high) / 2
}

// shape is what chaingen asks: how many transactions a block has, and how much it
// weighs with them.
func (z sizes) shape(number uint64) (txs, size int) {
	mix := number * 0x9e3779b97f4a7c15 >> 33 // as good as random
	switch z {
	case tiny:
		return int(number % 2), 0
	case middling:
		return 40, 10_000
	case big:
		size = 10_000 + int(mix%20_001)
		return size / 1000, size
	}
	// At first four of five blocks are empty, in the end one of three; the others
	// have a few transactions, and more of them as time goes by.
	const million = 1_000_000
	empty := 80 - 47*min(number, million)/million
	if mix%100 < empty {
		return 0, 0
	}
	return 1 + int(mix/100%(2+number/100_000)), 0
}

// data is a generated chain up to some block, in the cache: a store, and the blocks
// one after the other in a file, for those that know no chain.
type data struct {
	Store, File string
	Torrent     string // description of the file, if it is shared
	Pieces      string // digests of its pieces, one after the other
	Head        serve.Head
	Bytes       int64 // of blocks 1 to Head
}

// chainOf returns the chain of so many blocks. It is generated where the cache does
// not have it: a chain in the cache serves all shorter ones.
func (l *lab) chainOf(ctx context.Context, z sizes, blocks uint64) (d data, err error) {
	dir := filepath.Join(l.cache, string(z))
	d.Store, d.File = filepath.Join(dir, "store"), filepath.Join(dir, "blocks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return d, err
	}
	st, err := openStore(d.Store)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	offsets := filepath.Join(dir, "offsets")
	if have := st.Head().Number; have < blocks {
		fmt.Fprintf(l.log, "generating %d blocks of %s\n", blocks-have, z)
		if err := extend(ctx, st, z, blocks, d.File, offsets); err != nil {
			return d, fmt.Errorf("generating a chain: %w", err)
		}
	}
	hash, err := st.Canonical(blocks)
	if err != nil {
		return d, err
	}
	link, _, err := st.Linked(hash)
	if err != nil {
		return d, err
	}
	d.Head = serve.Head{Number: blocks, Hash: hash, TD: link.TD}
	f, err := os.Open(offsets)
	if err != nil {
		return d, err
	}
	defer f.Close()
	var end [8]byte
	if _, err := f.ReadAt(end[:], int64(blocks-1)*8); err != nil {
		return d, fmt.Errorf("%s: %w", offsets, err)
	}
	d.Bytes = int64(binary.LittleEndian.Uint64(end[:]))
	return d, nil
}

// openStore opens a store of the lab's network, which is made if there is none.
func openStore(dir string) (*store.Store, error) {
	g, err := network.GenesisBlock()
	if err != nil {
		return nil, err
	}
	return store.Open(dir, store.Options{Network: network.Name, Genesis: store.Genesis{
		Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty,
	}})
}

// extend generates blocks up to a number. The file and the offsets, which say where
// each block ends in it, are cut to what the store holds first: an earlier run may
// have been killed.
func extend(ctx context.Context, st *store.Store, z sizes, blocks uint64, file, offsets string) error {
	head := st.Head()
	raw, err := st.AppendRaw(nil, head.Hash)
	if err != nil {
		return err
	}
	parent, err := network.ParseBlock(raw)
	if err != nil {
		return err
	}
	ends, err := appendTo(offsets, int64(head.Number)*8)
	if err != nil {
		return err
	}
	defer ends.Close()
	var at uint64
	if head.Number > 0 {
		var end [8]byte
		if _, err := ends.ReadAt(end[:], int64(head.Number-1)*8); err != nil {
			return err
		}
		at = binary.LittleEndian.Uint64(end[:])
	}
	flat, err := appendTo(file, int64(at))
	if err != nil {
		return err
	}
	defer flat.Close()
	g, err := chaingen.New(chaingen.Config{Network: network, Seed: 1, Shape: z.shape, Parent: parent})
	if err != nil {
		return err
	}
	const batch = 4096
	toEnds, toFlat := bufio.NewWriter(ends), bufio.NewWriterSize(flat, 1<<20)
	td := head.TD
	for from := head.Number; from < blocks; from = min(from+batch, blocks) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var recs []store.Record
		var links []store.Link
		for b := range g.Blocks(min(batch, blocks-from)) {
			td.Add(&td, &b.Difficulty)
			recs = append(recs, store.Record{Hash: b.Hash, Number: b.Number, Raw: b.Raw()})
			links = append(links, store.Link{Hash: b.Hash, Parent: b.Parent, Number: b.Number, TD: td})
			at += uint64(len(b.Raw()))
			toFlat.Write(b.Raw())
			toEnds.Write(binary.LittleEndian.AppendUint64(nil, at))
		}
		// The files first: they are cut to the store, not the other way round.
		if err := errors.Join(toFlat.Flush(), toEnds.Flush()); err != nil {
			return err
		}
		if _, err := st.Put(recs); err != nil {
			return err
		}
		if _, err := st.Link(links); err != nil {
			return err
		}
	}
	return nil
}

// appendTo opens a file for writing behind its first n bytes.
func appendTo(name string, n int64) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	_, err = f.Seek(n, io.SeekStart)
	if err := errors.Join(err, f.Truncate(n)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// pieceLength is what BitTorrent checks at once: about a thousand pieces for a file
// of the lab, as is usual.
const pieceLength = 256 << 10

// share makes a directory with the blocks of the chain in a file of their own and a
// description of it for BitTorrent, whose clients take no part of a file.
func (d *data) share(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	all, err := os.Open(d.File)
	if err != nil {
		return err
	}
	defer all.Close()
	own, err := os.Create(filepath.Join(dir, filepath.Base(d.File)))
	if err != nil {
		return err
	}
	defer own.Close()
	if _, err := io.CopyN(own, all, d.Bytes); err != nil {
		return err
	}
	if _, err := own.Seek(0, io.SeekStart); err != nil {
		return err
	}
	info := metainfo.Info{PieceLength: pieceLength, Name: filepath.Base(d.File), Length: d.Bytes}
	info.Pieces, err = metainfo.GeneratePieces(own, pieceLength, nil)
	if err != nil {
		return err
	}
	var m metainfo.MetaInfo
	if m.InfoBytes, err = bencode.Marshal(info); err != nil {
		return err
	}
	d.File, d.Torrent = own.Name(), filepath.Join(dir, "description.torrent")
	out, err := os.Create(d.Torrent)
	if err != nil {
		return err
	}
	return errors.Join(m.Write(out), out.Close())
}
