//! Replica arithmetic of the basic canary: how many pods each revision should have, and how far one pass may go.
//!
//! Everything here is integers. `i64` inside, so that nothing overflows for any `int32` on the wire.
//!
//! # The two bounds
//! At every instant that the controller can influence (design, promise 4):
//! `total <= replicas + maxSurge` and `available >= replicas - maxUnavailable`.
//! [`scale`] keeps both for any input, see the worked scenarios on it.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The most that a weight can be when no router says otherwise.
pub const FULL_WEIGHT: i64 = 100;

/// maxSurge and maxUnavailable resolved against a number of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fenceposts {
    /// Pods that may exist above `replicas`.
    pub surge: i64,
    /// Pods of `replicas` that may be missing.
    pub unavailable: i64,
}

/// A count or a percentage. A string is always a percentage, with or without its sign (wire contract 1.1, a quirk that
/// existing manifests rest on): `"3"` means 3 %. `None` when the string is no number.
pub fn percent_or_count(value: &IntOrString) -> Option<CountOrPercent> {
    match value {
        IntOrString::Int(n) => Some(CountOrPercent::Count(i64::from(*n))),
        IntOrString::String(text) => {
            let digits = text.strip_suffix('%').unwrap_or(text);
            digits
                .parse::<i32>()
                .ok()
                .map(|p| CountOrPercent::Percent(i64::from(p)))
        }
    }
}

/// What [`percent_or_count`] read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountOrPercent {
    /// So many pods.
    Count(i64),
    /// So many of a hundred.
    Percent(i64),
}

impl CountOrPercent {
    /// The number itself, whatever its unit.
    pub fn number(self) -> i64 {
        match self {
            CountOrPercent::Count(n) | CountOrPercent::Percent(n) => n,
        }
    }

    fn resolve(self, replicas: i64, round_up: bool) -> i64 {
        match self {
            CountOrPercent::Count(n) => n.max(0),
            CountOrPercent::Percent(p) => {
                let scaled = p.max(0) * replicas;
                if round_up {
                    (scaled + 99) / 100
                } else {
                    scaled / 100
                }
            }
        }
    }
}

/// The share of a Deployment's defaults that Rollouts took over.
pub const DEFAULT_MAX: CountOrPercent = CountOrPercent::Percent(25);

/// Resolves the two limits: surge rounds up, unavailable rounds down; both zero means one unavailable, for else nothing
/// could ever move; unavailable never exceeds the replicas.
///
/// | replicas | maxSurge | maxUnavailable | surge | unavailable |
/// |---|---|---|---|---|
/// | 10 | 25 % | 25 % | 3 | 2 |
/// | 1 | 25 % | 25 % | 1 | 0 |
/// | 10 | 0 | 0 | 0 | 1 |
/// | 4 | 2 | 9 | 2 | 4 |
/// | 0 | 25 % | 25 % | 0 | 0 |
pub fn fenceposts(replicas: i64, max_surge: CountOrPercent, max_unavailable: CountOrPercent) -> Fenceposts {
    let surge = max_surge.resolve(replicas, true);
    let mut unavailable = max_unavailable.resolve(replicas, false);
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    Fenceposts {
        surge,
        unavailable: unavailable.min(replicas),
    }
}

/// How many pods each side should have in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Pods of the new revision.
    pub canary: i64,
    /// Pods of the stable revision.
    pub stable: i64,
}

/// The pair of counts whose ratio comes closest to `weight` of `max_weight`.
///
/// Candidates in this order, the first of the closest wins: `ceil` and `floor` of `replicas * weight / max_weight`
/// canaries among `replicas`, then the same among `replicas + 1` when a surge is allowed. An exact half takes the larger
/// canary. A weight strictly between none and all never gives none or all, unless a single pod without surge leaves no
/// other choice.
///
/// | replicas | weight | surge | canary | stable | why |
/// |---|---|---|---|---|---|
/// | 10 | 25 | 0 | 3 | 7 | 2.5 is a tie: the larger canary |
/// | 10 | 10 | 1 | 1 | 9 | exact |
/// | 10 | 5 | 1 | 1 | 10 | 1 of 11 is 9.1 %, closer than 1 of 10 |
/// | 10 | 5 | 0 | 1 | 9 | none is forbidden |
/// | 1 | 5 | 1 | 1 | 1 | 1 of 2 is all that can be had |
/// | 1 | 5 | 0 | 0 | 1 | one pod: the nearer side |
/// | 2 | 75 | 0 | 1 | 1 | 1.5 is a tie, but all is forbidden |
pub fn approximate(replicas: i64, weight: i64, max_weight: i64, surge: i64) -> Pair {
    if replicas <= 0 {
        return Pair { canary: 0, stable: 0 };
    }
    let extremes_allowed = weight <= 0 || weight >= max_weight || (replicas == 1 && surge == 0);
    let product = replicas * weight.clamp(0, max_weight);
    let ceil = (product + max_weight - 1) / max_weight;
    let floor = product / max_weight;
    let totals: &[i64] = if surge > 0 {
        &[replicas, replicas + 1]
    } else {
        &[replicas]
    };
    let mut best: Option<(i64, i64)> = None;
    for &total in totals {
        let tied = (2 * total * weight).rem_euclid(2 * max_weight) == max_weight;
        for (canary, allowed) in [(ceil, true), (floor, !tied)] {
            if !allowed || (!extremes_allowed && (canary == 0 || canary == total)) {
                continue;
            }
            // |canary/total - weight/max| compared without fractions: multiply by both totals.
            let delta = |c: i64, t: i64| (c * max_weight - weight * t).abs();
            if best.is_none_or(|(c, t)| delta(canary, total) * t < delta(c, t) * total) {
                best = Some((canary, total));
            }
        }
    }
    // Nothing was allowed only where the tie skipped the floor and the ceiling is everything: take the floor.
    let (canary, total) = best.unwrap_or((floor.max(1).min(replicas), replicas));
    Pair {
        canary,
        stable: total - canary,
    }
}

/// One ReplicaSet as the arithmetic sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `spec.replicas`.
    pub spec: i64,
    /// `status.replicas`: pods that exist and are not terminating.
    pub created: i64,
    /// `status.availableReplicas`.
    pub available: i64,
    /// Whether the ReplicaSet's controller has answered the last change of the spec.
    pub observed: bool,
}

impl Counts {
    /// Available pods that will still be there when the pending scale-down is through.
    pub(crate) fn countable(self) -> i64 {
        self.available.min(self.spec)
    }

    /// Pods that exist or are about to: what a surge limit must count, because a pod that was asked to go may still run.
    fn occupying(self) -> i64 {
        self.spec.max(self.created)
    }

    /// A scale-down of this ReplicaSet has been asked for and is not through. Scaling it up now would make the counts
    /// lie: pods that go are still counted as available.
    fn shrinking(self) -> bool {
        self.created > self.spec || !self.observed
    }
}

/// The world of one basic canary.
#[derive(Clone, Debug)]
pub struct Arms {
    /// `spec.replicas` of the Rollout.
    pub replicas: i64,
    /// Its limits.
    pub limits: Fenceposts,
    /// Where it should end.
    pub want: Pair,
    /// The new revision.
    pub canary: Counts,
    /// The stable revision; all zero where there is none or where it is the new one.
    pub stable: Counts,
    /// Every other ReplicaSet, highest revision first.
    pub older: Vec<Counts>,
}

/// The `spec.replicas` that this pass asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scaled {
    /// For the new revision.
    pub canary: i64,
    /// For the stable revision.
    pub stable: i64,
    /// For the others, in the order given.
    pub older: Vec<i64>,
}

/// One pass: as far towards [`Arms::want`] as the two bounds allow.
///
/// 1. **Up**: the budget is `replicas + surge - pods that exist`; stable first, then the new revision.
/// 2. **Older down**: unhealthy pods first and freely, then available ones down to `replicas - unavailable`.
///    While older ReplicaSets have pods, the two arms are not shrunk.
/// 3. **Down**: the arm that gives way (stable while the canary grows, the canary while it shrinks) counts with all of
///    its pods, ready or not: a crashing revision must never block the one that replaces it. ReplicaSets delete pods that
///    are not ready first, so that taking `k` away costs at most `k - (pods - available)` available ones and
///    `available` never falls below `min(available, replicas - unavailable)`. The other arm, where it is too large,
///    counts with its available pods only.
///
/// Worked: 10 replicas, surge 1, unavailable 1, stable 10 of 10 available, want 1 and 9. Budget 11 - 10 = 1: canary 1.
/// Room 0 + 10 - 9 = 1: stable 9. Both at once; total 10..11, available 9 or more.
///
/// Worked: 5 replicas, surge 1, unavailable 0, want 5 and 0, canary 3 of 3, stable 2 of 2. Budget 1: canary 4. Room
/// 3 + 2 - 5 = 0: stable stays until the fourth canary is available.
///
/// Worked: as before, but the stable pods crash (0 of 2 available): room 3 + 2 - 5 = 0 now, 4 + 2 - 5 = 1 when the fourth
/// canary is there: nothing is blocked.
///
/// 4. **Relief**: where all this moves nothing, although an arm still wants pods and the surge is used up, unready pods of
///    an arm that has too many make room, as many as one surge step. They are no capacity, so that no bound suffers.
///    Stable gives nothing while canary pods are still starting: its own may be ready again in a moment, and a canary
///    that is available gets its room by rule 3.
///    Worked: 10 replicas, surge 1, unavailable 0, aborting with canary 6 (none available) and stable 5 (3 available):
///    budget 0, room 3 + 6 - 10 < 0; one canary goes, and the next pass has a budget of 1 for stable.
pub fn scale(arms: &Arms) -> Scaled {
    let Arms {
        replicas,
        limits,
        want,
        canary,
        stable,
        older,
    } = arms;
    let current = Scaled {
        canary: canary.spec,
        stable: stable.spec,
        older: older.iter().map(|c| c.spec).collect(),
    };
    let mut out = current.clone();

    let occupied: i64 =
        canary.occupying() + stable.occupying() + older.iter().map(|c| c.occupying()).sum::<i64>();
    let observed = canary.observed && stable.observed && older.iter().all(|c| c.observed);
    // A ReplicaSet whose last scaling is not answered may have more pods than both its spec and its status say: it was
    // asked for more, began, and was asked for less again.
    let mut budget = if observed {
        (replicas + limits.surge - occupied).max(0)
    } else {
        0
    };
    for (counts, want, target) in [
        (stable, want.stable, &mut out.stable),
        (canary, want.canary, &mut out.canary),
    ] {
        if want > counts.spec && !counts.shrinking() {
            let up = budget.min(want - counts.spec);
            *target += up;
            budget -= up;
        }
    }
    // A status that has not answered the last scaling may count pods that are going: wait for it before taking more.
    if !observed {
        return out;
    }

    let min_available = replicas - limits.unavailable;
    if older.iter().any(|c| c.spec > 0) {
        shrink_older(arms, min_available, &mut out);
    } else {
        shrink_arms(arms, min_available, &mut out);
    }
    let starved = want.canary > canary.spec || want.stable > stable.spec;
    if out == current && starved && budget == 0 {
        relieve(arms, &mut out);
    }
    out
}

fn shrink_older(arms: &Arms, min_available: i64, out: &mut Scaled) {
    let available = arms.canary.countable()
        + arms.stable.countable()
        + arms.older.iter().map(|c| c.countable()).sum::<i64>();
    let mut spare = (available - min_available).max(0);
    for (counts, target) in arms.older.iter().zip(&mut out.older) {
        let healthy = counts.countable();
        let down = healthy.min(spare);
        spare -= down;
        *target = healthy - down;
    }
}

fn shrink_arms(arms: &Arms, min_available: i64, out: &mut Scaled) {
    let Arms {
        want, canary, stable, ..
    } = arms;
    let growing = want.canary >= canary.spec;
    let (yielding, kept) = if growing {
        (stable, canary)
    } else {
        (canary, stable)
    };
    let (want_yielding, want_kept) = if growing {
        (want.stable, want.canary)
    } else {
        (want.canary, want.stable)
    };
    let room = kept.countable() + yielding.spec - min_available;
    let yielded = room.clamp(0, (yielding.spec - want_yielding).max(0));
    // What the yielding arm still has available once its unready pods went first.
    let rest = yielding.countable().min(yielding.spec - yielded);
    let given = if kept.spec > want_kept {
        let unready = kept.spec - kept.countable();
        let spare = (kept.countable() + rest - min_available).max(0);
        (unready + spare).min(kept.spec - want_kept)
    } else {
        0
    };
    let (less_stable, less_canary) = if growing {
        (yielded, given)
    } else {
        (given, yielded)
    };
    out.stable -= less_stable;
    out.canary -= less_canary;
}

fn relieve(arms: &Arms, out: &mut Scaled) {
    let step = (arms.limits.surge + arms.limits.unavailable).max(1);
    let relief = |counts: Counts, want: i64| {
        (counts.spec - counts.countable())
            .min(counts.spec - want)
            .clamp(0, step)
    };
    out.canary -= relief(arms.canary, arms.want.canary);
    if arms.canary.countable() == arms.canary.spec {
        out.stable -= relief(arms.stable, arms.want.stable);
    }
}

#[cfg(test)]
mod tests;
