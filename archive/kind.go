package archive

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Kind is how a chain file holds its blocks.
type Kind uint8

// The kinds of chain files. Any of them may be gzipped.
const (
	RLP  Kind = iota + 1 // blocks one after the other, as `geth export` writes them
	Hex                  // one block in hexadecimal a line
	Era1                 // e2store entries
)

// String returns the name of the kind for people.
func (k Kind) String() string {
	switch k {
	case RLP:
		return "RLP stream"
	case Hex:
		return "hex lines"
	case Era1:
		return "era1"
	}
	return fmt.Sprintf("Kind(%d)", k)
}

// Detect tells the kind of a chain file from its first bytes: eight are
// enough. It reports false for what is no chain file that we know, which
// includes gzip: [Reader] looks under it.
func Detect(prefix []byte) (Kind, bool) {
	if len(prefix) == 0 {
		return 0, false
	}
	c := prefix[0]
	switch {
	case len(prefix) > 2 && c == typeVersion&0xff && prefix[1] == typeVersion>>8 && prefix[2] == 0:
		// The zero tells it from the hex digits "e2".
		return Era1, true
	case c >= 0xc0:
		// A block is a list, and the first byte of a list is 0xc0 or more.
		return RLP, true
	case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		return Hex, true
	}
	return 0, false
}

// isGzip reports whether the prefix is that of a gzip stream (RFC 1952,
// section 2.3.1).
func isGzip(prefix []byte) bool {
	return len(prefix) >= 2 && prefix[0] == 0x1f && prefix[1] == 0x8b
}

// WriteExtensions lists the extensions that [Create] accepts.
func WriteExtensions() []string {
	return []string{".rlp", ".blocks", ".rlp.gz", ".gz"}
}

// gzipByName reports whether a file of that name is to be written gzipped. It
// fails if the name's extension is not one of WriteExtensions.
func gzipByName(path string) (bool, error) {
	name := strings.ToLower(filepath.Base(path))
	stem, zipped := strings.CutSuffix(name, ".gz")
	ext := filepath.Ext(stem)
	switch {
	case ext == ".era1" || ext == ".hex":
		// Readable but not written: do not let a name lie about the content.
	case zipped:
		return true, nil
	case slices.Contains(WriteExtensions(), ext):
		return false, nil
	}
	return false, fmt.Errorf("archive: the extension of %s tells no format that can be written: use one of %s",
		path, strings.Join(WriteExtensions(), ", "))
}
