//! What is counted while the process runs: counters and histograms by their labels.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::page::{Label, Page};

/// How often something was so long.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    counts: Box<[u64]>,
    count: u64,
    sum: f64,
}

impl Histogram {
    /// Empty, with these upper bounds in seconds, in rising order. What is beyond the last is counted in the total only.
    pub fn of(bounds: &'static [f64]) -> Self {
        Histogram {
            bounds,
            counts: vec![0; bounds.len()].into(),
            count: 0,
            sum: 0.0,
        }
    }

    /// Counts one of so many seconds.
    pub fn observe(&mut self, seconds: f64) {
        let bucket = self.bounds.iter().position(|bound| seconds <= *bound);
        if let Some(count) = bucket.and_then(|at| self.counts.get_mut(at)) {
            *count += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// Each bound, and what lies between it and the one before.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds.iter().copied().zip(self.counts.iter().copied())
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

/// The values of the labels.
type Values<const N: usize> = [Cow<'static, str>; N];

/// One metric: a number of series, each by the values of its labels.
#[derive(Debug)]
pub struct Family<const N: usize, S> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    series: Mutex<BTreeMap<Values<N>, S>>,
}

impl<const N: usize, S> Family<N, S> {
    /// Without any series yet.
    pub fn new(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Family {
            name,
            help,
            labels,
            series: Mutex::default(),
        }
    }

    /// Keeps the series of which this is true.
    pub fn retain(&self, keep: impl Fn(&Values<N>) -> bool) {
        self.series.lock().retain(|values, _| keep(values));
    }

    fn write(&self, page: &mut Page, kind: &str, write: impl Fn(&mut Page, &str, &[Label], &S)) {
        page.head(self.name, kind, self.help);
        for (values, series) in self.series.lock().iter() {
            let mut labels = [("", ""); N];
            for (label, (name, value)) in labels.iter_mut().zip(self.labels.iter().zip(values)) {
                *label = (name, value);
            }
            write(page, self.name, &labels, series);
        }
    }
}

/// Counters.
pub type Counters<const N: usize> = Family<N, u64>;

impl<const N: usize> Counters<N> {
    /// Counts one.
    pub fn count(&self, values: Values<N>) {
        *self.series.lock().entry(values).or_default() += 1;
    }

    /// Its lines.
    pub fn page(&self, page: &mut Page) {
        self.write(page, "counter", |page, name, labels, count| {
            page.sample(name, labels, count);
        });
    }
}

/// Histograms that all have the same bounds.
#[derive(Debug)]
pub struct Histograms<const N: usize> {
    bounds: &'static [f64],
    all: Family<N, Histogram>,
}

impl<const N: usize> Histograms<N> {
    /// Without any series yet. The bounds are in seconds, in rising order.
    pub fn new(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        bounds: &'static [f64],
    ) -> Self {
        Histograms {
            bounds,
            all: Family::new(name, help, labels),
        }
    }

    /// Counts one that took so long.
    pub fn observe(&self, values: Values<N>, took: Duration) {
        self.all
            .series
            .lock()
            .entry(values)
            .or_insert_with(|| Histogram::of(self.bounds))
            .observe(took.as_secs_f64());
    }

    /// Keeps the series of which this is true.
    pub fn retain(&self, keep: impl Fn(&Values<N>) -> bool) {
        self.all.retain(keep);
    }

    /// Its lines.
    pub fn page(&self, page: &mut Page) {
        self.all.write(page, "histogram", Page::histogram);
    }
}
