//! Where every action ends, phase by phase. Sizes are those of the revisions in their order: an undo gives the first one the
//! highest number.

use super::{Abort, Case, Pause, Promote, PromoteFull, Restart, Resume, Retry, Scale, SetImage, Undo, case};

const HEALTHY: (&str, &str) = ("Healthy", "");
const COMING_UP: (&str, &str) = ("Progressing", "updated replicas are still becoming available");
const IN_STEP: (&str, &str) = ("Progressing", "more replicas need to be updated");
const STEP_PAUSE: (&str, &str) = ("Paused", "CanaryPauseStep");
const HELD_BY_USER: (&str, &str) = ("Paused", "manually paused");
const GIVEN_UP: (&str, &str) = ("Degraded", "RolloutAborted: Rollout aborted update to revision ");
const TOO_LATE: (&str, &str) = ("Degraded", "ProgressDeadlineExceeded: ReplicaSet ");
const RESTARTING: (&str, &str) = ("Progressing", "rollout is restarting: ");

// What is told, event by event.
const UPDATED: &str = "RolloutUpdated";
const CREATED: &str = "NewReplicaSetCreated";
const BEGUN: &str = "RolloutNotCompleted";
pub(super) const SCALED: &str = "ScalingReplicaSet";
pub(super) const STEP: &str = "RolloutStepCompleted";
pub(super) const STOPPED: &str = "RolloutPaused";
const RESUMED: &str = "RolloutResumed";
pub(super) const ABORT: &str = "RolloutAborted";
const SKIPPED: &str = "SkipSteps";
pub(super) const DONE: &str = "RolloutCompleted";

/// In the first step; the pod of `v2` never becomes available.
pub(super) const WAITING: [Case; 10] = [
    case(Promote, STEP_PAUSE, 1, &[2, 1], &[STOPPED]),
    case(PromoteFull, IN_STEP, 2, &[2, 1], &[]),
    case(Abort, GIVEN_UP, 0, &[2, 0], &[SCALED, ABORT]),
    case(Retry, IN_STEP, 0, &[2, 1], &[]),
    case(Pause, HELD_BY_USER, 0, &[2, 1], &[STOPPED]),
    case(Resume, IN_STEP, 0, &[2, 1], &[]),
    case(Undo, HEALTHY, 2, &[0, 2], &[UPDATED, SKIPPED, SCALED]),
    case(
        SetImage,
        STEP_PAUSE,
        1,
        &[1, 0, 1],
        &[UPDATED, CREATED, SCALED, SCALED, SCALED, STEP, STOPPED],
    ),
    // A budget of one: the pod that is missing already is the one that may be missing.
    case(Restart, RESTARTING, 0, &[2, 1], &[]),
    case(Scale, IN_STEP, 0, &[2, 2], &[SCALED]),
];

/// In the pause of the second step.
pub(super) const PAUSED: [Case; 10] = [
    case(
        Promote,
        HEALTHY,
        2,
        &[0, 2],
        &[STEP, RESUMED, SCALED, SCALED, DONE],
    ),
    case(PromoteFull, HEALTHY, 2, &[0, 2], &[SCALED, RESUMED, SCALED, DONE]),
    case(Abort, GIVEN_UP, 0, &[2, 0], &[SCALED, ABORT, SCALED]),
    case(Retry, STEP_PAUSE, 1, &[1, 1], &[]),
    case(Pause, HELD_BY_USER, 1, &[1, 1], &[]),
    case(Resume, STEP_PAUSE, 1, &[1, 1], &[]),
    case(Undo, HEALTHY, 2, &[0, 2], &[UPDATED, SKIPPED, SCALED, SCALED]),
    case(
        SetImage,
        STEP_PAUSE,
        1,
        &[1, 0, 1],
        &[UPDATED, CREATED, SCALED, SCALED, STEP, STOPPED],
    ),
    case(Restart, STEP_PAUSE, 1, &[1, 1], &[]),
    case(Scale, STEP_PAUSE, 1, &[2, 2], &[SCALED, SCALED]),
];

/// In the second step, an analysis that goes on; the third is a pause.
pub(super) const IN_ANALYSIS: [Case; 10] = [
    case(Promote, STEP_PAUSE, 2, &[1, 1], &[STOPPED]),
    case(PromoteFull, HEALTHY, 3, &[0, 2], &[SCALED, SCALED, DONE]),
    case(Abort, GIVEN_UP, 0, &[2, 0], &[SCALED, ABORT, SCALED]),
    case(Retry, IN_STEP, 1, &[1, 1], &[]),
    case(Pause, HELD_BY_USER, 1, &[1, 1], &[STOPPED]),
    case(Resume, IN_STEP, 1, &[1, 1], &[]),
    case(Undo, HEALTHY, 3, &[0, 2], &[UPDATED, SKIPPED, SCALED, SCALED]),
    case(
        SetImage,
        IN_STEP,
        1,
        &[1, 0, 1],
        &[UPDATED, CREATED, SCALED, SCALED, STEP],
    ),
    case(Restart, IN_STEP, 1, &[1, 1], &[]),
    case(Scale, IN_STEP, 1, &[2, 2], &[SCALED, SCALED]),
];

/// In the pause of the second step, which the user has put his own on top of.
pub(super) const HELD: [Case; 10] = [
    case(
        Promote,
        HEALTHY,
        2,
        &[0, 2],
        &[STEP, RESUMED, SCALED, SCALED, DONE],
    ),
    case(PromoteFull, HEALTHY, 2, &[0, 2], &[SCALED, RESUMED, SCALED, DONE]),
    case(Abort, GIVEN_UP, 0, &[2, 0], &[SCALED, ABORT, SCALED]),
    case(Retry, HELD_BY_USER, 1, &[1, 1], &[]),
    case(Pause, HELD_BY_USER, 1, &[1, 1], &[]),
    case(Resume, STEP_PAUSE, 1, &[1, 1], &[]),
    case(
        Undo,
        HELD_BY_USER,
        2,
        &[0, 2],
        &[UPDATED, SKIPPED, STOPPED, SCALED, SCALED],
    ),
    case(
        SetImage,
        HELD_BY_USER,
        0,
        &[2, 0, 0],
        &[UPDATED, CREATED, STOPPED, SCALED, SCALED],
    ),
    case(Restart, HELD_BY_USER, 1, &[1, 1], &[]),
    case(Scale, HELD_BY_USER, 1, &[3, 1], &[SCALED]),
];

/// Aborted, and back at the first version.
pub(super) const ABORTED: [Case; 10] = [
    case(Promote, GIVEN_UP, 0, &[2, 0], &[]),
    case(
        PromoteFull,
        HEALTHY,
        2,
        &[0, 2],
        &[SCALED, SCALED, SCALED, SCALED, DONE],
    ),
    case(Abort, GIVEN_UP, 0, &[2, 0], &[]),
    case(Retry, STEP_PAUSE, 1, &[1, 1], &[SCALED, SCALED, STEP, STOPPED]),
    case(Pause, GIVEN_UP, 0, &[2, 0], &[]),
    case(Resume, GIVEN_UP, 0, &[2, 0], &[]),
    case(Undo, HEALTHY, 2, &[0, 2], &[UPDATED, SKIPPED]),
    case(
        SetImage,
        STEP_PAUSE,
        1,
        &[1, 0, 1],
        &[UPDATED, CREATED, SCALED, SCALED, STEP, STOPPED],
    ),
    case(Restart, GIVEN_UP, 0, &[2, 0], &[]),
    case(Scale, GIVEN_UP, 0, &[4, 0], &[SCALED]),
];

/// In the first step, whose pod never becomes available, after the deadline of progress.
pub(super) const OVERDUE: [Case; 9] = [
    case(Promote, STEP_PAUSE, 1, &[2, 1], &[STOPPED]),
    case(PromoteFull, TOO_LATE, 2, &[2, 1], &[]),
    case(Abort, GIVEN_UP, 0, &[2, 0], &[SCALED, ABORT]),
    case(Retry, TOO_LATE, 0, &[2, 1], &[]),
    case(Pause, HELD_BY_USER, 0, &[2, 1], &[STOPPED]),
    case(Resume, TOO_LATE, 0, &[2, 1], &[]),
    case(Undo, HEALTHY, 2, &[0, 2], &[UPDATED, SKIPPED, SCALED]),
    case(
        SetImage,
        STEP_PAUSE,
        1,
        &[1, 0, 1],
        &[UPDATED, CREATED, SCALED, SCALED, SCALED, STEP, STOPPED],
    ),
    case(Scale, TOO_LATE, 0, &[2, 2], &[SCALED]),
];

/// All is out.
pub(super) const AT_REST: [Case; 9] = [
    case(Promote, HEALTHY, 2, &[2], &[]),
    case(PromoteFull, HEALTHY, 2, &[2], &[]),
    case(Abort, HEALTHY, 2, &[2], &[]),
    case(Retry, HEALTHY, 2, &[2], &[]),
    case(Pause, HELD_BY_USER, 2, &[2], &[]),
    case(Resume, HEALTHY, 2, &[2], &[]),
    case(
        SetImage,
        STEP_PAUSE,
        1,
        &[1, 1],
        &[UPDATED, CREATED, BEGUN, SCALED, SCALED, STEP, STOPPED],
    ),
    case(Restart, HEALTHY, 2, &[2], &[]),
    case(Scale, HEALTHY, 2, &[4], &[SCALED]),
];

/// Before any version is stable; the pods of the first one never become available.
pub(super) const FIRST: [Case; 8] = [
    case(Promote, COMING_UP, 1, &[2], &[]),
    case(PromoteFull, COMING_UP, 2, &[2], &[]),
    case(Abort, GIVEN_UP, 0, &[2], &[ABORT]),
    case(Retry, COMING_UP, 0, &[2], &[]),
    case(Pause, HELD_BY_USER, 0, &[2], &[STOPPED]),
    case(Resume, COMING_UP, 0, &[2], &[]),
    case(
        SetImage,
        HEALTHY,
        2,
        &[0, 2],
        &[UPDATED, CREATED, SCALED, SCALED, SCALED, DONE],
    ),
    case(Scale, COMING_UP, 0, &[4], &[SCALED]),
];
