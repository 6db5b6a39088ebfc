// Where the time goes, what happened, and who is blamed for what.

import { clock, make, percent, rough, set, utc } from './format.js'

const recent = 30_000 // milliseconds

// What brings blocks, or as many as we allow, is good; all else is a wait.
const good = new Set(['transferring', 'capped'])

export class Why {
	constructor() {
		this.body = document.querySelector('#why tbody')
		this.past = [] // {at, spent}, of the last half minute
		this.rows = 0
	}

	show(at, spent) {
		const now = { at: Date.parse(at), spent }
		this.past.push(now)
		while (this.past.length > 2 && this.past[1].at <= now.at - recent) this.past.shift()
		const before = this.past[0].spent
		const sum = (o) => Object.values(o).reduce((a, b) => a + b, 0)
		const lately = Object.fromEntries(Object.entries(spent).map(([r, s]) => [r, Math.max(0, s - (before[r] ?? 0))]))
		const all = sum(spent),
			late = sum(lately)
		document.getElementById('why').hidden = all === 0
		document.getElementById('why-empty').hidden = all > 0
		const list = Object.keys(spent)
			.filter((r) => spent[r] > 0.002 * all)
			.sort((a, b) => spent[b] - spent[a])
			.slice(0, 5)
		while (this.body.rows.length < list.length) {
			this.body.append(make('tr', {}, make('td', {}, make('span', { class: 'what' }, make('span'), make('i'))), make('td'), make('td')))
		}
		while (this.body.rows.length > list.length) this.body.lastChild.remove()
		list.forEach((r, i) => {
			const [what, lastly, total] = this.body.rows[i].cells
			set(what.firstChild.firstChild, r)
			what.firstChild.toggleAttribute('data-good', good.has(r))
			what.firstChild.lastChild.style.width = `${(100 * (late ? lately[r] / late : spent[r] / all)).toFixed(1)}%`
			set(lastly, late ? percent(lately[r], late) : '–')
			set(total, percent(spent[r], all))
		})
	}

	clear() {
		this.past = []
	}
}

const trouble = new Set(['stall', 'dropped', 'banned', 'reorg', 'disk full', 'given up'])
const most = 60

export class Events {
	constructor() {
		this.list = document.getElementById('events')
	}

	clear() {
		this.list.replaceChildren()
	}

	// add puts the newest on top.
	add(notes) {
		for (const n of notes) {
			this.list.prepend(
				make(
					'li',
					{ 'data-trouble': trouble.has(n.kind) ? '' : undefined },
					make('time', { datetime: n.at, text: clock(n.at) }),
					make('span', { class: 'kind', text: n.kind }),
					make('span', { text: n.text }),
				),
			)
		}
		while (this.list.children.length > most) this.list.lastChild.remove()
		document.getElementById('events-empty').hidden = this.list.children.length > 0
	}
}

export function showBans(at, standings) {
	const list = document.getElementById('bans')
	const key = JSON.stringify(standings.map((s) => [s.who, s.until, s.evidence]))
	if (list.dataset.key === key) return
	list.dataset.key = key
	document.getElementById('bans-empty').hidden = standings.length > 0
	list.replaceChildren(
		...standings.map((s) => {
			const left = s.until ? (Date.parse(s.until) - Date.parse(at)) / 1000 : 0
			const until =
				left > 0
					? make('span', { class: 'until', text: ` banned until ${utc(s.until)} UTC (${rough(left)})` })
					: make('span', { text: ' under suspicion' })
			return make(
				'li',
				{},
				make('span', {}, make('b', {}, make('bdi', { text: s.who })), until),
				...(s.evidence ?? []).map((e) => make('small', {}, make('bdi', { text: e }))),
			)
		}),
	)
}
