// Figures as people read them: the same units as on the command line.

const whole = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 })

export const comma = (n) => whole.format(n)

// bytes is a size with three digits, in decimal units.
export function bytes(n) {
	let unit = 'B'
	for (unit of ['B', 'kB', 'MB', 'GB', 'TB']) {
		if (n < 999.5 || unit === 'TB') break
		n /= 1000
	}
	return `${unit === 'B' || n >= 99.95 ? Math.round(n) : n.toFixed(n < 9.995 ? 2 : 1)} ${unit}`
}

export const rate = (n) => `${bytes(n)}/s`

// percent is 100 % when all is there, not a little before.
export function percent(part, all) {
	if (!(all > 0)) return '0.0 %'
	return `${(Math.floor((1000 * part) / all) / 10).toFixed(1)} %`
}

// rough is a number of seconds to about a hundredth.
export function rough(s) {
	if (s >= 172800) return `${(s / 86400).toFixed(1)} days`
	const two = (n, unit, rest, part) => (rest > 0 ? `${n} ${unit} ${rest} ${part}` : `${n} ${unit}`)
	if (s >= 3600) return two(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min')
	if (s >= 60) return two(Math.floor(s / 60), 'min', Math.floor(s % 60), 's')
	return s >= 9.5 ? `${Math.round(s)} s` : `${s.toFixed(1)} s`
}

// left is the time that is left of a sync, from an ETA with two ends.
export function left(eta) {
	if (!eta) return '–'
	const least = rough(Math.round(eta.least)),
		most = rough(Math.round(eta.most ?? 0))
	if (!eta.most) return `over ${least}`
	return most
}

export function milliseconds(s) {
	return s > 0 ? `${s < 0.0095 ? (s * 1000).toFixed(1) : Math.round(s * 1000)} ms` : '–'
}

// utc is an instant as the log and the evidence write it.
export const utc = (at) => new Date(at).toISOString().slice(0, 19).replace('T', ' ')

export const clock = (at) => new Date(at).toLocaleTimeString('en-GB')

// set changes the text of an element, and only if it is another one.
export function set(element, text) {
	if (element.textContent !== text) element.textContent = text
}

// make makes an element with text, which is never read as markup: it may be a peer's.
export function make(name, { text, ...properties } = {}, ...children) {
	const e = document.createElement(name)
	for (const [key, value] of Object.entries(properties)) {
		if (value !== undefined && value !== false) e.setAttribute(key, value)
	}
	if (text !== undefined) e.textContent = text
	e.append(...children)
	return e
}
