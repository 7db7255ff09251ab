//! How punctual analyses are while a provider hangs, and what they cost.
//!
//! 500 AnalysisRuns of two metrics each, every second: one metric asks a server that answers, the other one that takes the
//! request and never answers. The server that answers notes when each request came. A measurement is due one interval after
//! the end of the one before it, which the status keeps in whole seconds; how much later it comes is its lateness.
//!
//! `BENCH_SECONDS` (60) and `BENCH_RUNS` (500) set the size. Ends with an error when the median is above 200 ms,
//! or when the memory grows.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::default_trait_access,
    clippy::print_stdout,
    reason = "a test that cannot go on must say so and end"
)]
#![expect(clippy::print_stdout, reason = "the figures are what this is for")]
#![expect(clippy::unwrap_used, reason = "without any of it there are no figures")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use world::{Setup, World};

#[allow(dead_code, reason = "the tests of this cluster use the rest")]
#[path = "../analysis_cluster/world.rs"]
mod world;

/// How much more memory the last quarter of the time may take than the first, in percent; and in MiB, below which it is
/// nothing.
const GROWTH: u64 = 15;
const NOISE: u64 = 4;

/// Left out at the beginning: runs are created and connections made.
const WARM_UP: u64 = 15;

/// Milliseconds of Unix time of the requests, by path.
type Seen = Arc<Mutex<HashMap<String, Vec<u64>>>>;

fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "what is measured here is real time")]
    let now = SystemTime::now();
    u64::try_from(now.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

async fn serve(answers: bool, seen: Seen) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..count]);
                    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                    seen.lock().unwrap().entry(path).or_default().push(now());
                    if answers {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n1").await;
                    }
                }
            });
        }
    });
    address
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Kilobytes of memory, and hundredths of seconds of processor time.
fn usage(process: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = kilobytes
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<u64> = stat
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|text| text.parse().ok())
        .collect();
    (kilobytes, fields.iter().sum())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let (duration, runs) = (setting("BENCH_SECONDS", 60), setting("BENCH_RUNS", 500));
    let (seen, hung) = (Seen::default(), Seen::default());
    let good = serve(true, Arc::clone(&seen)).await;
    let hanging = serve(false, Arc::clone(&hung)).await;
    let world = World::start(Setup {
        namespace: "bench-analysis",
        program: env!("CARGO_BIN_EXE_serin"),
        log_level: "warn",
        ..Setup::default()
    })
    .await;
    let began = Instant::now();
    futures::stream::iter(0..runs)
        .for_each_concurrent(16, |number| {
            let spec = format!(
                "metrics:\n- {{name: good, interval: 1s, provider: {{web: {{url: '{good}/{number}'}}}}}}\n- {{name: hanging, interval: 1s, \
                 consecutiveErrorLimit: 1000000, provider: {{web: {{url: '{hanging}/{number}'}}}}}}"
            );
            let world = &world;
            async move { world.run(&format!("run-{number}"), &spec).await }
        })
        .await;
    println!("{runs} runs created in {:.1} s", began.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(WARM_UP)).await;
    let process = world.controller.id();
    let calls = world.calls().len();
    seen.lock().unwrap().clear();
    let ((_, ticks), start) = (usage(process), Instant::now());
    println!("{:>8}  {:>10}  {:>14}", "seconds", "memory MiB", "measurements/s");
    let mut before = 0;
    let mut memory = Vec::new();
    let every = (duration / 12).max(1);
    for _ in 0..duration / every {
        tokio::time::sleep(Duration::from_secs(every)).await;
        let all: usize = seen.lock().unwrap().values().map(Vec::len).sum();
        let (kilobytes, _) = usage(process);
        memory.push(kilobytes / 1024);
        println!(
            "{:>8}  {:>10}  {:>14}",
            start.elapsed().as_secs(),
            kilobytes / 1024,
            (all - before) as u64 / every
        );
        before = all;
    }
    let seconds = start.elapsed().as_secs_f64();
    let (_, after) = usage(process);
    let calls = world.calls().len() - calls;
    println!(
        "processor {:.0} %, {:.0} calls/s",
        (after - ticks) as f64 / seconds,
        calls as f64 / seconds
    );

    let mut late: Vec<i64> = Vec::new();
    let mut gaps: Vec<i64> = Vec::new();
    for times in seen.lock().unwrap().values() {
        for pair in times.windows(2) {
            let (last, next) = (i64::try_from(pair[0]).unwrap(), i64::try_from(pair[1]).unwrap());
            let due = last / 1000 * 1000 + 1000;
            late.push(next - due);
            gaps.push(next - last);
        }
    }
    println!(
        "{} of the runs measured; the server that hangs was asked {} times",
        seen.lock().unwrap().len(),
        hung.lock().unwrap().values().map(Vec::len).sum::<usize>()
    );
    for (name, values) in [("lateness", &mut late), ("between two", &mut gaps)] {
        values.sort_unstable();
        let at = |part: f64| {
            values
                .get((values.len() as f64 * part) as usize)
                .copied()
                .unwrap_or(i64::MAX)
        };
        println!(
            "{name:<12} median {} ms, P95 {} ms, P99 {} ms, of {}",
            at(0.5),
            at(0.95),
            at(0.99),
            values.len()
        );
    }
    let median = late.get(late.len() / 2).copied().unwrap_or(i64::MAX);
    // An exit runs no destructor, and this one ends the controller.
    drop(world);
    let quarter = (memory.len() / 4).max(1);
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or_default();
    let (first, last) = (most(&memory[..quarter]), most(&memory[memory.len() - quarter..]));
    println!("memory {first} MiB in the first quarter, {last} MiB in the last");
    if last > first + (first * GROWTH / 100).max(NOISE) {
        println!("it is not flat");
        std::process::exit(1);
    }
    if median > 200 {
        println!("the median lateness is above 200 ms");
        std::process::exit(1);
    }
}
