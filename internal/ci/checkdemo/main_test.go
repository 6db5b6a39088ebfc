package main

import (
	"io"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	const good = `{"blocks": 8191, "head": {"number": 8191, "hash": "` + wantHash + `", "td": 14255663800},
		"peers": [{"id": "a", "blocks": 8000}, {"id": "b", "blocks": 100}, {"id": "c", "blocks": 90}, {"id": "d", "blocks": 1}],
		"duplicate_blocks": 0, "seconds": 1.5}`
	for _, c := range []struct{ old, new, want string }{
		{"", "", ""},
		{`"blocks": 8191`, `"blocks": 8190`, "blocks: got 8190, want 8191"},
		{"0x8e", "0x8f", "head hash"},
		{"14255663800", "14255663801", "total difficulty"},
		{`"duplicate_blocks": 0`, `"duplicate_blocks": 1`, "duplicate blocks: got 1"},
		{`"duplicate_blocks": 0,`, ``, "duplicate blocks: not in the result"},
		{`"blocks": 1}`, `"blocks": 0}`, "peer d contributed nothing"},
		{`"blocks": 90}`, `"blocks": 91}`, "blocks of all peers: got 8192"},
		{`, {"id": "d", "blocks": 1}`, ``, "peers: got 3"},
		{good, ``, "the demo printed no result"},
	} {
		err := check(strings.NewReader(strings.Replace(good, c.old, c.new, 1)), io.Discard)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("good result: %v", err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s for %s: got error %v, want %q", c.new, c.old, err, c.want)
		}
	}
}
