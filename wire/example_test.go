package wire_test

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/wire"
)

// A question on its way from one peer to the other.
func Example() {
	var stream bytes.Buffer // stands for a connection

	err := wire.NewWriter(&stream).Write(wire.GetBlockHashes{
		Start: common.HexToHash("50f045ff42d134ea5e094250d184babfd704c8c0e9d64550d588aa756e6aa290"),
		Max:   32,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%x\n", stream.Bytes())

	m, err := wire.NewReader(&stream).Next()
	if err != nil {
		fmt.Println(err)
		return
	}
	switch m := m.(type) {
	case wire.GetBlockHashes:
		fmt.Printf("%v: the %d before %x\n", m.ID(), m.Max, m.Start)
	default:
		fmt.Println("ignored:", m.ID())
	}
	// Output:
	// 2240089100000024e317a050f045ff42d134ea5e094250d184babfd704c8c0e9d64550d588aa756e6aa29020
	// GetBlockHashes: the 32 before 50f045ff42d134ea5e094250d184babfd704c8c0e9d64550d588aa756e6aa290
}

// A peer that sends what it should not is told why.
func ExampleFormatError() {
	stream := bytes.NewReader([]byte("\x22\x40\x08\x91\x00\x00\x00\x03\xc2\x02\x01")) // a Ping with an operand
	_, err := wire.NewReader(stream).Next()
	fmt.Println(err)
	if e, ok := errors.AsType[*wire.FormatError](err); ok {
		answer := wire.Disconnect{Reason: e.Reason()}
		fmt.Printf("%x (%v)\n", wire.AppendFrame(nil, answer), answer.Reason)
	}
	// Output:
	// wire: Ping: payload of 3 bytes, want at most 2, at byte 10
	// 2240089100000003c20102 (bad protocol)
}
