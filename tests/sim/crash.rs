//! A controller that dies and begins again arrives where one that lives arrives, by the same steps.

use serde_json::{Value, json};
use serin::api::names::annotations::SCALE_DOWN_DEADLINE;
use serin::sim::{Cluster, Faults, Step};

use super::case::Case;
use super::watcher::{Rule, course, run};

/// What a run has done, without its times.
#[derive(Debug, PartialEq)]
pub struct Deeds {
    /// Every committed pair of revision and cursor, in order.
    pub cursor: Vec<(Option<String>, Option<i32>)>,
    pub end: Value,
    /// The image of each pod template hash.
    pub images: Vec<(String, String)>,
}

/// Runs the case with and without its crashes. Users who act when all is quiet act at the same state in both.
pub fn changes_nothing(case: &Case) -> Result<(), String> {
    let living = Case {
        faults: Faults::default(),
        ..case.clone()
    };
    let mut nothing = |_: &Cluster, _: &Step<'_>| Ok(());
    let (with, without) = (deeds(case, &mut nothing)?, deeds(&living, &mut nothing)?);
    if with == without {
        return Ok(());
    }
    Err(format!(
        "with crashes {}\nwithout {}\nthe course with them\n{}\nand without\n{}",
        text(&with),
        text(&without),
        course(case),
        course(&living)
    ))
}

/// Runs a case, under a rule.
pub fn deeds(case: &Case, rule: Rule<'_>) -> Result<Deeds, String> {
    let mut cursor = Vec::new();
    let end = run(case, &mut |cluster, step| {
        if let Step::Committed { after, .. } = step {
            let now = (after.current_pod_hash.clone(), after.current_step_index);
            if cursor.last() != Some(&now) {
                cursor.push(now);
            }
        }
        rule(cluster, step)
    })?;
    Ok(Deeds {
        cursor,
        end: timeless(&end.cluster),
        images: images(&end.cluster),
    })
}

fn images(cluster: &Cluster) -> Vec<(String, String)> {
    let image = |(_, rs): (&str, &std::sync::Arc<serin::api::replica_set::ReplicaSet>)| {
        let hash = serin::engine::observed::pod_hash(&rs.metadata).to_owned();
        (hash, rs.spec.template.read().containers()[0].image.to_owned())
    };
    cluster.replica_sets.all().map(image).collect()
}

fn text(deeds: &Deeds) -> String {
    format!("{:?}\n  {}", deeds.cursor, deeds.end)
}

/// The objects without what the moments decide: times, versions, uids.
fn timeless(cluster: &Cluster) -> Value {
    let sets: Vec<Value> = cluster
        .replica_sets
        .all()
        .map(|(name, rs)| {
            let mut notes = rs.metadata.annotations.clone().unwrap_or_default();
            // A moment.
            notes.remove(SCALE_DOWN_DEADLINE);
            json!({"name": name, "spec": rs.spec.replicas, "notes": notes})
        })
        .collect();
    let runs: Vec<Value> = cluster
        .runs
        .all()
        .map(|(name, run)| json!({"name": name, "phase": run.status.as_ref().map(|s| s.phase.as_str())}))
        .collect();
    let services: Vec<Value> = cluster
        .services
        .all()
        .map(|(name, _)| json!({"name": name, "selects": cluster.selected(name), "leadsTo": cluster.led_to(name)}))
        .collect();
    let mut status = serde_json::to_value(cluster.status()).unwrap();
    forget_times(&mut status);
    json!({
        "status": status,
        "notes": cluster.rollout().metadata.annotations,
        "replicaSets": sets,
        "runs": runs,
        "services": services,
    })
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !["Time", "At", "Seconds"].iter().any(|end| key.ends_with(end)));
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_times),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
