//! Refusing what cannot be carried out: one clear sentence with the field's path, before anything moves
//! (wire contract 2.16). The first error wins.

mod blue_green;
mod injected;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::context::Chosen;
use super::duration::pause_duration;
use super::fields;
use super::replicas::{DEFAULT_MAX, percent_or_count};
use super::selector;
use super::status::progress_deadline;
use crate::api::common::PodTemplate;
use crate::api::names::{PodTemplateHashValue, ThresholdType};
use crate::api::rollout::{CanaryStep, CanaryStrategy, FailFast, RolloutAnalysis, RolloutSpec};

/// The sentence, beginning with the path.
pub(crate) type Invalid = String;

/// Checks the spec by itself, and gives the strategy that it describes.
pub(crate) fn spec(spec: &RolloutSpec) -> Result<Chosen<'_>, Invalid> {
    template(spec)?;
    numbers(spec)?;
    let strategy = spec.strategy.as_ref();
    let canary = match strategy.map(|s| (&s.canary, &s.blue_green)) {
        Some((Some(canary), None)) => canary,
        Some((None, Some(blue_green))) => {
            blue_green::strategy(spec, blue_green)?;
            return Ok(Chosen::BlueGreen(blue_green));
        }
        Some((Some(_), Some(_))) => {
            return Err("spec.strategy: Invalid value: canary and blueGreen are both set; exactly one of them is the \
                        strategy"
                .to_owned());
        }
        None | Some((None, None)) => {
            return Err(
                "spec.strategy: Required value: set exactly one of spec.strategy.canary and \
                        spec.strategy.blueGreen"
                    .to_owned(),
            );
        }
    };
    canary_strategy(canary)?;
    let at = "spec.strategy.canary";
    injected::metadata(
        &format!("{at}.canaryMetadata"),
        spec,
        canary.canary_metadata.as_ref(),
    )?;
    injected::metadata(
        &format!("{at}.stableMetadata"),
        spec,
        canary.stable_metadata.as_ref(),
    )?;
    injected::anti_affinity(&format!("{at}.antiAffinity"), canary.anti_affinity.as_ref())?;
    Ok(Chosen::Canary(canary))
}

fn unsupported<T>(path: &str) -> Result<T, Invalid> {
    Err(format!("{path}: is not supported yet"))
}

fn template(spec: &RolloutSpec) -> Result<(), Invalid> {
    let Some(own) = spec.selector.as_ref() else {
        return Err("spec.selector: Required value: it must match the labels of the template".to_owned());
    };
    if selector::is_empty(own) {
        return Err("spec.selector: Invalid value: an empty selector would match every pod".to_owned());
    }
    let known = ["In", "NotIn", "Exists", "DoesNotExist"];
    for (i, need) in own.match_expressions.iter().flatten().enumerate() {
        if !known.contains(&need.operator.as_str()) {
            return Err(format!(
                "spec.selector.matchExpressions[{i}].operator: Unsupported value: \"{}\": supported values: {}",
                need.operator,
                known.join(", ")
            ));
        }
    }
    let Some(template) = spec.template.as_ref().filter(|t| !t.is_empty()) else {
        return Err("spec.template: Required value: it describes the pods".to_owned());
    };
    if !selector::matches(own, &template.labels()) {
        return Err(format!(
            "spec.template.metadata.labels: Invalid value: {}: the selector {} does not match these labels",
            serde_json::to_string(&template.labels()).unwrap_or_default(),
            selector::to_text(own)
        ));
    }
    let PodTemplate(value) = template;
    if value
        .pointer("/spec/containers")
        .and_then(|c| c.as_array())
        .is_none_or(Vec::is_empty)
    {
        return Err("spec.template.spec.containers: Required value: a pod needs a container".to_owned());
    }
    match template.restart_policy() {
        None | Some("Always" | "") => Ok(()),
        Some(other) => Err(format!(
            "spec.template.spec.restartPolicy: Unsupported value: \"{other}\": supported values: Always"
        )),
    }
}

fn numbers(spec: &RolloutSpec) -> Result<(), Invalid> {
    for (path, value) in [
        ("spec.replicas", spec.replicas),
        ("spec.minReadySeconds", spec.min_ready_seconds),
        ("spec.revisionHistoryLimit", spec.revision_history_limit),
        (
            "spec.rollbackWindow.revisions",
            spec.rollback_window.as_ref().and_then(|w| w.revisions),
        ),
        (
            "spec.analysis.successfulRunHistoryLimit",
            spec.analysis
                .as_ref()
                .and_then(|a| a.successful_run_history_limit),
        ),
        (
            "spec.analysis.unsuccessfulRunHistoryLimit",
            spec.analysis
                .as_ref()
                .and_then(|a| a.unsuccessful_run_history_limit),
        ),
    ] {
        if let Some(value) = value.filter(|v| *v < 0) {
            return Err(format!(
                "{path}: Invalid value: {value}: must be greater than or equal to 0"
            ));
        }
    }
    let (deadline, ready) = (progress_deadline(spec), spec.min_ready_seconds.unwrap_or(0));
    if deadline <= ready {
        return Err(format!(
            "spec.progressDeadlineSeconds: Invalid value: {deadline}: must be greater than minReadySeconds ({ready})"
        ));
    }
    Ok(())
}

fn canary_strategy(canary: &CanaryStrategy) -> Result<(), Invalid> {
    let at = "spec.strategy.canary";
    for (field, set) in [
        ("trafficRouting", canary.traffic_routing.is_some()),
        ("pingPong", canary.ping_pong.is_some()),
    ] {
        if set {
            return unsupported(&format!("{at}.{field}"));
        }
    }
    if canary.scale_down_delay_seconds.is_some() {
        return Err(format!(
            "{at}.scaleDownDelaySeconds: Invalid value: needs trafficRouting; without a router old pods \
                            leave as the new ones come"
        ));
    }
    if canary.dynamic_stable_scale == Some(true) {
        return Err(format!(
            "{at}.dynamicStableScale: Invalid value: needs trafficRouting"
        ));
    }
    if let (Some(one), Some(other)) = (&canary.canary_service, &canary.stable_service)
        && one == other
    {
        return Err(format!(
            "{at}.stableService: Invalid value: \"{other}\": must not be the canaryService too"
        ));
    }
    surge(canary)?;
    if let Some(threshold) = &canary.replica_progress_threshold {
        let at = format!("{at}.replicaProgressThreshold");
        let Some(kind) = ThresholdType::parse(&threshold.type_) else {
            return Err(format!(
                "{at}.type: Unsupported value: \"{}\": supported values: Percent, Pods",
                threshold.type_
            ));
        };
        let most = if kind == ThresholdType::Percent {
            100
        } else {
            i32::MAX
        };
        if !(0..=most).contains(&threshold.value) {
            return Err(format!(
                "{at}.value: Invalid value: {}: must be between 0 and {most}",
                threshold.value
            ));
        }
    }
    fail_fast(&format!("{at}.failFast"), canary.fail_fast.as_ref())?;
    if let Some(background) = &canary.analysis {
        analysis(&format!("{at}.analysis"), &background.analysis)?;
        if let Some(start) = background.starting_step.filter(|s| *s < 0) {
            return Err(format!(
                "{at}.analysis.startingStep: Invalid value: {start}: must be greater than or equal to 0"
            ));
        }
    }
    for (i, step) in canary.steps.iter().enumerate() {
        canary_step(&format!("{at}.steps[{i}]"), step)?;
    }
    Ok(())
}

fn fail_fast(at: &str, settings: Option<&FailFast>) -> Result<(), Invalid> {
    let Some(settings) = settings else { return Ok(()) };
    if let Some(pods) = settings.failing_pods.filter(|n| *n < 1) {
        return Err(format!(
            "{at}.failingPods: Invalid value: {pods}: must be greater than or equal to 1"
        ));
    }
    if let Some(grace) = settings.grace_seconds.filter(|n| *n < 0) {
        return Err(format!(
            "{at}.graceSeconds: Invalid value: {grace}: must be greater than or equal to 0"
        ));
    }
    Ok(())
}

fn surge(canary: &CanaryStrategy) -> Result<(), Invalid> {
    let read = |field: &str, value: Option<&IntOrString>| match value {
        None => Ok(DEFAULT_MAX.number()),
        Some(value) => {
            let at = format!("spec.strategy.canary.{field}");
            match percent_or_count(value).map(super::replicas::CountOrPercent::number) {
                Some(n) if n >= 0 => Ok(n),
                Some(n) => Err(format!(
                    "{at}: Invalid value: {n}: must be greater than or equal to 0"
                )),
                None => Err(format!(
                    "{at}: Invalid value: {}: must be a whole number, or a percentage such as \"25%\"",
                    serde_json::to_string(value).unwrap_or_default()
                )),
            }
        }
    };
    let surge = read("maxSurge", canary.max_surge.as_ref())?;
    let unavailable = read("maxUnavailable", canary.max_unavailable.as_ref())?;
    if surge == 0 && unavailable == 0 {
        return Err("spec.strategy.canary.maxUnavailable: Invalid value: 0: may not be 0 when maxSurge is 0, for then \
                    no pod could ever be replaced"
            .to_owned());
    }
    Ok(())
}

fn canary_step(at: &str, step: &CanaryStep) -> Result<(), Invalid> {
    let actions = [
        ("setWeight", step.set_weight.is_some()),
        ("pause", step.pause.is_some()),
        ("setCanaryScale", step.set_canary_scale.is_some()),
        ("analysis", step.analysis.is_some()),
        ("experiment", step.experiment.is_some()),
        ("setHeaderRoute", step.set_header_route.is_some()),
        ("setMirrorRoute", step.set_mirror_route.is_some()),
        ("plugin", step.plugin.is_some()),
    ];
    let set: Vec<&str> = actions
        .iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| *name)
        .collect();
    match set.as_slice() {
        [] => {
            return Err(format!(
                "{at}: Required value: a step needs one action, such as setWeight or pause"
            ));
        }
        [_] => {}
        several => {
            return Err(format!(
                "{at}: Invalid value: {} are set together; a step has exactly one action",
                several.join(" and ")
            ));
        }
    }
    if let Some(weight) = step.set_weight.filter(|w| !(0..=100).contains(w)) {
        return Err(format!(
            "{at}.setWeight: Invalid value: {weight}: must be between 0 and 100"
        ));
    }
    if let Some(pause) = &step.pause {
        pause_duration(pause.duration.as_ref()).map_err(|e| {
            let value = serde_json::to_string(&pause.duration).unwrap_or_default();
            format!("{at}.pause.duration: Invalid value: {value}: {e}")
        })?;
    }
    if step.set_canary_scale.is_some() {
        return Err(format!(
            "{at}.setCanaryScale: Invalid value: needs trafficRouting; without a router the number of \
                            pods is the weight"
        ));
    }
    if let Some(inline) = &step.analysis {
        analysis(&format!("{at}.analysis"), inline)?;
    }
    for unbuilt in ["experiment", "setHeaderRoute", "setMirrorRoute", "plugin"] {
        if set.contains(&unbuilt) {
            return unsupported(&format!("{at}.{unbuilt}"));
        }
    }
    Ok(())
}

fn analysis(at: &str, analysis: &RolloutAnalysis) -> Result<(), Invalid> {
    for (i, reference) in analysis.templates.iter().enumerate() {
        if reference.template_name.as_deref().unwrap_or_default().is_empty() {
            return Err(format!("{at}.templates[{i}].templateName: Required value"));
        }
    }
    for (i, arg) in analysis.args.iter().enumerate() {
        let at = format!("{at}.args[{i}]");
        if arg.name.is_empty() {
            return Err(format!("{at}.name: Required value"));
        }
        let Some(from) = &arg.value_from else { continue };
        if let Some(which) = &from.pod_template_hash_value
            && PodTemplateHashValue::parse(which).is_none()
        {
            return Err(format!(
                "{at}.valueFrom.podTemplateHashValue: Unsupported value: \"{which}\": supported values: Stable, Latest"
            ));
        }
        if let Some(field) = &from.field_ref {
            fields::check(&field.field_path)
                .map_err(|e| format!("{at}.valueFrom.fieldRef.fieldPath: Invalid value: {e}"))?;
        }
    }
    Ok(())
}
