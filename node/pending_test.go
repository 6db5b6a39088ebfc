package node

import (
	"encoding/hex"
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/testbed"
)

// of2014 is the transaction in a message that a client of 2014 sent (PROTOCOL.md, section
// 1.4 has the frame).
const of2014 = "f86b04648609184e72a00094cd2a3d9f938e13cd947ec05abc7fe734df8dd826881bc16d674ec80000801b" +
	"a05c89ebf2b77eeab88251e553f6f9d53badc1d800bbac02d830801c2aa94a4c9fa00b7907532b1f29c79942b75fff98822293bf5fdaa3653a8d9f424c6a3265f06c"

func (p *pending) put(raw []byte, now time.Time) error {
	_, err := p.add(hashOfTransaction(raw), raw, now)
	return err
}

// TestPendingTakes: what is well-formed and signed, of any kind and time, under the hash
// that all know it by; and nothing else.
func TestPendingTakes(t *testing.T) {
	old, err := hex.DecodeString(of2014)
	if err != nil {
		t.Fatal(err)
	}
	if err := newPending(chain.PoC6).put(old, bookNow); err != nil {
		t.Errorf("a transaction of 2014: %v", err)
	}
	to := common.Address{1}
	legacy := testbed.Sign(t, chain.Dev, &types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(1), Gas: 21000, To: &to})
	otherChain := testbed.Sign(t, &chain.Network{ID: 99}, &types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(1), Gas: 21000, To: &to})
	p := newPending(chain.Dev)
	for name, raw := range map[string][]byte{
		"legacy":      legacy,
		"access list": testbed.Sign(t, chain.Dev, &types.AccessListTx{ChainID: big.NewInt(1337), Nonce: 2, GasPrice: big.NewInt(1), Gas: 30000, To: &to}),
		"dynamic fee": testbed.Sign(t, chain.Dev, &types.DynamicFeeTx{ChainID: big.NewInt(1337), Nonce: 3, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2), Gas: 30000}),
	} {
		var tx types.Transaction
		if err := rlp.DecodeBytes(raw, &tx); err != nil {
			t.Fatal(err)
		}
		if h := hashOfTransaction(raw); h != tx.Hash() {
			t.Errorf("%s: hash %x, want %x", name, h, tx.Hash())
		}
		if err := p.put(raw, bookNow); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := p.put(raw, bookNow); !errors.Is(err, errKnown) {
			t.Errorf("%s, again: %v", name, err)
		}
	}
	unsigned := append([]byte(nil), legacy...)
	clear(unsigned[len(unsigned)-30:]) // of s
	zero := append([]byte(nil), old...)
	zero[44] = 99 // v
	for name, raw := range map[string][]byte{
		"cut":                legacy[:len(legacy)-1],
		"longer":             append(append([]byte(nil), legacy...), 0),
		"v is 99":            zero,
		"for another chain":  otherChain,
		"empty list":         {0xc0},
		"empty string":       {0x80},
		"a byte":             {0x01},
		"nothing":            {},
		"of an unknown kind": {0x82, 0x7f, 0xc0},
		"too big":            testbed.Sign(t, chain.Dev, &types.LegacyTx{GasPrice: big.NewInt(1), Gas: 1, To: &to, Data: make([]byte, maxTransaction)}),
	} {
		if err := newPending(chain.Dev).put(raw, bookNow); err == nil {
			t.Errorf("%s: is taken", name)
		}
	}
	if len(p.all) != 3 {
		t.Errorf("%d transactions, want 3", len(p.all))
	}
}

// TestPendingIsBounded: whatever comes, count and bytes stay in bounds, the oldest goes
// first, and the list holds what the map does.
func TestPendingIsBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	to := common.Address{1}
	var raws [][]byte
	var hashes []common.Hash // each digest is a millisecond under the race detector
	for i := range 120 {
		raws = append(raws, testbed.Sign(t, chain.Dev, &types.LegacyTx{Nonce: uint64(i), GasPrice: big.NewInt(1), Gas: 1, To: &to, Data: make([]byte, 60_000+500*i)}))
		hashes = append(hashes, hashOfTransaction(raws[i]))
	}
	p, now := newPending(chain.Dev), bookNow
	for step := range 600 {
		i := rng.IntN(len(raws))
		switch rng.IntN(3) {
		case 0:
			p.remove(hashes[i])
		default:
			now = now.Add(time.Second)
			if _, err := p.add(hashes[i], raws[i], now); err != nil && !errors.Is(err, errKnown) {
				t.Fatal(err)
			}
		}
		bytes := 0
		for _, x := range p.all {
			bytes += len(x.raw)
		}
		if bytes != p.bytes || bytes > maxPendingBytes {
			t.Fatalf("%d bytes are kept, %d are counted", bytes, p.bytes)
		}
		if step%20 == 0 {
			if n := len(p.list(nil, now, 1<<30)); n != bytes {
				t.Fatalf("%d bytes are listed, %d kept", n, bytes)
			}
		}
		if len(p.order) > 3*len(p.all)+100 {
			t.Fatalf("%d places for %d transactions", len(p.order), len(p.all))
		}
	}
	last := raws[7]
	p.remove(hashOfTransaction(last))
	if err := p.put(last, now); err != nil {
		t.Fatal(err)
	}
	if list := p.list(nil, now, 1<<30); string(list[len(list)-len(last):]) != string(last) {
		t.Error("the youngest is not the last")
	}
	if p.list(nil, now.Add(pendingTime), 1<<30); len(p.all) != 0 {
		t.Errorf("%d transactions are kept for ever", len(p.all))
	}
}

// TestSignaturesAreRationed: a flood costs no more than the ration, and what is known
// costs nothing.
func TestSignaturesAreRationed(t *testing.T) {
	p := newPending(chain.Dev)
	to, busy := common.Address{1}, 0
	raw := testbed.Sign(t, chain.Dev, &types.LegacyTx{GasPrice: big.NewInt(1), Gas: 1, To: &to})
	for i := range signaturesAtOnce + 500 {
		junk := append([]byte(nil), raw...)
		junk[2] = byte(1 + i%100) // nonce
		junk[10] = byte(i / 100)  // of the address
		if err := p.put(junk, bookNow); errors.Is(err, errBusy) {
			busy++
		}
	}
	if busy < 400 {
		t.Errorf("%d of %d were put off", busy, signaturesAtOnce+500)
	}
	if err := p.put(raw, bookNow.Add(time.Minute)); err != nil && !errors.Is(err, errKnown) {
		t.Errorf("a minute later: %v", err)
	}
}
