// Package plot draws how fast each peer sent over time, as an SVG.
//
// What it does not do: it draws nothing else.
package plot

import (
	"bytes"
	"fmt"
	"math"
)

// Series is one peer.
type Series struct {
	Name string
	// Rates are bytes a second, one for each interval.
	Rates []float64
}

// The sheet, in pixels.
const (
	width, height      = 900, 420
	left, right        = 70, 20
	top, bottom        = 40, 50
	plotWidth          = width - left - right
	plotHeight         = height - top - bottom
	ticksX, ticksY     = 6, 5
	bitsPerByte        = 8
	mega               = 1e6
	hueStep, lightness = 137.5, 50 // the golden angle: neighbours differ
)

// SVG draws the series on top of each other, so that the upper edge is the sum. The
// intervals are all as long as step, in seconds; the bar on the left is ideal, the
// rate that the links carry together, in bytes a second.
func SVG(title string, step, ideal float64, series []Series) []byte {
	n := 0
	for _, s := range series {
		n = max(n, len(s.Rates))
	}
	sums := make([]float64, n)
	most := ideal
	for i := range sums {
		for _, s := range series {
			if i < len(s.Rates) {
				sums[i] += s.Rates[i]
			}
		}
		most = max(most, sums[i])
	}
	most = nice(most * bitsPerByte / mega)
	x := func(i int) float64 { return left + plotWidth*float64(i)/float64(max(n-1, 1)) }
	y := func(rate float64) float64 { return top + plotHeight*(1-rate*bitsPerByte/mega/most) }

	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="24" font-size="15">%s</text>`+"\n", left, escape(title))
	below := make([]float64, n)
	for k, s := range series {
		var path bytes.Buffer
		for i := range n {
			fmt.Fprintf(&path, "%.1f,%.1f ", x(i), y(below[i]))
		}
		for i := n - 1; i >= 0; i-- {
			if i < len(s.Rates) {
				below[i] += s.Rates[i]
			}
			fmt.Fprintf(&path, "%.1f,%.1f ", x(i), y(below[i]))
		}
		fmt.Fprintf(&b, `<polygon points="%s" fill="hsl(%.0f,60%%,%d%%)"><title>%s</title></polygon>`+"\n",
			bytes.TrimSpace(path.Bytes()), math.Mod(float64(k)*hueStep, 360), lightness, escape(s.Name))
	}
	if ideal > 0 {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="black" stroke-dasharray="6 4"><title>all links full</title></line>`+"\n",
			left, left+plotWidth, y(ideal), y(ideal))
	}
	for i := range ticksX + 1 {
		at := float64(i) / ticksX
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.1f s</text>`+"\n", left+plotWidth*at, height-bottom+18, at*float64(max(n-1, 0))*step)
	}
	for i := range ticksY + 1 {
		at := float64(i) / ticksY
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%.3g</text>`+"\n", left-6, top+plotHeight*(1-at)+4, at*most)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d">Mbit/s, one colour for each peer; dashed: all links full</text>`+"\n</svg>\n", left, height-10)
	return b.Bytes()
}

// nice rounds up to one, two or five times a power of ten.
func nice(x float64) float64 {
	if x <= 0 {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(x)))
	for _, f := range []float64{1, 2, 5} {
		if f*p >= x {
			return f * p
		}
	}
	return 10 * p
}

func escape(s string) string {
	var b bytes.Buffer
	for _, r := range s {
		switch r {
		case '<', '>', '&', '"':
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
