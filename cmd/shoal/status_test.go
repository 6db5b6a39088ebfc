package main

import (
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/node"
)

// TestPrintedStatus: how a status, its reasons and the peers look to people. What a
// peer says of itself cannot play with their terminal.
func TestPrintedStatus(t *testing.T) {
	const s = time.Second
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	spent := api.Spent{api.Transferring: 581 * s, api.Late: 13 * s, api.WaitingHashes: 41 * s}
	status := api.Status{
		Network: "mainnet", Genesis: common.HexToHash("0xd4e5"), Blocks: 420_000,
		Head: api.Head{Number: 398_120, Hash: common.HexToHash("0xab"), TD: "17179869184"},
		Plan: &api.Plan{Number: 1_000_000, Hash: common.HexToHash("0xcd"), Hashes: 1_000_000, AllHashes: true},
	}
	var out strings.Builder
	printStatus(&out, &status, now)
	status.Node = &api.Node{Client: "Shoal/v1", Since: now.Add(-754 * s), Phase: "blocks", Peers: 2, Sync: &api.Sync{
		Here: 412_331, All: 1_000_000, BlocksPerSec: 8431, BytesPerSec: 47.1e6, Efficiency: 0.96, Hashes: 1_000_000, Linked: 398_120,
	}}
	printStatus(&out, &status, now)
	status.Plan, status.Node.Sync, status.Node.Phase = nil, nil, "idle"
	printStatus(&out, &status, now)
	status.Node.Waiting, status.Node.Links = "no peer is connected", 1
	printStatus(&out, &status, now)
	golden(t, "status.golden", out.String())

	out.Reset()
	printWhy(&out, &api.Why{})
	printWhy(&out, &api.Why{Total: spent, Peers: []api.PeerWhy{
		{Name: "192.0.2.7:30303", Now: api.Transferring, Spent: api.Spent{api.Transferring: 380 * s, api.WaitingHashes: 41 * s}},
		{Name: "[2001:db8::1]:30303", Now: api.Late, Spent: api.Spent{api.Transferring: 201 * s, api.Late: 13 * s}},
	}})
	golden(t, "why.golden", out.String())

	out.Reset()
	printPeers(&out, &api.Peers{}, now)
	printPeers(&out, &api.Peers{
		Connected: []api.Peer{
			{Name: "192.0.2.7:30303", Key: strings.Repeat("1a2b3c4d", 8), Client: "Shoal/v1", Seconds: 600, Blocks: 31_000, Bytes: 210e6, Rate: 2.4e6, RoundTrip: 0.043, InFlight: 120},
			{Name: "192.0.2.8:51234", Client: "evil\x1b[2J\nname " + strings.Repeat("x", 100), Inbound: true, Seconds: 3, Late: 2, Why: api.Late},
		},
		Standings: []node.Standing{
			{Who: "192.0.2.9", Score: 0, Until: now.Add(time.Hour), Evidence: []string{"2026-11-25 11:59:00 it sent something else"}},
			{Who: "192.0.2.10", Score: -30, Evidence: []string{"2026-11-25 11:58:00 it does not answer"}},
		},
	}, now)
	golden(t, "peers.golden", out.String())
}
