//! Old ReplicaSets and finished AnalysisRuns: kept as many as asked for, the rest deleted.

use super::context::{self, Context};
use super::draft::Draft;
use super::observed;
use super::plan::Intent;
use crate::api::analysis::{AnalysisPhase, AnalysisRun};
use crate::api::replica_set::ReplicaSet;

/// Old ReplicaSets kept where `revisionHistoryLimit` says nothing.
pub(crate) const REVISIONS: i32 = 10;
/// Finished runs of each kind kept where the spec says nothing.
const RUNS: i32 = 5;

/// Deletes what is beyond the limits. A ReplicaSet goes only when it has no pods and wants none; the runs of a
/// ReplicaSet that is gone go with it.
pub(crate) fn trim(ctx: &Context, draft: &mut Draft) {
    let limit = usize::try_from(ctx.spec.revision_history_limit.unwrap_or(REVISIONS)).unwrap_or(0);
    let idle = |rs: &&&ReplicaSet| {
        context::spec_replicas(rs) == 0 && rs.status.replicas == 0 && context::counts(Some(rs)).observed
    };
    for rs in ctx.others.iter().filter(idle).skip(limit) {
        draft.intents.push(Intent::DeleteReplicaSet {
            name: observed::name(&rs.metadata).to_owned(),
            uid: observed::uid(&rs.metadata).to_owned(),
            resource_version: rs.metadata.resource_version.clone().unwrap_or_default(),
        });
    }
    trim_runs(ctx, draft);
}

fn trim_runs(ctx: &Context, draft: &mut Draft) {
    let limits = ctx.spec.analysis.as_ref();
    let good = limits
        .and_then(|l| l.successful_run_history_limit)
        .unwrap_or(RUNS);
    let bad = limits
        .and_then(|l| l.unsuccessful_run_history_limit)
        .unwrap_or(RUNS);
    let current = super::runs::current_names(ctx);
    let mut finished: Vec<&AnalysisRun> = ctx
        .observed
        .analysis_runs
        .iter()
        .map(AsRef::as_ref)
        .filter(|run| run.metadata.deletion_timestamp.is_none() && phase(run).is_completed())
        .filter(|run| !current.contains(&observed::name(&run.metadata)))
        .collect();
    // Times are whole seconds: among the runs of one second the higher revision is the younger one.
    finished.sort_by(|a, b| {
        let key = |run: &AnalysisRun| {
            let meta = &run.metadata;
            (
                meta.creation_timestamp.clone(),
                observed::revision(meta),
                meta.name.clone(),
            )
        };
        key(b).cmp(&key(a))
    });
    let (mut good, mut bad) = (good.max(0), bad.max(0));
    for run in finished {
        let hash = observed::pod_hash(&run.metadata);
        let orphaned = !hash.is_empty() && !ctx.all().any(|rs| context::hash_of(rs) == hash);
        let left = if phase(run) == AnalysisPhase::Successful {
            &mut good
        } else {
            &mut bad
        };
        if !orphaned && *left > 0 {
            *left -= 1;
            continue;
        }
        draft.intents.push(Intent::DeleteAnalysisRun {
            name: observed::name(&run.metadata).to_owned(),
            uid: observed::uid(&run.metadata).to_owned(),
        });
    }
}

/// The phase of a run; one without a status has not begun.
pub(crate) fn phase(run: &AnalysisRun) -> AnalysisPhase {
    run.status.as_ref().map_or(AnalysisPhase::Pending, |s| s.phase)
}
