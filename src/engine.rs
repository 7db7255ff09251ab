//! What to do, decided purely: [`plan`]`(&Observed, now) -> Plan`. No client, no clock, no async, no log.
//!
//! # The rules of this room
//! - [`plan`] is total: a bad spec is a condition and no intent. The same input gives the same plan, and once a plan is
//!   carried out the next one has nothing to do.
//! - *Decide, store, act.* Intents follow only from the committed status, the spec and the children. A transition is
//!   committed by the status write first and acted on by the next pass; a crash only ever repeats the same intents.
//! - [`Plan::wake`] is the earliest of all deadlines, computed anew in every pass.
//!
//! Absent here: floating point, a clock, randomness, memory between passes.

pub mod analysis;
mod anti_affinity;
mod blue_green;
mod canary;
mod context;
mod draft;
pub mod duration;
mod environments;
mod ephemeral;
mod fail_fast;
mod fields;
mod history;
pub mod identity;
pub mod observed;
mod pauses;
mod phase;
pub mod plan;
pub mod pods;
mod references;
pub mod replicas;
pub mod restart;
mod revision;
mod runs;
pub mod selector;
pub mod services;
mod status;
mod steps;
pub mod timing;
mod validate;
mod waiting;
pub mod workload;

use jiff::Timestamp;

pub use observed::{Abilities, Identity, Observed, Refusal, RefusalKind};
pub use plan::{Intent, Notice, Plan};

use context::Context;
use draft::Draft;
use revision::Settled;

/// What to do about this Rollout now.
pub fn plan(observed: &Observed, now: Timestamp) -> Plan {
    let rollout = &observed.rollout;
    let mut draft = Draft::new(context::committed(rollout).clone(), now);
    // What a deleted Rollout owned goes with it, by owner references.
    if rollout.metadata.deletion_timestamp.is_none()
        && let Err(error) = decide(observed, &mut draft)
    {
        draft = Draft::new(context::committed(rollout).clone(), now);
        let generation = rollout.metadata.generation.unwrap_or(0);
        status::invalid(&mut draft, observed::name(&rollout.metadata), generation, &error);
    }
    draft.finish()
}

/// The pass; an error is the sentence of InvalidSpec, and voids everything that was drafted before it.
fn decide(observed: &Observed, draft: &mut Draft) -> Result<(), validate::Invalid> {
    if let Some(malformed) = &observed.malformed {
        return Err(malformed.clone());
    }
    match workload::resolve(observed)? {
        Some(resolved) => decide_on(&resolved, draft).map_err(|error| workload::blame(&resolved, error)),
        None => decide_on(observed, draft),
    }
}

fn decide_on(observed: &Observed, draft: &mut Draft) -> Result<(), validate::Invalid> {
    let spec = &observed.rollout.spec;
    let strategy = validate::spec(spec)?;
    let ctx = Context::new(observed, strategy);
    services::check(observed)?;
    references::check(&ctx)?;
    if claim(&ctx, draft) {
        return Ok(());
    }
    match revision::settle(&ctx, draft) {
        Settled::Refused(message) => return Err(message),
        Settled::Taken => return Ok(()),
        Settled::Changed => {}
        Settled::Yes => {
            match ctx.blue_green {
                Some(blue_green) => blue_green::reconcile(&ctx, blue_green, draft),
                None => canary::reconcile(&ctx, draft),
            }
            workload::scale_down(&ctx, draft);
            history::trim(&ctx, draft);
        }
    }
    status::finish(&ctx, draft);
    Ok(())
}

/// Takes over ReplicaSets that nobody owns and the selector matches: those that a deletion with `--cascade=orphan` left,
/// or another controller. Releases those of ours that it matches no more, as a Deployment does (wire contract 2.2): their
/// pods stay, and are nobody's. Which is which is told in the pass after.
fn claim(ctx: &Context, draft: &mut Draft) -> bool {
    let Some(own) = ctx.selector else { return false };
    let me = observed::uid(&ctx.rollout.metadata);
    for rs in &ctx.observed.replica_sets {
        let meta = &rs.metadata;
        if meta.deletion_timestamp.is_some() || observed::pod_hash(meta).is_empty() {
            continue;
        }
        let matches = meta
            .labels
            .as_ref()
            .is_some_and(|labels| selector::matches(own, labels));
        let (name, uid) = (observed::name(meta).to_owned(), observed::uid(meta).to_owned());
        match observed::controller_uid(meta) {
            None if matches => draft.intents.push(Intent::AdoptReplicaSet { name, uid }),
            Some(owner) if owner == me && !matches => {
                draft.intents.push(Intent::ReleaseReplicaSet { name, uid });
            }
            None | Some(_) => {}
        }
    }
    !draft.intents.is_empty()
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
