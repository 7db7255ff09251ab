package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestErrorsAreSpreadEvenly(t *testing.T) {
	for _, c := range []struct {
		percent float64
		every   uint64
	}{{5, 20}, {0.5, 200}, {50, 2}, {100, 1}} {
		a := newApp("v", "p", "", c.percent)
		for n := uint64(1); n <= 2000; n++ {
			if got, want := a.fails(n), n%c.every == 0; got != want {
				t.Fatalf("%g %%: request %d fails = %v, want %v", c.percent, n, got, want)
			}
		}
	}
	healthy := newApp("v", "p", "", 0)
	for n := uint64(1); n <= 1000; n++ {
		if healthy.fails(n) {
			t.Fatalf("0 %%: request %d fails", n)
		}
	}
}

// start serves an app on a free port and gives its URL, a stop and the end of serve.
func start(t *testing.T, a *app, delay time.Duration) (string, context.CancelFunc, <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	done := make(chan error, 1)
	go func() { done <- serve(ctx, listener, a, delay) }()
	return "http://" + listener.Addr().String() + "/", stop, done
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestAnswersAndMetrics(t *testing.T) {
	url, _, _ := start(t, newApp("v3", "pod-7", "6b56c8cdb4", 10), time.Second)
	_, before := fetch(t, url+"metrics")
	if want := `http_requests_total{code="500",version="v3",pod_template_hash="6b56c8cdb4"} 0`; !strings.Contains(before, want) {
		t.Errorf("a fresh app lacks the error series at 0:\n%s", before)
	}
	bad := 0
	for range 20 {
		code, body := fetch(t, url)
		if !strings.Contains(body, "version v3 on pod-7") {
			t.Fatalf("body %q", body)
		}
		if code == http.StatusInternalServerError {
			bad++
		} else if code != http.StatusOK {
			t.Fatalf("code %d", code)
		}
	}
	if bad != 2 {
		t.Errorf("%d errors in 20 requests at 10 %%, want 2", bad)
	}
	if code, _ := fetch(t, url+"healthz"); code != http.StatusOK {
		t.Errorf("healthz %d", code)
	}
	if code, _ := fetch(t, url+"elsewhere"); code != http.StatusNotFound {
		t.Errorf("an unknown path answers %d", code)
	}
	_, metrics := fetch(t, url+"metrics")
	for _, want := range []string{
		"# TYPE http_requests_total counter",
		`http_requests_total{code="200",version="v3",pod_template_hash="6b56c8cdb4"} 18`,
		`http_requests_total{code="500",version="v3",pod_template_hash="6b56c8cdb4"} 2`,
		`http_request_duration_seconds_bucket{le="+Inf",version="v3",pod_template_hash="6b56c8cdb4"} 20`,
		`http_request_duration_seconds_count{version="v3",pod_template_hash="6b56c8cdb4"} 20`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
}

func TestServesOnAfterTheSignalThenDrains(t *testing.T) {
	url, stop, done := start(t, newApp("v1", "pod", "", 0), 300*time.Millisecond)
	fetch(t, url)
	stop()
	if code, _ := fetch(t, url); code != http.StatusOK {
		t.Errorf("inside the delay: %d", code)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still serving")
	}
	if response, err := http.Get(url); err == nil {
		response.Body.Close()
		t.Error("answers after the drain")
	}
}

func TestLoadCountsByVersion(t *testing.T) {
	a := newApp("v3", "pod", "", 5)
	url, _, _ := start(t, a, 0)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var out bytes.Buffer
	if err := load(ctx, &out, loadConfig{url, 200, 16, 100 * time.Millisecond, time.Second}); err != nil {
		t.Fatal(err)
	}
	var last counts
	lines := 0
	for scanner := bufio.NewScanner(&out); scanner.Scan(); lines++ {
		last = counts{}
		if err := json.Unmarshal(scanner.Bytes(), &last); err != nil {
			t.Fatalf("%s: %v", scanner.Text(), err)
		}
	}
	got := last.Versions["v3"]
	if lines < 5 || got == nil || got.Requests < 100 || got.Requests > 410 {
		t.Fatalf("%d lines, last %+v", lines, last)
	}
	// The app saw one request more: the first answer, which is not counted.
	if got.Requests+1 != a.requests.Load() || got.Errors != a.bad.Load() {
		t.Errorf("client saw %+v, the app %d requests and %d errors", *got, a.requests.Load(), a.bad.Load())
	}
	if len(last.Failed) != 0 {
		t.Errorf("failed %v", last.Failed)
	}
}

func TestLoadSeesAClosedDoor(t *testing.T) {
	url, stop, done := start(t, newApp("v1", "pod", "", 0), 0)
	time.AfterFunc(300*time.Millisecond, stop)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var out bytes.Buffer
	if err := load(ctx, &out, loadConfig{url, 100, 8, 100 * time.Millisecond, time.Second}); err != nil {
		t.Fatal(err)
	}
	<-done
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var last counts
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	if last.Failed["connection refused"] == 0 {
		t.Errorf("no refused connection in %+v", last)
	}
}

func TestLoadGivesUpWithoutAFirstAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	listener.Close()
	err = load(context.Background(), io.Discard, loadConfig{url, 10, 1, time.Second, 10 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("error %v", err)
	}
}

func TestRefusesABadErrorRate(t *testing.T) {
	for _, rate := range []string{"-1", "101", "many", "NaN"} {
		if err := runServer(context.Background(), []string{"-error-rate", rate, "-addr", "127.0.0.1:0"}); err == nil {
			t.Errorf("%s accepted", rate)
		}
	}
}
