//! What the system says of this process, as every program's metrics have it.

use super::page::Page;

/// Ticks of a second in `/proc`: fixed for programs, whatever the kernel's own clock does (proc_pid_stat(5)).
const TICKS: f64 = 100.0;

/// Memory, time and files of this process; nothing where there is no `/proc`.
pub fn page(page: &mut Page, started: jiff::Timestamp) {
    if let Some(kilobytes) = resident() {
        let help = "Memory that is in use";
        page.single("process_resident_memory_bytes", "gauge", help, kilobytes * 1024);
    }
    if let Some(seconds) = spent() {
        let help = "Time of the processor that was spent";
        page.single("process_cpu_seconds_total", "counter", help, seconds);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the folder that is being read.
        let open = open.count().saturating_sub(1);
        page.single(
            "process_open_fds",
            "gauge",
            "Files and connections that are open",
            open,
        );
    }
    let help = "When the process started, in seconds since 1970";
    page.single("process_start_time_seconds", "gauge", help, started.as_second());
}

/// Kilobytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Seconds. User and system time are the fields 14 and 15; the second field, a name in parentheses, may hold anything.
fn spent() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}
