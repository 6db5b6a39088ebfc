package link_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/shoalnet/shoal/link"
)

// Two nodes that know each other's keys.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	alice, err := link.LoadKey(filepath.Join(dir, "alice.key"))
	if err != nil {
		fmt.Println(err)
		return
	}
	bob, err := link.NewKey()
	if err != nil {
		fmt.Println(err)
		return
	}

	here, there := net.Pipe()
	go func() {
		conn, err := bob.Server(context.Background(), there, func(id link.ID) bool { return id == alice.ID() })
		if err != nil {
			fmt.Println(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "hello, Alice")
	}()
	conn, err := alice.Client(context.Background(), here, bob.ID())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	said := make([]byte, 64)
	n, err := conn.Read(said)
	fmt.Printf("%s, %v, Bob: %v\n", said[:n], err, conn.Peer() == bob.ID())
	// Output: hello, Alice, <nil>, Bob: true
}
