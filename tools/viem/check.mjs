// Reads all blocks of a running node with viem, and compares what it gets with the data of
// the archive:
//
//	node check.mjs URL EXPECTED.json
//
// EXPECTED.json is a list of {block, receipts}, shaped by go-ethereum. Besides, viem itself
// recomputes what it can: the hash of each transaction and who has signed it.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createPublicClient, getAddress, http, keccak256, recoverTransactionAddress, serializeTransaction, webSocket } from 'viem'

const [url, file] = process.argv.slice(2)
const expected = JSON.parse(readFileSync(file))

// serialized returns a transaction as it was signed, in RLP.
function serialized(tx) {
	const { hash, from, blockHash, blockNumber, blockTimestamp, transactionIndex, typeHex, input, gas, r, s, v, yParity, ...rest } = tx
	if (tx.type !== 'legacy') delete rest.gasPrice
	if (tx.type === 'eip1559') delete rest.gasPrice
	if (tx.type === 'eip2930') rest.gasPrice = tx.gasPrice
	return serializeTransaction({ ...rest, gas, data: input }, { r, s, v, yParity })
}

function same(what, want, got) {
	assert.deepEqual(got, want, what)
}

async function check(client) {
	let txs = 0
	let logs = 0
	for (const { block: want, receipts } of expected) {
		const number = BigInt(want.number)
		const got = await client.getBlock({ blockNumber: number, includeTransactions: true })
		for (const field of ['hash', 'parentHash', 'sha3Uncles', 'logsBloom', 'transactionsRoot', 'stateRoot', 'receiptsRoot', 'mixHash', 'nonce', 'extraData'])
			same(`${field} of block ${number}`, want[field], got[field])
		for (const field of ['difficulty', 'gasLimit', 'gasUsed', 'timestamp'])
			same(`${field} of block ${number}`, BigInt(want[field]), got[field])
		same(`transactions of block ${number}`, receipts.map((r) => r.transactionHash), got.transactions.map((tx) => tx.hash))
		same(`count of block ${number}`, receipts.length, await client.getBlockTransactionCount({ blockHash: want.hash }))
		for (const [i, receipt] of receipts.entries()) {
			const hash = receipt.transactionHash
			const tx = await client.getTransaction({ hash })
			same(`transaction ${hash}`, got.transactions[i], tx)
			const bytes = serialized(tx)
			same(`hash of transaction ${hash}`, hash, keccak256(bytes))
			same(`signer of transaction ${hash}`, await recoverTransactionAddress({ serializedTransaction: bytes }), getAddress(tx.from))
			const r = await client.getTransactionReceipt({ hash })
			for (const field of ['blockHash', 'transactionHash', 'logsBloom']) same(`${field} of receipt ${hash}`, receipt[field], r[field])
			for (const field of ['gasUsed', 'cumulativeGasUsed', 'blockNumber', 'effectiveGasPrice'])
				same(`${field} of receipt ${hash}`, BigInt(receipt[field]), r[field])
			same(`index of receipt ${hash}`, i, r.transactionIndex)
			same(`from of receipt ${hash}`, tx.from, r.from)
			same(`to of receipt ${hash}`, tx.to, r.to)
			same(`status of receipt ${hash}`, receipt.root === '0x' ? (receipt.status === '0x1' ? 'success' : 'reverted') : null, r.status)
			same(`root of receipt ${hash}`, receipt.root === '0x' ? undefined : receipt.root, r.root)
			if (tx.to === null) same(`contract of receipt ${hash}`, receipt.contractAddress.toLowerCase(), r.contractAddress.toLowerCase())
			same(
				`logs of receipt ${hash}`,
				receipt.logs.map((l) => [l.address, l.topics, l.data, BigInt(l.blockNumber), Number(l.logIndex), l.transactionHash, false]),
				r.logs.map((l) => [l.address, l.topics, l.data, l.blockNumber, l.logIndex, l.transactionHash, l.removed]),
			)
			txs++
			logs += r.logs.length
		}
	}
	same('logs of all blocks', logs, (await client.getLogs({ fromBlock: 0n, toBlock: 'latest' })).length)
	same('head', BigInt(expected.at(-1).block.number), await client.getBlockNumber())
	same('chain id', Number(BigInt(await client.request({ method: 'net_version' }))), await client.getChainId())
	await assert.rejects(client.getBalance({ address: expected[0].block.miner }), /needs the state/)
	await assert.rejects(client.getTransaction({ hash: expected[0].block.hash }), /could not be found/)
	return { blocks: expected.length, txs, logs }
}

const options = { retryCount: 0 }
console.log(JSON.stringify(await check(createPublicClient({ transport: http(url, options) }))))
const socket = createPublicClient({ transport: webSocket(url.replace('http', 'ws'), options) })
console.log(JSON.stringify(await check(socket)))
process.exit(0)
