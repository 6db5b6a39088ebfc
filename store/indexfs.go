package store

import (
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// indexFS is the file system under the index. Pebble ends the process when it cannot
// write its log or its manifest, and counts on not coming back: when the next log
// cannot be begun, or a directory not be synced, it even panics, while it holds a lock
// wrongly or in a goroutine of its own, so that no recover helps; and when it has failed
// to note a new table, what it knows of its tables does not fit together any more.
//
// Here the process goes on. So errors of the log, of the manifest and of directories are
// kept from Pebble, and after the first trouble of any kind nothing is written any more:
// what is on disk stays as it was, which is how a crash leaves it. The store hears of the
// trouble after the commit that met it at the latest. Only the errors of tables reach
// Pebble, which then keeps what should have gone there in memory.
//
// While Pebble opens the index, all errors are kept from it: what it has found in the
// log it writes to a table, again and again until that works, and does not return.
// Then what it writes goes nowhere, and the index is closed as soon as it is open.
type indexFS struct {
	vfs.FS
	log    *indexLogger
	opened atomic.Bool
}

// do runs an operation, unless there is trouble. While the index is being opened, and
// if the operation is one of those whose errors are kept, its error is for the store
// alone.
func (f *indexFS) do(op, name string, kept bool, then func() error) error {
	err := f.log.fatal()
	if err == nil {
		if err = then(); err == nil {
			return nil
		}
	}
	if !kept && f.opened.Load() {
		return err
	}
	err = naming(op, name, err)
	f.log.cause.CompareAndSwap(nil, &indexError{text: err.Error(), cause: err})
	return nil
}

// create returns a file that then creates. If the error of that is kept, what is written
// to the file goes nowhere.
func (f *indexFS) create(name string, then func() (vfs.File, error)) (file vfs.File, err error) {
	kept := !strings.HasSuffix(name, ".sst")
	err = f.do("create", name, kept, func() error {
		file, err = then()
		return err
	})
	if err == nil && file == nil {
		file, err = vfs.NewMem().Create("nowhere", vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return nil, err
	}
	return &indexFile{file, f, name, kept}, nil
}

func (f *indexFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.create(name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *indexFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.create(to, func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) })
}

func (f *indexFS) OpenDir(name string) (vfs.File, error) {
	d, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &indexDir{d, f, name}, nil
}

func (f *indexFS) Rename(from, to string) error {
	return f.do("rename", to, false, func() error { return f.FS.Rename(from, to) })
}

func (f *indexFS) Remove(name string) error {
	return f.do("remove", name, false, func() error { return f.FS.Remove(name) })
}

func (f *indexFS) Unwrap() vfs.FS { return f.FS }

// indexFile is a file of the index that is being written.
type indexFile struct {
	vfs.File
	fs   *indexFS
	name string
	kept bool
}

func (l *indexFile) do(op string, then func() error) error { return l.fs.do(op, l.name, l.kept, then) }

func (l *indexFile) Write(b []byte) (n int, err error) {
	err = l.do("write", func() error {
		n, err = l.File.Write(b)
		return err
	})
	if err == nil {
		n = len(b)
	}
	return n, err
}

func (l *indexFile) Sync() error     { return l.do("sync", l.File.Sync) }
func (l *indexFile) SyncData() error { return l.do("sync", l.File.SyncData) }

func (l *indexFile) SyncTo(length int64) (full bool, err error) {
	err = l.do("sync", func() error {
		full, err = l.File.SyncTo(length)
		return err
	})
	return full, err
}

// Preallocate may fail: it saves time and nothing else.
func (l *indexFile) Preallocate(offset, length int64) error {
	l.File.Preallocate(offset, length)
	return nil
}

func (l *indexFile) Close() error {
	err := l.File.Close()
	return l.do("close", func() error { return err })
}

// indexDir is the index's directory.
type indexDir struct {
	vfs.File
	fs   *indexFS
	name string
}

func (d *indexDir) Sync() error { return d.fs.do("sync", d.name, true, d.File.Sync) }
