// The page: it listens to the node, hands what it hears to the pictures and tables, and
// connects again when the node is gone.

import { bytes, comma, left, make, percent, rate, rough, set } from './format.js'
import { Cells, keys } from './cells.js'
import { Chart } from './chart.js'
import { Events, showBans, Why } from './lists.js'
import { PeerTable } from './peers.js'
import { repaint, swatch } from './marks.js'
import { Strip } from './strip.js'

const $ = (id) => document.getElementById(id)
const strip = new Strip(),
	cells = new Cells(),
	chart = new Chart()
const peers = new PeerTable(),
	why = new Why(),
	events = new Events()

// figure shows a number, with a unit that is small, and a line below.
function figure(id, value, unit, more) {
	const e = $(`f-${id}`)
	if (e.dataset.text !== value + unit) {
		e.dataset.text = value + unit
		e.replaceChildren(value, ...(unit ? [make('small', { text: unit })] : []))
	}
	set($(`f-${id}-more`), more || '\u00a0')
}

function showFigures({ status, traffic, peers: { connected } }) {
	const n = status.node,
		s = n.sync,
		here = s ? s.here : status.head.number
	figure('blocks', comma(here), '', s ? `of ${comma(s.all)}, ${percent(s.here, s.all)}` : `head ${status.head.hash.slice(0, 10)}…`)
	if (s) {
		figure('rate', comma(Math.round(s.blocks_per_second)), 'blk/s', rate(s.bytes_per_second))
		figure('left', left(s.eta_seconds), '', `linked up to ${comma(s.linked)}`)
	} else {
		figure('rate', '–', '', n.fetched ? `${comma(n.fetched)} blocks fetched` : 'nothing to fetch')
		figure('left', '–', '', n.phase === 'idle' ? 'nothing to fetch' : 'looking for a chain')
	}
	const inbound = connected.filter((p) => p.inbound).length
	figure('peers', comma(connected.length), '', n.late ? `${comma(n.late)} late` : `${comma(inbound)} dialled us`)
	const dup = traffic.useful ? (100 * traffic.duplicate) / traffic.useful : 0
	figure('dup', dup.toFixed(1), '%', `${bytes(traffic.duplicate)} came twice`)
	const [sent, unit] = bytes(traffic.sent).split(' ')
	figure('sent', sent, unit, 'to all peers so far')
	document.title = s ? `${percent(s.here, s.all)} · Shoal` : n.phase === 'idle' ? `block ${comma(here)} · Shoal` : 'Shoal'
}

function show(shot) {
	const n = shot.status.node
	set($('node'), `${n.client} · ${shot.status.network} · up ${rough(Math.floor((Date.parse(shot.at) - Date.parse(n.since)) / 1000))}`)
	set($('summary'), shot.summary)
	showFigures(shot)
	if (shot.chain) {
		strip.show(shot.chain)
		cells.show(shot.chain)
	}
	peers.show(shot.peers.connected)
	why.show(shot.at, shot.why_seconds)
	showBans(shot.at, shot.peers.peers)
}

// state says whether the figures are of now.
function state(name, text) {
	$('link').dataset.state = name
	set($('link'), text)
	$('main').toggleAttribute('data-stale', name === 'lost')
}

// The stream. When it ends, or nothing has come for some time, it is opened again, after
// a wait that doubles. All of the past is sent again then.
const silence = 6000,
	firstWait = 1000,
	lastWait = 15_000
let wait = firstWait

function listen() {
	const source = new EventSource('/page/events')
	let watchdog = 0,
		fresh = true
	const lost = () => {
		source.close()
		clearTimeout(watchdog)
		state('lost', `no connection to the node, trying again in ${Math.round(wait / 1000)} s`)
		setTimeout(listen, wait)
		wait = Math.min(2 * wait, lastWait)
	}
	const alive = () => {
		clearTimeout(watchdog)
		watchdog = setTimeout(lost, silence)
		if (!fresh) return
		fresh = false
		wait = firstWait
		for (const of of [chart, events, why]) of.clear()
		state('live', 'live')
	}
	source.addEventListener('past', (e) => {
		alive()
		const { notes, points } = JSON.parse(e.data)
		events.add(notes ?? [])
		chart.add(points ?? [])
	})
	source.addEventListener('snapshot', (e) => {
		alive()
		show(JSON.parse(e.data))
	})
	source.addEventListener('error', lost)
	watchdog = setTimeout(lost, silence)
}

function colours() {
	repaint()
	keys()
	Strip.keys()
	for (const c of document.querySelectorAll('#marks .key')) swatch(c, c.dataset.mark)
	for (const picture of [strip.slider, cells.slider, chart.picture]) picture.draw()
	peers.repaint()
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', colours)
colours()
listen()
