//! Checking what the spec refers to: the templates exist, can be merged and valued, and can be measured and judged.

use super::analysis::{is_finite, prepare_run};
use super::context::Context;
use super::runs;
use super::validate::Invalid;
use crate::api::rollout::RolloutAnalysis;

/// Checks every analysis. The first error wins.
pub(crate) fn check(ctx: &Context) -> Result<(), Invalid> {
    if let Some(blue_green) = ctx.blue_green {
        for (field, inline) in [
            ("prePromotionAnalysis", &blue_green.pre_promotion_analysis),
            ("postPromotionAnalysis", &blue_green.post_promotion_analysis),
        ] {
            if let Some(inline) = inline {
                analysis(ctx, &format!("spec.strategy.blueGreen.{field}"), inline, true)?;
            }
        }
    }
    let at = "spec.strategy.canary";
    if let Some(background) = &ctx.canary.analysis {
        analysis(ctx, &format!("{at}.analysis"), &background.analysis, false)?;
    }
    for (i, step) in ctx.steps().iter().enumerate() {
        if let Some(inline) = &step.analysis {
            analysis(ctx, &format!("{at}.steps[{i}].analysis"), inline, true)?;
        }
    }
    Ok(())
}

/// `blocking`: the rollout waits for the end of the run, which therefore must come.
fn analysis(ctx: &Context, at: &str, analysis: &RolloutAnalysis, blocking: bool) -> Result<(), Invalid> {
    if analysis.templates.is_empty() {
        return Ok(());
    }
    let invalid = |e: String| format!("{at}.templates: Invalid value: {e}");
    let spec = runs::build_spec(ctx, analysis).map_err(invalid)?;
    let checks = ctx.observed.abilities.checks();
    let rules = prepare_run(&spec, &checks).map_err(|e| invalid(e.to_string()))?;
    if blocking && !is_finite(&rules) {
        let endless = rules
            .iter()
            .find(|r| r.count.is_none())
            .map_or("", |r| r.name.as_str());
        return Err(invalid(format!(
            "metric \"{endless}\" has an interval but no count, and would never end; this waits for its end: set count"
        )));
    }
    Ok(())
}
