package api

import (
	"fmt"
	"net/http"
	"time"
)

// healthTime is how long the node may show no sign of life until it is called ill: its
// loop looks up twice a second. A disk that stands still for some seconds is no
// reason to restart it.
const healthTime = 30 * time.Second

// healthz says whether the process works: it is meant for who restarts it if not.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if silent := time.Since(s.cfg.Tracker.lastSign(s.began)); silent > healthTime {
		http.Error(w, fmt.Sprintf("the node has not shown a sign of life for %v", silent.Round(time.Second)), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// readyz says whether the node is worth asking: whether it has found out what its
// peers have, and has all of it. It is meant for who spreads requests over nodes. A
// node without peers to ask is ready with what it has.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if why := s.cfg.Tracker.notReady(); why != "" {
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
