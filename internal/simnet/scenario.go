package simnet

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Scenario is a network and what is to be fetched over it. It is read from JSON;
// each of the embedded files is an example. Times of faults are shares of the time
// that an ideal download takes without any fault, so that all policies meet the
// same network.
type Scenario struct {
	Name  string `json:"-"`
	About string `json:"about"`

	Blocks int `json:"blocks"`
	// Bytes is what a block weighs. Curve instead names a curve by height:
	// "mainnet".
	Bytes Range  `json:"bytes"`
	Curve string `json:"curve"`

	// Walk is how many hashes one answer of the walk brings; 0: all hashes are
	// known from the start.
	Walk int `json:"walk"`
	// Window is how many keys the policy shoal gives to its pool at the most;
	// 0: as many as the downloader does.
	Window int `json:"window"`
	// LinkMbit is the client's own link, 0 for one without limit, and Throttle
	// an interval in which it is slower.
	LinkMbit float64   `json:"link_mbit"`
	Throttle *Throttle `json:"throttle"`
	// CheckMB is how many megabytes a second are checked and stored, 0 for all.
	CheckMB float64 `json:"check_mb"`

	Peers []Group `json:"peers"`
}

// Throttle slows the client's link from one share of the ideal time to another.
type Throttle struct {
	From   float64 `json:"from"`
	To     float64 `json:"to"`
	Factor float64 `json:"factor"`
}

// Group is a number of peers that are alike. Where it has a range, each peer draws
// from it.
type Group struct {
	Count int   `json:"count"`
	Mbit  Range `json:"mbit"` // rate of the link; drawn so that each doubling is as likely
	RTT   Range `json:"rtt"`  // round trip in milliseconds
	// Jitter is by how much more, as a share of the round trip, an answer may be
	// under way.
	Jitter float64 `json:"jitter"`

	Items int     `json:"items"` // most blocks in one answer, 0 for all that were asked for
	Think Range   `json:"think"` // milliseconds before each answer, in which nothing is sent
	Holds float64 `json:"holds"` // share of the blocks that it has, 0 for all
	Junk  float64 `json:"junk"`  // share of its answers that are not what they claim to be

	Join   Range   `json:"join"`    // when it joins
	Stall  *Range  `json:"stall"`   // from when on it answers nothing
	Slow   *Range  `json:"slow"`    // from when on it is slow
	SlowTo float64 `json:"slow_to"` // and by which factor
	Up     Range   `json:"up"`      // it leaves after so long, 0 for never
	Down   Range   `json:"down"`    // and comes back after so long
}

// Range is a number, or an interval to draw from.
type Range struct{ Low, High float64 }

// UnmarshalJSON reads a number, or an array of the two ends.
func (r *Range) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &r.Low); err == nil {
		r.High = r.Low
		return nil
	}
	var ends []float64
	if err := json.Unmarshal(data, &ends); err != nil || len(ends) != 2 || ends[0] > ends[1] {
		return fmt.Errorf("%s is neither a number nor an interval [low, high]", data)
	}
	r.Low, r.High = ends[0], ends[1]
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (r Range) MarshalJSON() ([]byte, error) {
	if r.Low == r.High {
		return json.Marshal(r.Low)
	}
	return json.Marshal([]float64{r.Low, r.High})
}

func (r Range) draw(rnd *rand.Rand) float64 { return r.Low + (r.High-r.Low)*rnd.Float64() }

func (r Range) millis(rnd *rand.Rand) time.Duration {
	return time.Duration(r.draw(rnd) * float64(time.Millisecond))
}

// window returns the window of the policy shoal.
func (s *Scenario) window() int {
	if s.Window == 0 {
		return downloaderWindow
	}
	return s.Window
}

// downloaderWindow is what the downloader gives to the pool at the most.
const downloaderWindow = 32768

//go:embed scenarios/*.json
var embedded embed.FS

// Scenarios returns the names of the embedded scenarios, in order.
func Scenarios() []string {
	files, err := embedded.ReadDir("scenarios")
	if err != nil {
		panic(err) // it is in the binary
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".json"))
	}
	slices.Sort(names)
	return names
}

// Load returns an embedded scenario by its name, or reads one from a file.
func Load(name string) (*Scenario, error) {
	data, err := embedded.ReadFile(path.Join("scenarios", name+".json"))
	if err != nil {
		if data, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("simnet: %q is neither one of the scenarios %s, nor a file: %w", name, strings.Join(Scenarios(), ", "), err)
		}
		name = strings.TrimSuffix(path.Base(name), ".json")
	}
	s, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("simnet: scenario %s: %w", name, err)
	}
	s.Name = name
	return s, nil
}

// Parse reads a scenario from JSON and checks that it makes sense.
func Parse(data []byte) (*Scenario, error) {
	s := new(Scenario)
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(s); err != nil {
		return nil, err
	}
	return s, s.check()
}

// The most that a scenario may ask for: about what fits into the memory of a
// laptop.
const (
	maxBlocks = 100_000_000
	maxPeers  = 100_000
)

func (s *Scenario) check() error {
	if s.Blocks < 1 || s.Blocks > maxBlocks {
		return fmt.Errorf("%d blocks: want 1 to %d", s.Blocks, maxBlocks)
	}
	if s.Curve == "" && s.Bytes.Low < 1 {
		return fmt.Errorf("blocks of %v bytes: want at least one", s.Bytes.Low)
	}
	if s.Curve != "" && s.Curve != "mainnet" {
		return fmt.Errorf("curve %q: there is \"mainnet\"", s.Curve)
	}
	if t := s.Throttle; t != nil && (s.LinkMbit <= 0 || t.Factor <= 0 || t.From < 0 || t.To < t.From) {
		return fmt.Errorf("throttle: want link_mbit, a positive factor, and from before to")
	}
	if s.Walk < 0 || s.Window < 0 || s.LinkMbit < 0 || s.CheckMB < 0 {
		return fmt.Errorf("a negative limit")
	}
	peers := 0
	for i, g := range s.Peers {
		if g.Count < 0 || g.Count > maxPeers {
			return fmt.Errorf("peers %d: a count of %d: want up to %d", i, g.Count, maxPeers)
		}
		if g.Mbit.Low <= 0 || g.RTT.Low < 0 || g.Think.Low < 0 || g.Join.Low < 0 || g.Up.Low < 0 || g.Down.Low < 0 ||
			g.Items < 0 || g.Jitter < 0 || g.SlowTo < 0 || g.Stall != nil && g.Stall.Low < 0 || g.Slow != nil && g.Slow.Low < 0 {
			return fmt.Errorf("peers %d: want a positive mbit, and nothing negative", i)
		}
		if g.Slow != nil && g.SlowTo == 0 {
			return fmt.Errorf("peers %d: slow without slow_to; to stop altogether is stall", i)
		}
		if g.Holds < 0 || g.Holds > 1 || g.Junk < 0 || g.Junk > 1 {
			return fmt.Errorf("peers %d: a share that is not between 0 and 1", i)
		}
		peers += g.Count
	}
	if peers < 1 || peers > maxPeers {
		return fmt.Errorf("%d peers: want 1 to %d", peers, maxPeers)
	}
	return nil
}
