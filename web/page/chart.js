// Throughput over time: what each peer brought, one on the other, so that the upper edge is
// what all of them brought.

import { rate, rough, set } from './format.js'
import { Picture } from './picture.js'
import { paint, token } from './marks.js'

const most = 300 // points, as many as the node remembers
const least = 30 // points that the width stands for, at the least

export class Chart {
	constructor() {
		this.points = []
		this.picture = new Picture(document.getElementById('chart'), (...a) => this.draw(...a))
	}

	clear() {
		this.points = []
	}

	add(points) {
		this.points = [...this.points, ...points].slice(-most)
		const last = this.points.at(-1),
			top = Math.max(0, ...this.points.map(sum))
		if (!last) return
		const text = top > 0 ? `${rate(sum(last))} now, ${rate(top)} at most` : 'nothing has come lately'
		set(document.getElementById('chart-now'), text)
		set(document.getElementById('chart-from'), `${rough(this.span() * 2)} ago`)
		this.picture.element.setAttribute('aria-label', `Bytes of blocks a second: ${text}`)
		this.picture.draw()
	}

	// span is how many points the width stands for.
	span() {
		for (const n of [least, 60, 150]) if (this.points.length <= n) return n
		return most
	}

	draw(ctx, w, h) {
		const r = devicePixelRatio,
			span = this.span(),
			foot = r
		const top = nice(Math.max(1000, ...this.points.map(sum)))
		const x = (i) => w - ((this.points.length - 1 - i) * w) / (span - 1)
		const y = (v) => h - foot - (v / top) * (h - foot - 18 * r)
		ctx.font = `${11 * r}px system-ui, "Liberation Sans", sans-serif`
		ctx.textBaseline = 'bottom'
		const marks = [...new Set(this.points.flatMap((p) => Object.keys(p.by)))].sort()
		const base = this.points.map(() => 0)
		for (const m of marks) {
			ctx.fillStyle = paint(ctx, m)
			ctx.beginPath()
			this.points.forEach((p, i) => ctx.lineTo(x(i), y(base[i] + (p.by[m] ?? 0))))
			for (let i = this.points.length - 1; i >= 0; i--) {
				ctx.lineTo(x(i), y(base[i]))
				base[i] += this.points[i].by[m] ?? 0
			}
			ctx.fill()
		}
		for (const v of [0, top / 2, top]) {
			ctx.fillStyle = token('line')
			ctx.fillRect(0, Math.round(y(v)) - 1, w, Math.max(1, Math.round(r)))
			if (v === 0) continue
			const text = rate(v)
			ctx.fillStyle = token('paper')
			ctx.fillRect(0, y(v) - 15 * r, ctx.measureText(text).width + 6 * r, 14 * r)
			ctx.fillStyle = token('soft')
			ctx.fillText(text, 0, y(v) - 2 * r)
		}
	}
}

const sum = (p) => Object.values(p.by).reduce((a, b) => a + b, 0)

// nice is the next number above that has a round half.
function nice(v) {
	const unit = 10 ** Math.floor(Math.log10(v))
	return unit * [1, 2, 3, 4, 6, 8, 10].find((n) => n * unit >= v)
}
