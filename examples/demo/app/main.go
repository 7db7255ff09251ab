// The demo's application: a web service with a version and an error rate, and,
// called as `demo-app load`, the client that asks it for answers at a fixed rate.
// Standard library only, so that it builds to one static file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo-app:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "load" {
		return runLoad(ctx, args[1:])
	}
	return runServer(ctx, args)
}

func runServer(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("demo-app", flag.ContinueOnError)
	addr := flags.String("addr", env("ADDR", ":8080"), "address to listen on (ADDR)")
	version := flags.String("version", env("VERSION", "v1"), "version that the answers name (VERSION)")
	rate := flags.String("error-rate", env("ERROR_RATE", "0"), "percent of requests answered with 500 (ERROR_RATE)")
	delay := flags.Duration("shutdown-delay", 5*time.Second, "how long to go on serving after SIGTERM")
	if err := flags.Parse(args); err != nil {
		return err
	}
	percent, err := strconv.ParseFloat(*rate, 64)
	if err != nil || !(percent >= 0 && percent <= 100) {
		return fmt.Errorf("error rate %q: want a percentage from 0 to 100", *rate)
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	pod := env("POD_NAME", hostname())
	fmt.Printf("demo-app %s listens on %s, error rate %g %%\n", *version, listener.Addr(), percent)
	return serve(ctx, listener, newApp(*version, pod, os.Getenv("POD_TEMPLATE_HASH"), percent), *delay)
}

func runLoad(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("demo-app load", flag.ContinueOnError)
	target := flags.String("target", env("TARGET", ""), "URL to ask (TARGET)")
	rate := flags.Int("rate", 200, "requests a second")
	workers := flags.Int("workers", 32, "most requests at one time")
	report := flags.Duration("report", 500*time.Millisecond, "time between two lines of counts")
	wait := flags.Duration("wait", 60*time.Second, "how long the first answer may take to come")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *target == "" || *rate < 1 || *workers < 1 || *report <= 0 {
		return errors.New("load: want a target, and a rate, workers and a report time above 0")
	}
	return load(ctx, os.Stdout, loadConfig{*target, *rate, *workers, *report, *wait})
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}
