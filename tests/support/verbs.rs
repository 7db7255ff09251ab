//! What the commands of `kubectl argo rollouts` write (wire contract 2.6).

use serde_json::{Value, json};

use super::world::{ANALYSIS_RUN, REPLICA_SET, ROLLOUT, World, number, text};

impl World {
    /// `promote`: past an inconclusive analysis of the step, past a pause, or past whatever step the cursor stands on.
    pub async fn promote(&self, name: &str) {
        let rollout = self.rollout(name).await;
        let paused = rollout.pointer("/status/pauseConditions/0").is_some();
        let next = number(&rollout, "/status/currentStepIndex") + 1;
        let open = text(&rollout, "/status/canary/currentStepAnalysisRunStatus/status") == "Inconclusive";
        let status = if open && paused && rollout["status"]["controllerPause"] == true {
            json!({"pauseConditions": null, "controllerPause": false, "currentStepIndex": next})
        } else if paused {
            json!({"pauseConditions": null})
        } else {
            json!({"pauseConditions": null, "currentStepIndex": next})
        };
        self.patch_status(name, json!({"status": status})).await;
        if rollout["spec"]["paused"] == true {
            self.patch(name, json!({"spec": {"paused": false}})).await;
        }
    }

    /// `promote --full`.
    pub async fn promote_full(&self, name: &str) {
        let rollout = self.rollout(name).await;
        if rollout["status"]["currentPodHash"] != rollout["status"]["stableRS"] {
            self.patch_status(name, json!({"status": {"promoteFull": true}}))
                .await;
        }
        if rollout["spec"]["paused"] == true {
            self.patch(name, json!({"spec": {"paused": false}})).await;
        }
    }

    /// `terminate analysisrun`.
    pub async fn terminate(&self, run: &str) {
        self.patch_kind(ANALYSIS_RUN, run, json!({"spec": {"terminate": true}}))
            .await;
    }

    /// `abort`.
    pub async fn abort(&self, name: &str) {
        self.patch_status(name, json!({"status": {"abort": true}})).await;
    }

    /// `retry rollout`.
    pub async fn retry(&self, name: &str) {
        self.patch_status(name, json!({"status": {"abort": false}})).await;
    }

    /// `pause`, and its end.
    pub async fn pause(&self, name: &str, paused: bool) {
        self.patch(name, json!({"spec": {"paused": paused}})).await;
    }

    /// `kubectl scale`, as an autoscaler does it too.
    pub async fn scale(&self, name: &str, replicas: u32) {
        let api = self.api(ROLLOUT);
        let patch = kube::api::Patch::Merge(json!({"spec": {"replicas": replicas}}));
        api.patch_scale(name, &kube::api::PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// `undo --to-revision`: the template of an older ReplicaSet without its hash.
    pub async fn undo(&self, name: &str, revision: &str) {
        let all = self.replica_sets(name).await;
        let rs = all
            .iter()
            .find(|rs| super::world::annotation(rs, "rollout.argoproj.io/revision") == revision)
            .unwrap();
        let mut template: Value = self
            .get(REPLICA_SET, rs["metadata"]["name"].as_str().unwrap())
            .await["spec"]["template"]
            .take();
        template["metadata"]["labels"]
            .as_object_mut()
            .unwrap()
            .remove("rollouts-pod-template-hash");
        self.edit(
            ROLLOUT,
            name,
            json!([{"op": "replace", "path": "/spec/template", "value": template}]),
        )
        .await;
    }
}
