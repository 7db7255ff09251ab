//! How a run may end.

use serin::engine::plan;
use serin::sim::{Cluster, Lag, observe};

use super::case::ACTIVE;
use super::watcher::{short, summary};

/// At the end nothing is left to do, and the state is one that a rollout may stay in.
pub fn is_at_rest(cluster: &Cluster, healthy: bool) -> Result<(), String> {
    let observed = observe(cluster, Lag::default()).unwrap();
    let last = plan(&observed, cluster.now);
    if let Some(intent) = last.intents.first() {
        return Err(format!("at the end there is still to {}", short(intent)));
    }
    let status = cluster.status();
    if last.status != status {
        return Err(format!(
            "at the end it would say {}, not {}",
            summary(&last.status),
            summary(&status)
        ));
    }
    if let Some(wake) = last.wake {
        return Err(format!("at the end it wants to wake at {wake}"));
    }
    ends_well(cluster, healthy).map_err(|e| format!("at the end: {e}: {}", summary(&status)))
}

fn ends_well(cluster: &Cluster, healthy: bool) -> Result<(), String> {
    let status = cluster.status();
    let rollout = cluster.rollout();
    let replicas = i64::from(rollout.spec.replicas.unwrap_or(1));
    let current = status.current_pod_hash.clone().unwrap_or_default();
    let stable = status.stable_rs.clone().unwrap_or_default();
    let held = rollout.spec.paused == Some(true);
    let message = status.message.clone().unwrap_or_default();
    let others = |except: &[&str]| -> i64 {
        cluster
            .replica_sets
            .all()
            .filter(|(_, rs)| !except.contains(&serin::engine::observed::pod_hash(&rs.metadata)))
            .map(|(name, _)| {
                cluster
                    .replica_sets
                    .get(name)
                    .and_then(|rs| rs.spec.replicas)
                    .map_or(0, i64::from)
            })
            .sum()
    };
    let bg = rollout.spec.strategy.as_ref().and_then(|s| s.blue_green.as_ref());
    // Until a person has resolved an inconclusive analysis, no old environment goes.
    let asked = bg.is_some() && !status.pause_conditions.is_empty();
    if !held && !asked && others(&[&current, &stable]) > 0 && healthy {
        return Err("old ReplicaSets still have pods".to_owned());
    }
    match status.phase.as_deref() {
        Some("Healthy") => {
            let (spec, count, available) = cluster.pods_of(&current);
            if stable != current || (spec, count, available) != (replicas, replicas, replicas) {
                return Err(format!("Healthy with {spec}/{count}/{available} of {replicas}"));
            }
            if bg.is_some() && cluster.selected(ACTIVE) != Some(&current) {
                return Err("Healthy, and the active Service leads elsewhere".to_owned());
            }
            Ok(())
        }
        Some("Paused") => {
            if held || !status.pause_conditions.is_empty() {
                Ok(())
            } else {
                Err("Paused by nothing".to_owned())
            }
        }
        Some("Degraded") if status.abort == Some(true) => {
            if stable.is_empty() {
                return Ok(());
            }
            let (_, canary, _) = cluster.pods_of(&current);
            let (_, count, available) = cluster.pods_of(&stable);
            if healthy && bg.is_some() && cluster.selected(ACTIVE) != Some(&stable) {
                return Err("aborted, and the active Service does not lead to stable".to_owned());
            }
            // Without a delay the new side of blue-green stays for good.
            let stays = bg.is_some_and(|bg| bg.abort_scale_down_delay_seconds == Some(0));
            if healthy && canary > 0 && !stays {
                return Err(format!("aborted with {canary} canary pods"));
            }
            if healthy && (count, available) != (replicas, replicas) {
                return Err(format!(
                    "aborted with {count}/{available} stable pods of {replicas}"
                ));
            }
            Ok(())
        }
        Some("Degraded") if !healthy && message.starts_with("ProgressDeadlineExceeded") => Ok(()),
        // A finished rollout whose pods were lost for good: nothing is overdue, it is only not healthy.
        Some("Progressing") if !healthy && stable == current => Ok(()),
        _ => Err("a state that nobody can leave".to_owned()),
    }
}
