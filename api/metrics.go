package api

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/shoalnet/shoal/pool"
)

// metric is one of our metrics. Its name is promised: there may be more some day, and
// none of these changes.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(g *gathered, put func(v float64, labels ...string))
}

// gathered is what all metrics of one scrape are made of, so that they agree.
type gathered struct {
	status Status
	node   Node
	total  Spent
	pool   pool.Stats
	in     int // peers that have dialled us
	links  int // peers over encrypted links
	banned int
}

// metricsList lists all metrics, as docs/metrics.md does.
func metricsList() []metric {
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	m := func(name, help string, kind prometheus.ValueType, labels []string, of func(*gathered, func(float64, ...string))) metric {
		return metric{prometheus.NewDesc("shoal_"+name, help, labels, nil), kind, of}
	}
	one := func(of func(*gathered) uint64) func(*gathered, func(float64, ...string)) {
		return func(g *gathered, put func(float64, ...string)) { put(float64(of(g))) }
	}
	fetching := func(of func(*Sync) uint64) func(*gathered, func(float64, ...string)) {
		return one(func(g *gathered) uint64 {
			if g.node.Sync == nil {
				return 0
			}
			return of(g.node.Sync)
		})
	}
	return []metric{
		m("head_number", "Number of the youngest block of the canonical chain.", gauge, nil, one(func(g *gathered) uint64 { return g.status.Head.Number })),
		m("blocks_held", "Blocks that are stored, linked or not.", gauge, nil, one(func(g *gathered) uint64 { return g.status.Blocks })),
		m("target_number", "Number of the head of the chain that is being fetched, 0 if none is.", gauge, nil, fetching(func(s *Sync) uint64 { return s.All })),
		m("blocks_missing", "Blocks of that chain that are not here yet.", gauge, nil, fetching(func(s *Sync) uint64 { return s.All - s.Here })),
		m("fetched_blocks_total", "Blocks that were fetched and stored.", counter, nil, one(func(g *gathered) uint64 { return g.node.Fetched })),
		m("fetched_bytes_total", "Bytes of blocks that were fetched and stored.", counter, nil, one(func(g *gathered) uint64 { return g.node.Bytes })),
		m("content_bytes_total", "Bytes of content that peers have sent: useful, duplicate (asked for, but here already), unrequested (never asked for).", counter,
			[]string{"kind"}, func(g *gathered, put func(float64, ...string)) {
				put(float64(g.pool.UsefulBytes), "useful")
				put(float64(g.pool.DuplicateBytes), "duplicate")
				put(float64(g.pool.UnrequestedBytes), "unrequested")
			}),
		m("received_bytes_total", "Bytes that were received in sessions with peers that serve a chain.", counter, nil, one(func(g *gathered) uint64 { return g.node.Received })),
		m("peers", "Peers that are connected, by who has dialled.", gauge, []string{"direction"}, func(g *gathered, put func(float64, ...string)) {
			put(float64(g.in), "in")
			put(float64(g.node.Peers-g.in), "out")
		}),
		m("encrypted_links", "Connections to peers that are encrypted links.", gauge, nil, one(func(g *gathered) uint64 { return uint64(g.links) })),
		m("peers_late", "Connected peers that do not answer in time.", gauge, nil, one(func(g *gathered) uint64 { return uint64(g.node.Late) })),
		m("late_total", "Times that a peer did not answer in time.", counter, nil, one(func(g *gathered) uint64 { return g.pool.Late })),
		m("in_flight_bytes", "Bytes that peers are asked for and have not sent.", gauge, nil, one(func(g *gathered) uint64 { return uint64(g.pool.InFlightBytes) })),
		m("held_bytes", "Bytes that have come and are not stored yet.", gauge, nil, one(func(g *gathered) uint64 { return uint64(g.pool.HeldBytes) })),
		m("peer_seconds_total", "Time of all peers by what it was spent with: see \"shoal status --why\".", counter, []string{"why"}, func(g *gathered, put func(float64, ...string)) {
			for _, r := range Reasons() {
				put(g.total[r].Seconds(), r.String())
			}
		}),
		m("banned_peers", "Peers that are banned.", gauge, nil, one(func(g *gathered) uint64 { return uint64(g.banned) })),
	}
}

// collector collects our metrics.
type collector struct {
	s    *Server
	list []metric
}

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range c.list {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	g := gathered{status: StatusOf(c.s.cfg.Store), node: c.s.cfg.Tracker.Node(), total: c.s.cfg.Tracker.Why().Total, pool: c.s.cfg.Tracker.pool()}
	peers := c.s.cfg.Node.Peers()
	g.node.Peers = len(peers)
	for _, p := range peers {
		if p.Inbound {
			g.in++
		}
		if !p.Key.IsZero() {
			g.links++
		}
	}
	for _, s := range c.s.cfg.Node.Standings() {
		if s.Banned(time.Now()) {
			g.banned++
		}
	}
	for _, m := range c.list {
		m.of(&g, func(v float64, labels ...string) { to <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...) })
	}
}

// metrics serves our metrics, and those of the Go runtime and of the process.
func (s *Server) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{s, metricsList()}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
