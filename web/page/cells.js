// The window: the part of the chain in which most is going on, a square for a block or for
// a few of them. A square is full when its block is linked, half full when it is held, an
// outline while it is in flight, and a dot while it is only wanted.

import { comma, set } from './format.js'
import { Slider } from './picture.js'
import { hue, named, paint, token } from './marks.js'

const words = { l: 'linked', h: 'held, not linked yet', f: 'in flight', w: 'wanted', u: 'hash not known yet' }

export class Cells {
	constructor() {
		this.window = null
		this.names = new Map()
		const element = document.getElementById('window')
		this.slider = new Slider(element, document.getElementById('window-read'), (...a) => this.draw(...a), {
			parts: () => this.count(),
			at: (x, y) => Math.min(this.rows() - 1, Math.floor(y * this.rows())) * this.columns() + Math.floor(x * this.columns()),
			say: (i) => this.say(i),
			jump: (to) => (to === 'up' ? -this.columns() : this.columns()),
		})
	}

	count() {
		return (this.window?.cells.length ?? 0) / 2
	}

	columns() {
		const { width, height } = this.slider.element.getBoundingClientRect()
		return width / Math.max(height, 1) > 16 ? 128 : 64
	}

	rows() {
		return 512 / this.columns()
	}

	show(chain) {
		this.window = chain.window
		this.names = new Map(chain.marks.map((m) => [m.mark, m.name]))
		const { from, width } = this.window,
			last = Math.min(chain.to, from + this.count() * width - 1)
		this.to = chain.to
		set(
			document.getElementById('window-scale'),
			this.count() ? `blocks ${comma(from)} to ${comma(last)}, ${width === 1 ? 'a square each' : `${comma(width)} to a square`}` : 'no blocks yet',
		)
		for (const e of document.querySelectorAll('[data-count]')) {
			let n = 0
			for (let c = 0; c < this.window.cells.length; c += 2) if (this.window.cells[c] === e.dataset.count) n++
			set(e, comma(n * width))
		}
		this.slider.tell()
		this.slider.draw()
	}

	say(i) {
		if (i < 0) return 'Point at a square, or use the arrow keys, to read it.'
		const state = this.window.cells[2 * i],
			mark = this.window.cells[2 * i + 1]
		const first = this.window.from + i * this.window.width,
			last = Math.min(this.to, first + this.window.width - 1)
		const by = mark === ' ' ? '' : `, ${state === 'f' ? 'asked of' : 'by'} ${mark === '=' ? '' : `${mark} `}${named(mark, this.names)}`
		return `${first === last ? `Block ${comma(first)}` : `Most of blocks ${comma(first)} to ${comma(last)}`}: ${words[state]}${by}`
	}

	draw(ctx, w, h) {
		const columns = this.columns(),
			rows = this.rows(),
			n = this.count()
		const r = devicePixelRatio
		for (let i = 0; i < n; i++) {
			const c = i % columns,
				row = Math.floor(i / columns)
			const x = Math.round((c * w) / columns),
				y = Math.round((row * h) / rows)
			const size = Math.max(2, Math.floor(Math.min(w / columns, h / rows) - r))
			cell(ctx, x, y, size, this.window.cells[2 * i], this.window.cells[2 * i + 1])
			if (i === this.slider.cursor) {
				ctx.lineWidth = 2 * r
				ctx.strokeStyle = token('ink')
				ctx.strokeRect(x - r, y - r, size + 2 * r, size + 2 * r)
			}
		}
	}
}

// cell draws one square. Without a mark it is grey.
function cell(ctx, x, y, size, state, mark) {
	const m = mark === ' ' ? '=' : mark
	const line = Math.max(1, Math.round(size / 6))
	switch (state) {
		case 'l':
			ctx.fillStyle = paint(ctx, m)
			ctx.fillRect(x, y, size, size)
			break
		case 'h':
			ctx.fillStyle = token('well')
			ctx.fillRect(x, y, size, size)
			ctx.fillStyle = paint(ctx, m)
			ctx.beginPath()
			ctx.moveTo(x, y)
			ctx.lineTo(x + size, y + size)
			ctx.lineTo(x, y + size)
			ctx.fill()
			break
		case 'f':
			ctx.lineWidth = line
			ctx.strokeStyle = mark === ' ' ? token('soft') : hue(m)
			ctx.strokeRect(x + line / 2, y + line / 2, size - line, size - line)
			break
		case 'w':
			ctx.fillStyle = token('soft')
			ctx.fillRect(Math.round(x + size / 2 - line), Math.round(y + size / 2 - line), 2 * line, 2 * line)
			break
		default:
			ctx.fillStyle = token('ghost')
			ctx.fillRect(Math.round(x + size / 2 - line / 2), Math.round(y + size / 2 - line / 2), line, line)
	}
}

// keys draws the squares of the legend.
export function keys() {
	for (const c of document.querySelectorAll('.key[data-state]')) {
		c.width = c.height = Math.round(14 * devicePixelRatio)
		cell(c.getContext('2d'), 0, 0, c.width, c.dataset.state, ' ')
	}
}
