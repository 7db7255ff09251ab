//! Every name that a client reads from the wire, written once: group, labels, annotations, condition types, reasons.
//!
//! Sources: sections 2.2 (labels, annotations), 2.5 (conditions, phases) and 4.2 (events) of the wire contract.

/// API group of all kinds.
pub const GROUP: &str = "argoproj.io";
/// The only version of all kinds.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of all kinds.
pub const API_VERSION: &str = "argoproj.io/v1alpha1";
/// Component in the events that we write; clients and dashboards select on it.
pub const EVENT_COMPONENT: &str = "rollouts-controller";

/// Labels on objects that we make or select, and one selector key.
pub mod labels {
    /// Hash of the pod template: on ReplicaSets, their selectors, pods, AnalysisRuns and DestinationRule subsets, and a
    /// key in the selectors of Services.
    pub const POD_TEMPLATE_HASH: &str = "rollouts-pod-template-hash";
    /// The same for ReplicaSets of a Deployment; read where `workloadRef` names one, never written.
    pub const DEPLOYMENT_POD_TEMPLATE_HASH: &str = "pod-template-hash";
    /// Which controller serves an object: one with an instance id sees only these, one without only unlabelled ones.
    pub const INSTANCE_ID: &str = "argo-rollouts.argoproj.io/controller-instance-id";
    /// Why an AnalysisRun or Experiment of a Rollout exists: [`super::RunType`].
    pub const ROLLOUT_TYPE: &str = "rollout-type";
    /// Index of the step of an AnalysisRun or Experiment.
    pub const STEP_INDEX: &str = "step-index";
    /// Uid of the AnalysisRun, on its Jobs and on their pods.
    pub const ANALYSIS_RUN_UID: &str = "analysisrun.argoproj.io/uid";
    /// On a Secret with a kubeconfig of the cluster that Istio's objects are written to; value `true`.
    pub const ISTIO_PRIMARY_CLUSTER: &str = "istio.argoproj.io/primary-cluster";
    /// On a Gateway API route while the canary has weight; value `in-progress`.
    pub const GATEWAY_API_CANARY: &str = "rollouts.argoproj.io/gatewayapi-canary";
}

/// Annotations that we read or write.
pub mod annotations {
    /// Revision of a Rollout, ReplicaSet or AnalysisRun, in decimal.
    pub const REVISION: &str = "rollout.argoproj.io/revision";
    /// Earlier revisions of a ReplicaSet that is used again, with commas between.
    pub const REVISION_HISTORY: &str = "rollout.argoproj.io/revision-history";
    /// `spec.replicas` of the Rollout when the ReplicaSet was last scaled: a difference is a scaling event.
    pub const DESIRED_REPLICAS: &str = "rollout.argoproj.io/desired-replicas";
    /// JSON of the labels and annotations that were injected into a ReplicaSet and its pods.
    pub const EPHEMERAL_METADATA: &str = "rollout.argoproj.io/ephemeral-metadata";
    /// Generation of the workload that `workloadRef` names, in decimal.
    pub const WORKLOAD_GENERATION: &str = "rollout.argoproj.io/workload-generation";
    /// When a ReplicaSet is scaled to 0, RFC 3339 in UTC. Without prefix: clients read this bare key.
    pub const SCALE_DOWN_DEADLINE: &str = "scale-down-deadline";
    /// Name of the Rollout that manages a Service or a DestinationRule.
    pub const MANAGED_BY_ROLLOUTS: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";
    /// JSON list of the annotations that were added to an ALB Ingress.
    pub const MANAGED_ALB_ANNOTATIONS: &str = "rollouts.argoproj.io/managed-alb-annotations";
    /// Name of the Experiment of a ReplicaSet.
    pub const EXPERIMENT_NAME: &str = "experiment.argoproj.io/name";
    /// Name of the template, in its Experiment, of a ReplicaSet.
    pub const EXPERIMENT_TEMPLATE_NAME: &str = "experiment.argoproj.io/template-name";
    /// Name of the AnalysisRun of a Job.
    pub const ANALYSIS_RUN_NAME: &str = "analysisrun.argoproj.io/name";
    /// Namespace of the AnalysisRun of a Job, which may be in another one.
    pub const ANALYSIS_RUN_NAMESPACE: &str = "analysisrun.argoproj.io/namespace";
    /// Name of the metric of a Job.
    pub const ANALYSIS_RUN_METRIC: &str = "analysisrun.argoproj.io/metric-name";
    /// What `kubectl apply` last applied; never copied to a ReplicaSet.
    pub const LAST_APPLIED_CONFIGURATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
    /// Which notifications were sent; never copied to a ReplicaSet.
    pub const NOTIFIED: &str = "notified.notifications.argoproj.io";

    /// Annotations of a Rollout that its ReplicaSets do not get: they say something of the one object only.
    pub const NOT_COPIED_TO_REPLICA_SETS: [&str; 5] = [
        LAST_APPLIED_CONFIGURATION,
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        NOTIFIED,
    ];
}

/// Types of conditions.
pub mod conditions {
    /// The spec, or an object that it refers to, cannot be used.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// Enough pods are available.
    pub const AVAILABLE: &str = "Available";
    /// The update makes progress; its `lastUpdateTime` starts the progress deadline.
    pub const PROGRESSING: &str = "Progressing";
    /// A ReplicaSet cannot make its pods.
    pub const REPLICA_FAILURE: &str = "ReplicaFailure";
    /// The rollout pauses.
    pub const PAUSED: &str = "Paused";
    /// The current version is the stable one.
    pub const COMPLETED: &str = "Completed";
    /// The current version is stable and all of its pods are available.
    pub const HEALTHY: &str = "Healthy";
    /// An Experiment runs.
    pub const RUNNING: &str = "Running";

    /// Condition status: it holds.
    pub const TRUE: &str = "True";
    /// Condition status: it does not hold.
    pub const FALSE: &str = "False";
    /// Condition status: it cannot be said.
    pub const UNKNOWN: &str = "Unknown";
}

/// Reasons of conditions, several of which are reasons of events too.
pub mod reasons {
    /// InvalidSpec: the spec, or an object that it refers to, cannot be used.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// Available.
    pub const AVAILABLE: &str = "AvailableReason";
    /// Progressing, and event: a ReplicaSet was created for a new template.
    pub const NEW_REPLICA_SET_CREATED: &str = "NewReplicaSetCreated";
    /// Progressing: the template is that of a ReplicaSet that exists.
    pub const FOUND_NEW_REPLICA_SET: &str = "FoundNewReplicaSet";
    /// Progressing: pods are being replaced.
    pub const REPLICA_SET_UPDATED: &str = "ReplicaSetUpdated";
    /// Progressing: the ReplicaSet of a completed rollout lost pods.
    pub const REPLICA_SET_NOT_AVAILABLE: &str = "ReplicaSetNotAvailable";
    /// Progressing: all is done.
    pub const NEW_REPLICA_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
    /// Progressing and Paused, and event.
    pub const ROLLOUT_PAUSED: &str = "RolloutPaused";
    /// Progressing, and event.
    pub const ROLLOUT_RESUMED: &str = "RolloutResumed";
    /// Progressing: a user retries after an abort.
    pub const ROLLOUT_RETRY: &str = "RolloutRetry";
    /// Progressing, and event (Warning).
    pub const ROLLOUT_ABORTED: &str = "RolloutAborted";
    /// Progressing: no progress within `progressDeadlineSeconds`.
    pub const PROGRESS_DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";
    /// Progressing, and event: a ReplicaSet could not be created.
    pub const REPLICA_SET_CREATE_ERROR: &str = "ReplicaSetCreateError";
    /// Completed, and event.
    pub const ROLLOUT_COMPLETED: &str = "RolloutCompleted";
    /// Healthy.
    pub const ROLLOUT_HEALTHY: &str = "RolloutHealthy";
}

/// Reasons of events that are not reasons of conditions ([`reasons`]) too.
pub mod events {
    /// The controller saw the Rollout for the first time.
    pub const ROLLOUT_ADDED_TO_INFORMER: &str = "RolloutAddedToInformer";
    /// A new revision.
    pub const ROLLOUT_UPDATED: &str = "RolloutUpdated";
    /// The stable version is not the current one any more.
    pub const ROLLOUT_NOT_COMPLETED: &str = "RolloutNotCompleted";
    /// A step is done.
    pub const ROLLOUT_STEP_COMPLETED: &str = "RolloutStepCompleted";
    /// The Rollout is gone.
    pub const ROLLOUT_DELETED: &str = "RolloutDeleted";
    /// Steps are skipped: a rollback, or an initial deploy.
    pub const SKIP_STEPS: &str = "SkipSteps";
    /// A ReplicaSet could not be updated.
    pub const REPLICA_SET_UPDATE_ERROR: &str = "ReplicaSetUpdateError";
    /// A ReplicaSet was scaled.
    pub const SCALING_REPLICA_SET: &str = "ScalingReplicaSet";
    /// The selector of a Service was changed.
    pub const SWITCH_SERVICE: &str = "SwitchService";
    /// A Service cannot be used.
    pub const SERVICE_REFERENCE_ERROR: &str = "ServiceReferenceError";
    /// The weights have changed.
    pub const TRAFFIC_WEIGHT_UPDATED: &str = "TrafficWeightUpdated";
    /// A router could not be written.
    pub const TRAFFIC_ROUTING_ERROR: &str = "TrafficRoutingError";
    /// A router could not be asked whether it has taken the weights.
    pub const WEIGHT_VERIFY_ERROR: &str = "WeightVerifyError";
    /// All targets of an AWS target group are registered.
    pub const TARGET_GROUP_VERIFIED: &str = "TargetGroupVerified";
    /// Targets of an AWS target group are missing.
    pub const TARGET_GROUP_UNVERIFIED: &str = "TargetGroupUnverified";
    /// An AWS target group could not be read.
    pub const TARGET_GROUP_VERIFY_ERROR: &str = "TargetGroupVerifyError";
    /// The AWS load balancer of an Ingress is not there.
    pub const LOAD_BALANCER_NOT_FOUND: &str = "LoadBalancerNotFound";
    /// A VirtualService is not there.
    pub const VIRTUAL_SERVICE_NOT_FOUND: &str = "VirtualServiceNotFound";
    /// A DestinationRule is not there.
    pub const DESTINATION_RULE_NOT_FOUND: &str = "DestinationRuleNotFound";
    /// A DestinationRule was written.
    pub const UPDATED_DESTINATION_RULE: &str = "UpdatedDestinationRule";
    /// A VirtualService was written. With a space: clients select on it.
    pub const UPDATED_VIRTUAL_SERVICE: &str = "Updated VirtualService";
    /// The canary Ingress of NGINX is created.
    pub const CREATING_CANARY_INGRESS: &str = "CreatingCanaryIngress";
    /// The canary Ingress of NGINX is changed.
    pub const PATCHING_CANARY_INGRESS: &str = "PatchingCanaryIngress";
    /// An ALB Ingress is changed.
    pub const PATCHING_ALB_INGRESS: &str = "PatchingALBIngress";
    /// A TrafficSplit was created.
    pub const TRAFFIC_SPLIT_CREATED: &str = "TrafficSplitCreated";
    /// A TrafficSplit could not be created.
    pub const TRAFFIC_SPLIT_NOT_CREATED: &str = "TrafficSplitNotCreated";
    /// The weight of a canary Mapping was changed.
    pub const CANARY_MAPPING_WEIGHT_UPDATE: &str = "CanaryMappingWeightUpdate";
    /// A canary Mapping could not be created.
    pub const CANARY_MAPPING_CREATION_ERROR: &str = "CanaryMappingCreationError";
    /// A canary Mapping could not be changed.
    pub const CANARY_MAPPING_UPDATE_ERROR: &str = "CanaryMappingUpdateError";
    /// A canary Mapping could not be removed.
    pub const CANARY_MAPPING_CLEANUP_ERROR: &str = "CanaryMappingCleanupError";
    /// A TraefikService could not be changed.
    pub const TRAEFIK_SERVICE_UPDATE_ERROR: &str = "TraefikServiceUpdateError";
    /// An ApisixRoute could not be created.
    pub const APISIX_ROUTE_CREATE_ERROR: &str = "ApisixRouteCreateError";
    /// An ApisixRoute could not be changed.
    pub const APISIX_ROUTE_UPDATE_ERROR: &str = "ApisixRouteUpdateError";
    /// An ApisixRoute could not be removed.
    pub const APISIX_ROUTE_DELETE_ERROR: &str = "ApisixRouteDeleteError";
    /// A VirtualNode of App Mesh is not there.
    pub const VIRTUAL_NODE_NOT_FOUND: &str = "VirtualNodeNotFound";
    /// A VirtualRouter of App Mesh is not there.
    pub const VIRTUAL_ROUTER_NOT_FOUND: &str = "VirtualRouterNotFound";
    /// An Experiment was created for a step.
    pub const EXPERIMENT_CREATED: &str = "ExperimentCreated";
    /// A plugin step changed its phase.
    pub const STEP_PLUGIN_TRANSITION: &str = "StepPluginTransition";
    /// A pass failed.
    pub const RECONCILIATION_ERROR: &str = "ReconciliationError";

    /// An AnalysisRun waits. As are the next five: on the AnalysisRun, its Experiment and its Rollout.
    pub const ANALYSIS_RUN_PENDING: &str = "AnalysisRunPending";
    /// An AnalysisRun runs.
    pub const ANALYSIS_RUN_RUNNING: &str = "AnalysisRunRunning";
    /// An AnalysisRun succeeded.
    pub const ANALYSIS_RUN_SUCCESSFUL: &str = "AnalysisRunSuccessful";
    /// An AnalysisRun failed.
    pub const ANALYSIS_RUN_FAILED: &str = "AnalysisRunFailed";
    /// An AnalysisRun could not measure.
    pub const ANALYSIS_RUN_ERROR: &str = "AnalysisRunError";
    /// An AnalysisRun cannot say.
    pub const ANALYSIS_RUN_INCONCLUSIVE: &str = "AnalysisRunInconclusive";
    /// An Experiment ends an AnalysisRun.
    pub const ANALYSIS_RUN_TERMINATING: &str = "AnalysisRunTerminating";

    /// A metric of an AnalysisRun waits. As are the next five: on the AnalysisRun.
    pub const METRIC_PENDING: &str = "MetricPending";
    /// A metric is being measured.
    pub const METRIC_RUNNING: &str = "MetricRunning";
    /// A metric succeeded.
    pub const METRIC_SUCCESSFUL: &str = "MetricSuccessful";
    /// A metric failed.
    pub const METRIC_FAILED: &str = "MetricFailed";
    /// A metric could not be measured.
    pub const METRIC_ERROR: &str = "MetricError";
    /// A metric cannot be judged.
    pub const METRIC_INCONCLUSIVE: &str = "MetricInconclusive";

    /// A ReplicaSet of an Experiment comes up. As are the next four: on the Experiment.
    pub const TEMPLATE_PROGRESSING: &str = "TemplateProgressing";
    /// A ReplicaSet of an Experiment is available.
    pub const TEMPLATE_RUNNING: &str = "TemplateRunning";
    /// A ReplicaSet of an Experiment has done its time.
    pub const TEMPLATE_SUCCESSFUL: &str = "TemplateSuccessful";
    /// A ReplicaSet of an Experiment did not come up.
    pub const TEMPLATE_FAILED: &str = "TemplateFailed";
    /// A ReplicaSet of an Experiment could not be made.
    pub const TEMPLATE_ERROR: &str = "TemplateError";
}

/// A closed set of words on the wire. The wire types keep the text, so that an unknown word is no decode error.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Reads the word; `None` when it is not one of the set.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// `status.phase` of a Rollout.
    RolloutPhase {
        /// The current version is stable, complete and available.
        Healthy = "Healthy",
        /// Invalid, aborted or out of time.
        Degraded = "Degraded",
        /// Something is being done.
        Progressing = "Progressing",
        /// Somebody has to go on.
        Paused = "Paused",
    }
}

words! {
    /// `status.pauseConditions[].reason`: why the controller paused.
    PauseReason {
        /// A pause step.
        CanaryPauseStep = "CanaryPauseStep",
        /// Blue-green without automatic promotion, or before it.
        BlueGreenPause = "BlueGreenPause",
        /// An AnalysisRun that cannot say.
        InconclusiveAnalysisRun = "InconclusiveAnalysisRun",
        /// An Experiment that cannot say.
        InconclusiveExperiment = "InconclusiveExperiment",
    }
}

words! {
    /// Label `rollout-type`: why an AnalysisRun exists.
    RunType {
        /// A step.
        Step = "Step",
        /// Beside the steps.
        Background = "Background",
        /// Before the switch.
        PrePromotion = "PrePromotion",
        /// After the switch.
        PostPromotion = "PostPromotion",
    }
}

words! {
    /// `workloadRef.kind`: whose template it is.
    WorkloadKind {
        /// `apps/v1`.
        Deployment = "Deployment",
        /// `apps/v1`.
        ReplicaSet = "ReplicaSet",
        /// `v1`: a template and nothing else.
        PodTemplate = "PodTemplate",
    }
}

words! {
    /// `workloadRef.scaleDown`: when the replicas of the referenced Deployment are taken down.
    ScaleDown {
        /// Never: the default.
        Never = "never",
        /// When the rollout is Healthy for the first time.
        OnSuccess = "onsuccess",
        /// As the pods of the rollout become ready.
        Progressively = "progressively",
    }
}

words! {
    /// `args[].valueFrom.podTemplateHashValue`: whose hash.
    PodTemplateHashValue {
        /// That of the stable ReplicaSet.
        Stable = "Stable",
        /// That of the new ReplicaSet.
        Latest = "Latest",
    }
}

words! {
    /// `experiment.templates[].specRef`: whose pod template.
    SpecRef {
        /// That of the new ReplicaSet.
        Canary = "canary",
        /// That of the stable ReplicaSet.
        Stable = "stable",
    }
}

words! {
    /// `status.canary.stablePingPong`: which Service is stable.
    PingPong {
        /// `pingService`: the default.
        Ping = "ping",
        /// `pongService`.
        Pong = "pong",
    }
}

words! {
    /// `replicaProgressThreshold.type`.
    ThresholdType {
        /// Percent of the pods of the step.
        Percent = "Percent",
        /// A number of pods.
        Pods = "Pods",
    }
}

words! {
    /// `status.duration.completionStatus`: how the update ended.
    CompletionStatus {
        /// All steps done.
        Promoted = "Promoted",
        /// By a full promotion.
        FastPromoted = "FastPromoted",
        /// By an abort.
        Aborted = "Aborted",
        /// By another template.
        Superseded = "Superseded",
        /// Back to an earlier revision, by the steps.
        RolledBack = "RolledBack",
        /// Back to an earlier revision, without the steps.
        FastRolledBack = "FastRolledBack",
    }
}

words! {
    /// `status.templateStatuses[].status` of an Experiment.
    TemplatePhase {
        /// Pods come up.
        Progressing = "Progressing",
        /// All pods are available.
        Running = "Running",
        /// Its time is over.
        Successful = "Successful",
        /// Its pods did not come up in time.
        Failed = "Failed",
        /// It could not be made.
        Error = "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_others_do_not() {
        for phase in RolloutPhase::ALL {
            assert_eq!(RolloutPhase::parse(phase.as_str()), Some(*phase));
        }
        assert_eq!(ScaleDown::parse("onsuccess"), Some(ScaleDown::OnSuccess));
        assert_eq!(ScaleDown::parse("OnSuccess"), None);
        assert_eq!(PauseReason::CanaryPauseStep.to_string(), "CanaryPauseStep");
        assert_eq!(format!("{GROUP}/{VERSION}"), API_VERSION);
    }
}
