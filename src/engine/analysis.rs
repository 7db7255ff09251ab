//! Judging an AnalysisRun: merging templates, filling arguments, scheduling, counting and verdicts over stored
//! measurements.
//!
//! Measuring is not here. A run goes round like this: [`plan_run`] says what is due, somebody measures it, and the next
//! [`plan_run`] is given the result, counts it, and says what follows. Everything that decides is in the stored status,
//! so a verdict can be replayed from the measurements alone ([`replay`]) and a controller that dies goes on where the
//! status stands.
//!
//! Secrets never come here by value except as an explicit map in [`resolve_metric`]; a plan is made without them.

mod args;
mod assess;
mod merge;
mod notice;
mod plan;
mod report;
mod rule;
mod schedule;

#[cfg(test)]
mod tests;

pub use args::{ArgError, REDACTED, fill, redact, redact_measurement, resolve_metric, secret_refs};
pub use assess::{
    RunVerdict, limit_message, metric_verdict, record, replay, run_verdict, summaries, trim, worst,
};
pub use merge::{ResolveError, RunInputs, TemplateSource, build_run_spec, resolve_templates};
pub use notice::{metric_reason, run_reason};
pub use plan::{Cancel, Measure, RunPlan, expires_at, plan_prepared, plan_run};
pub use report::{FinishedMeasurement, MAX_TEXT};
pub use rule::{
    Checks, DEFAULT_CONSECUTIVE_ERROR_LIMIT, DEFAULT_KEPT, InvalidMetric, MetricRule, PrepareError, Prepared,
    expand_rules, is_finite, prepare, prepare_run, provider_names, validate_metrics,
};
pub use schedule::{ERROR_RETRY, Turn, next_turn};
