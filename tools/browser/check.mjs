// Looks at the page of a node with Chromium, as a person would, during a sync, after it, and
// when the node is gone and comes back:
//
//	node check.mjs DIRECTORY
//
// It leaves pictures in DIRECTORY. What it wants done with the node it writes on standard
// output, "please start" or "please stop", and waits for a line on standard input: the URL of
// the node, or anything. Its last line is JSON: what the page showed in the end.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const [directory] = process.argv.slice(2)
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const chromes = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const patience = 90_000
const hostile = '<img src=x onerror="window.harmed=1">'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
async function please(what) {
	console.log(`please ${what}`)
	return (await lines.next()).value
}

const browser = await chromium.launch({
	executablePath: chromes.find(existsSync),
	args: [
		'--no-sandbox',
		'--disable-gpu',
		'--disable-quic',
		'--no-first-run',
		'--disable-background-networking',
		'--disable-component-update',
		'--disable-sync',
	],
})
const origin = new URL(await please('start')).origin

// open opens the page as it is on a screen, and notes what should not happen.
const complaints = []
let down = false // the node is: that requests fail is right
async function open(name, width, height, colorScheme, deviceScaleFactor) {
	const context = await browser.newContext({
		viewport: { width, height },
		colorScheme,
		deviceScaleFactor,
		reducedMotion: colorScheme === 'dark' ? 'reduce' : 'no-preference',
	})
	const page = await context.newPage()
	page.setDefaultTimeout(patience)
	const complain = (text) => complaints.push(`${name}: ${text}`)
	page.on('request', (r) => new URL(r.url()).origin === origin || r.url().startsWith('data:') || complain(`asks ${r.url()}`))
	page.on('console', (m) => m.type() === 'error' && !(down && m.text().includes('net::ERR_')) && complain(m.text()))
	page.on('pageerror', (e) => complain(String(e)))
	page.on('dialog', (d) => complain(`says ${d.message()}`))
	await page.addInitScript(() => {
		window.shifts = []
		new PerformanceObserver((list) =>
			window.shifts.push(
				...list.getEntries().map((e) => ({
					at: e.startTime,
					value: e.value,
					of: e.sources.map((s) => s.node?.id || s.node?.parentElement?.id || s.node?.nodeName).join(' '),
				})),
			),
		).observe({ type: 'layout-shift', buffered: true })
	})
	await page.goto(origin)
	return { name, page, width }
}
const screens = []
for (const [size, width, height, scale] of [
	['desktop', 1280, 900, 1],
	['phone', 360, 740, 2],
]) {
	for (const scheme of ['light', 'dark']) screens.push(await open(`${size}-${scheme}`, width, height, scheme, scale))
}
const { page } = screens[0]
const text = (selector) => page.textContent(selector)
const number = async (selector) => Number((await text(selector)).replaceAll(',', ''))

mkdirSync(directory, { recursive: true })
async function pictures(when) {
	for (const { name, page } of screens) await page.screenshot({ path: `${directory}/${when}-${name}.png`, fullPage: true })
}

// painted is how many pixels of the strip have the colour of a peer, by mark.
const painted = () =>
	page.evaluate(() => {
		const style = getComputedStyle(document.documentElement),
			canvas = document.querySelector('#strip canvas')
		const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
		const count = {}
		for (let i = 0; i < 8; i++) {
			const hex = style.getPropertyValue(`--m${i}`).trim(),
				rgb = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16))
			let n = 0
			for (let p = 0; p < data.length; p += 4) if (rgb.every((v, c) => data[p + c] === v)) n++
			if (n > 0) count[String.fromCharCode(65 + i)] = n
		}
		return count
	})
const sum = (o) => Object.values(o).reduce((a, b) => a + b, 0)

// During the sync.
await page.waitForFunction(() => document.querySelectorAll('#marks .mark').length >= 4 && parseFloat(document.title) > 20)
const early = await painted()
assert.deepEqual(Object.keys(early), ['A', 'B', 'C', 'D'], 'each peer has its colour in the strip')
const [before, all] = [await number('#f-blocks'), Number((await text('#f-blocks-more')).match(/of ([\d,]+)/)[1].replaceAll(',', ''))]
assert.ok(before > 0 && before < all, `${before} blocks of ${all} in the middle of the sync`)
assert.match(await text('#summary'), /^(Fetching|Finding)/)
assert.equal(await page.getAttribute('#link', 'data-state'), 'live')
const swatches = await page.$$eval('#peer-table tbody tr', (rows) => rows.map((r) => [r.cells[0].textContent, r.cells[1].textContent]))
assert.ok(swatches.filter(([mark]) => /^[A-D]$/.test(mark)).length === 4, `four peers have marks: ${JSON.stringify(swatches)}`)

await pictures('syncing')

// A name that would like to be markup is a name.
assert.ok(
	swatches.some(([, name]) => name.includes(hostile)),
	'the hostile name is shown as it is',
)
assert.equal(await page.evaluate(() => document.images.length), 0)
assert.equal(await page.evaluate(() => window.harmed), undefined)

// By keyboard alone.
await page.evaluate(() => document.activeElement.blur())
await page.keyboard.press('Tab')
assert.equal(await page.evaluate(() => document.activeElement.className), 'skip')
await page.keyboard.press('Enter')
assert.equal(await page.evaluate(() => location.hash), '#peers')
await page.keyboard.press('Tab')
assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Mark')
await page.keyboard.press('Enter')
assert.equal(await page.getAttribute('th.c-mark', 'aria-sort'), 'descending')
assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none', 'the focus is seen')
const marks = await page.$$eval('#peer-table tbody tr', (rows) => rows.map((r) => r.cells[0].textContent).filter((m) => m !== '–'))
assert.deepEqual(marks, [...marks].sort().reverse())
await page.keyboard.press('Enter')
for (const [id, first] of [
	['strip', /^Blocks? 1\b/],
	['window', /^(Most of b|B)locks? /],
]) {
	await page.focus(`#${id}`)
	await page.keyboard.press('Home')
	assert.match(await page.getAttribute(`#${id}`, 'aria-valuetext'), first)
	await page.keyboard.press('ArrowRight')
	assert.equal(await page.getAttribute(`#${id}`, 'aria-valuenow'), '1')
	assert.ok(
		await page.evaluate((id) => document.getElementById(id).getAttribute('aria-valuetext') === document.getElementById(`${id}-read`).textContent, id),
	)
	await page.keyboard.press('End')
	assert.equal(await page.getAttribute(`#${id}`, 'aria-valuenow'), await page.getAttribute(`#${id}`, 'aria-valuemax'))
}
await page.evaluate(() => document.activeElement.blur())

// On every screen: nothing sticks out, and nothing that axe knows of is in the way of
// anybody, contrast included.
async function fair(when) {
	for (const { name, page, width } of screens) {
		const wide = await page.evaluate(() => document.documentElement.scrollWidth)
		assert.ok(wide <= width, `${name} is ${wide} pixels wide ${when}`)
		await page.evaluate(axe)
		const { violations } = await page.evaluate(() => window.axe.run())
		const found = violations.map((v) => `${v.impact} ${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`)
		assert.deepEqual(found, [], `${name} ${when}`)
	}
}
await fair('during the sync')
await page.evaluate(() => {
	window.shifts = [] // what has moved so far was moved by keys
})

// After it.
await page.waitForFunction(() => document.querySelector('#summary').textContent.startsWith('In sync'))
const late = await painted()
assert.ok(sum(late) > sum(early), 'the strip has filled')
const shifted = (await page.evaluate(() => window.shifts)).filter((s) => s.value > 0.02)
assert.deepEqual(shifted, [], 'nothing has moved while figures changed')
const call = async (method, ...params) => {
	const answer = await fetch(origin, {
		method: 'POST',
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
	})
	return (await answer.json()).result
}
assert.equal(await call('eth_syncing'), false)
assert.equal(await number('#f-blocks'), Number(await call('eth_blockNumber')))
assert.equal(await number('#f-peers'), Number(await call('net_peerCount')))
assert.equal(all, await number('#f-blocks'))
await page.focus('#strip')
await page.keyboard.press('Home')
assert.match(await page.getAttribute('#strip', 'aria-valuetext'), /: linked; by /)
await page.evaluate(() => document.activeElement.blur())
await pictures('synced')
await fair('after the sync')
const shown = {
	blocks: await number('#f-blocks'),
	brought: Object.fromEntries(
		await page.$$eval('#peer-table tbody tr', (rows) =>
			rows.map((r) => [r.cells[1].firstChild.textContent, Number(r.querySelector('.c-brought').textContent.replaceAll(',', ''))]),
		),
	),
	bans: await page.$$eval('#bans li', (list) => list.map((li) => li.textContent)),
	events: await page.$$eval('#events .kind', (list) => list.map((e) => e.textContent)),
}

// The node goes, and comes back.
down = true
await please('stop')
for (const { page } of screens) await page.waitForSelector('#link[data-state="lost"]')
await pictures('lost')
await please('start')
for (const { page } of screens) await page.waitForSelector('#link[data-state="live"]')
down = false
await page.waitForFunction((blocks) => document.querySelector('#f-blocks').textContent === blocks, await text('#f-blocks'))
assert.deepEqual(complaints, [])
await browser.close()
console.log(JSON.stringify(shown))
process.exit(0)
