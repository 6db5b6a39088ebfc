package link

import (
	"fmt"
	"net"
	"strings"
)

// scheme begins the address of a node that is met over an encrypted link.
const scheme = "tls://"

// Addr is where a node listens, and who it must be. As a text it is host:port, or
// tls://host:port#ID.
type Addr struct {
	HostPort string
	ID       ID // zero: whoever is there, in plain
}

// String returns the address in the form that [ParseAddr] reads.
func (a Addr) String() string {
	if a.ID.IsZero() {
		return a.HostPort
	}
	return scheme + a.HostPort + "#" + a.ID.String()
}

// ParseAddr reads what [Addr.String] returns.
func ParseAddr(s string) (a Addr, err error) {
	rest, encrypted := strings.CutPrefix(s, scheme)
	at, id, named := strings.Cut(rest, "#")
	switch {
	case encrypted && !named:
		return Addr{}, fmt.Errorf("link: %q does not say who is there: want tls://host:port#KEY, with the key that \"shoal key\" prints there", s)
	case named && !encrypted:
		return Addr{}, fmt.Errorf("link: %q has a key but is in plain: want tls://host:port#KEY", s)
	case named:
		if a.ID, err = ParseID(id); err != nil {
			return Addr{}, err
		}
	}
	host, port, err := net.SplitHostPort(at)
	if err != nil || host == "" || port == "" {
		return Addr{}, fmt.Errorf("link: %q is not host:port", at)
	}
	a.HostPort = at
	return a, nil
}
