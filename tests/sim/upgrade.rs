//! Promise 9: an upgrade of Serin moves no pod. A revision is what its template means, not the bytes that a library prints.

use serde_json::{Value, json};
use serin::engine::plan::Intent;
use serin::sim::{Action, Faults, Step, When};

use super::case::Case;
use super::crash::{Deeds, deeds};
use super::watcher::{course, short};

/// What every later library prints of the template of this case, said in full by the user: the API server's defaults.
const SAID_IN_FULL: [(&str, &str); 3] = [
    ("/template/spec/restartPolicy", "Always"),
    ("/template/spec/dnsPolicy", "ClusterFirst"),
    (
        "/template/spec/containers/0/terminationMessagePath",
        "/dev/termination-log",
    ),
];

/// Runs the case with and without upgrades: before its first action, between each two, and at the end. The hashes of all
/// templates are other ones after each, and the user applies the same template in other words. Not a pod moves for it: the
/// same ReplicaSets by the same steps.
pub fn moves_nothing(case: &Case) -> Result<(), String> {
    let plain = Case {
        faults: Faults::default(),
        ..case.clone()
    };
    let mut upgraded = plain.clone();
    upgraded.script.clear();
    for (n, (when, action)) in case.script.iter().enumerate() {
        upgraded.script.push((*when, action.clone()));
        upgraded.script.push((When::Quiet, Action::Upgrade));
        if case.workload.is_none() {
            let (field, value) = SAID_IN_FULL[n % SAID_IN_FULL.len()];
            let action = Action::SetField(field.to_owned(), json!(value));
            upgraded.script.push((When::Quiet, action));
        }
    }
    let mut quiet = false;
    let with = deeds(&upgraded, &mut |_, step| {
        match step {
            Step::Acted(action) => quiet = is_nothing(action),
            Step::Applied { intent, .. } if quiet && moves(intent) => {
                return Err(format!("the upgrade would {}", short(intent)));
            }
            _ => {}
        }
        Ok(())
    })?;
    let without = deeds(&plain, &mut |_, _| Ok(()))?;
    let (with, without) = (by_meaning(&with), by_meaning(&without));
    if with == without {
        return Ok(());
    }
    Err(format!(
        "with upgrades {with}\nwithout {without}\nthe course with them\n{}\nand without\n{}",
        course(&upgraded),
        course(&plain)
    ))
}

fn is_nothing(action: &Action) -> bool {
    match action {
        Action::Upgrade => true,
        Action::SetField(field, _) => SAID_IN_FULL.iter().any(|(said, _)| said == field),
        _ => false,
    }
}

fn moves(intent: &Intent) -> bool {
    match intent {
        Intent::CreateReplicaSet(_)
        | Intent::DeleteReplicaSet { .. }
        | Intent::EvictPod { .. }
        | Intent::PatchService(_)
        | Intent::ScaleWorkload(_)
        | Intent::CreateAnalysisRun(_) => true,
        Intent::PatchReplicaSet(patch) => patch.scale.is_some(),
        _ => false,
    }
}

/// The deeds with images in the place of hashes, and without the number of times that the user has written.
fn by_meaning(deeds: &Deeds) -> Value {
    let mut text = json!({"cursor": deeds.cursor, "end": deeds.end}).to_string();
    for (hash, image) in &deeds.images {
        text = text.replace(hash, image);
    }
    let mut value: Value = serde_json::from_str(&text).unwrap();
    let status = value["end"]["status"].as_object_mut().unwrap();
    status.remove("observedGeneration");
    status.remove("templateFingerprint");
    for list in ["replicaSets", "runs"] {
        let items = value["end"][list].as_array_mut().unwrap();
        items.sort_by_key(|item| item["name"].to_string());
    }
    value
}
