// How a peer is painted. A mark is a letter; eight hues are told apart by who sees colours
// differently too, and three textures make two dozen of them. The letter stands beside
// wherever there is room for it.

const hues = 8

// palette is what was read from the style sheet and made of it, until the scheme changes.
let palette = new Map()

export function repaint() {
	palette = new Map()
}

// token is a colour of the style sheet.
export function token(name) {
	const key = `--${name}`
	if (!palette.has(key)) palette.set(key, getComputedStyle(document.documentElement).getPropertyValue(key).trim())
	return palette.get(key)
}

// hue is the colour of a mark.
export function hue(mark) {
	return token(isLetter(mark) ? `m${number(mark) % hues}` : 'before')
}

const isLetter = (mark) => mark >= 'A' && mark <= 'X'
const number = (mark) => mark.charCodeAt(0) - 65

// paint is what a mark is filled with on a canvas.
export function paint(ctx, mark) {
	const texture = mark === '+' ? 2 : isLetter(mark) ? Math.floor(number(mark) / hues) : 0
	if (texture === 0) return hue(mark)
	const key = `${mark} texture`
	if (!palette.has(key)) palette.set(key, ctx.createPattern(tile(mark, texture), 'repeat'))
	return palette.get(key)
}

// hatched is what stands for blocks that are in flight, whoever they are asked of.
export function hatched(ctx) {
	if (!palette.has('hatched')) {
		const c = square('well'),
			t = c.getContext('2d')
		t.strokeStyle = token('soft')
		stripes(t, 1.5)
		palette.set('hatched', ctx.createPattern(c, 'repeat'))
	}
	return palette.get('hatched')
}

function square(name) {
	const c = document.createElement('canvas')
	c.width = c.height = 8
	const t = c.getContext('2d')
	t.fillStyle = token(name)
	t.fillRect(0, 0, 8, 8)
	return c
}

function stripes(t, width) {
	t.lineWidth = width
	t.beginPath()
	for (const x of [-8, 0, 8]) {
		t.moveTo(x, 8)
		t.lineTo(x + 8, 0)
	}
	t.stroke()
}

// tile is a square of stripes or dots.
function tile(mark, texture) {
	const c = square('paper'),
		t = c.getContext('2d')
	t.fillStyle = hue(mark)
	t.fillRect(0, 0, 8, 8)
	t.fillStyle = t.strokeStyle = token('paper')
	if (texture === 1) stripes(t, 2)
	else
		for (const [x, y] of [
			[2, 2],
			[6, 6],
		])
			t.fillRect(x - 1, y - 1, 2, 2)
	return c
}

// named says what a mark stands for, for people.
export function named(mark, names) {
	if (mark === '=') return 'here before'
	if (mark === '+') return 'other peers'
	return names.get(mark) ?? mark
}

// swatch paints a small square for a mark.
export function swatch(canvas, mark) {
	const size = (canvas.width = canvas.height = Math.round(14 * devicePixelRatio))
	const ctx = canvas.getContext('2d')
	ctx.fillStyle = paint(ctx, mark)
	ctx.fillRect(0, 0, size, size)
}
