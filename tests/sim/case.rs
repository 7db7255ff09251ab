//! A case: a rollout, its pods, its measurements, what happens to it, and what goes wrong. Printed, it is a short script.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use serin::api::analysis::AnalysisPhase;
use serin::api::common::PodTemplate;
use serin::api::names::WorkloadKind;
use serin::engine::Abilities;
use serin::engine::observed::Workload;
use serin::sim::{Action, Cluster, Delays, Faults, Outcome, Readiness, Setup, Simulation, When};

/// maxSurge or maxUnavailable.
#[derive(Clone, Copy, PartialEq)]
pub enum Limit {
    Count(i32),
    Percent(i32),
}

/// One step of the canary.
#[derive(Clone, Copy, PartialEq)]
pub enum StepKind {
    Weight(i32),
    Pause,
    PauseFor(i32),
    /// An analysis by the template of this number.
    Analysis(usize),
}

/// What is asked of a blue-green rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlueGreen {
    pub preview: bool,
    /// `autoPromotionEnabled`, where it is said.
    pub auto: Option<bool>,
    /// `autoPromotionSeconds`.
    pub seconds: Option<i32>,
    /// `previewReplicaCount`.
    pub size: Option<i32>,
    /// `scaleDownDelaySeconds`.
    pub delay: Option<i32>,
    /// `scaleDownDelayRevisionLimit`.
    pub limit: Option<i32>,
    /// `abortScaleDownDelaySeconds`.
    pub abort_delay: Option<i32>,
    /// The templates of the analyses before and after the switch.
    pub pre: Option<usize>,
    pub post: Option<usize>,
}

/// `workloadRef.scaleDown`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScaleDown {
    Never,
    OnSuccess,
    Progressively,
}

#[derive(Clone)]
pub struct Case {
    /// Blue-green instead of a canary.
    pub blue_green: Option<BlueGreen>,
    /// Whether the canary has the two Services.
    pub services: bool,
    /// `failFast`: so many pods, after so many seconds.
    pub fail_fast: Option<(i32, i32)>,
    /// The template comes from a Deployment.
    pub workload: Option<ScaleDown>,
    /// Whether the controller is shown single pods.
    pub shows_pods: bool,
    /// What the endpoints controller takes.
    pub endpoints: Vec<u32>,
    pub replicas: i32,
    pub surge: Limit,
    pub unavailable: Limit,
    pub min_ready: i32,
    pub deadline: i32,
    pub deadline_abort: bool,
    pub window: Option<i32>,
    pub threshold: Option<i32>,
    pub steps: Vec<StepKind>,
    pub background: Option<usize>,
    /// Of the images v1, v2 and so on.
    pub pods: Vec<Readiness>,
    /// Of the templates t0, t1 and so on.
    pub outcomes: Vec<Vec<Outcome>>,
    pub script: Vec<(When, Action)>,
    pub reaction: Vec<u32>,
    pub delays: Delays,
    pub faults: Faults,
    /// How many measurements in a row may have no answer.
    pub error_limit: i32,
}

pub fn start() -> Timestamp {
    "2026-01-01T12:00:00.4Z".parse().unwrap()
}

pub fn image(number: usize) -> String {
    format!("v{number}")
}

impl Limit {
    fn json(self) -> Value {
        match self {
            Limit::Count(n) => json!(n),
            Limit::Percent(n) => json!(format!("{n}%")),
        }
    }
}

pub fn steps_json(steps: &[StepKind]) -> Value {
    steps
        .iter()
        .map(|step| match step {
            StepKind::Weight(weight) => json!({"setWeight": weight}),
            StepKind::Pause => json!({"pause": {}}),
            StepKind::PauseFor(seconds) => json!({"pause": {"duration": seconds}}),
            StepKind::Analysis(n) => json!({"analysis": {"templates": [{"templateName": format!("t{n}")}]}}),
        })
        .collect()
}

impl BlueGreen {
    fn json(&self) -> Value {
        let mut strategy = json!({"activeService": ACTIVE});
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                strategy[key] = value;
            }
        };
        let analysis = |n: usize| json!({"templates": [{"templateName": format!("t{n}")}]});
        set("previewService", self.preview.then(|| json!(PREVIEW)));
        set("autoPromotionEnabled", self.auto.map(|b| json!(b)));
        set("autoPromotionSeconds", self.seconds.map(|n| json!(n)));
        set("previewReplicaCount", self.size.map(|n| json!(n)));
        set("scaleDownDelaySeconds", self.delay.map(|n| json!(n)));
        set("scaleDownDelayRevisionLimit", self.limit.map(|n| json!(n)));
        set("abortScaleDownDelaySeconds", self.abort_delay.map(|n| json!(n)));
        set("prePromotionAnalysis", self.pre.map(analysis));
        set("postPromotionAnalysis", self.post.map(analysis));
        strategy
    }
}

pub const ACTIVE: &str = "active";
pub const PREVIEW: &str = "preview";
pub const STABLE: &str = "stable";
pub const CANARY: &str = "canary";

impl Case {
    /// The Services beside the Rollout.
    pub fn service_names(&self) -> Vec<String> {
        let names: &[&str] = match &self.blue_green {
            Some(bg) if bg.preview => &[ACTIVE, PREVIEW],
            Some(_) => &[ACTIVE],
            None if self.services => &[STABLE, CANARY],
            None => &[],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// The template as its user wrote it.
    fn template() -> Value {
        json!({
            "metadata": {"labels": {"app": "a"}},
            "spec": {"containers": [{"name": "main", "image": "v1"}]},
        })
    }

    fn workload(&self) -> Option<Workload> {
        self.workload.map(|_| Workload {
            kind: WorkloadKind::Deployment,
            name: "old".to_owned(),
            uid: "uid-old".to_owned(),
            generation: 1,
            template: PodTemplate(Self::template()),
            selector: None,
            replicas: self.replicas,
        })
    }

    pub fn spec(&self) -> Value {
        let mut canary = json!({
            "maxSurge": self.surge.json(),
            "maxUnavailable": self.unavailable.json(),
            "steps": steps_json(&self.steps),
        });
        if let Some(n) = self.background {
            canary["analysis"] = json!({"templates": [{"templateName": format!("b{n}")}]});
        }
        if self.services {
            canary["stableService"] = json!(STABLE);
            canary["canaryService"] = json!(CANARY);
        }
        if let Some((pods, seconds)) = self.fail_fast {
            canary["failFast"] = json!({"failingPods": pods, "graceSeconds": seconds});
        }
        if let Some(percent) = self.threshold {
            canary["replicaProgressThreshold"] = json!({"type": "Percent", "value": percent});
        }
        let mut spec = json!({
            "replicas": self.replicas,
            "minReadySeconds": self.min_ready,
            "progressDeadlineSeconds": self.deadline,
            "progressDeadlineAbort": self.deadline_abort,
            "selector": {"matchLabels": {"app": "a"}},
            "template": Self::template(),
            "strategy": match &self.blue_green {
                Some(bg) => json!({"blueGreen": bg.json()}),
                None => json!({"canary": canary}),
            },
        });
        if let Some(mode) = self.workload {
            let mode = format!("{mode:?}").to_lowercase();
            let reference =
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "old", "scaleDown": mode});
            let fields = spec.as_object_mut().unwrap();
            fields.remove("template");
            fields.insert("workloadRef".to_owned(), reference);
        }
        if let Some(revisions) = self.window {
            spec["rollbackWindow"] = json!({"revisions": revisions});
        }
        spec
    }

    pub fn setup(&self) -> Setup {
        let mut templates = BTreeMap::new();
        let mut outcomes = BTreeMap::new();
        for (n, list) in self.outcomes.iter().enumerate() {
            for name in [format!("t{n}"), format!("b{n}")] {
                // A background run goes on for a minute, until it is stopped, or until it measures badly.
                let rest = if name.starts_with('b') {
                    json!({"interval": "20s", "count": 4})
                } else {
                    json!({})
                };
                let mut metric = json!({
                    "name": name,
                    "consecutiveErrorLimit": self.error_limit,
                    "provider": {"prometheus": {"address": "http://prometheus", "query": "up"}},
                });
                metric
                    .as_object_mut()
                    .unwrap()
                    .extend(rest.as_object().unwrap().clone());
                let spec = serde_json::from_value(json!({"metrics": [metric]})).unwrap();
                templates.insert((name.clone(), false), Arc::new(spec));
                outcomes.insert(name, list.clone());
            }
        }
        let readiness = self
            .pods
            .iter()
            .enumerate()
            .map(|(n, readiness)| (image(n + 1), *readiness));
        Setup {
            name: "demo".to_owned(),
            spec: self.spec(),
            templates,
            abilities: Abilities {
                providers: &["prometheus"],
                ..Abilities::default()
            },
            readiness: readiness.collect(),
            outcomes,
            refused: std::collections::BTreeSet::default(),
            reaction: self.reaction.clone(),
            endpoints: self.endpoints.clone(),
            services: self.service_names(),
            shows_pods: self.shows_pods,
            workload: self.workload(),
            start: start(),
        }
    }

    pub fn simulation(&self) -> Simulation {
        let cluster = Cluster::new(self.setup());
        Simulation::new(
            cluster,
            self.script.clone(),
            self.delays.clone(),
            self.faults.clone(),
        )
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Count(n) => write!(f, "{n}"),
            Limit::Percent(n) => write!(f, "{n}%"),
        }
    }
}

impl fmt::Debug for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepKind::Weight(weight) => write!(f, "setWeight {weight}"),
            StepKind::Pause => f.write_str("pause"),
            StepKind::PauseFor(seconds) => write!(f, "pause {seconds}s"),
            StepKind::Analysis(n) => write!(f, "analysis t{n}"),
        }
    }
}

pub fn phase_text(phase: AnalysisPhase) -> &'static str {
    phase.as_str()
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n  replicas {}, maxSurge {:?}, maxUnavailable {:?}, minReady {}s, deadline {}s{}",
            self.replicas,
            self.surge,
            self.unavailable,
            self.min_ready,
            self.deadline,
            if self.deadline_abort { " (aborts)" } else { "" },
        )?;
        match &self.blue_green {
            Some(bg) => writeln!(f, "  {bg:?}, rollback window {:?}", self.window)?,
            None => writeln!(
                f,
                "  steps {:?}, background {:?}, rollback window {:?}, threshold {:?}, services {}",
                self.steps, self.background, self.window, self.threshold, self.services
            )?,
        }
        if self.fail_fast.is_some() || self.workload.is_some() || self.shows_pods {
            writeln!(
                f,
                "  failFast {:?}, workloadRef {:?}, single pods {}",
                self.fail_fast, self.workload, self.shows_pods
            )?;
        }
        for (n, readiness) in self.pods.iter().enumerate() {
            match readiness {
                Readiness::After(delay) => write!(f, "  v{} ready after {delay:#}", n + 1)?,
                Readiness::Never => write!(f, "  v{} never ready", n + 1)?,
                Readiness::Crashes => write!(f, "  v{} crashes", n + 1)?,
            }
        }
        writeln!(f)?;
        for (n, list) in self.outcomes.iter().enumerate() {
            let words: Vec<String> = list
                .iter()
                .map(|o| {
                    let silent = match o.silent {
                        0 => String::new(),
                        n => format!("{n} times no answer, then "),
                    };
                    format!("{silent}{} after {:#}", phase_text(o.phase), o.takes)
                })
                .collect();
            writeln!(f, "  analysis {n}: {}", words.join(", then "))?;
        }
        for (when, action) in &self.script {
            match when {
                When::After(delay) => writeln!(f, "  {delay:#} later: {action:?}")?,
                When::Quiet => writeln!(f, "  when all is quiet: {action:?}")?,
            }
        }
        write!(
            f,
            "  delays in ms: ReplicaSets {:?}, endpoints {:?}, watch {:?}, call {:?}; crashes after writes {:?}{}",
            self.reaction,
            self.endpoints,
            self.delays.watch,
            self.delays.call,
            self.faults.crashes,
            if self.faults.always { " for ever" } else { "" },
        )
    }
}
