//! What `serin analyze` prints: a line for each measurement as it comes, then the verdict.

use std::io::{self, Write};

use jiff::Timestamp;

use crate::api::analysis::{AnalysisPhase, AnalysisRunSpec, AnalysisRunStatus};
use crate::engine::analysis::FinishedMeasurement;

/// The longest value that is shown, in characters.
const MAX_VALUE: usize = 40;

/// A table whose rows are printed one by one.
pub(super) struct Table<'a, W> {
    out: &'a mut W,
    metric_width: usize,
    dry_runs: Vec<String>,
}

const DRY: &str = " (dry run)";

impl<'a, W: Write> Table<'a, W> {
    /// A table for the metrics of a run.
    pub(super) fn new(out: &'a mut W, spec: &AnalysisRunSpec) -> Self {
        let dry_runs = super::dry_runs(spec);
        let width =
            |name: &String| name.chars().count() + if dry_runs.contains(name) { DRY.len() } else { 0 };
        let metric_width = spec
            .metrics
            .iter()
            .map(|metric| width(&metric.name))
            .max()
            .unwrap_or(0)
            .max(6);
        Table {
            out,
            metric_width,
            dry_runs,
        }
    }

    /// What is left out, and the titles.
    pub(super) fn head(&mut self, skipped: &[String]) -> io::Result<()> {
        for line in skipped {
            writeln!(self.out, "{line}")?;
        }
        let width = self.metric_width;
        writeln!(
            self.out,
            "{:<20}  {:<width$}  {:<12}  VALUE",
            "TIME", "METRIC", "PHASE"
        )
    }

    /// One measurement.
    pub(super) fn row(&mut self, at: Timestamp, report: &FinishedMeasurement) -> io::Result<()> {
        let measurement = &report.measurement;
        let dry = if self.dry_runs.contains(&report.metric) {
            DRY
        } else {
            ""
        };
        let name = format!("{}{dry}", report.metric);
        let value = measurement.value.as_deref().unwrap_or("-");
        let value = match value.char_indices().nth(MAX_VALUE) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value.to_owned(),
        };
        let message = measurement
            .message
            .as_deref()
            .map(|text| format!("  {text}"))
            .unwrap_or_default();
        let width = self.metric_width;
        let phase = measurement.phase.as_str();
        let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        writeln!(
            self.out,
            "{at:<20}  {name:<width$}  {phase:<12}  {value}{message}"
        )
    }

    /// That the time was over before the run was.
    pub(super) fn window_ended(&mut self, to: Timestamp, taken: usize) -> io::Result<()> {
        writeln!(
            self.out,
            "\nThe run is ended at {to}, after {taken} measurements, as if by its rollout."
        )
    }

    /// The verdict of the run and of each metric.
    pub(super) fn verdict(&mut self, status: &AnalysisRunStatus) -> io::Result<()> {
        writeln!(self.out)?;
        for result in &status.metric_results {
            let counts: Vec<String> = [
                (result.successful, "successful"),
                (result.failed, "failed"),
                (result.inconclusive, "inconclusive"),
                (result.error, "errors"),
            ]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
            let dry = if result.dry_run { DRY } else { "" };
            writeln!(
                self.out,
                "{}{dry}: {} ({})",
                result.name,
                result.phase,
                counts.join(", ")
            )?;
        }
        let why = match (status.phase, status.message.as_deref()) {
            (AnalysisPhase::Successful, _) | (_, None) => String::new(),
            (_, Some(message)) => format!(": {message}"),
        };
        writeln!(self.out, "Verdict: {}{why}", status.phase)
    }
}
