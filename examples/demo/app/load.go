package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// requestTimeout is when a request without an answer counts as failed.
const requestTimeout = 5 * time.Second

type loadConfig struct {
	target  string
	rate    int
	workers int
	report  time.Duration
	wait    time.Duration
}

// counts is one line of output. All numbers are totals since the first counted request, so a
// reader that misses a line misses nothing.
type counts struct {
	ElapsedMs int64 `json:"elapsed_ms"`
	// Answers by the version that gave them.
	Versions map[string]*answers `json:"versions"`
	// Requests without any answer, by what went wrong.
	Failed map[string]uint64 `json:"failed"`
	// Requests not sent on time because all workers were busy.
	Skipped uint64 `json:"skipped"`
}

type answers struct {
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
}

type tally struct {
	sync.Mutex
	counts
}

// load asks target at the given rate until ctx ends and writes one JSON line per report time.
// Every request has a connection of its own, so the Service balances each of them anew, and
// the transport never repeats a request on such a connection: what fails is seen to fail.
func load(ctx context.Context, out io.Writer, c loadConfig) error {
	client := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true},
		Timeout:   requestTimeout,
	}
	if err := firstAnswer(ctx, client, c); err != nil {
		return err
	}
	t := &tally{counts: counts{Versions: map[string]*answers{}, Failed: map[string]uint64{}}}
	due := make(chan struct{})
	var busy sync.WaitGroup
	for range c.workers {
		busy.Add(1)
		go func() {
			defer busy.Done()
			for range due {
				t.ask(client, c.target)
			}
		}()
	}
	start := time.Now()
	lines := json.NewEncoder(out)
	pace := time.NewTicker(time.Second / time.Duration(c.rate))
	defer pace.Stop()
	report := time.NewTicker(c.report)
	defer report.Stop()
	for {
		select {
		case <-pace.C:
			select {
			case due <- struct{}{}:
			default:
				t.skip()
			}
		case <-report.C:
			if err := t.write(lines, start); err != nil {
				return err
			}
		case <-ctx.Done():
			close(due)
			busy.Wait()
			return t.write(lines, start)
		}
	}
}

// firstAnswer waits until the target answers at all: a Service whose pods have just become
// ready takes a moment to reach the node's rules, and that moment is no part of the count.
func firstAnswer(ctx context.Context, client *http.Client, c loadConfig) error {
	deadline := time.Now().Add(c.wait)
	for {
		_, _, err := get(client, c.target)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no answer from %s within %s: %w", c.target, c.wait, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func get(client *http.Client, target string) (version string, code int, err error) {
	response, err := client.Get(target)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	// A body that breaks off is a lost answer even though its header came.
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return "", 0, err
	}
	return response.Header.Get(versionHeader), response.StatusCode, nil
}

func (t *tally) ask(client *http.Client, target string) {
	version, code, err := get(client, target)
	t.Lock()
	defer t.Unlock()
	if err != nil {
		t.Failed[kind(err)]++
		return
	}
	if version == "" {
		version = "unknown"
	}
	a := t.Versions[version]
	if a == nil {
		a = &answers{}
		t.Versions[version] = a
	}
	a.Requests++
	if code != http.StatusOK {
		a.Errors++
	}
}

func (t *tally) skip() {
	t.Lock()
	defer t.Unlock()
	t.Skipped++
}

func (t *tally) write(lines *json.Encoder, start time.Time) error {
	t.Lock()
	defer t.Unlock()
	t.ElapsedMs = time.Since(start).Milliseconds()
	return lines.Encode(t.counts)
}

func kind(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "other"
}
