//! What an analysis without a verdict holds until a person has resolved it.

use serin::engine::observed;
use serin::engine::plan::{Intent, ReplicaSetPatch};
use serin::sim::Step;

use super::promises::blue_green;

/// Promise 8, no data is not bad data, nor good: no pod more of a canary that is in doubt, unless the user promotes it in full.
pub fn no_more_pods(step: &Step<'_>) -> Result<(), String> {
    let Step::Applied {
        observed,
        intent:
            Intent::PatchReplicaSet(ReplicaSetPatch {
                name,
                scale: Some((from, to)),
                ..
            }),
        ..
    } = step
    else {
        return Ok(());
    };
    let Some(status) = observed
        .rollout
        .status
        .as_ref()
        .filter(|_| blue_green(observed).is_none())
    else {
        return Ok(());
    };
    let in_doubt = status
        .pause_conditions
        .iter()
        .any(|pause| pause.reason == "InconclusiveAnalysisRun");
    let is_canary = observed.replica_sets.iter().any(|rs| {
        let hash = Some(observed::pod_hash(&rs.metadata).to_owned());
        observed::name(&rs.metadata) == name && hash == status.current_pod_hash && hash != status.stable_rs
    });
    if in_doubt && is_canary && status.promote_full != Some(true) && to > from {
        return Err(format!(
            "{name} goes from {from} to {to} pods while it is in doubt"
        ));
    }
    Ok(())
}
