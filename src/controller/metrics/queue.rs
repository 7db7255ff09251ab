//! The queues of the passes, in the words of `workqueue_*` that every controller's dashboard knows.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::page::Page;
use super::series::Histogram;

/// Upper bounds of both histograms, in seconds.
const BOUNDS: [f64; 5] = [0.001, 0.01, 0.1, 1.0, 10.0];

/// One queue: what waits for its pass, and the passes under way.
#[derive(Debug)]
pub struct Queue {
    name: &'static str,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    adds: u64,
    retries: u64,
    /// Since when an object waits, by namespace and name.
    waiting: HashMap<String, Instant>,
    /// Since when a pass is under way, by its number.
    running: HashMap<u64, Instant>,
    begun: u64,
    waited: Histogram,
    worked: Histogram,
}

/// A pass under way; it ends with this value.
pub struct Pass<'a> {
    queue: &'a Queue,
    number: u64,
    since: Instant,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.running.remove(&self.number);
        state.worked.observe(self.since.elapsed().as_secs_f64());
    }
}

impl Pass<'_> {
    /// How long it takes so far.
    pub fn took(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Queue {
    /// Empty.
    pub fn new(name: &'static str) -> Self {
        let state = State {
            adds: 0,
            retries: 0,
            waiting: HashMap::new(),
            running: HashMap::new(),
            begun: 0,
            waited: Histogram::of(&BOUNDS),
            worked: Histogram::of(&BOUNDS),
        };
        Queue {
            name,
            state: Mutex::new(state),
        }
    }

    /// Somebody wants a look at this object.
    pub fn added(&self, key: String) {
        let mut state = self.state.lock();
        state.adds += 1;
        state.waiting.entry(key).or_insert_with(Instant::now);
    }

    /// There is no such object any more: nothing waits.
    pub fn gone(&self, key: &str) {
        self.state.lock().waiting.remove(key);
    }

    /// A pass of this object begins.
    pub fn begin(&self, key: &str) -> Pass<'_> {
        let since = Instant::now();
        let mut state = self.state.lock();
        if let Some(waiting) = state.waiting.remove(key) {
            state.waited.observe((since - waiting).as_secs_f64());
        }
        state.begun += 1;
        let number = state.begun;
        state.running.insert(number, since);
        Pass {
            queue: self,
            number,
            since,
        }
    }

    /// A pass will be done again, because it failed.
    pub fn retried(&self) {
        self.state.lock().retries += 1;
    }

    /// The age of the oldest pass under way.
    pub fn longest(&self) -> Duration {
        let state = self.state.lock();
        let oldest = state.running.values().min();
        oldest.map_or(Duration::ZERO, Instant::elapsed)
    }

    fn unfinished(&self) -> Duration {
        self.state.lock().running.values().map(Instant::elapsed).sum()
    }
}

/// The lines of all queues.
pub fn page(queues: &[&Queue], page: &mut Page) {
    type Read = fn(&Queue) -> f64;
    type Bucketed = fn(&State) -> &Histogram;
    let numbers: [(&str, &str, &str, Read); 5] = [
        ("workqueue_adds_total", "counter", "Wishes for a pass", |q| {
            as_number(q.state.lock().adds)
        }),
        (
            "workqueue_depth",
            "gauge",
            "Objects that wait for their pass",
            |q| as_number(u64::try_from(q.state.lock().waiting.len()).unwrap_or(u64::MAX)),
        ),
        (
            "workqueue_retries_total",
            "counter",
            "Passes to be done again after a failure or a conflict",
            |q| as_number(q.state.lock().retries),
        ),
        (
            "workqueue_unfinished_work_seconds",
            "gauge",
            "The ages of the passes under way, together",
            |q| q.unfinished().as_secs_f64(),
        ),
        (
            "workqueue_longest_running_processor_seconds",
            "gauge",
            "The age of the oldest pass under way",
            |q| q.longest().as_secs_f64(),
        ),
    ];
    for (name, kind, help, read) in numbers {
        page.head(name, kind, help);
        for queue in queues {
            page.sample(name, &[("name", queue.name)], read(queue));
        }
    }
    let histograms: [(&str, &str, Bucketed); 2] = [
        (
            "workqueue_queue_duration_seconds",
            "How long objects waited for their pass",
            |s| &s.waited,
        ),
        ("workqueue_work_duration_seconds", "How long passes took", |s| {
            &s.worked
        }),
    ];
    for (name, help, read) in histograms {
        page.head(name, "histogram", help);
        for queue in queues {
            page.histogram(name, &[("name", queue.name)], read(&queue.state.lock()));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count beyond 2^52 is not to be expected of any process"
)]
fn as_number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn several_wishes_are_one_pass_and_what_is_gone_waits_no_more() {
        let queue = Queue::new("Rollouts");
        for key in ["n/a", "n/a", "n/b"] {
            queue.added(key.to_owned());
        }
        queue.gone("n/b");
        tokio::time::advance(Duration::from_secs(2)).await;
        let pass = queue.begin("n/a");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(
            (queue.longest(), pass.took()),
            (Duration::from_secs(3), Duration::from_secs(3))
        );
        queue.retried();
        let text = |queue: &Queue| {
            let mut out = Page::default();
            page(&[queue], &mut out);
            out.into_text()
        };
        let running = text(&queue);
        for line in [
            r#"workqueue_adds_total{name="Rollouts"} 3"#,
            r#"workqueue_depth{name="Rollouts"} 0"#,
            r#"workqueue_retries_total{name="Rollouts"} 1"#,
            r#"workqueue_unfinished_work_seconds{name="Rollouts"} 3"#,
            r#"workqueue_queue_duration_seconds_sum{name="Rollouts"} 2"#,
            r#"workqueue_work_duration_seconds_count{name="Rollouts"} 0"#,
        ] {
            assert!(running.lines().any(|l| l == line), "{line} in {running}");
        }
        drop(pass);
        assert_eq!(queue.longest(), Duration::ZERO);
        let line = r#"workqueue_work_duration_seconds_sum{name="Rollouts"} 3"#;
        assert!(text(&queue).lines().any(|l| l == line));
    }
}
