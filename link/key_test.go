package link

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func newKey(t testing.TB) *Key {
	t.Helper()
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestLoadKey: a key is made once, for its owner's eyes, whoever asks first, and is known
// by the digest of its public half. Its certificate always has the same bytes.
func TestLoadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "node.key")
	keys := make([]*Key, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			k, err := LoadKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = k
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, k := range keys {
		if k.ID() != keys[0].ID() || !bytes.Equal(k.cert.Certificate[0], keys[0].cert.Certificate[0]) {
			t.Fatal("two processes have two keys")
		}
	}
	public, err := x509.MarshalPKIXPublicKey(keys[0].cert.Leaf.PublicKey)
	if err != nil || keys[0].ID() != sha256.Sum256(public) {
		t.Fatalf("the id is %v: %v", keys[0].ID(), err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("the file has mode %v: %v", st.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Dir(path) + "/.key*"); len(left) > 0 {
		t.Errorf("%q are left over", left)
	}
}

// TestLoadKeyRefused: what is no key, or no secret, is not used, and not written over.
func TestLoadKeyRefused(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"nothing", "", 0o600, "not a private key in PEM"},
		{"a text", "hello\n", 0o600, "not a private key in PEM"},
		{"a certificate", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o600, "not a private key in PEM"},
		{"garbage", string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: []byte{1, 2, 3}})), 0o600, "asn1"},
		{"another kind", string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})), 0o600, "want a key of Ed25519"},
		{"a key for everybody", "", 0o640, "chmod 600"},
	} {
		path := filepath.Join(t.TempDir(), "node.key")
		if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != c.text {
			t.Errorf("%s: the file has changed", c.name)
		}
	}
}

// TestAddr: an address says where, and if encrypted, who; anything between is refused with
// a sentence.
func TestAddr(t *testing.T) {
	id := newKey(t).ID()
	for _, text := range []string{"192.0.2.7:30303", "[2001:db8::1]:1", "host:30303", "tls://host:30303#" + id.String(), "tls://[::1]:1#" + id.String()} {
		a, err := ParseAddr(text)
		if err != nil || a.String() != text || a.ID.IsZero() != !strings.HasPrefix(text, "tls:") {
			t.Errorf("%s is read as %v: %v", text, a, err)
		}
	}
	if a, err := ParseAddr("tls://h:1#" + strings.ToUpper(id.String())); err != nil || a.ID != id {
		t.Errorf("big digits: %v, %v", a, err)
	}
	for text, want := range map[string]string{
		"":                                "not host:port",
		"host":                            "not host:port",
		":1":                              "not host:port",
		"host:":                           "not host:port",
		"tls://host:1":                    "does not say who is there",
		"host:1#" + id.String():           "is in plain",
		"tls://host#" + id.String():       "not host:port",
		"tls://host:1#":                   "not the key of a node",
		"tls://host:1#abcd":               "not the key of a node",
		"tls://host:1#" + id.String()[1:]: "not the key of a node",
		"tls://host:1#" + ID{}.String():   "not the key of a node",
	} {
		if a, err := ParseAddr(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is read as %v: %v, want %q", text, a, err, want)
		}
	}
}
