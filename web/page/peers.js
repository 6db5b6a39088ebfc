// The table of peers, which is sorted by its heads.

import { bytes, comma, make, milliseconds, rate, set } from './format.js'
import { swatch } from './marks.js'

// standing says how a peer does, in a word.
function standing(p) {
	if (p.why === 'late') return 'late'
	if (p.score < -1) return 'suspect'
	return p.in_flight > 0 ? 'busy' : 'idle'
}

const order = ['suspect', 'late', 'idle', 'busy']

// The columns: how a cell is filled, and by what rows are sorted. Numbers have the greatest
// first.
const columns = [
	{ id: 'mark', name: 'Mark', by: (p) => p.mark || '~', fill: (td, p) => mark(td, p.mark ?? '') },
	{ id: 'name', name: 'Peer', by: (p) => p.name, fill: (td, p) => name(td, p) },
	{
		id: 'standing',
		name: 'Standing',
		by: (p) => order.indexOf(standing(p)),
		fill: (td, p) => {
			td.dataset.standing = standing(p)
			set(td, standing(p))
		},
	},
	{
		id: 'rate',
		name: 'Rate',
		number: true,
		by: (p) => p.bytes_per_second,
		fill: (td, p) => {
			td.toggleAttribute('data-past', p.in_flight === 0)
			set(td, p.bytes_per_second > 0 ? rate(p.bytes_per_second) : '–')
		},
	},
	{ id: 'trip', name: 'Round trip', number: true, by: (p) => p.round_trip_seconds, fill: (td, p) => set(td, milliseconds(p.round_trip_seconds)) },
	{ id: 'flight', name: 'In flight', number: true, by: (p) => p.in_flight, fill: (td, p) => set(td, comma(p.in_flight)) },
	{ id: 'brought', name: 'Brought', number: true, by: (p) => p.blocks, fill: (td, p) => set(td, comma(p.blocks)) },
	{ id: 'sent', name: 'Sent', number: true, by: (p) => p.sent, fill: (td, p) => set(td, bytes(p.sent)) },
	{ id: 'why', name: 'Now', by: (p) => p.why, fill: (td, p) => set(td, p.why) },
]

function mark(td, letter) {
	if (td.dataset.key === letter) return
	td.dataset.key = letter
	const square = make('canvas', { class: 'key', 'data-mark': letter })
	if (letter) swatch(square, letter)
	td.replaceChildren(make('span', { class: 'mark' }, square, letter || '–'))
}

function name(td, p) {
	if (!td.firstChild) td.append(make('bdi'), make('small', {}, make('bdi')))
	set(td.firstChild, p.name)
	set(td.lastChild.firstChild, [p.client || 'says no name', p.inbound && 'dialled us', p.key && 'encrypted'].filter(Boolean).join(' · '))
	td.title = `${p.name}\n${p.client}`
}

export class PeerTable {
	constructor() {
		this.table = document.getElementById('peer-table')
		this.rows = new Map() // by name
		this.sort = 'mark'
		this.down = false
		const head = this.table.tHead.rows[0]
		for (const c of columns) {
			const button = make('button', { type: 'button', text: c.name })
			button.addEventListener('click', () => this.sortBy(c))
			head.append(make('th', { scope: 'col', role: 'columnheader', class: `c-${c.id}${c.number ? ' n' : ''}` }, button))
		}
		this.heads()
	}

	sortBy(c) {
		this.down = this.sort === c.id ? !this.down : Boolean(c.number)
		this.sort = c.id
		this.heads()
		this.arrange()
	}

	heads() {
		columns.forEach((c, i) => {
			const th = this.table.tHead.rows[0].cells[i]
			if (c.id === this.sort) th.setAttribute('aria-sort', this.down ? 'descending' : 'ascending')
			else th.removeAttribute('aria-sort')
		})
	}

	show(peers) {
		document.getElementById('peers-empty').hidden = peers.length > 0
		this.table.hidden = peers.length === 0
		const seen = new Set()
		for (const p of peers) {
			let row = this.rows.get(p.name)
			if (!row) {
				row = make('tr', { role: 'row' })
				for (const c of columns) {
					row.append(make('td', { role: 'cell', class: `c-${c.id}${c.number ? ' n' : ''}`, 'data-label': c.name }))
				}
				this.rows.set(p.name, row)
			}
			row.peer = p
			columns.forEach((c, i) => c.fill(row.cells[i], p))
			seen.add(p.name)
		}
		for (const [name, row] of this.rows) {
			if (seen.has(name)) continue
			row.remove()
			this.rows.delete(name)
		}
		this.arrange()
	}

	// arrange puts the rows into order. Those that stand right are not touched, so that
	// nothing that is selected is lost.
	arrange() {
		const by = columns.find((c) => c.id === this.sort).by,
			sign = this.down ? -1 : 1
		const key = (row) => by(row.peer)
		const list = [...this.rows.values()].sort((a, b) => {
			const x = key(a),
				y = key(b)
			return x < y ? -sign : x > y ? sign : a.peer.name < b.peer.name ? -1 : 1
		})
		const body = this.table.tBodies[0]
		list.forEach((row, i) => {
			if (body.rows[i] !== row) body.insertBefore(row, body.rows[i] ?? null)
		})
	}

	repaint() {
		for (const row of this.rows.values()) {
			delete row.cells[0].dataset.key
			mark(row.cells[0], row.peer.mark ?? '')
		}
	}
}
