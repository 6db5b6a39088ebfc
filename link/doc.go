// Package link is encrypted connections between nodes that know each other by their keys.
//
// A node has a key (Ed25519), made at first use and kept in a file, and is known by the
// [ID] of its public half: SHA-256 over the key in PKIX form. The one who dials says which
// ID it expects; the one who listens, which it lets in. Both prove theirs in a handshake
// of TLS 1.3, and what is spoken inside is left to the caller.
//
//	key, err := link.LoadKey("node.key")
//	…
//	conn, err := key.Client(ctx, tcp, id)                    // who dials
//	conn, err := key.Server(ctx, tcp, func(id link.ID) bool) // who listens
//
// There are no authorities, no names, no dates and no resumed sessions: a certificate is
// only the form in which TLS carries a key. It signs itself, always has the same bytes, and
// nothing of it but the key is looked at, so nothing in it can run out.
//
// The package opens no sockets and decides nothing about who is trusted.
package link
