package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Draft is a file that is being written under a name of its own until all of it is on disk,
// so that under its right name there is never a part of it. Not safe for concurrent use.
type Draft struct {
	file *os.File      // nil after Commit or Abort
	buf  *bufio.Writer // into file
}

// NewDraft creates a file with a name that is not in use in the directory of path. Unlike
// os.CreateTemp it leaves the permissions to the umask, for the file is to stay.
func NewDraft(path string) (*Draft, error) {
	dir, base := filepath.Split(path)
	for {
		name := filepath.Join(dir, fmt.Sprintf(".%s.%08x.tmp", base, rand.Uint32()))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			return &Draft{file: f, buf: bufio.NewWriterSize(f, readAhead)}, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
}

// Write implements io.Writer. What is written is buffered.
func (d *Draft) Write(b []byte) (int, error) { return d.buf.Write(b) }

// Commit makes the file durable and gives it its name. If it fails, nothing is left
// behind and what had the name before still has it.
func (d *Draft) Commit(path string) error {
	err := d.flush()
	if err == nil {
		err = os.Rename(d.file.Name(), path)
	}
	if err != nil {
		d.Abort()
		return err
	}
	d.file = nil
	// The content is on disk. That the name is too, not every system can
	// promise, and an export can be repeated: so this is only tried.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		dir.Sync()
		dir.Close()
	}
	return nil
}

// flush writes out all that is buffered and closes the file.
func (d *Draft) flush() error {
	if err := d.buf.Flush(); err != nil {
		return err
	}
	if err := d.file.Sync(); err != nil {
		return err
	}
	return d.file.Close()
}

// Abort removes what has been written. After Commit or Abort it does nothing.
func (d *Draft) Abort() error {
	if d.file == nil {
		return nil
	}
	d.file.Close() // closed already if the end of Commit failed
	err := os.Remove(d.file.Name())
	d.file = nil
	return err
}
