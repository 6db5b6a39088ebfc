// The chain from its genesis block to its head as a strip. It is cut into stretches; in
// each, what every peer brought is a band, from below, and above is what is on its way,
// wanted, or not known. The rail at the foot says up to where all of it is linked.

import { comma, make, set } from './format.js'
import { Slider } from './picture.js'
import { hatched, hue, named, paint, swatch, token } from './marks.js'

const rail = 5 // pixels, with the gap above it

export class Strip {
	constructor() {
		this.chain = null
		this.names = new Map()
		this.labels = new Map() // where the letter of a mark stands, so that it stays there
		this.slider = new Slider(document.getElementById('strip'), document.getElementById('strip-read'), (...a) => this.draw(...a), {
			parts: () => this.chain?.in_flight.length ?? 0,
			at: (x) => Math.floor(x * (this.chain?.in_flight.length ?? 0)),
			say: (i) => this.say(i),
			jump: (to) => (to === 'up' ? 10 : -10),
		})
	}

	show(chain) {
		this.chain = chain
		this.names = new Map(chain.marks.map((m) => [m.mark, m.name]))
		this.order = Object.keys(chain.brought)
			.filter((m) => m !== '=' && m !== '+')
			.sort()
		this.order = ['=', ...this.order, '+'] // from below
		set(
			document.getElementById('chain-scale'),
			chain.to
				? `blocks 1 to ${comma(chain.to)}, ${chain.width === 1 ? 'one by one' : `${comma(chain.width)} to a column`}`
				: 'only the genesis block is here',
		)
		set(document.getElementById('strip-half'), chain.to > 1 ? comma(Math.floor(chain.to / 2)) : '')
		set(document.getElementById('strip-end'), chain.to ? comma(chain.to) : '')
		this.legend()
		this.slider.tell()
		this.slider.draw()
	}

	// stretch says what there is of a stretch, in blocks.
	stretch(i) {
		const { head, to, known, width, brought, in_flight } = this.chain
		const from = i * width + 1,
			size = Math.min(width, to - i * width)
		const linked = Math.max(0, Math.min(head - i * width, size))
		const parts = new Map()
		let here = 0
		for (const m of this.order) {
			const n = brought[m]?.[i] ?? 0
			if (n === 0) continue
			parts.set(m, n)
			here += n
		}
		if (linked > here) {
			parts.set('=', (parts.get('=') ?? 0) + linked - here)
			here = linked
		}
		// What was fetched twice is counted twice.
		const scale = here > size ? size / here : 1
		here = Math.min(here, size)
		const flight = Math.min(in_flight[i], size - here)
		const hashes = Math.max(0, Math.min(from + size - Math.max(known, from), size))
		const wanted = Math.max(0, Math.min(hashes, size - here - flight))
		return { from, size, linked, parts, here, scale, flight, wanted, unknown: size - here - flight - wanted }
	}

	say(i) {
		if (i < 0) return 'Point at the strip, or use the arrow keys, to read a part of it.'
		const s = this.stretch(i),
			words = []
		if (s.linked === s.size) words.push('linked')
		else {
			if (s.here > 0) words.push(`${comma(s.here)} of ${comma(s.size)} here`)
			if (s.flight > 0) words.push(`${comma(s.flight)} in flight`)
			if (s.wanted > 0) words.push(`${comma(s.wanted)} wanted`)
			if (s.unknown > 0) words.push(`${comma(s.unknown)} not known yet`)
		}
		const by = [...s.parts].map(([m, n]) => `${m === '=' ? '' : `${m} `}${named(m, this.names)} ${comma(n)}`)
		const range = s.size === 1 ? `Block ${comma(s.from)}` : `Blocks ${comma(s.from)} to ${comma(s.from + s.size - 1)}`
		return `${range}: ${words.join(', ')}${by.length ? `; by ${by.join(', ')}` : ''}`
	}

	draw(ctx, w, h) {
		ctx.fillStyle = token('well')
		const r = Math.round(devicePixelRatio),
			foot = rail * r,
			tall = h - foot
		ctx.fillRect(0, 0, w, tall)
		const n = this.chain?.in_flight.length ?? 0
		if (n === 0) return
		const x = (i) => Math.round((i * w) / n)
		const fits = new Map()
		for (let i = 0; i < n; i++) {
			const s = this.stretch(i),
				left = x(i),
				wide = Math.max(1, x(i + 1) - left)
			let done = 0,
				y = tall
			const band = (blocks, style) => {
				done += blocks
				const top = tall - Math.round((tall * done) / s.size),
					high = y - top
				y = top
				if (style && high > 0) {
					ctx.fillStyle = style
					ctx.fillRect(left, top, wide, high)
				}
				return [top, high]
			}
			for (const [m, blocks] of s.parts) this.fit(fits, m, left, wide, ...band(blocks * s.scale, paint(ctx, m)))
			band(s.flight, hatched(ctx))
			band(s.wanted, null)
			if (s.unknown > 0) {
				const [top, high] = band(s.unknown, null)
				ctx.fillStyle = token('ghost')
				for (let d = top + 3 * r; d < top + high - r; d += 6 * r) if ((left / r) % 6 < wide / r) ctx.fillRect(left, d, r, r)
			}
			ctx.fillStyle = token('ink')
			if (s.linked > 0) ctx.fillRect(left, h - 3 * r, Math.max(1, Math.round((wide * s.linked) / s.size)), 3 * r)
		}
		this.letters(ctx, fits, r)
		if (this.slider.cursor >= 0) {
			const left = x(this.slider.cursor),
				wide = Math.max(2 * r, x(this.slider.cursor + 1) - left)
			ctx.lineWidth = 2 * r
			ctx.strokeStyle = token('paper')
			ctx.strokeRect(left - 2 * r, r, wide + 4 * r, h - 2 * r)
			ctx.strokeStyle = token('ink')
			ctx.strokeRect(left - r, r, wide + 2 * r, h - 2 * r)
		}
	}

	// fit remembers where a band is tall enough for a letter: it is as tall as its least
	// column over the width of one.
	fit(fits, mark, left, wide, top, high) {
		if (!fits.has(mark)) fits.set(mark, [])
		fits.get(mark).push({ left, wide, top, high })
	}

	letters(ctx, fits, r) {
		const size = 12 * r
		ctx.font = `700 ${size}px system-ui, "Liberation Sans", sans-serif`
		ctx.textAlign = 'center'
		ctx.textBaseline = 'middle'
		for (const [mark, columns] of fits) {
			if (mark === '=' || mark === '+') continue
			const room = (from) => {
				let top = 0,
					bottom = Infinity,
					i = from,
					end = columns[from].left
				for (; i < columns.length && end < columns[from].left + size; i++) {
					const c = columns[i]
					if (c.left > end + 1) break
					top = Math.max(top, c.top)
					bottom = Math.min(bottom, c.top + c.high)
					end = c.left + c.wide
				}
				return { x: columns[from].left + size / 2, y: (top + bottom) / 2, high: end < columns[from].left + size ? 0 : bottom - top }
			}
			// Where it stood before, if there is still room; else where there is most.
			let best = null
			const old = columns.findIndex((c) => c.left >= this.labels.get(mark))
			if (old >= 0) best = room(old)
			if (!best || best.high < size) {
				for (let i = 0; i < columns.length; i += 2) {
					const at = room(i)
					if (best && at.high <= best.high) continue
					best = at
					this.labels.set(mark, columns[i].left)
				}
			}
			if (!best || best.high < size) continue
			ctx.fillStyle = hue(mark) // under the letter there is no texture
			ctx.fillRect(best.x - size / 2, best.y - size / 2, size, size)
			ctx.fillStyle = token('on-mark')
			ctx.fillText(mark, best.x, best.y + r)
		}
	}

	legend() {
		const list = document.getElementById('marks')
		const marks = this.order.filter((m) => this.chain.brought[m] || (m === '=' && this.before()))
		const key = marks.map((m) => m + named(m, this.names)).join()
		if (list.dataset.key === key) return
		list.dataset.key = key
		list.replaceChildren(
			...marks.map((m) => {
				const square = make('canvas', { class: 'key', 'data-mark': m })
				swatch(square, m)
				return make(
					'li',
					{},
					square,
					make('span', { class: 'mark', text: m === '=' || m === '+' ? '' : m }),
					make('bdi', { text: named(m, this.names) }),
				)
			}),
		)
	}

	// keys draws the squares of the legend of states.
	static keys() {
		for (const c of document.querySelectorAll('.key[data-band]')) {
			const n = (c.width = c.height = Math.round(14 * devicePixelRatio)),
				r = Math.round(devicePixelRatio),
				ctx = c.getContext('2d')
			ctx.fillStyle = c.dataset.band === 'flight' ? hatched(ctx) : token('well')
			ctx.fillRect(0, 0, n, n)
			ctx.fillStyle = token(c.dataset.band === 'linked' ? 'ink' : 'ghost')
			if (c.dataset.band === 'linked') ctx.fillRect(0, n - 3 * r, n, 3 * r)
			if (c.dataset.band === 'unknown') for (let d = 2 * r; d < n; d += 5 * r) for (let x = 2 * r; x < n; x += 5 * r) ctx.fillRect(x, d, r, r)
		}
	}

	// before reports whether some of the linked part was brought by nobody that is known.
	before() {
		for (let i = 0; i < this.chain.in_flight.length; i++) if (this.stretch(i).parts.has('=')) return true
		return false
	}
}
