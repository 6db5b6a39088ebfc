package chain_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log"

	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// View bytes as a block of September 2014 and check what can be checked without
// any other block, then that it continues the genesis block.
func ExampleParseBlock() {
	raw, err := hex.DecodeString("f8bef8baa008436a4d33c77e6acf013e586a3333ad152f25d31df8b68749d85046810e1f4b" +
		"a01dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347" +
		"9400112233445566778899aabbccddeeff00112233" +
		"a09b777e8bf13ee6652dd054fb81c8235def9bf73c177863c79dbb1b3596ebf510" +
		"808301ff80018609184e72a000830f3e6f80845402000089505633302064656d6f" +
		"a00000000000000000000000000000000000000000000000000000000000051721c0c0")
	if err != nil {
		log.Fatal(err)
	}
	b, err := chain.ParseBlock(chain.FormatPoC6, raw)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("block %d, difficulty %s, %q\n", b.Number, b.Difficulty.Dec(), b.Extra)
	fmt.Println(b.Hash)

	genesis, err := chain.PoC6.GenesisBlock()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(chain.PoC6.CheckBlock(b))
	fmt.Println(chain.PoC6.CheckLink(&genesis.Header, &b.Header))
	td, err := chain.PoC6.TotalDifficulty(&genesis.Difficulty, b)
	fmt.Println(td.Dec(), err)
	// Output:
	// block 1, difficulty 130944, "PV30 demo"
	// 0x50f045ff42d134ea5e094250d184babfd704c8c0e9d64550d588aa756e6aa290
	// <nil>
	// <nil>
	// 262016 <nil>
}

// A hash covers the header only: a peer can answer with the right header and
// any body. CheckBlock finds out, and the error says whom to blame.
func ExampleNetwork_CheckBlock() {
	var blocks []*chain.Block
	for b := range chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 1, Txs: 3}) {
		blocks = append(blocks, b)
	}
	raw := append([]byte(nil), blocks[0].Raw()...)
	raw[len(raw)-10] ^= 1 // in the last transaction

	b, err := chain.Dev.ParseBlock(raw)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("same hash:", b.Hash == blocks[0].Hash)
	if e, ok := errors.AsType[*chain.RuleError](chain.Dev.CheckBlock(b)); ok {
		fmt.Println(e.Rule, "is wrong; to blame is who served the body:", e.Rule.OfBody())
	}
	// Output:
	// same hash: true
	// transactions root is wrong; to blame is who served the body: true
}

// What the presets agree on with the rest of the world.
func ExampleNetworkByName() {
	for _, name := range []string{"mainnet", "sepolia", "poc6", "dev", "olympic"} {
		n, err := chain.NetworkByName(name)
		if err != nil {
			fmt.Println(name, "is unknown:", errors.Is(err, chain.ErrUnknownNetwork))
			continue
		}
		genesis, err := n.GenesisBlock()
		if err != nil {
			log.Fatal(err)
		}
		td, err := n.TotalDifficulty(new(uint256.Int), genesis)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%-8s %-9s %x… %s\n", n.Name, n.Format, genesis.Hash[:4], td.Dec())
	}
	// Output:
	// mainnet  Frontier  d4e56740… 17179869184
	// sepolia  Frontier  25a5cc10… 131072
	// poc6     PoC-6     08436a4d… 131072
	// dev      Frontier  62218e46… 131072
	// olympic is unknown: true
}
