//! What pods tell: which ones belong to a ReplicaSet, and what keeps one from becoming ready.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::observed::{self, Observed};
use crate::api::pod::{ContainerTrouble, Pod};
use crate::api::replica_set::ReplicaSet;

/// Restarts after failures from which on a pod counts as one that crashes, whatever its containers do at this moment.
const REPEATED: i32 = 2;
/// The longest quotation of the scheduler's or the kubelet's words, in characters.
const QUOTED: usize = 140;

/// What keeps a pod from becoming ready, of that sort which does not pass by itself within moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Of which sort it is.
    pub kind: TroubleKind,
    /// In the words of kubectl, with what a person needs to know: the image, the exit code, the scheduler's words.
    pub text: String,
}

/// The sorts of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// No node takes the pod.
    Unschedulable,
    /// The image cannot be had.
    Image,
    /// The container cannot be made, such as for want of a ConfigMap.
    Config,
    /// A container fails again and again.
    Crash,
}

/// The pods of a ReplicaSet, in order of their names.
pub(crate) fn of<'a>(observed: &'a Observed, rs: &ReplicaSet) -> &'a [Arc<Pod>] {
    observed
        .pods
        .get(observed::uid(&rs.metadata))
        .map_or(&[], Vec::as_slice)
}

/// The pod's trouble; that of its first container in trouble. A pod that ended or is going has none: its ReplicaSet has
/// replaced it.
pub fn trouble(pod: &Pod) -> Option<Trouble> {
    if pod.is_going() || ["Succeeded", "Failed"].contains(&pod.phase.as_str()) {
        return None;
    }
    if let Some(words) = &pod.unschedulable {
        let text = format!("Unschedulable: {}", shortened(words, QUOTED));
        return Some(Trouble {
            kind: TroubleKind::Unschedulable,
            text,
        });
    }
    pod.containers.iter().find_map(container_trouble)
}

fn container_trouble(container: &ContainerTrouble) -> Option<Trouble> {
    let ContainerTrouble {
        name,
        image,
        waiting,
        message,
        restarts,
        ended,
    } = container;
    let failed = ended.as_ref().is_some_and(|(code, _)| *code != 0);
    let (kind, text) = match waiting.as_str() {
        // The two take turns while the kubelet tries again: one word for both, so that no text changes with them.
        "ErrImagePull" | "ImagePullBackOff" => (
            TroubleKind::Image,
            format!("ImagePullBackOff: image {}", shortened(image, QUOTED)),
        ),
        "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError" | "RegistryUnavailable" => (
            TroubleKind::Image,
            format!("{waiting}: image {}", shortened(image, QUOTED)),
        ),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            let words = if message.is_empty() {
                String::new()
            } else {
                format!(": {}", shortened(message, QUOTED))
            };
            (TroubleKind::Config, format!("{waiting}: container {name}{words}"))
        }
        other if other == "CrashLoopBackOff" || (failed && *restarts >= REPEATED) => {
            let text = match ended {
                None => format!("CrashLoopBackOff: container {name}"),
                Some((code, reason)) if ["", "Error", "Completed"].contains(&reason.as_str()) => {
                    format!("CrashLoopBackOff: container {name} exited with code {code}")
                }
                Some((code, reason)) => {
                    format!("CrashLoopBackOff: container {name} exited with code {code} ({reason})")
                }
            };
            (TroubleKind::Crash, text)
        }
        _ => return None,
    };
    Some(Trouble { kind, text })
}

/// Whether the pod is in trouble, or was and has not been ready for `recovery` since: a container that fails again and
/// again is up for moments in between.
pub(crate) fn is_failing(pod: &Pod, recovery: SignedDuration, now: Timestamp) -> bool {
    trouble(pod).is_some() && recovers_at(pod, recovery).is_none_or(|at| now < at)
}

/// When a pod that is ready again counts as recovered.
pub(crate) fn recovers_at(pod: &Pod, recovery: SignedDuration) -> Option<Timestamp> {
    let since = pod.ready.as_ref().filter(|_| pod.is_ready())?.since.as_ref()?;
    since.0.checked_add(recovery).ok()
}

/// The oldest of these pods that is in trouble: the same one as long as its trouble lasts.
pub(crate) fn oldest_in_trouble<'a>(pods: impl Iterator<Item = &'a Arc<Pod>>) -> Option<(&'a Pod, Trouble)> {
    pods.filter_map(|pod| Some((pod.as_ref(), trouble(pod)?)))
        .min_by(|(a, _), (b, _)| age_key(a).cmp(&age_key(b)))
}

fn age_key(pod: &Pod) -> (Option<Timestamp>, &str) {
    (
        pod.metadata.creation_timestamp.as_ref().map(|t| t.0),
        observed::name(&pod.metadata),
    )
}

/// Whom a change of a pod concerns, beyond what the counters of its ReplicaSet show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stirs {
    /// Nobody: the counters say it all.
    Nobody,
    /// A Rollout whose pods restart: an old one is gone.
    Restarting,
    /// Its Rollout: it came into trouble, into another, or out of it.
    Everybody,
}

/// Whom the change of a pod concerns. `gone`: it was deleted.
pub fn stirs(before: Option<&Pod>, object: &Pod, gone: bool) -> Stirs {
    let kind = |pod: &Pod| trouble(pod).map(|t| t.kind);
    let now = if gone { None } else { kind(object) };
    if before.and_then(kind) != now {
        Stirs::Everybody
    } else if gone {
        Stirs::Restarting
    } else {
        Stirs::Nobody
    }
}

/// At most `most` characters of a text, on one line.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let mut short: String = line.chars().take(most.saturating_sub(3)).collect();
    short.push_str("...");
    short
}

#[cfg(test)]
mod tests;
