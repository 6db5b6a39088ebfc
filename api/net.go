package api

import (
	"strconv"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
)

// netAPI is the namespace net.
type netAPI struct{ s *Server }

// Version is net_version: the network id, in decimal digits.
func (a netAPI) Version() string { return strconv.FormatUint(a.s.cfg.Network.ID, 10) }

// Listening is net_listening.
func (a netAPI) Listening() bool { return a.s.cfg.Listening }

// PeerCount is net_peerCount.
func (a netAPI) PeerCount() hexutil.Uint { return hexutil.Uint(len(a.s.cfg.Node.Peers())) }

// web3API is the namespace web3.
type web3API struct{ s *Server }

// ClientVersion is web3_clientVersion.
func (a web3API) ClientVersion() string { return a.s.cfg.Client }

// Sha3 is web3_sha3, the digest of what is given.
func (web3API) Sha3(input hexutil.Bytes) hexutil.Bytes { return crypto.Keccak256(input) }
