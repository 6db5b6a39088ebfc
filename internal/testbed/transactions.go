package testbed

import (
	"testing"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/chain"
)

// Sign returns a transaction as it travels, signed for a network with a key that is
// everybody's.
func Sign(t testing.TB, net *chain.Network, data types.TxData) []byte {
	t.Helper()
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("key")))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := types.SignNewTx(key, net.Signer(), data)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := rlp.EncodeToBytes(tx)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
