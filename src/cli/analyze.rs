//! `serin analyze`: an AnalysisTemplate against a real Prometheus, now or over past data, without a cluster.
//!
//! A run over past data goes through the same [`plan_run`] as in the controller, on a clock of its own: each measurement
//! is taken at the moment when it would have been due, and Prometheus is asked what it knew at that moment. So a person
//! sees before the release what the gate would have said last week.
//!
//! Not here: Jobs, which need a cluster, and in the past web endpoints, which tell only of the present. Such metrics are
//! named and left out.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::analysis::{AnalysisPhase, AnalysisRun, AnalysisRunSpec, AnalysisRunStatus, Measurement};
use crate::controller::clock;
use crate::engine::analysis::{Checks, FinishedMeasurement, Measure, plan_run, prepare_run, resolve_metric};
use crate::engine::duration::{later, parse_positive, whole_second};
use crate::metric::condition;
use crate::metric::provider::{self, Defaults, Measurer, supported_providers};

mod table;
mod template;
#[cfg(test)]
mod tests;

pub use template::Inputs;

/// The most measurements that one run takes. A week at one a minute is 10 080.
const MAX_MEASUREMENTS: usize = 50_000;

/// When to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Each metric once, now.
    Now,
    /// Each metric once, as it was at this moment.
    At(Timestamp),
    /// A whole run on past data.
    Between {
        /// When the run starts.
        from: Timestamp,
        /// When it is ended, if it has not ended by itself.
        to: Timestamp,
        /// In place of each metric's interval.
        step: Option<SignedDuration>,
    },
}

/// A moment as it is written at a prompt.
///
/// RFC 3339 (`2026-11-13T10:00:00Z`), Unix seconds (`1794564000`), `now`, or a duration before now (`-36h`).
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(now);
    }
    if let Some(ago) = text.strip_prefix('-') {
        let ago = parse_positive(ago).map_err(|error| error.to_string())?;
        return Ok(later(now, -ago));
    }
    if let Ok(seconds) = text.parse() {
        return Timestamp::from_second(seconds).map_err(|error| error.to_string());
    }
    text.parse().map_err(|_| {
        format!(
            "{text:?} is no moment: write 2026-11-13T10:00:00Z, Unix seconds, now, or -36h for 36 hours ago"
        )
    })
}

/// How an analysis ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// The status that the run would have.
    pub status: AnalysisRunStatus,
}

impl Ended {
    /// The exit code: 0 for success, 1 for failure, 2 for inconclusive or error.
    pub const fn code(&self) -> u8 {
        match self.status.phase {
            AnalysisPhase::Successful => 0,
            AnalysisPhase::Failed => 1,
            AnalysisPhase::Inconclusive
            | AnalysisPhase::Error
            | AnalysisPhase::Pending
            | AnalysisPhase::Running => 2,
        }
    }
}

/// Runs the templates of `inputs` and prints each measurement as it comes, then the verdict.
///
/// Error: a sentence that says why nothing could be run at all.
pub async fn analyze(
    inputs: &Inputs,
    when: When,
    prometheus_address: Option<String>,
    measurer: &Measurer,
    out: &mut (impl Write + Send),
) -> Result<Ended, String> {
    let (spec, secrets) = template::run_spec(inputs)?;
    let checks = Checks {
        condition: &condition::check,
        providers: supported_providers(),
        provider: &provider::check,
    };
    // The whole of it first: a mistake in a metric that is left out here would show only in the release.
    let rules = prepare_run(&spec, &checks).map_err(|error| error.to_string())?;
    let (mut spec, skipped) = measurable(spec, when)?;
    let (from, to) = match when {
        When::Now | When::At(_) => {
            let at = if let When::At(at) = when { at } else { clock::now() };
            once(
                &mut spec,
                &rules
                    .iter()
                    .map(|rule| (rule.name.clone(), rule.failure_limit))
                    .collect(),
            );
            (at, at)
        }
        When::Between { from, to, step } => {
            if to < from {
                return Err(format!("--to {to} is before --from {from}"));
            }
            if let Some(step) = step {
                for metric in &mut spec.metrics {
                    metric.interval = Some(format!("{}s", step.as_secs()));
                }
            }
            (from, to)
        }
    };
    let mut world = World {
        measurer,
        defaults: Defaults {
            prometheus_address,
            evaluated_at: None,
        },
        past: when != When::Now,
        secrets,
        table: table::Table::new(out, &spec),
    };
    world.table.head(&skipped).map_err(|error| error.to_string())?;
    let status = simulate(&mut world, spec, &checks, whole_second(from), to).await?;
    world.table.verdict(&status).map_err(|error| error.to_string())?;
    Ok(Ended { status })
}

/// The run without what cannot be measured here, and why that is left out. Error: nothing remains.
fn measurable(mut spec: AnalysisRunSpec, when: When) -> Result<(AnalysisRunSpec, Vec<String>), String> {
    let mut skipped = Vec::new();
    spec.metrics.retain(|metric| {
        let why = if metric.provider.job.is_some() {
            "a Job needs a cluster to run in"
        } else if metric.provider.web.is_some() && when != When::Now {
            "a web endpoint tells only of the present"
        } else {
            return true;
        };
        skipped.push(format!("metric {:?} is skipped: {why}", metric.name));
        false
    });
    if spec.metrics.is_empty() {
        return Err(format!("nothing is left to measure: {}", skipped.join("; ")));
    }
    // A rule that matches only what is left out would be an error in the run.
    let matches = |name: &str| {
        regex::Regex::new(name)
            .is_ok_and(|name| spec.metrics.iter().any(|metric| name.is_match(&metric.name)))
    };
    spec.dry_run.retain(|rule| matches(&rule.metric_name));
    spec.measurement_retention
        .retain(|rule| matches(&rule.metric_name));
    Ok((spec, skipped))
}

/// Makes every metric one measurement that decides by itself. A disabled failureLimit stays so.
fn once(spec: &mut AnalysisRunSpec, failure_limits: &HashMap<String, i32>) {
    for metric in &mut spec.metrics {
        let disabled = failure_limits.get(&metric.name).is_some_and(|limit| *limit < 0);
        metric.interval = None;
        metric.initial_delay = None;
        metric.count = None;
        metric.failure_limit = disabled.then_some(IntOrString::Int(-1));
        metric.inconclusive_limit = None;
        metric.consecutive_error_limit = Some(IntOrString::Int(0));
        metric.consecutive_success_limit = None;
    }
}

/// What a simulated run measures with.
struct World<'a, W> {
    measurer: &'a Measurer,
    defaults: Defaults,
    past: bool,
    secrets: BTreeMap<String, String>,
    table: table::Table<'a, W>,
}

/// Plans and measures on a clock of its own, which jumps from one due time to the next, until the run is complete or
/// `to` is reached, which ends it as `terminate` does.
async fn simulate<W: Write + Send>(
    world: &mut World<'_, W>,
    spec: AnalysisRunSpec,
    checks: &Checks<'_>,
    from: Timestamp,
    to: Timestamp,
) -> Result<AnalysisRunStatus, String> {
    let mut run = AnalysisRun::new("analyze", spec);
    let (mut now, mut finished, mut taken) = (from, Vec::new(), 0);
    let mut last: HashMap<String, Timestamp> = HashMap::new();
    loop {
        let plan = plan_run(&run, &finished, &[], checks, now);
        finished.clear();
        let completed = plan.status.phase.is_completed();
        run.status = Some(plan.status);
        if completed {
            break;
        }
        let too_soon = plan
            .measure
            .iter()
            .any(|measure| last.get(&measure.metric) == Some(&now));
        let next = if plan.measure.is_empty() {
            plan.wake
        } else {
            // Times on the wire are whole seconds, so with a shorter interval the next is due at once.
            too_soon.then(|| later(now, SignedDuration::from_secs(1)))
        };
        if plan.measure.is_empty() || too_soon {
            match next.filter(|next| *next <= to && taken < MAX_MEASUREMENTS) {
                Some(next) => now = next,
                None if run.spec.terminate => break,
                None => {
                    world
                        .table
                        .window_ended(to, taken)
                        .map_err(|error| error.to_string())?;
                    run.spec.terminate = true;
                }
            }
            continue;
        }
        for measure in &plan.measure {
            last.insert(measure.metric.clone(), now);
            finished.push(measure_at(world, &run, measure, now).await?);
            taken += 1;
        }
    }
    let mut status = run.status.unwrap_or_default();
    if taken == 0 && status.phase == AnalysisPhase::Successful {
        status.phase = AnalysisPhase::Error;
        status.message = Some("nothing was due between --from and --to, so nothing was measured".to_owned());
    }
    Ok(status)
}

async fn measure_at<W: Write + Send>(
    world: &mut World<'_, W>,
    run: &AnalysisRun,
    measure: &Measure,
    now: Timestamp,
) -> Result<FinishedMeasurement, String> {
    let metric = resolve_metric(&run.spec.metrics[measure.index], &run.spec.args, &world.secrets)
        .map_err(|error| error.to_string())?;
    world.defaults.evaluated_at = world.past.then_some(now);
    let secrets: Vec<String> = world.secrets.values().cloned().collect();
    let measured = world
        .measurer
        .measure_and_judge(&metric, &world.defaults, &secrets, clock::now())
        .await;
    let report = FinishedMeasurement {
        metric: measure.metric.clone(),
        measurement: Measurement {
            phase: measured.phase,
            message: measured.message,
            value: measured.value,
            metadata: measured.metadata,
            started_at: Some(Time(now)),
            finished_at: Some(Time(now)),
            resume_at: None,
        },
        metadata: measured.metric_metadata,
    };
    world.table.row(now, &report).map_err(|error| error.to_string())?;
    Ok(report)
}

/// Whether any rule of a run names a metric as a dry run; for the table.
fn dry_runs(spec: &AnalysisRunSpec) -> Vec<String> {
    let matching = |name: &str| {
        spec.dry_run
            .iter()
            .any(|rule| regex::Regex::new(&rule.metric_name).is_ok_and(|rule| rule.is_match(name)))
    };
    spec.metrics
        .iter()
        .map(|metric| metric.name.clone())
        .filter(|name| matching(name))
        .collect()
}
