package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"
)

// observed is a process that is asked how it is.
type observed struct {
	name    string
	process *process
	dir     string
	addr    string // for peers
	web     string // for programs
	client  *ethclient.Client

	samples []sample
}

// head is the youngest block of somebody's chain.
type head struct {
	number uint64
	hash   common.Hash
}

func (o *observed) head(s *soak) head {
	s.Helper()
	h, err := o.client.HeaderByNumber(s.Context(), nil)
	if err != nil {
		s.Fatalf("%s: %v", o.name, err)
	}
	return head{h.Number.Uint64(), h.Hash()}
}

// sample is what a process uses at a time.
type sample struct {
	at          time.Duration // since the beginning
	resident    int64         // bytes of memory, as the system counts them
	live        int64         // bytes that the last collection of garbage left
	goroutines  int64
	descriptors int64
	index       int64 // bytes on disk that are no blocks
	blocks      int64 // bytes of blocks on disk
	peers       int64
}

func (x sample) String() string {
	return fmt.Sprintf("%.1f MB resident, %.1f MB live, %d goroutines, %d descriptors, %.1f MB of index, %.1f MB of blocks, %d peers",
		float64(x.resident)/1e6, float64(x.live)/1e6, x.goroutines, x.descriptors, float64(x.index)/1e6, float64(x.blocks)/1e6, x.peers)
}

// figures are what must stay as it is: more than a tenth and the slack from the middle
// third of the time to the last one, or more than the most, is a leak.
var figures = []struct {
	name        string
	of          func(*sample) int64
	slack, most int64
}{
	{"resident", func(x *sample) int64 { return x.resident }, 8 << 20, 512 << 20},
	{"live", func(x *sample) int64 { return x.live }, 2 << 20, 128 << 20},
	{"goroutines", func(x *sample) int64 { return x.goroutines }, 8, 500},
	{"descriptors", func(x *sample) int64 { return x.descriptors }, 8, 200},
	{"index", func(x *sample) int64 { return x.index }, 16 << 20, 128 << 20},
}

// last returns the latest sample.
func (o *observed) last() sample { return o.samples[len(o.samples)-1] }

// measure takes a sample.
func (o *observed) measure(s *soak) sample {
	s.Helper()
	x, err := o.look()
	if err != nil {
		s.Fatalf("%s cannot be looked at: %v", o.name, err)
	}
	x.at = time.Since(s.began)
	o.samples = append(o.samples, x)
	return x
}

func (o *observed) look() (x sample, err error) {
	resp, err := http.Get(o.web + "/metrics")
	if err != nil {
		return x, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return x, err
	}
	metric := func(name string) float64 {
		sum := 0.0
		for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{.*\})? (\S+)$`).FindAllStringSubmatch(string(body), -1) {
			v, e := strconv.ParseFloat(m[1], 64)
			err = cmp.Or(err, e)
			sum += v
		}
		return sum
	}
	x.goroutines, x.peers = int64(metric("go_goroutines")), int64(metric("shoal_peers"))
	// The next collection begins when there is so many percent more than the last one left.
	x.live = int64(metric("go_memstats_next_gc_bytes") / (1 + metric("go_gc_gogc_percent")/100))
	proc := fmt.Sprintf("/proc/%d", o.process.cmd.Process.Pid)
	if x.resident, err = statusOf(o.process.cmd.Process.Pid, "VmRSS"); err != nil {
		return x, err
	}
	open, err := os.ReadDir(proc + "/fd")
	if err != nil {
		return x, err
	}
	x.descriptors = int64(len(open))
	if x.index, err = sizeOf(filepath.Join(o.dir, "index")); err != nil {
		return x, err
	}
	x.blocks, err = sizeOf(filepath.Join(o.dir, "segments"))
	return x, err
}

// sizeOf returns how many bytes the files below a directory have.
func sizeOf(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if info, err := d.Info(); err == nil { // else it is gone just now
			n += info.Size()
		}
		return nil
	})
	if os.IsNotExist(err) {
		err = nil
	}
	return n, err
}

// sample measures the nodes until the context is done.
func (s *soak) sample(ctx context.Context) {
	for pause(ctx, max(s.long/720, 500*time.Millisecond)) {
		for _, o := range s.watched {
			o.measure(s)
		}
	}
}

// report prints what the nodes have used, and fails if that has grown. The first tenth is
// for warming up. What is compared are the medians of the thirds of the rest, if it is
// long enough for them to mean something.
func (s *soak) report() {
	const enough = 10 * time.Minute
	for _, o := range s.watched {
		var text strings.Builder
		w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(w, "%s\tMB resident\tMB live\tgoroutines\tdescriptors\tMB index\tMB blocks\tpeers\t\n", o.name)
		mb := func(n int64) float64 { return float64(n) / 1e6 }
		for i := 0; i < len(o.samples); i += max(1, len(o.samples)/24) {
			x := o.samples[i]
			fmt.Fprintf(w, "%v\t%.1f\t%.1f\t%d\t%d\t%.1f\t%.1f\t%d\t\n",
				x.at.Round(time.Second), mb(x.resident), mb(x.live), x.goroutines, x.descriptors, mb(x.index), mb(x.blocks), x.peers)
		}
		w.Flush()
		s.Logf("\n%s", text.String())
		steady := o.samples[len(o.samples)/10:]
		third := len(steady) / 3
		for _, f := range figures {
			var all []int64
			for i := range steady {
				all = append(all, f.of(&steady[i]))
			}
			first, middle, last, most := median(all[:third]), median(all[third:2*third]), median(all[2*third:]), slices.Max(all)
			s.Logf("%s, %s: medians of the thirds %d, %d, %d; at most %d", o.name, f.name, first, middle, last, most)
			if most > f.most {
				s.Errorf("%s, %s: at most %d is too much, want %d", o.name, f.name, most, f.most)
			}
			if s.long >= enough && last > middle+middle/10+f.slack {
				s.Errorf("%s, %s: it grows, from %d to %d", o.name, f.name, middle, last)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, what := range slices.Sorted(maps.Keys(s.done)) {
		s.Logf("%6d %s", s.done[what], what)
	}
}

func median(list []int64) int64 {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// cpu returns how long this process and all that it has waited for have computed.
func cpu() (d time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			d += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return d
}
