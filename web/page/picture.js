// A picture is a canvas that is drawn again when its data, its size or the colours change.
// If it has a readout, it is a slider for the keyboard: the cursor goes from part to part,
// and what is there is said in words.

export class Picture {
	// element holds the canvas; draw(ctx, width, height) is given sizes in pixels of the
	// screen.
	constructor(element, draw) {
		this.element = element
		this.canvas = element.querySelector('canvas')
		this.ctx = this.canvas.getContext('2d')
		this.paint = draw
		new ResizeObserver(() => this.draw()).observe(element)
	}

	draw() {
		const { width, height } = this.element.getBoundingClientRect()
		const w = Math.round(width * devicePixelRatio),
			h = Math.round(height * devicePixelRatio)
		if (this.canvas.width !== w || this.canvas.height !== h) [this.canvas.width, this.canvas.height] = [w, h]
		this.ctx.clearRect(0, 0, w, h)
		if (w > 0 && h > 0) this.paint(this.ctx, w, h)
	}
}

// Slider is a picture with a cursor. parts() is how many parts there are, at(x, y) which one
// is at a place (0 to 1 in both directions), say(i) what a part is, and jump how far up and
// down go.
export class Slider extends Picture {
	constructor(element, readout, draw, { parts, at, say, jump }) {
		super(element, draw)
		Object.assign(this, { readout, parts, at, say, jump, cursor: -1 })
		element.addEventListener('keydown', (e) => this.key(e))
		element.addEventListener('pointermove', (e) => this.point(e))
		element.addEventListener('pointerdown', (e) => this.point(e))
		element.addEventListener('pointerleave', () => {
			if (document.activeElement !== element) this.go(-1)
		})
		element.addEventListener('focus', () => this.go(this.cursor < 0 ? this.parts() - 1 : this.cursor))
		element.addEventListener('blur', () => this.go(-1))
	}

	point(e) {
		const r = this.element.getBoundingClientRect()
		this.go(this.at((e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height))
	}

	key(e) {
		const n = this.parts(),
			page = Math.max(1, Math.round(n / 10))
		const step = {
			ArrowLeft: -1,
			ArrowRight: 1,
			ArrowUp: this.jump('up'),
			ArrowDown: this.jump('down'),
			PageUp: page,
			PageDown: -page,
			Home: -n,
			End: n,
		}[e.key]
		if (step === undefined || n === 0) return
		e.preventDefault()
		this.go(this.cursor + step)
	}

	// go puts the cursor on a part, or nowhere.
	go(i) {
		this.cursor = i < 0 && document.activeElement !== this.element ? -1 : Math.max(0, Math.min(i, this.parts() - 1))
		this.tell()
		this.draw()
	}

	// tell says what the cursor is on. It is called when the data have changed too.
	tell() {
		const n = this.parts(),
			on = this.cursor >= 0 && this.cursor < n
		const text = n === 0 ? 'no blocks yet' : this.say(on ? this.cursor : -1)
		if (this.readout.textContent !== text) this.readout.textContent = text
		this.readout.toggleAttribute('data-idle', !on)
		this.element.setAttribute('aria-valuemax', Math.max(n - 1, 0))
		this.element.setAttribute('aria-valuenow', on ? this.cursor : 0)
		this.element.setAttribute('aria-valuetext', text)
	}
}
