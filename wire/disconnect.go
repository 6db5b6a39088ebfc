package wire

import (
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"
)

// Reason is why a peer disconnects (section 2.2). The numbers are those of the
// monolithic protocol 30; later protocols gave 0x06 and up other meanings, so
// nothing above 0x08 is sent (A29). Whatever number arrives is kept.
type Reason uint64

// The reasons of protocol 30.
const (
	ReasonRequested        Reason = 0x00
	ReasonTCPError         Reason = 0x01
	ReasonBadProtocol      Reason = 0x02
	ReasonUselessPeer      Reason = 0x03
	ReasonTooManyPeers     Reason = 0x04
	ReasonAlreadyConnected Reason = 0x05
	ReasonWrongGenesis     Reason = 0x06
	ReasonIncompatible     Reason = 0x07
	ReasonQuitting         Reason = 0x08
)

// String returns the reason in words.
func (r Reason) String() string {
	switch r {
	case ReasonRequested:
		return "requested"
	case ReasonTCPError:
		return "TCP error"
	case ReasonBadProtocol:
		return "bad protocol"
	case ReasonUselessPeer:
		return "useless peer"
	case ReasonTooManyPeers:
		return "too many peers"
	case ReasonAlreadyConnected:
		return "already connected"
	case ReasonWrongGenesis:
		return "wrong genesis block"
	case ReasonIncompatible:
		return "incompatible protocol or network"
	case ReasonQuitting:
		return "client quitting"
	}
	return fmt.Sprintf("reason 0x%02x", uint64(r))
}

// ReasonForm is how the reason of a [Disconnect] is written. It carries no
// meaning; it is kept so that a parsed message encodes to the same bytes.
type ReasonForm uint8

const (
	// ReasonScalar is the proper form, and the only one to send (A28).
	ReasonScalar ReasonForm = iota
	// ReasonAbsent is a Disconnect without a reason, as of the Go client: payload
	// c101. It counts as [ReasonRequested].
	ReasonAbsent
	// ReasonZeroByte is [ReasonRequested] written as the byte 00 instead of 80:
	// payload c20100. It is the one integer that may be so (A23).
	ReasonZeroByte
)

// Disconnect says that the sender closes the connection, and why.
type Disconnect struct {
	Reason Reason
	Form   ReasonForm // zero to send; forms other than ReasonScalar imply ReasonRequested
}

// ID returns [IDDisconnect].
func (Disconnect) ID() ID { return IDDisconnect }

// Limit returns the limit of one number.
func (Disconnect) Limit() Limit { return Limit{Bytes: disconnectBytes, Items: 1} }

// AppendItems appends the reason in its form.
func (m Disconnect) AppendItems(dst []byte) []byte {
	switch m.Form {
	case ReasonAbsent:
		return dst
	case ReasonZeroByte:
		return append(dst, 0)
	}
	return rlp.AppendUint64(dst, uint64(m.Reason))
}

func (m Disconnect) itemsLen() int {
	switch m.Form {
	case ReasonAbsent:
		return 0
	case ReasonZeroByte:
		return 1
	}
	return rlp.IntSize(uint64(m.Reason))
}

func parseDisconnect(d *decoder, items int) (Message, error) {
	if items == 0 { // A28
		return Disconnect{Form: ReasonAbsent}, nil
	}
	if d.rest[0] == 0 { // A23
		return Disconnect{Form: ReasonZeroByte}, nil
	}
	reason, err := d.uint64("reason")
	if err != nil {
		return nil, err
	}
	return Disconnect{Reason: Reason(reason)}, nil
}
