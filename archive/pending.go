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

// pending is a file that is being written under a name of its own until all of it is
// on disk.
type pending struct {
	file *os.File      // nil after commit or abort
	buf  *bufio.Writer // into file
}

// createBeside creates a file with a name that is not in use in the directory
// of path. Unlike os.CreateTemp it leaves the permissions to the umask, for
// the file is to stay.
func createBeside(path string) (*pending, error) {
	dir, base := filepath.Split(path)
	for {
		name := filepath.Join(dir, fmt.Sprintf(".%s.%08x.tmp", base, rand.Uint32()))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			return &pending{file: f, buf: bufio.NewWriterSize(f, readAhead)}, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
}

// commit makes the file durable and gives it its name. If it fails, nothing is left
// behind and what had the name before still has it.
func (p *pending) commit(path string) error {
	err := p.flush()
	if err == nil {
		err = os.Rename(p.file.Name(), path)
	}
	if err != nil {
		p.abort()
		return err
	}
	p.file = nil
	// The content is on disk. That the name is too, not every system can
	// promise, and an export can be repeated: so this is only tried.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		dir.Sync()
		dir.Close()
	}
	return nil
}

// flush writes out all that is buffered and closes the file.
func (p *pending) flush() error {
	if err := p.buf.Flush(); err != nil {
		return err
	}
	if err := p.file.Sync(); err != nil {
		return err
	}
	return p.file.Close()
}

// abort removes what has been written. After commit or abort it does nothing.
func (p *pending) abort() error {
	if p.file == nil {
		return nil
	}
	p.file.Close() // closed already if the end of commit failed
	err := os.Remove(p.file.Name())
	p.file = nil
	return err
}
