package swarm

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// FS returns the files as a file system: each is named by the 64 digits of its
// reference. What is pinned is what the directory "." lists, but any reference can be
// opened, and what is not held is then waited for as long as the context allows.
func (f *Files) FS(ctx context.Context) fs.FS { return fileSystem{f, ctx} }

type fileSystem struct {
	files *Files
	ctx   context.Context
}

func (s fileSystem) Open(name string) (fs.File, error) {
	fail := func(err error) (fs.File, error) { return nil, &fs.PathError{Op: "open", Path: name, Err: err} }
	if name == "." {
		return &directory{system: s}, nil
	}
	if !fs.ValidPath(name) {
		return fail(fs.ErrInvalid)
	}
	ref, err := hex.DecodeString(name)
	if err != nil || len(ref) != common.HashLength || strings.ToLower(name) != name {
		return fail(fs.ErrNotExist)
	}
	x, err := s.files.Open(s.ctx, common.Hash(ref))
	if errors.Is(err, ErrNotHeld) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return fail(err)
	}
	return x, nil
}

// Stat describes the file to package fs.
func (x *File) Stat() (fs.FileInfo, error) {
	return info{hex.EncodeToString(x.root.addr[:]), x.Size()}, nil
}

// info describes a file, or the directory.
type info struct {
	name string
	size int64
}

func (i info) Name() string               { return i.name }
func (i info) Size() int64                { return i.size }
func (i info) IsDir() bool                { return i.name == "." }
func (i info) ModTime() time.Time         { return time.Time{} } // content has none
func (i info) Sys() any                   { return nil }
func (i info) Info() (fs.FileInfo, error) { return i, nil }
func (i info) Type() fs.FileMode          { return i.Mode().Type() }
func (i info) String() string             { return fs.FormatFileInfo(i) }
func (i info) Mode() fs.FileMode {
	if i.IsDir() {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// directory is ".".
type directory struct {
	system fileSystem
	listed bool
	rest   []fs.DirEntry
}

func (d *directory) Stat() (fs.FileInfo, error) { return info{name: "."}, nil }
func (d *directory) Close() error               { return nil }
func (d *directory) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: ".", Err: errors.New("is a directory")}
}

// ReadDir lists what is pinned and at hand as far as its size.
func (d *directory) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.listed {
		pins, err := d.system.files.Pins()
		if err != nil {
			return nil, err
		}
		for _, p := range pins {
			payload, err := d.system.files.store.AppendChunk(nil, p.Ref)
			if errors.Is(err, ErrNotHeld) {
				continue
			}
			if err != nil {
				return nil, err
			}
			first, err := root(p.Ref, payload)
			if err != nil {
				continue // no file
			}
			d.rest = append(d.rest, info{hex.EncodeToString(p.Ref[:]), int64(first.span)})
		}
		slices.SortFunc(d.rest, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		d.listed = true
	}
	if n <= 0 {
		n = len(d.rest)
	} else if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	list := d.rest[:n:n]
	d.rest = d.rest[n:]
	return list, nil
}
