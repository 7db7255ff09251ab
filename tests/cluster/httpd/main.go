// A small web server for the tests: it says which version and which pod answered,
// fails and dawdles on demand, and counts its requests for Prometheus.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

var bounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}

func main() {
	listen := flag.String("listen", ":8080", "address to listen on")
	version := flag.String("version", os.Getenv("VERSION"), "what to call this version")
	fail := flag.Float64("fail", 0, "share of the requests answered with 500, 0 to 1")
	delay := flag.Duration("delay", 0, "how long every answer takes")
	drain := flag.Duration("drain", 2*time.Second, "how long to go on serving after SIGTERM, while the endpoints are withdrawn")
	unready := flag.Bool("unready", false, "answer /healthz with 503")
	flag.Parse()
	host, _ := os.Hostname()

	var good, bad, nanos atomic.Int64
	buckets := make([]atomic.Int64, len(bounds))
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		time.Sleep(*delay)
		if rand.Float64() < *fail {
			bad.Add(1)
			http.Error(w, fmt.Sprintf("%s %s failed", *version, host), http.StatusInternalServerError)
		} else {
			good.Add(1)
			fmt.Fprintf(w, "%s %s\n", *version, host)
		}
		took := time.Since(start)
		nanos.Add(int64(took))
		for i, bound := range bounds {
			if took.Seconds() <= bound {
				buckets[i].Add(1)
			}
		}
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if *unready {
			http.Error(w, "unready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "# TYPE http_requests_total counter\n")
		fmt.Fprintf(w, "http_requests_total{code=\"200\",version=%q} %d\n", *version, good.Load())
		fmt.Fprintf(w, "http_requests_total{code=\"500\",version=%q} %d\n", *version, bad.Load())
		fmt.Fprintf(w, "# TYPE http_request_duration_seconds histogram\n")
		for i, bound := range bounds {
			fmt.Fprintf(w, "http_request_duration_seconds_bucket{le=\"%g\",version=%q} %d\n", bound, *version, buckets[i].Load())
		}
		all := good.Load() + bad.Load()
		fmt.Fprintf(w, "http_request_duration_seconds_bucket{le=\"+Inf\",version=%q} %d\n", *version, all)
		fmt.Fprintf(w, "http_request_duration_seconds_sum{version=%q} %g\n", *version, time.Duration(nanos.Load()).Seconds())
		fmt.Fprintf(w, "http_request_duration_seconds_count{version=%q} %d\n", *version, all)
	})

	server := &http.Server{Addr: *listen, Handler: mux}
	stopped := make(chan struct{})
	go func() {
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
		<-term
		time.Sleep(*drain)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		server.Shutdown(ctx)
		close(stopped)
	}()
	log.Printf("version %q listens on %s", *version, *listen)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-stopped
}
