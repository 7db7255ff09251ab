//! Checking the strategy blueGreen.

use super::{Invalid, analysis, fail_fast, injected};
use crate::api::rollout::{BlueGreenStrategy, RolloutSpec};
use crate::engine::history;
use crate::engine::replicas::percent_or_count;

/// Whether it can be carried out.
pub(super) fn strategy(spec: &RolloutSpec, blue_green: &BlueGreenStrategy) -> Result<(), Invalid> {
    let at = "spec.strategy.blueGreen";
    let active = &blue_green.active_service;
    if active.is_empty() {
        return Err(format!(
            "{at}.activeService: Required value: the Service that receives production traffic"
        ));
    }
    if blue_green.preview_service.as_ref() == Some(active) {
        return Err(format!(
            "{at}.previewService: Invalid value: \"{active}\": must not be the activeService too"
        ));
    }
    for (field, value) in [
        ("previewReplicaCount", blue_green.preview_replica_count),
        ("autoPromotionSeconds", blue_green.auto_promotion_seconds),
        ("scaleDownDelaySeconds", blue_green.scale_down_delay_seconds),
        (
            "scaleDownDelayRevisionLimit",
            blue_green.scale_down_delay_revision_limit,
        ),
        (
            "abortScaleDownDelaySeconds",
            blue_green.abort_scale_down_delay_seconds,
        ),
    ] {
        if let Some(value) = value.filter(|v| *v < 0) {
            return Err(format!(
                "{at}.{field}: Invalid value: {value}: must be greater than or equal to 0"
            ));
        }
    }
    let kept = spec.revision_history_limit.unwrap_or(history::REVISIONS);
    if let Some(limit) = blue_green
        .scale_down_delay_revision_limit
        .filter(|limit| *limit > kept)
    {
        return Err(format!(
            "{at}.scaleDownDelayRevisionLimit: Invalid value: {limit}: must not be greater than revisionHistoryLimit \
             ({kept})"
        ));
    }
    if let Some(value) = &blue_green.max_unavailable
        && percent_or_count(value).is_none_or(|v| v.number() < 0)
    {
        return Err(format!(
            "{at}.maxUnavailable: Invalid value: {}: must be a whole number, or a percentage such as \"25%\"",
            serde_json::to_string(value).unwrap_or_default()
        ));
    }
    for (field, inline) in [
        ("prePromotionAnalysis", &blue_green.pre_promotion_analysis),
        ("postPromotionAnalysis", &blue_green.post_promotion_analysis),
    ] {
        if let Some(inline) = inline {
            analysis(&format!("{at}.{field}"), inline)?;
        }
    }
    fail_fast(&format!("{at}.failFast"), blue_green.fail_fast.as_ref())?;
    for (field, metadata) in [
        ("activeMetadata", &blue_green.active_metadata),
        ("previewMetadata", &blue_green.preview_metadata),
    ] {
        injected::metadata(&format!("{at}.{field}"), spec, metadata.as_ref())?;
    }
    injected::anti_affinity(&format!("{at}.antiAffinity"), blue_green.anti_affinity.as_ref())
}
