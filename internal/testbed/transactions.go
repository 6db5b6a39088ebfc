package testbed

import (
	"crypto/ecdsa"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/chain"
)

// Key returns a key that is everybody's.
func Key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("key")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Sign returns a transaction as it travels, signed with [Key] for a network.
func Sign(t testing.TB, net *chain.Network, data types.TxData) []byte {
	t.Helper()
	tx, err := types.SignNewTx(Key(t), net.Signer(), data)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := rlp.EncodeToBytes(tx)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
