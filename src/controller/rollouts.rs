//! The pass of one Rollout: observe, plan, apply, commit, tell.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use kube::runtime::controller::Action;
use kube::{Client, Resource};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::answer::version_after;
use super::apply::{Applier, Done, call};
use super::dropped::Dropped;
use super::error::{Backoff, Class, Error};
use super::events::Events;
use super::metrics::{self, Ended, Metrics};
use super::observe::{Identities, Stores, observe};
use super::watched::WatchedRollout;
use super::workloads::Lookup;
use super::written::{Kind, Written};
use super::{FIELD_MANAGER, clock, merge_patch, significance};
use crate::api::names::events;
use crate::api::replica_set::ReplicaSet;
use crate::api::rollout::{Rollout, RolloutStatus};
use crate::engine::observed::{self, Observed};
use crate::engine::plan::Intent;
use crate::engine::timing;
use crate::engine::{self, Notice, Plan, Refusal, RefusalKind};

/// How long a change of mere counters waits for a weightier one to be written with.
const PATIENCE: SignedDuration = SignedDuration::from_secs(5);
/// How long the API server's refusal of a template is believed.
const REFUSAL_LASTS: SignedDuration = SignedDuration::from_mins(5);
/// How long a denial is believed: a quota is raised, a webhook comes back.
const DENIAL_LASTS: SignedDuration = SignedDuration::from_secs(30);

fn lasts(kind: RefusalKind) -> SignedDuration {
    match kind {
        RefusalKind::Invalid => REFUSAL_LASTS,
        RefusalKind::Denied => DENIAL_LASTS,
    }
}

/// What the passes of all Rollouts share.
pub struct Context {
    /// The client.
    pub client: Client,
    /// The stores.
    pub stores: Arc<Stores>,
    /// Where events go.
    pub events: Events,
    metrics: Arc<Metrics>,
    /// A pass comes by now and then even when nothing was heard of the object: deletions while a watch was down are not
    /// replayed.
    resync: Duration,
    dropped: Dropped,
    written: Written,
    backoff: Backoff,
    identities: Identities,
    refusals: Mutex<HashMap<String, (Refusal, Timestamp)>>,
    waiting: Mutex<HashMap<String, Timestamp>>,
}

impl Context {
    /// Nothing written, nothing failed yet.
    pub fn new(
        client: Client,
        stores: Arc<Stores>,
        events: Events,
        metrics: Arc<Metrics>,
        resync: Duration,
    ) -> Self {
        Context {
            client,
            stores,
            events,
            metrics,
            resync,
            dropped: Dropped::default(),
            written: Written::default(),
            backoff: Backoff::default(),
            identities: Identities::default(),
            refusals: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// Forgets the Rollouts that are gone.
    pub fn sweep(&self) {
        let all = self.stores.rollouts.store().state();
        let live: HashSet<String> = all.iter().map(|w| observed::uid(w.meta()).to_owned()).collect();
        self.stores.workloads.sweep(&all);
        self.written.keep(&live);
        self.backoff.keep(&live);
        self.identities.keep(&live);
        self.refusals.lock().retain(|uid, _| live.contains(uid));
        self.waiting.lock().retain(|uid, _| live.contains(uid));
    }

    fn refusal(&self, uid: &str, now: Timestamp) -> Option<Refusal> {
        let mut all = self.refusals.lock();
        if all
            .get(uid)
            .is_some_and(|(refusal, at)| now.duration_since(*at) >= lasts(refusal.kind))
        {
            all.remove(uid);
        }
        all.get(uid).map(|(refusal, _)| refusal.clone())
    }

    fn is_settled(&self, meta: &kube::api::ObjectMeta, now: Timestamp) -> bool {
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        self.written
            .is_seen(observed::uid(meta), now, |kind, name| match kind {
                Kind::Root => meta.resource_version.clone(),
                Kind::ReplicaSet => self
                    .stores
                    .replica_sets
                    .get(namespace, name)?
                    .metadata
                    .resource_version
                    .clone(),
                Kind::Pod => self
                    .stores
                    .pods
                    .get(namespace, name)?
                    .metadata
                    .resource_version
                    .clone(),
                Kind::Deployment => self.stores.workloads.deployment_version(namespace, name),
                Kind::Service => self
                    .stores
                    .services
                    .get(namespace, name)?
                    .metadata
                    .resource_version
                    .clone(),
                Kind::AnalysisRun => self
                    .stores
                    .analysis_runs
                    .get(namespace, name)?
                    .metadata
                    .resource_version
                    .clone(),
            })
    }
}

/// One pass.
pub async fn reconcile(watched: Arc<WatchedRollout>, ctx: Arc<Context>) -> Result<Action, Error> {
    let now = clock::now();
    let meta = &watched.rollout.metadata;
    let uid = observed::uid(meta);
    if !ctx.is_settled(meta, now) {
        ctx.metrics.passed(metrics::Kind::Rollout, Ended::Early);
        // The event that shows the write asks for the next pass; this is for a watch that lags.
        return Ok(Action::requeue(Duration::from_secs(1)));
    }
    let mut refusal = ctx.refusal(uid, now);
    let workload = match ctx.stores.workloads.of(&ctx.client, &watched.rollout).await? {
        Lookup::Done(workload) => workload,
        // The watch says when it is filled; this is for one that the API server refuses.
        Lookup::NotYet => return Ok(Action::requeue(Duration::from_secs(1))),
    };
    let mut action = None;
    let mut met = None;
    // A refusal by the API server is an observation: planned with at once, so that the pass ends with the condition. So is
    // a ReplicaSet that was met under the name of the new one.
    for _ in 0..2 {
        let observed = observe(
            &ctx.stores,
            &ctx.identities,
            &watched,
            refusal.take(),
            met.take(),
            workload.clone(),
        );
        let mut plan = engine::plan(&observed, now);
        if let Some(refusal) = &observed.refusal {
            let again = now.checked_add(lasts(refusal.kind)).unwrap_or(now);
            plan.wake = Some(plan.wake.map_or(again, |wake| wake.min(again)));
        }
        match carry_out(&ctx, &observed, plan, now).await? {
            Outcome::Done(next) => {
                action = Some(next);
                break;
            }
            Outcome::Refused(kind, message) => {
                let new = Refusal {
                    kind,
                    pod_hash: observed.identity.pod_hash.clone(),
                    message,
                };
                ctx.refusals.lock().insert(uid.to_owned(), (new.clone(), now));
                refusal = Some(new);
            }
            Outcome::Taken(by) => met = Some(by),
        }
    }
    ctx.metrics.passed(metrics::Kind::Rollout, Ended::Done);
    ctx.backoff.succeeded(uid);
    Ok(action.unwrap_or_else(|| Action::requeue(ctx.resync)))
}

enum Outcome {
    Done(Action),
    Refused(RefusalKind, String),
    Taken(Arc<ReplicaSet>),
}

async fn carry_out(ctx: &Context, observed: &Observed, plan: Plan, now: Timestamp) -> Result<Outcome, Error> {
    let rollout: &Rollout = &observed.rollout;
    let about = reference(rollout);
    let applier = Applier {
        client: &ctx.client,
        rollout,
        written: &ctx.written,
        events: &ctx.events,
        about: &about,
        now,
    };
    let Plan {
        intents,
        status,
        notices,
        wake,
    } = plan;
    let mut version = rollout.metadata.resource_version.clone();
    for intent in &intents {
        match applier.apply(intent, version.as_deref()).await? {
            Done::Yes(new) => version = new.or(version),
            Done::Refused(kind, message) => return Ok(Outcome::Refused(kind, message)),
            Done::Taken(by) => return Ok(Outcome::Taken(by)),
        }
    }
    // The store does not show yet what this pass has written.
    let revision = intents.iter().find_map(|intent| match intent {
        Intent::PatchRollout { revision, .. } => *revision,
        _ => None,
    });
    let revision = revision.unwrap_or_else(|| observed::revision(&rollout.metadata));
    let wait = commit(ctx, rollout, revision, &status, version.as_deref(), now).await?;
    ctx.events.publish(&about, notices);
    let wake = [wake, wait].into_iter().flatten().min();
    let after = wake.map_or(ctx.resync, |at| {
        let left = at.duration_since(now);
        Duration::try_from(left)
            .unwrap_or(Duration::ZERO)
            .clamp(Duration::from_millis(10), ctx.resync)
    });
    Ok(Outcome::Done(Action::requeue(after)))
}

/// Writes the difference between the committed and the wanted status, guarded by the version it was decided on. A
/// difference in mere counters waits a little, to be written together with something that matters; then the moment at
/// which it has waited enough is given back.
async fn commit(
    ctx: &Context,
    rollout: &Rollout,
    revision: i64,
    status: &RolloutStatus,
    version: Option<&str>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let uid = observed::uid(&rollout.metadata);
    let committed = rollout.status.as_ref();
    let wanted = kept(ctx, committed, status, now)?;
    // Most passes change nothing that is to be written now, and a comparison costs less than two values.
    if committed == Some(&*wanted) {
        ctx.waiting.lock().remove(uid);
        return Ok(None);
    }
    if committed.is_some_and(|committed| !significance::matters(committed, &wanted)) {
        let since = *ctx.waiting.lock().entry(uid.to_owned()).or_insert(now);
        let until = since.checked_add(PATIENCE).unwrap_or(now);
        if now < until {
            return Ok(Some(until));
        }
    }
    let before = value_of(committed)?;
    let after = value_of(Some(&wanted))?;
    let Some(change) = merge_patch::diff(&before, &after) else {
        ctx.waiting.lock().remove(uid);
        return Ok(None);
    };
    let name = observed::name(&rollout.metadata);
    let namespace = rollout.metadata.namespace.as_deref();
    let patch = json!({"metadata": {"resourceVersion": version}, "status": change});
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let request = Request::new(Rollout::url_path(&(), namespace))
        .patch_subresource("status", name, &params, &Patch::Merge(&patch))
        .map_err(kube::Error::BuildRequest);
    let written = call(
        "patch",
        "Rollout status",
        name,
        version_after(&ctx.client, request),
    )
    .await?;
    ctx.waiting.lock().remove(uid);
    if written.as_deref() == version {
        ctx.dropped.note(&patch["status"], now);
    }
    ctx.written
        .note(uid, Kind::Root, name, written.as_deref(), false, now);
    ctx.metrics.phase_is(uid, status.phase.as_deref());
    let known = rollout
        .status
        .as_ref()
        .and_then(|status| status.duration.as_ref());
    if let Some(ended) = timing::ended(known, status.duration.as_ref()) {
        ctx.metrics.ended(ended);
    }
    log_transition(rollout, revision, &before, &after);
    Ok(None)
}

/// The status with what the API server would not keep left as it is.
fn kept<'a>(
    ctx: &Context,
    committed: Option<&RolloutStatus>,
    status: &'a RolloutStatus,
    now: Timestamp,
) -> Result<Cow<'a, RolloutStatus>, Error> {
    if ctx.dropped.is_empty() {
        return Ok(Cow::Borrowed(status));
    }
    let mut after = value_of(Some(status))?;
    ctx.dropped.leave_out(&value_of(committed)?, &mut after, now);
    Ok(Cow::Owned(serde_json::from_value(after)?))
}

fn value_of(status: Option<&RolloutStatus>) -> Result<Value, Error> {
    Ok(match status {
        Some(status) => serde_json::to_value(status)?,
        None => json!({}),
    })
}

/// One line for each transition of the phase or the step; nothing for mere counts.
fn log_transition(rollout: &Rollout, revision: i64, before: &Value, after: &Value) {
    let keys = ["phase", "currentStepIndex", "stableRS", "currentPodHash", "abort"];
    if keys.iter().all(|key| before.get(key) == after.get(key)) {
        return;
    }
    let text = |key: &str| {
        after
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let message = Some(text("message")).filter(|message| !message.is_empty());
    tracing::info!(
        namespace = rollout.metadata.namespace.as_deref().unwrap_or_default(),
        name = observed::name(&rollout.metadata),
        revision,
        step = after.get("currentStepIndex").and_then(serde_json::Value::as_i64),
        phase = text("phase"),
        "{}",
        message.as_deref().unwrap_or("all is done"),
    );
}

/// The Rollout as the subject of events.
pub fn reference(rollout: &Rollout) -> ObjectReference {
    rollout.object_ref(&())
}

/// What to do after a pass that failed.
pub fn failed(watched: &WatchedRollout, error: &Error, ctx: &Context) -> Action {
    let meta = &watched.rollout.metadata;
    let class = error.class();
    let (wait, count) = ctx.backoff.failed(observed::uid(meta), class);
    let (namespace, name) = (
        meta.namespace.as_deref().unwrap_or_default(),
        observed::name(meta),
    );
    let sentence = error.sentence();
    match class {
        Class::Conflict => {
            tracing::debug!(namespace, name, error = %sentence, "the world moved; looking again");
        }
        Class::Transient | Class::Denied | Class::Terminal => {
            tracing::warn!(namespace, name, error = %sentence, count, class = class.as_str(), "the pass failed");
            // A single failure is the network's; the third in a row is the user's business.
            if (class == Class::Transient && count == 3) || (class != Class::Transient && count == 1) {
                let notice = Notice::warning(events::RECONCILIATION_ERROR, sentence);
                ctx.events.publish(&reference(&watched.rollout), [notice]);
            }
        }
    }
    Action::requeue(wait)
}
