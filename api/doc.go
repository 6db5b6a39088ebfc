// Package api is how a running node is asked: what it is doing, who its peers are,
// and why it is not faster.
//
// A [Tracker] makes a [Status] of the events of a node. A [Server] answers
// questions by JSON-RPC 2.0 (go-ethereum's package rpc), each namespace in a file
// of its own. On a Unix socket in the data directory, which only its owner may use,
// it has the namespace shoal:
//
//	shoal_status   what is stored, what is being fetched, how fast, and until when
//	shoal_peers    who is connected, what each contributes; who is remembered for what
//	shoal_why      where the time went: of all peers together and of each
//
// and the namespaces that it also has over HTTP and WebSocket, for everybody who may
// connect: eth, net, web3 and debug, as far as they need blocks and no state. Their
// answers have the shapes of the execution-apis specification. Beside them are
// /metrics, /healthz and /readyz.
//
// Transactions are found by their hash if the server is given an index of them
// (package txindex), receipts and logs where the store has receipts.
//
// The package reads: it is given events and looks into the store, and has no way to
// change what is stored or what the node does. All that it hands on is a transaction that
// somebody has signed, which any peer may send as well. It prints nothing, and knows
// nothing of commands and flags.
package api
