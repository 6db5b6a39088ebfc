// Package faultfs is a file system whose disk fails on command: it runs full,
// breaks off a write, or loses a sync, at an operation that the test chooses by its
// number. It does not model a crash; the crashable file system of Pebble does.
package faultfs

import (
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Op is a set of operations that can fail.
type Op uint8

// The operations, each with all its variants.
const (
	Create Op = 1 << iota // files, directories, links, and room in advance
	Write
	Sync // of files and directories
	Rename
	Remove
)

func (o Op) String() string {
	return map[Op]string{Create: "create", Write: "write", Sync: "sync", Rename: "rename", Remove: "remove"}[o]
}

// Fault is a way to fail.
type Fault struct {
	Err  error // what the disk says
	Ops  Op    // what it hits
	Once bool  // only one operation fails, not all until Repair
	// Short: a write that fails leaves half of its bytes behind, as the system
	// call does when there is room for half of them.
	Short bool
}

// Full is a disk without any room left. Delayed allocation makes it show at a sync
// as well, and a directory entry can need room too. Only removing works.
func Full() Fault {
	return Fault{Err: syscall.ENOSPC, Ops: Create | Write | Sync | Rename, Short: true}
}

// Broken is a disk that takes nothing any more.
func Broken() Fault { return Fault{Err: syscall.EIO, Ops: Create | Write | Sync | Rename | Remove} }

// Torn is one write that stops half-way.
func Torn() Fault { return Fault{Err: syscall.EIO, Ops: Write, Once: true, Short: true} }

// Unsynced is one sync that fails. What it should have kept is still in the cache of
// the system, where reads find it, and nobody may count on it.
func Unsynced() Fault { return Fault{Err: syscall.EIO, Ops: Sync, Once: true} }

// FS is a file system on such a disk. It is safe for concurrent use.
type FS struct {
	vfs.FS
	mu struct {
		sync.Mutex
		fault Fault
		left  int // operations that still succeed
		seen  int
		hit   string // the first operation that failed
	}
}

// Wrap puts a disk without faults under a file system.
func Wrap(fs vfs.FS) *FS { return &FS{FS: fs} }

// Arm lets so many of the operations that the fault hits succeed, and the next one
// fail. It replaces a fault armed before, and counts from zero.
func (f *FS) Arm(fault Fault, after int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.fault, f.mu.left, f.mu.seen, f.mu.hit = fault, after, 0, ""
}

// Repair ends the fault. [FS.Hit] still tells of it.
func (f *FS) Repair() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.fault = Fault{}
}

// Seen returns how many operations the armed fault could have hit.
func (f *FS) Seen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.seen
}

// Hit names the first operation that failed, "" if none did.
func (f *FS) Hit() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.hit
}

// try returns the error of an operation, nil if it may go on.
func (f *FS) try(op Op, name string) (short bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault := f.mu.fault
	if fault.Ops&op == 0 {
		return false, nil
	}
	f.mu.seen++
	if f.mu.left > 0 {
		f.mu.left--
		return false, nil
	}
	if f.mu.hit == "" {
		f.mu.hit = fmt.Sprintf("%v %s", op, name)
	}
	if fault.Once {
		f.mu.left = math.MaxInt
	}
	return fault.Short, &os.PathError{Op: op.String(), Path: name, Err: fault.Err}
}

func (f *FS) do(op Op, name string, then func() error) error {
	if _, err := f.try(op, name); err != nil {
		return err
	}
	return then()
}

// open returns a wrapped file, after an operation that may fail.
func (f *FS) open(op Op, name string, then func() (vfs.File, error)) (vfs.File, error) {
	if op != 0 {
		if _, err := f.try(op, name); err != nil {
			return nil, err
		}
	}
	file, err := then()
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f, name}, nil
}

// Create implements vfs.FS, like all that follow.
func (f *FS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(Create, name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *FS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.open(0, name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

func (f *FS) OpenDir(name string) (vfs.File, error) {
	return f.open(0, name, func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

func (f *FS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(Rename, to, func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) })
}

func (f *FS) Link(from, to string) error {
	return f.do(Create, to, func() error { return f.FS.Link(from, to) })
}

func (f *FS) MkdirAll(dir string, perm os.FileMode) error {
	return f.do(Create, dir, func() error { return f.FS.MkdirAll(dir, perm) })
}

func (f *FS) Lock(name string) (io.Closer, error) {
	if _, err := f.try(Create, name); err != nil {
		return nil, err
	}
	return f.FS.Lock(name)
}

func (f *FS) Rename(from, to string) error {
	return f.do(Rename, to, func() error { return f.FS.Rename(from, to) })
}

func (f *FS) Remove(name string) error {
	return f.do(Remove, name, func() error { return f.FS.Remove(name) })
}

func (f *FS) RemoveAll(name string) error {
	return f.do(Remove, name, func() error { return f.FS.RemoveAll(name) })
}

func (f *FS) Unwrap() vfs.FS { return f.FS }

// Site names an operation by what it does to which kind of file, so that a test can
// say which sites it has reached. hit is what [FS.Hit] returned.
func Site(hit string) string {
	dir, file := path.Split(hit)
	return dir + strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, file)
}

// faultyFile is an open file that can be written to.
type faultyFile struct {
	vfs.File
	fs   *FS
	name string
}

func (f *faultyFile) write(b []byte, then func([]byte) (int, error)) (int, error) {
	short, err := f.fs.try(Write, f.name)
	if err == nil {
		return then(b)
	}
	n := 0
	if short {
		n, _ = then(b[:len(b)/2])
	}
	return n, err
}

func (f *faultyFile) Write(b []byte) (int, error) { return f.write(b, f.File.Write) }

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	return f.write(b, func(b []byte) (int, error) { return f.File.WriteAt(b, at) })
}

func (f *faultyFile) Preallocate(offset, length int64) error {
	return f.fs.do(Create, f.name, func() error { return f.File.Preallocate(offset, length) })
}

func (f *faultyFile) Sync() error     { return f.fs.do(Sync, f.name, f.File.Sync) }
func (f *faultyFile) SyncData() error { return f.fs.do(Sync, f.name, f.File.SyncData) }

func (f *faultyFile) SyncTo(length int64) (full bool, err error) {
	err = f.fs.do(Sync, f.name, func() error {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}
