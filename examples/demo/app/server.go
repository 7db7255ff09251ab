package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// versionHeader names the version that gave an answer, for good answers and for errors.
const versionHeader = "Demo-Version"

// drainTimeout is how long a request that is under way at the end may still take.
const drainTimeout = 5 * time.Second

// Upper bounds of the histogram of durations, in seconds.
var bounds = [...]float64{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1}

type app struct {
	version, pod, hash string
	// Errors in a million requests: a whole number, so that the spread never drifts.
	perMillion uint64

	requests atomic.Uint64
	good     atomic.Uint64
	bad      atomic.Uint64

	// buckets[i] counts durations up to bounds[i]; the last one, those above all bounds.
	buckets    [len(bounds) + 1]atomic.Uint64
	durationNs atomic.Int64
}

func newApp(version, pod, hash string, percent float64) *app {
	return &app{version: version, pod: pod, hash: hash, perMillion: uint64(math.Round(percent * 10_000))}
}

// fails says whether the n-th request (from 1) is an error. The errors are spread evenly:
// at 5 % exactly every twentieth request, so a short window measures the same as a long one.
func (a *app) fails(n uint64) bool {
	return n*a.perMillion/1_000_000 > (n-1)*a.perMillion/1_000_000
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.root)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /metrics", a.metrics)
	return mux
}

func (a *app) root(w http.ResponseWriter, _ *http.Request) {
	start := time.Now()
	w.Header().Set(versionHeader, a.version)
	if a.fails(a.requests.Add(1)) {
		http.Error(w, fmt.Sprintf("version %s on %s failed", a.version, a.pod), http.StatusInternalServerError)
		a.bad.Add(1)
	} else {
		fmt.Fprintf(w, "version %s on %s\n", a.version, a.pod)
		a.good.Add(1)
	}
	a.observe(time.Since(start))
}

func (a *app) observe(took time.Duration) {
	i := 0
	for i < len(bounds) && took.Seconds() > bounds[i] {
		i++
	}
	a.buckets[i].Add(1)
	a.durationNs.Add(int64(took))
}

func (a *app) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	a.writeMetrics(w)
}

// writeMetrics writes the Prometheus text format. Both codes are there from the start, at 0:
// a series that appears with its first error would hide that error from rate().
func (a *app) writeMetrics(w io.Writer) {
	own := fmt.Sprintf("version=%q", a.version)
	if a.hash != "" {
		own += fmt.Sprintf(",pod_template_hash=%q", a.hash)
	}
	fmt.Fprintln(w, "# HELP http_requests_total Requests answered, by status code.")
	fmt.Fprintln(w, "# TYPE http_requests_total counter")
	fmt.Fprintf(w, "http_requests_total{code=\"200\",%s} %d\n", own, a.good.Load())
	fmt.Fprintf(w, "http_requests_total{code=\"500\",%s} %d\n", own, a.bad.Load())
	fmt.Fprintln(w, "# HELP http_request_duration_seconds Time to answer a request.")
	fmt.Fprintln(w, "# TYPE http_request_duration_seconds histogram")
	var count uint64
	for i := range a.buckets {
		le := "+Inf"
		if i < len(bounds) {
			le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		count += a.buckets[i].Load()
		fmt.Fprintf(w, "http_request_duration_seconds_bucket{le=%q,%s} %d\n", le, own, count)
	}
	fmt.Fprintf(w, "http_request_duration_seconds_sum{%s} %g\n", own, time.Duration(a.durationNs.Load()).Seconds())
	fmt.Fprintf(w, "http_request_duration_seconds_count{%s} %d\n", own, count)
}

// serve answers until ctx ends, then goes on for delay: the pod is already leaving the
// Service, but clients may not know it yet. Only then does it stop listening and let what is
// under way end. So no request meets a closed door.
func serve(ctx context.Context, listener net.Listener, a *app, delay time.Duration) error {
	server := &http.Server{Handler: a.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-failed:
		return err
	case <-time.After(delay):
	}
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
