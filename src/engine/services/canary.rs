//! The Services of a canary without a router: whom each selects, and which pods must stay until it has moved.
//!
//! `stableService` leads to the stable revision, `canaryService` to the new one. Each is to lead to pods that answer, at every
//! moment. So where the pods of one side all go, the Service that selects them moves first, to the side that takes over, as
//! soon as that one can carry it; and the last pods go when the EndpointSlices show that it has moved (ADR 9).
//!
//! | moment | stableService | canaryService |
//! |---|---|---|
//! | first deployment | by its own labels | new, when all of its pods are available |
//! | weight 0 before the first canary pod | stable | where it is |
//! | weight 20, one canary pod available | stable | new |
//! | weight 100, the pods of stable are to go | new, when it has `replicas - maxUnavailable` | new |
//! | abort at weight 100 | stable, when it has as many pods as the new one has left | the same |
//! | another template in the middle, whose first pod is not there yet | stable | stable, for the pods between go |

use super::{leads_to, manager, point as point_service, selected_hash};
use crate::api::replica_set::ReplicaSet;
use crate::engine::canary::wanted_pair;
use crate::engine::context::{Context, counts, hash_of, same, spec_replicas};
use crate::engine::draft::Draft;

/// Which of the two Services.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Stable,
    Canary,
}

/// One Service as a pass finds it.
struct Found<'a> {
    role: Role,
    name: &'a str,
    /// The hash that it selects.
    hash: Option<&'a str>,
    is_managed: bool,
    /// The ReplicaSet that it selects, while there is one.
    from: Option<&'a ReplicaSet>,
    /// The one that it should select.
    to: Option<&'a ReplicaSet>,
}

/// Points both Services where they should lead, as far as that side can carry it.
pub(crate) fn point(ctx: &Context, draft: &mut Draft) {
    for found in services(ctx) {
        if found.to.is_some_and(|to| found.may_move(ctx, to)) {
            point_service(ctx, found.name, found.to, draft);
        }
    }
}

/// How many pods of a ReplicaSet that should go to nothing stay for now: all that a Service needs; and one, where the side
/// that takes over waits for the room of the others. Where that one is all there is, it goes: with one replica and no surge
/// there is no way without a gap, and the limits allow it.
///
/// Worked: 5 replicas, no surge, 3 may be missing, an abort with 3 canary pods and 2 stable ones. Stable cannot carry what
/// `canaryService` leads to, and gets no fourth pod before canary pods go: 2 of them go, and the last one when the Service
/// has moved to the 4 that are there then.
pub(crate) fn kept(ctx: &Context, rs: &ReplicaSet) -> i64 {
    let size = spec_replicas(rs);
    let last = i64::from(size > 1 && counts(Some(rs)).countable() > 0);
    let needed = services(ctx).map(|found| {
        if found.hash == Some(hash_of(rs)) {
            match found.to.filter(|to| !same(Some(to), Some(rs))) {
                Some(to) if found.may_move(ctx, to) || !is_starved(ctx) => size,
                Some(_) => last,
                None => 0,
            }
        } else if found.hash.is_some() && leads_to(ctx, found.name, rs) {
            size
        } else {
            0
        }
    });
    needed.max().unwrap_or(0)
}

/// A Service that keeps pods from going: it leads to them, although they should go.
pub(crate) fn still_leading<'a>(ctx: &Context<'a>) -> Option<&'a str> {
    let want = wanted_pair(ctx);
    let new_goes = want.canary == 0 && !same(ctx.new, ctx.stable);
    let going = |rs: &&ReplicaSet| {
        if same(Some(rs), ctx.new) {
            new_goes
        } else {
            !same(Some(rs), ctx.stable) || want.stable == 0
        }
    };
    let mut led_to = services(ctx).filter(|found| {
        let mut all = ctx.all().filter(going).filter(|rs| spec_replicas(rs) > 0);
        all.any(|rs| found.hash == Some(hash_of(rs)) || leads_to(ctx, found.name, rs))
    });
    led_to.next().map(|found| found.name)
}

fn services<'a>(ctx: &Context<'a>) -> impl Iterator<Item = Found<'a>> {
    let both = [
        (Role::Stable, ctx.canary.stable_service.as_deref()),
        (Role::Canary, ctx.canary.canary_service.as_deref()),
    ];
    both.into_iter().filter_map(|(role, name)| {
        let name = name?;
        let service = ctx.observed.services.get(name)?;
        let hash = selected_hash(service);
        let from = ctx.all().find(|rs| Some(hash_of(rs)) == hash);
        Some(Found {
            role,
            name,
            hash,
            is_managed: manager(service).is_some(),
            from,
            to: target(ctx, role, from),
        })
    })
}

/// Whom a Service should select, which selects `from` now.
fn target<'a>(ctx: &Context<'a>, role: Role, from: Option<&'a ReplicaSet>) -> Option<&'a ReplicaSet> {
    if ctx.stable.is_none() || same(ctx.new, ctx.stable) {
        return match role {
            Role::Stable => ctx.stable,
            Role::Canary => ctx.new,
        };
    }
    let want = wanted_pair(ctx);
    match role {
        Role::Stable if want.stable == 0 && want.canary > 0 => ctx.new,
        Role::Canary if !ctx.goes_back() => {
            let stays = want.canary > 0 && (counts(ctx.new).countable() > 0 || same(from, ctx.stable));
            if stays { ctx.new } else { ctx.stable }
        }
        Role::Stable | Role::Canary => ctx.stable,
    }
}

impl Found<'_> {
    /// Whether the side that it should select can carry what it leads to.
    fn may_move(&self, ctx: &Context, to: &ReplicaSet) -> bool {
        let has = counts(Some(to)).countable();
        if self.hash == Some(hash_of(to)) {
            return true;
        }
        let enough = match self.from {
            // By its own labels it leads to every pod.
            _ if !self.is_managed => counts(Some(to)).spec.max(1),
            // All pods of the other side are to go: those of stable when what must be there is there; those of a version
            // between as soon as there are as many of the new one.
            Some(from) if self.role == Role::Stable && !same(Some(to), ctx.stable) => {
                let least = ctx.replicas - ctx.limits.unavailable;
                if same(Some(from), ctx.stable) {
                    least
                } else {
                    least.min(counts(Some(from)).countable())
                }
            }
            // Back: as many as the other side has left, for a version that was given up is not better for being larger.
            Some(from) if same(Some(to), ctx.stable) => counts(Some(from)).countable(),
            Some(_) | None => 1,
        };
        // Where no pods are asked for, none can be waited for.
        ctx.replicas == 0 || has >= enough.max(1)
    }
}

/// Whether a side has fewer pods than it should have, for want of room.
fn is_starved(ctx: &Context) -> bool {
    let want = wanted_pair(ctx);
    let lacks = |rs: Option<&ReplicaSet>, want: i64| counts(rs).spec < want;
    let is_one = same(ctx.new, ctx.stable);
    lacks(ctx.new, want.canary) || (!is_one && lacks(ctx.stable, want.stable))
}

#[cfg(test)]
mod tests;
