//! Prometheus' text format (version 0.0.4).
//!
//! Written by hand: the client library of the OpenMetrics format ends the name of every counter in `_total`, and the
//! contract has counters that do not (`rollout_reconcile_error`); and it keeps series, while most of ours are read off
//! the stores.

use std::fmt::{Display, Write as _};

use super::series::Histogram;

/// A page under way.
#[derive(Default)]
pub struct Page {
    text: String,
}

/// The name and the value of a label.
pub type Label<'a> = (&'a str, &'a str);

impl Page {
    /// What was written.
    pub fn into_text(self) -> String {
        self.text
    }

    /// Begins a metric: all of its samples follow, as the format wants it.
    pub fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample.
    pub fn sample(&mut self, name: &str, labels: &[Label], value: impl Display) {
        self.line(name, "", labels, None, value);
    }

    /// A metric with one sample and no labels.
    pub fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The samples of one histogram: buckets count everything up to their bound.
    pub fn histogram(&mut self, name: &str, labels: &[Label], histogram: &Histogram) {
        let mut all = 0;
        for (bound, count) in histogram.buckets() {
            all += count;
            self.line(name, "_bucket", labels, Some(&bound.to_string()), all);
        }
        self.line(name, "_bucket", labels, Some("+Inf"), histogram.count());
        self.line(name, "_sum", labels, None, histogram.sum());
        self.line(name, "_count", labels, None, histogram.count());
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &[Label], bound: Option<&str>, value: impl Display) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut opening = '{';
        for (key, value) in all {
            self.text.push(opening);
            self.text.push_str(key);
            self.text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
            opening = ',';
        }
        if opening == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.single("up", "gauge", "Whether", 1);
        page.head("calls", "counter", "Calls");
        page.sample("calls", &[("a", "say \"no\"\\\n"), ("b", "")], 2);
        let mut histogram = Histogram::of(&[0.1, 1.0]);
        for seconds in [0.05, 0.1, 0.5, 7.0] {
            histogram.observe(seconds);
        }
        page.head("took", "histogram", "How long");
        page.histogram("took", &[("a", "b")], &histogram);
        assert_eq!(
            page.into_text(),
            r#"# HELP up Whether
# TYPE up gauge
up 1
# HELP calls Calls
# TYPE calls counter
calls{a="say \"no\"\\\n",b=""} 2
# HELP took How long
# TYPE took histogram
took_bucket{a="b",le="0.1"} 2
took_bucket{a="b",le="1"} 3
took_bucket{a="b",le="+Inf"} 4
took_sum{a="b"} 7.65
took_count{a="b"} 4
"#
        );
    }
}
