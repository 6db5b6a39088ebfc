package depot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Source is where archives are. Its methods are safe for concurrent use. Files do not
// change while they are used.
type Source interface {
	// String says where, for people, and without what is secret.
	String() string
	// List returns the names of all files that have the name of an era1 archive.
	List(ctx context.Context) ([]string, error)
	// Size returns how many bytes a file has.
	Size(ctx context.Context, name string) (int64, error)
	// ReadAt reads all of p from a file at an offset. [ErrNotThere]: there is no such
	// file.
	ReadAt(ctx context.Context, name string, p []byte, off int64) error
}

// ErrNotThere: there is no such file, or it is shorter than it was.
var ErrNotThere = errors.New("depot: not there")

// errRefused: who asks may not have it.
var errRefused = errors.New("depot: refused")

// Open returns the source at a location: a directory, the address of a web server whose
// page names the files (http:// or https://), or a bucket (s3://BUCKET/PREFIX). Nothing is
// read yet, but a directory must be there.
func Open(location string) (Source, error) {
	u, err := url.Parse(location)
	switch {
	case err == nil && (u.Scheme == "http" || u.Scheme == "https"):
		return newWeb(u), nil
	case err == nil && u.Scheme == "s3":
		return newBucket(u)
	case err == nil && len(u.Scheme) > 1 && strings.Contains(location, "://"): // C:\ is a directory
		return nil, fmt.Errorf("depot: %s: there are directories, http://, https:// and s3://", location)
	}
	switch st, err := os.Stat(location); {
	case err != nil:
		return nil, fmt.Errorf("depot: %w", err)
	case !st.IsDir():
		return nil, fmt.Errorf("depot: %s is not a directory", location)
	}
	return directory(location), nil
}

// directory is a directory on this machine.
type directory string

func (d directory) String() string { return string(d) }

func (d directory) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("depot: %w", err)
	}
	var names []string
	for _, e := range entries {
		if archiveName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d directory) Size(_ context.Context, name string) (int64, error) {
	st, err := os.Stat(filepath.Join(string(d), name))
	if err != nil {
		return 0, fileError(err)
	}
	return st.Size(), nil
}

func (d directory) ReadAt(_ context.Context, name string, p []byte, off int64) error {
	f, err := os.Open(filepath.Join(string(d), name))
	if err != nil {
		return fileError(err)
	}
	defer f.Close()
	if n, err := f.ReadAt(p, off); n < len(p) {
		return fileError(err)
	}
	return nil
}

// fileError says of an error of the file system whether the file is gone.
func fileError(err error) error {
	if errors.Is(err, fs.ErrNotExist) || !errors.As(err, new(*fs.PathError)) { // io.EOF
		return fmt.Errorf("%w: %w", ErrNotThere, err)
	}
	return fmt.Errorf("depot: %w", err)
}
