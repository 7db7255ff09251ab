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
        Intent::CreateReplicaSet(_) | Intent::DeleteReplicaSet { .. } | Intent::EvictPod { .. } => true,
        Intent::PatchReplicaSet(patch) => patch.scale.is_some(),
        Intent::PatchService(_) | Intent::ScaleWorkload(_) | Intent::CreateAnalysisRun(_) => true,
        _ => false,
    }
}

/// The deeds without the hashes of the library and the number of times that the user has written.
fn by_meaning(deeds: &Deeds) -> Value {
    let mut value = json!({"cursor": deeds.cursor, "end": deeds.end});
    plain(&mut value);
    value
}

fn plain(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| key != "observedGeneration" && key != "templateFingerprint");
            fields.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::String(text) => *text = without_suffix(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Takes the letter of the upgraded library, which no hash has, from every hash in a text.
fn without_suffix(text: &str) -> String {
    let is_hash =
        |word: &str| word.len() > 6 && word.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c));
    text.split_inclusive(|c: char| !c.is_ascii_alphanumeric())
        .map(|part| {
            let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            match word.strip_suffix('u').filter(|hash| is_hash(hash)) {
                Some(hash) => format!("{hash}{}", &part[word.len()..]),
                None => part.to_owned(),
            }
        })
        .collect()
}
