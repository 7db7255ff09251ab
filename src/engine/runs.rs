//! The analyses of a canary: which AnalysisRuns should exist, and what their verdicts mean for the rollout
//! (wire contract 2.11).

use std::collections::BTreeMap;

use super::analysis::{RunInputs, TemplateSource, build_run_spec, resolve_templates};
use super::canary;
use super::context::{Context, hash_of};
use super::draft::Draft;
use super::fields;
use super::history::phase;
use super::observed;
use super::plan::{Intent, NewAnalysisRun, Notice};
use super::revision;
use crate::api::analysis::{AnalysisPhase, AnalysisRun, AnalysisRunSpec, Argument};
use crate::api::names::{PauseReason, PodTemplateHashValue, RunType, annotations, events, labels};
use crate::api::rollout::{AnalysisRunStatusRef, BlueGreenStrategy, RolloutAnalysis};

/// What the analyses say to the rollout in this pass.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Abort, and why.
    pub abort: Option<String>,
    /// The run of the current step was successful.
    pub step_done: bool,
}

/// Starts, follows and ends the runs of a canary.
pub(crate) fn reconcile(ctx: &Context, draft: &mut Draft) -> Verdict {
    let mut verdict = Verdict::default();
    let mut keep: Vec<String> = Vec::new();
    if is_wanted(ctx) {
        let index = ctx.step_index();
        if let Some(background) = ctx
            .canary
            .analysis
            .as_ref()
            .filter(|b| !b.analysis.templates.is_empty())
        {
            let start = usize::try_from(background.starting_step.unwrap_or(0)).unwrap_or(0);
            if index.is_none_or(|index| index >= start) {
                let wanted = Wanted {
                    kind: RunType::Background,
                    analysis: &background.analysis,
                    index: None,
                };
                follow(ctx, &wanted, &mut keep, &mut verdict, draft);
            }
        }
        let step = ctx
            .step()
            .and_then(|s| s.analysis.as_ref())
            .filter(|a| !a.templates.is_empty());
        if let Some(analysis) = step {
            let wanted = Wanted {
                kind: RunType::Step,
                analysis,
                index,
            };
            follow(ctx, &wanted, &mut keep, &mut verdict, draft);
        } else if ctx.step().is_some_and(|s| s.analysis.is_some()) {
            // An analysis without templates asks for nothing.
            verdict.step_done = true;
        }
    }
    terminate_others(ctx, &keep, draft);
    verdict
}

/// Starts, follows and ends the runs of a blue-green Rollout: at most one is asked for.
pub(crate) fn reconcile_blue_green(
    ctx: &Context,
    bg: &BlueGreenStrategy,
    kind: Option<RunType>,
    draft: &mut Draft,
) -> Verdict {
    let mut verdict = Verdict::default();
    let mut keep = Vec::new();
    let analysis = match kind {
        Some(RunType::PrePromotion) => bg.pre_promotion_analysis.as_ref(),
        Some(RunType::PostPromotion) => bg.post_promotion_analysis.as_ref(),
        Some(RunType::Step | RunType::Background) | None => None,
    };
    if let (Some(kind), Some(analysis)) = (kind, analysis.filter(|a| !a.templates.is_empty())) {
        follow(
            ctx,
            &Wanted {
                kind,
                analysis,
                index: None,
            },
            &mut keep,
            &mut verdict,
            draft,
        );
    }
    terminate_others(ctx, &keep, draft);
    verdict
}

/// Nothing is analysed on the first deployment, after an abort, during a full promotion or a fast rollback, nor at rest.
fn is_wanted(ctx: &Context) -> bool {
    ctx.stable.is_some()
        && !ctx.is_fully_promoted()
        && !ctx.is_aborted()
        && ctx.status.aborted_at.is_none()
        && !ctx.is_promoted_by_user()
        && !revision::is_within_rollback_window(ctx)
}

struct Wanted<'a> {
    kind: RunType,
    analysis: &'a RolloutAnalysis,
    /// The step, for a run of a step.
    index: Option<usize>,
}

fn committed_ref<'a>(ctx: &Context<'a>, kind: RunType) -> Option<&'a AnalysisRunStatusRef> {
    let canary = ctx.status.canary.as_ref();
    let blue_green = ctx.status.blue_green.as_ref();
    match kind {
        RunType::Step => canary?.current_step_analysis_run_status.as_ref(),
        RunType::Background => canary?.current_background_analysis_run_status.as_ref(),
        RunType::PrePromotion => blue_green?.pre_promotion_analysis_run_status.as_ref(),
        RunType::PostPromotion => blue_green?.post_promotion_analysis_run_status.as_ref(),
    }
}

fn set_ref(draft: &mut Draft, kind: RunType, value: Option<AnalysisRunStatusRef>) {
    let status = &mut draft.status;
    match kind {
        RunType::Step => {
            status
                .canary
                .get_or_insert_default()
                .current_step_analysis_run_status = value;
        }
        RunType::Background => {
            status
                .canary
                .get_or_insert_default()
                .current_background_analysis_run_status = value;
        }
        RunType::PrePromotion => {
            status
                .blue_green
                .get_or_insert_default()
                .pre_promotion_analysis_run_status = value;
        }
        RunType::PostPromotion => {
            status
                .blue_green
                .get_or_insert_default()
                .post_promotion_analysis_run_status = value;
        }
    }
}

/// The names of the runs that the committed status speaks of.
pub(crate) fn current_names<'a>(ctx: &Context<'a>) -> Vec<&'a str> {
    RunType::ALL
        .iter()
        .filter_map(|kind| committed_ref(ctx, *kind))
        .map(|r| r.name.as_str())
        .collect()
}

fn follow(ctx: &Context, wanted: &Wanted, keep: &mut Vec<String>, verdict: &mut Verdict, draft: &mut Draft) {
    // A client that moved the cursor left the old step's run behind: the steps clear it, and the next pass begins anew.
    let entered = ctx.status.canary.as_ref().and_then(|c| c.step_started_index);
    if wanted.kind == RunType::Step && entered.is_some() && entered != ctx.status.current_step_index {
        return;
    }
    let current = committed_ref(ctx, wanted.kind);
    let run = current.and_then(|r| {
        ctx.observed
            .analysis_runs
            .iter()
            .find(|run| observed::name(&run.metadata) == r.name)
    });
    // The run of another step answers another question. Only a move of the cursor that nobody saw leaves it here: between
    // the last pass of another controller and the first of this one.
    let run = run.filter(|run| {
        let step = observed::label(&run.metadata, labels::STEP_INDEX);
        step.is_empty() || wanted.index.is_none_or(|index| step == index.to_string())
    });
    let (Some(current), Some(run)) = (current, run) else {
        start(ctx, wanted, keep, draft);
        return;
    };
    keep.push(current.name.clone());
    let now = phase(run);
    let message = run.status.as_ref().and_then(|s| s.message.clone());
    announce(wanted.kind, current, now, draft);
    set_ref(
        draft,
        wanted.kind,
        Some(AnalysisRunStatusRef {
            name: current.name.clone(),
            status: now.as_str().to_owned(),
            message: message.clone(),
        }),
    );
    match now {
        AnalysisPhase::Pending | AnalysisPhase::Running => {}
        AnalysisPhase::Successful => verdict.step_done |= wanted.kind != RunType::Background,
        AnalysisPhase::Failed | AnalysisPhase::Error => {
            let prefix = match wanted.kind {
                RunType::Step => "Step-based analysis phase error/failed",
                RunType::Background => "Background analysis phase error/failed",
                RunType::PrePromotion => "Blue/green pre-promotion analysis phase error/failed",
                RunType::PostPromotion => "Blue/green post-promotion analysis phase error/failed",
            };
            let cause = match message.filter(|m| !m.is_empty()) {
                Some(message) => format!("{prefix}: {message}"),
                None => prefix.to_owned(),
            };
            verdict.abort.get_or_insert(cause);
        }
        AnalysisPhase::Inconclusive => inconclusive(ctx, wanted.kind, current, run, draft),
    }
}

/// An inconclusive run pauses until a person resolves it: by resuming, which asks anew with a new run.
fn inconclusive(
    ctx: &Context,
    kind: RunType,
    current: &AnalysisRunStatusRef,
    run: &AnalysisRun,
    draft: &mut Draft,
) {
    let reason = PauseReason::InconclusiveAnalysisRun;
    let committed = current.status == AnalysisPhase::Inconclusive.as_str();
    let paused = ctx
        .status
        .pause_conditions
        .iter()
        .any(|p| p.reason == reason.as_str());
    if !committed {
        if !draft
            .status
            .pause_conditions
            .iter()
            .any(|p| p.reason == reason.as_str())
        {
            draft.pause(reason);
        }
    } else if !paused {
        set_ref(draft, kind, None);
        // Whoever resumes ends all pauses, that of the step too: `controllerPause` says so to the step.
        if kind == RunType::Background && ctx.step().is_some_and(|step| step.pause.is_some()) {
            return;
        }
        if draft.status.pause_conditions.is_empty() {
            draft.status.controller_pause = None;
        }
        draft.enter_step_after(run.metadata.creation_timestamp.as_ref());
    }
}

fn announce(kind: RunType, before: &AnalysisRunStatusRef, now: AnalysisPhase, draft: &mut Draft) {
    if before.status == now.as_str() {
        return;
    }
    let (reason, warning) = match now {
        AnalysisPhase::Pending => (events::ANALYSIS_RUN_PENDING, false),
        AnalysisPhase::Running => (events::ANALYSIS_RUN_RUNNING, false),
        AnalysisPhase::Successful => (events::ANALYSIS_RUN_SUCCESSFUL, false),
        AnalysisPhase::Failed => (events::ANALYSIS_RUN_FAILED, true),
        AnalysisPhase::Error => (events::ANALYSIS_RUN_ERROR, true),
        AnalysisPhase::Inconclusive => (events::ANALYSIS_RUN_INCONCLUSIVE, true),
    };
    let name = &before.name;
    let message = format!(
        "{kind} Analysis Run '{name}' Status New: '{now}' Previous: '{}'",
        before.status
    );
    draft.notices.push(Notice {
        reason,
        warning,
        message,
    });
}

/// Creates the run, or finds the one that an interrupted pass created.
fn start(ctx: &Context, wanted: &Wanted, keep: &mut Vec<String>, draft: &mut Draft) {
    // A pause comes before the next question, and an inconclusive one is resolved by a person. What is asked in the
    // background goes on in the pauses of steps: that is when it is needed most.
    let inconclusive = PauseReason::InconclusiveAnalysisRun.as_str();
    let background = wanted.kind == RunType::Background;
    if ctx
        .status
        .pause_conditions
        .iter()
        .any(|pause| !background || pause.reason == inconclusive)
    {
        return;
    }
    let base = base_name(ctx, wanted);
    let since = ctx.status.canary.as_ref().and_then(|c| c.step_started_at.clone());
    let mut name = base.clone();
    let mut suffix = 0;
    let mut adopted = None;
    while let Some(taken) = ctx
        .observed
        .analysis_runs
        .iter()
        .find(|run| observed::name(&run.metadata) == name)
    {
        // Only a run that was started for this very visit of the step answers for it: after a retry the one of the
        // same name speaks of the time before.
        let fresh = !phase(taken).is_completed()
            || (since.is_some()
                && taken.metadata.creation_timestamp >= since
                && wanted.kind != RunType::Background);
        if fresh && !taken.spec.terminate && taken.metadata.deletion_timestamp.is_none() {
            adopted = Some(taken);
            break;
        }
        suffix += 1;
        name = format!("{base}.{suffix}");
    }
    if adopted.is_none() {
        match build_spec(ctx, wanted.analysis) {
            Ok(spec) => {
                let run = new_run(ctx, wanted, &name, spec);
                draft.intents.push(Intent::CreateAnalysisRun(Box::new(run)));
            }
            // Validation came first; what fails here changed in between and is told by the next pass.
            Err(_) => return,
        }
    }
    keep.push(name.clone());
    let status = AnalysisPhase::Pending.as_str().to_owned();
    set_ref(
        draft,
        wanted.kind,
        Some(AnalysisRunStatusRef {
            name,
            status,
            message: None,
        }),
    );
}

fn base_name(ctx: &Context, wanted: &Wanted) -> String {
    let rollout = observed::name(&ctx.rollout.metadata);
    let name = format!(
        "{rollout}-{}-{}",
        canary::new_hash(ctx),
        canary::new_revision(ctx)
    );
    match (wanted.kind, wanted.index) {
        (RunType::PrePromotion, _) => format!("{name}-pre"),
        (RunType::PostPromotion, _) => format!("{name}-post"),
        (RunType::Step, Some(index)) => format!("{name}-{index}"),
        (RunType::Step | RunType::Background, _) => name,
    }
}

fn new_run(ctx: &Context, wanted: &Wanted, name: &str, spec: AnalysisRunSpec) -> NewAnalysisRun {
    let extra = wanted.analysis.analysis_run_metadata.clone().unwrap_or_default();
    let mut own: BTreeMap<String, String> = ctx
        .spec
        .selector
        .as_ref()
        .and_then(|s| s.match_labels.clone())
        .unwrap_or_default();
    own.insert(labels::ROLLOUT_TYPE.to_owned(), wanted.kind.as_str().to_owned());
    own.insert(
        labels::POD_TEMPLATE_HASH.to_owned(),
        canary::new_hash(ctx).to_owned(),
    );
    if let Some(index) = wanted.index {
        own.insert(labels::STEP_INDEX.to_owned(), index.to_string());
    }
    let instance = observed::label(&ctx.rollout.metadata, labels::INSTANCE_ID);
    if !instance.is_empty() {
        own.insert(labels::INSTANCE_ID.to_owned(), instance.to_owned());
    }
    own.extend(extra.labels);
    let mut notes = BTreeMap::new();
    notes.insert(
        annotations::REVISION.to_owned(),
        canary::new_revision(ctx).to_string(),
    );
    notes.extend(extra.annotations);
    NewAnalysisRun {
        name: name.to_owned(),
        labels: own,
        annotations: notes,
        spec,
    }
}

/// The spec of a run for this analysis now: templates merged, arguments valued. The error is one sentence.
pub(crate) fn build_spec(ctx: &Context, analysis: &RolloutAnalysis) -> Result<AnalysisRunSpec, String> {
    let mut source = TemplateSource::default();
    for ((name, cluster), spec) in &ctx.observed.templates {
        if *cluster {
            source.add_cluster(name, spec);
        } else {
            source.add(name, spec);
        }
    }
    let merged = resolve_templates(&analysis.templates, &source).map_err(|e| e.to_string())?;
    let args = analysis
        .args
        .iter()
        .map(|arg| {
            let value = argument(ctx, arg).map_err(|e| format!("argument \"{}\": {e}", arg.name))?;
            Ok(Argument {
                name: arg.name.clone(),
                value,
                value_from: None,
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    let inputs = RunInputs {
        args: &args,
        dry_run: &analysis.dry_run,
        measurement_retention: &analysis.measurement_retention,
        field: &|path| fields::read(ctx.rollout, path),
    };
    build_run_spec(&merged, &inputs).map_err(|e| e.to_string())
}

fn argument(ctx: &Context, arg: &crate::api::rollout::AnalysisRunArgument) -> Result<Option<String>, String> {
    if let Some(value) = &arg.value {
        return Ok(Some(value.clone()));
    }
    let Some(from) = &arg.value_from else {
        return Ok(None);
    };
    if let Some(which) = &from.pod_template_hash_value {
        let rs = match PodTemplateHashValue::parse(which) {
            Some(PodTemplateHashValue::Stable) => ctx.stable,
            Some(PodTemplateHashValue::Latest) => ctx.new,
            None => {
                return Err(format!(
                    "podTemplateHashValue is \"{which}\", not Stable or Latest"
                ));
            }
        };
        // Before the first promotion there is no stable hash, and before its first pass no ReplicaSet; the check before
        // anything moves needs some value, and an empty one would make `http://{{args.hash}}.shop` no address.
        let known = rs.map_or(ctx.observed.identity.pod_hash.as_str(), hash_of);
        return Ok(Some(known.to_owned()));
    }
    match &from.field_ref {
        Some(field) => fields::read(ctx.rollout, &field.field_path).map(Some),
        None => Ok(None),
    }
}

/// Runs that the rollout started and no longer asks are told to stop.
fn terminate_others(ctx: &Context, keep: &[String], draft: &mut Draft) {
    for run in &ctx.observed.analysis_runs {
        let name = observed::name(&run.metadata);
        let ours = RunType::ALL
            .iter()
            .any(|kind| observed::label(&run.metadata, labels::ROLLOUT_TYPE) == kind.as_str());
        let live =
            !phase(run).is_completed() && !run.spec.terminate && run.metadata.deletion_timestamp.is_none();
        if ours && live && !keep.iter().any(|k| k == name) {
            draft.intents.push(Intent::TerminateAnalysisRun {
                name: name.to_owned(),
                uid: observed::uid(&run.metadata).to_owned(),
            });
        }
    }
}
