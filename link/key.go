package link

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// ID is what a node is known by: SHA-256 over its public key in PKIX form (RFC 5280,
// SubjectPublicKeyInfo). Its text is 64 hexadecimal digits. The zero ID is nobody's.
type ID [sha256.Size]byte

// String returns the 64 hexadecimal digits, in lower case.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether it is nobody's.
func (id ID) IsZero() bool { return id == ID{} }

// ParseID reads what [ID.String] returns, in digits of either case.
func ParseID(s string) (id ID, err error) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == len(id) {
		copy(id[:], b)
	}
	if id.IsZero() {
		return ID{}, fmt.Errorf("link: %q is not the key of a node: want %d hexadecimal digits, as \"shoal key\" prints them", s, 2*len(id))
	}
	return id, nil
}

// Key is what a node proves who it is with. It is safe for concurrent use.
type Key struct {
	id   ID
	cert tls.Certificate
}

// ID returns what others know the node by.
func (k *Key) ID() ID { return k.id }

// NewKey makes a key.
func NewKey() (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("link: making a key: %w", err)
	}
	return keyOf(private)
}

// keyOf wraps a key in the certificate that TLS wants around it.
func keyOf(private ed25519.PrivateKey) (*Key, error) {
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // none (RFC 5280, 4.1.2.5)
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, private.Public(), private)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	return &Key{sha256.Sum256(leaf.RawSubjectPublicKeyInfo), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}}, nil
}

const (
	// maxKeyFile bounds what is read of a file that should be a key, which has 119 bytes.
	maxKeyFile = 4 << 10

	pemType = "PRIVATE KEY"
)

// LoadKey reads the key of a file, in PKCS #8 and PEM. If there is no such file it makes
// one with a new key, which only its owner may read, in a directory that it makes too.
func LoadKey(path string) (*Key, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKeyFile(path); err != nil {
			return nil, fmt.Errorf("link: making the key of this node: %w", err)
		}
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, fmt.Errorf("link: the key of this node: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("link: the key of this node: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("link: others than its owner may use the key %s (mode %04o): \"chmod 600\" keeps it secret, if it still is", path, st.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("link: the key of this node: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("link: %s is not a private key in PEM", path)
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("link: %s: %w", path, err)
	}
	signer, ok := private.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("link: %s: want a key of Ed25519, not a %T", path, private)
	}
	return keyOf(signer)
}

// makeKeyFile writes a new key to a file, which appears when it is complete. If another
// process has made one meanwhile, that stays.
func makeKeyFile(path string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".key-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = pem.Encode(f, &pem.Block{Type: pemType, Bytes: der})
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
