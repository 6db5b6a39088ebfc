package swarm_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/shoalnet/shoal/swarm"
)

// A file is put at one node and read at another, which has nothing of it.
func Example() {
	ctx := context.Background()
	alice := swarm.New(new(swarm.Memory), swarm.Options{})
	bob := swarm.New(new(swarm.Memory), swarm.Options{Source: swarm.From(alice)})

	ref, size, err := alice.Put(ctx, "song", strings.NewReader(strings.Repeat("la ", 5000)))
	fmt.Printf("%x…: %d bytes, %v\n", ref[:6], size, err)

	song, err := bob.Open(ctx, ref)
	if err == nil {
		size, err := io.Copy(io.Discard, song)
		fmt.Printf("%d bytes, %v, %v\n", size, err, song.Close())
	}
	// Output:
	// 95198b0b788a…: 15000 bytes, <nil>
	// 15000 bytes, <nil>, <nil>
}

// Of a file that comes from elsewhere only what is read is fetched, and a little ahead.
func ExampleFiles_Open() {
	ctx := context.Background()
	alice := swarm.New(new(swarm.Memory), swarm.Options{})
	bob := swarm.New(new(swarm.Memory), swarm.Options{Source: swarm.From(alice)})
	ref, _, err := alice.Put(ctx, "song", strings.NewReader(strings.Repeat("la ", 5000)+"end"))
	if err != nil {
		fmt.Println(err)
		return
	}

	song, err := bob.Open(ctx, ref)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer song.Close()
	song.Seek(-6, io.SeekEnd)
	text, err := io.ReadAll(song)
	progress, _ := bob.Check(ctx, ref)
	fmt.Printf("%q, %v; %d of %d bytes are here\n", text, err, progress.Held, progress.Size)
	// Output: "la end", <nil>; 2715 of 15003 bytes are here
}
