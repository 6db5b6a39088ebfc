package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestSVG(t *testing.T) {
	svg := SVG(`a <b> & "c"`, 0.2, 300, []Series{
		{"one", []float64{0, 100, 200, 100}},
		{"two", []float64{50, 50}},
	})
	polygons := 0
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "polygon" {
			polygons++
			for _, a := range e.Attr {
				if a.Name.Local == "points" {
					if n := len(strings.Fields(a.Value)); n != 8 {
						t.Errorf("a polygon has %d points, want two for each of four intervals", n)
					}
				}
			}
		}
	}
	if polygons != 2 {
		t.Errorf("%d polygons, want one for each peer", polygons)
	}
	if SVG("empty", 1, 0, nil) == nil {
		t.Error("nothing is drawn of nothing")
	}
}

func TestNice(t *testing.T) {
	for x, want := range map[float64]float64{0: 1, 1: 1, 1.1: 2, 3: 5, 7: 10, 160: 200, 0.03: 0.05} {
		if got := nice(x); got < want*0.999 || got > want*1.001 {
			t.Errorf("nice(%v) is %v, want %v", x, got, want)
		}
	}
}
