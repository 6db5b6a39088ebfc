package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/cors"
	"golang.org/x/net/netutil"
)

// HTTPConfig says who may ask over HTTP and WebSocket.
type HTTPConfig struct {
	// Hosts are the names under which the server may be called, beyond addresses
	// and localhost; "*" is any. It keeps a page in the operator's browser from
	// asking under a name of its own that it has pointed here.
	Hosts []string
	// Origins are the web pages that may ask, such as https://example.org; "*" is
	// any. Programs that are no browsers have no origin and may always ask.
	Origins []string
	// Page serves / to browsers, and what is under /page/; nil: there is none. Its
	// requests end with the server.
	Page http.Handler
}

// The limits of the server over HTTP.
const (
	// maxBody bounds a request, maxHTTPConns the connections, WebSockets included.
	maxBody      = 1 << 20
	maxHTTPConns = 256

	// readTimeout is how long a request may take to arrive, and writeTimeout how
	// long an answer may take to be made and sent.
	readTimeout  = 10 * time.Second
	writeTimeout = time.Minute
	idleTimeout  = 2 * time.Minute
	maxHeader    = 16 << 10
)

// ServeHTTP answers over HTTP and, on the same address, WebSocket, until the context
// is done: JSON-RPC in the namespaces eth, net, web3 and debug, GET of /metrics,
// /healthz and /readyz, and a page for people if there is one. It closes the listener and returns when all calls are over.
func (s *Server) ServeHTTP(ctx context.Context, l net.Listener, cfg HTTPConfig) error {
	var sockets sync.WaitGroup // which http.Server does not wait for
	defer sockets.Wait()
	h := &http.Server{
		Handler: guard(cfg.Hosts, s.handler(ctx, cfg, &sockets)), ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
	over := make(chan struct{}) // closed when all calls are
	stop := context.AfterFunc(ctx, func() {
		defer close(over)
		s.public.Stop() // ends the WebSockets
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if h.Shutdown(c) != nil {
			h.Close()
		}
	})
	defer stop()
	err := h.Serve(netutil.LimitListener(l, maxHTTPConns))
	if errors.Is(err, http.ErrServerClosed) {
		<-over
		return nil
	}
	return err
}

func (s *Server) handler(ctx context.Context, cfg HTTPConfig, open *sync.WaitGroup) http.Handler {
	browsers := cors.New(cors.Options{AllowedOrigins: append([]string{}, cfg.Origins...), AllowedMethods: []string{http.MethodPost}, AllowedHeaders: []string{"*"}})
	if len(cfg.Origins) == 0 { // an empty list would be everybody
		browsers = cors.New(cors.Options{AllowOriginFunc: func(string) bool { return false }})
	}
	calls, sockets := browsers.Handler(s.public), s.public.WebsocketHandler(cfg.Origins)
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			open.Add(1)
			defer open.Done()
			// A WebSocket lasts; its library has times of its own.
			http.NewResponseController(w).SetReadDeadline(time.Time{})
			http.NewResponseController(w).SetWriteDeadline(time.Time{})
			sockets.ServeHTTP(w, r)
			return
		}
		if cfg.Page != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			cfg.Page.ServeHTTP(w, r)
			return
		}
		calls.ServeHTTP(w, r)
	})
	if cfg.Page != nil {
		mux.Handle("GET /page/", until(ctx, cfg.Page))
	}
	mux.Handle("GET /metrics", s.metrics())
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux
}

// until ends the requests of a handler when the context is done.
func until(ctx context.Context, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		h.ServeHTTP(w, r.WithContext(c))
	})
}

// guard refuses requests under a name that is not ours.
func guard(hosts []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.ToLower(host)
		_, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if err != nil && host != "localhost" && !slices.Contains(hosts, "*") && !slices.Contains(hosts, host) {
			http.Error(w, "this is not the name of this server: allow it with --http-host", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
