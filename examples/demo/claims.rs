//! The demo's claims, each judged from the record of what was seen. Pure.

use std::time::Duration;

use crate::record::{BAD, FIRST, GOOD, Gate, Mark, REPLICAS, Record, percent, rate};
use crate::world::ratio;

/// The gates of the good version: its weight, its ready pods, the other version's ready pods.
///
/// 25 % of 10 pods is 2.5. With a surge allowed, the plan with the share nearest to the weight wins among
/// 3 of 10, 3 of 11 and 2 of 11: 3 of 11 is 27.3 %, off by 2.3; 3 of 10 is off by 5 and 2 of 11 by 6.8.
const GATES: [(u64, u64, u64); 4] = [(10, 1, 9), (25, 3, 8), (50, 5, 5), (100, 10, 0)];

/// How far the share of the answers may be from the share of the pods, in percentage points. A gate
/// lasts some 1,600 requests, each balanced at random: one standard deviation is at most 1.3 points.
const SHARE_TOLERANCE: f64 = 5.0;

/// The most of the client's answers that may come from the bad version, in percent, from the moment it
/// was applied to the moment it was gone: it has at most one pod of ten.
const BAD_SHARE: f64 = 12.0;

#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) text: String,
    pub(crate) holds: bool,
    /// What was seen.
    pub(crate) seen: String,
}

/// All claims in the order of the story.
pub(crate) fn judge(record: &Record) -> Vec<Claim> {
    vec![
        first_healthy(record),
        weights(record),
        verdicts(record),
        promoted(record),
        caught(record),
        rolled_back(record),
        few(record),
        none_lost(record),
    ]
}

fn claim(text: impl Into<String>, holds: bool, seen: impl Into<String>) -> Claim {
    Claim {
        text: text.into(),
        holds,
        seen: seen.into(),
    }
}

fn first_healthy(record: &Record) -> Claim {
    let most = record.most.get(FIRST).copied().unwrap_or_default();
    let seen = match &record.first_healthy {
        Some(mark) => format!("{most} pods after {}", seconds(mark.at)),
        None => "it did not".to_owned(),
    };
    claim(
        "version 1 became Healthy",
        record.first_healthy.is_some() && most == REPLICAS,
        seen,
    )
}

fn weights(record: &Record) -> Claim {
    let gates = record.gates_of(GOOD);
    let pods: Vec<_> = gates
        .iter()
        .map(|gate| (gate.weight, gate.new, gate.old))
        .collect();
    let shares = gates.iter().all(|gate| share_fits(gate));
    let seen = gates
        .iter()
        .map(|gate| gate_words(gate))
        .collect::<Vec<_>>()
        .join("; ");
    let text = "version 2 went through the weights 10, 25, 50, 100, in pods and in requests";
    claim(
        text,
        pods == GATES && shares,
        otherwise(seen, "no weight was reached"),
    )
}

fn share_fits(gate: &Gate) -> bool {
    let expected = ratio(gate.new, gate.new + gate.old) * 100.0;
    gate.share
        .is_some_and(|share| (share - expected).abs() <= SHARE_TOLERANCE)
}

fn gate_words(gate: &Gate) -> String {
    let share = gate
        .share
        .map_or("none".to_owned(), |share| format!("{share:.0} %"));
    format!(
        "{}: {} of {} pods, {share} of requests",
        gate.weight,
        gate.new,
        gate.new + gate.old
    )
}

fn verdicts(record: &Record) -> Claim {
    let gates = record.gates_of(GOOD);
    let measured = |gate: &Gate| gate.values.iter().filter(|value| rate(value).is_some()).count();
    let good = gates
        .iter()
        .filter(|gate| gate.verdict == "Successful" && measured(gate) > 0)
        .count();
    let all: usize = gates.iter().map(|gate| measured(gate)).sum();
    claim(
        "each of these weights was gated by the measured success rate",
        good == GATES.len() && gates.len() == GATES.len(),
        format!(
            "{good} of {} AnalysisRuns Successful, {all} measurements",
            gates.len()
        ),
    )
}

fn promoted(record: &Record) -> Claim {
    let seen = match (&record.good_started, &record.good_promoted) {
        (Some(start), Some(end)) => format!("after {}", seconds(end.at.saturating_sub(start.at))),
        _ => "it was not".to_owned(),
    };
    claim("version 2 was promoted", record.good_promoted.is_some(), seen)
}

fn caught(record: &Record) -> Claim {
    let gates = record.gates_of(BAD);
    let holds = matches!(gates.as_slice(), [gate] if gate.verdict == "Failed" && gate.weight == 10);
    let seen = gates
        .iter()
        .map(|gate| {
            let values: Vec<_> = gate.values.iter().map(|value| percent(value)).collect();
            format!(
                "{} at weight {}: {} (measured {})",
                gate.verdict,
                gate.weight,
                gate.message,
                values.join(", ")
            )
        })
        .collect::<Vec<_>>()
        .join("; ");
    let text = "version 3, with 5 % errors, was caught by the analysis at its first weight";
    claim(text, holds, otherwise(seen, "no AnalysisRun of version 3 ended"))
}

fn rolled_back(record: &Record) -> Claim {
    let text = "version 3 was rolled back to version 2 with nobody touching it";
    let Some(end) = &record.rolled_back else {
        return claim(text, false, "it was not");
    };
    // The words are the wire contract's (2.5), so other clients read the same.
    let words = end
        .message
        .starts_with("RolloutAborted: Rollout aborted update to revision 3")
        && end
            .message
            .contains("Metric \"success-rate\" assessed Failed due to failed");
    let untouched = end.generation.0 == end.generation.1;
    let after = record
        .bad_started
        .as_ref()
        .map_or(end.mark.at, |start| end.mark.at.saturating_sub(start.at));
    let touched = match end.generation {
        (_, _) if untouched => String::new(),
        (before, now) => format!("; but somebody changed the spec: generation {before} became {now}"),
    };
    let seen = format!(
        "after {}, {REPLICAS} pods of version 2; {}: {}{touched}",
        seconds(after),
        end.phase,
        end.message
    );
    claim(text, end.phase == "Degraded" && words && untouched, seen)
}

fn few(record: &Record) -> Claim {
    let text = "few requests met version 3";
    let (Some(start), Some(end)) = (&record.bad_started, &record.rolled_back) else {
        return claim(text, false, "version 3 was not rolled back");
    };
    let most = record.most.get(BAD).copied().unwrap_or_default();
    let bad = record.total.of(BAD);
    let share = end.mark.load.share_since(&start.load, BAD).unwrap_or_default();
    // None at all would mean that the verdict was not about what the client saw.
    let holds = most == 1 && bad.errors > 0 && share > 0.0 && share <= BAD_SHARE;
    let seen = format!(
        "{} requests, {} of them errors ({:.1} %); {share:.1} % of the requests of its time, at most {most} pod",
        bad.requests,
        bad.errors,
        ratio(bad.errors, bad.requests) * 100.0
    );
    claim(text, holds, seen)
}

fn none_lost(record: &Record) -> Claim {
    let total = &record.total;
    let errors: u64 = total
        .versions
        .iter()
        .filter(|(name, _)| *name != BAD)
        .map(|(_, a)| a.errors)
        .sum();
    let known = total
        .versions
        .keys()
        .all(|name| [FIRST, GOOD, BAD].contains(&name.as_str()));
    let lost: Vec<_> = total
        .failed
        .iter()
        .map(|(what, times)| format!("{what} {times}"))
        .collect();
    let seen = format!(
        "{} requests; without an answer: {}; errors of versions 1 and 2: {errors}",
        total.requests(),
        otherwise(lost.join(", "), "0")
    );
    let holds = total.requests() > 0 && total.lost() == 0 && errors == 0 && known;
    claim(
        "no request was lost, and versions 1 and 2 gave no error",
        holds,
        seen,
    )
}

fn otherwise(text: String, empty: &str) -> String {
    if text.is_empty() { empty.to_owned() } else { text }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

/// The summary, ready to print.
pub(crate) fn summary(claims: &[Claim], record: &Record, took: Duration) -> Vec<String> {
    let mut lines = vec![String::new(), "Summary".to_owned()];
    for claim in claims {
        lines.push(format!(
            "  {}  {}",
            if claim.holds { "yes" } else { "NO " },
            claim.text
        ));
        lines.push(format!("       {}", claim.seen));
    }
    lines.push(String::new());
    lines.push("  As the client saw it    requests    errors".to_owned());
    for (version, answers) in &record.total.versions {
        lines.push(format!(
            "    {version:<20}{:>10}{:>10}",
            answers.requests, answers.errors
        ));
    }
    let total = &record.total;
    lines.push(format!("    {:<20}{:>10}", "without an answer", total.lost()));
    if total.skipped > 0 {
        lines.push(format!(
            "    {:<20}{:>10}   (the machine was too busy to send them on time)",
            "not sent", total.skipped
        ));
    }
    if let Some(fewest) = record.fewest {
        lines.push(format!(
            "  Never fewer than {fewest} pods were ready, of {REPLICAS} wanted."
        ));
    }
    let held = claims.iter().filter(|claim| claim.holds).count();
    lines.push(format!(
        "  {held} of {} held; {} since the first manifest.",
        claims.len(),
        seconds(took)
    ));
    lines
}

/// The client's totals at this moment of the demo.
pub(crate) fn mark(at: Duration, load: &crate::world::Load) -> Mark {
    Mark {
        at,
        load: load.clone(),
    }
}
