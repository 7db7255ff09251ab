//! What a canary leaves in the log: one line for each transition, and no secret.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::marker::marked;
use crate::support::world::{SECRET, isolated, say, text};
use crate::support::{Controller, canary, http, rollout, web_template};

/// A word that is nowhere else.
const PASSWORD: &str = marked!("-h3ron-under-the-bridge");

#[test]
fn a_canary_is_a_line_for_each_transition_and_nothing_is_repeated() {
    isolated("logged", |world| async move {
        let server = http::serve(|_| Some((200, json!({"ok": true}).to_string()))).await;
        world
            .create_kind(
                SECRET,
                json!({"metadata": {"name": "login"}, "stringData": {"password": PASSWORD}}),
            )
            .await;
        let mut template = web_template("good", &format!("http://{server}/good"), 2);
        template["spec"]["args"] = json!([{"name": "password", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}}]);
        template["spec"]["metrics"][0]["provider"]["web"]["headers"] =
            json!([{"key": "Authorization", "value": "Bearer {{args.password}}"}]);
        world.create(template).await;
        let mut run = world.controller_run();
        run.user = format!("serin-{}", world.namespace);
        run.args = vec!["--logformat=json".to_owned(), "--loglevel=trace".to_owned()];
        let mut controller = Controller::start(world.cluster, &run);
        controller.ready().await;
        let analysis = json!({"analysis": {"templates": [{"templateName": "good"}]}});
        let pause = json!({"pause": {"duration": "1s"}});
        let steps = json!([{"setWeight": 50}, pause, analysis, {"setWeight": 100}]);
        world.deployed(rollout("app", 2, canary(&steps))).await;
        world.set_image("app", "app:v2").await;
        world.healthy("app").await;
        let (_, well) = controller.stop().await;
        assert!(well);
        let log = std::fs::read_to_string(&controller.log).unwrap();
        assert!(!log.contains(PASSWORD), "the log has a secret");
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let of_app = |line: &&Value| {
            line["level"] == "INFO" && line["fields"]["namespace"] == world.namespace.as_str()
        };
        let told: Vec<&Value> = lines.iter().filter(of_app).collect();
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let mut steps = Vec::new();
        for line in &told {
            let fields = &line["fields"];
            *seen.entry(fields.to_string()).or_default() += 1;
            if fields["name"] == "app" {
                for key in ["name", "revision", "phase", "message"] {
                    assert!(
                        !fields[key].is_null() && fields[key] != "",
                        "{key} is missing in {line}"
                    );
                }
                if fields["revision"] == 2
                    && let Some(step) = fields["step"].as_i64()
                {
                    steps.push(step);
                }
            } else {
                assert!(text(fields, "/name").starts_with("app-"), "{line}");
            }
        }
        let repeated: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
        assert!(repeated.is_empty(), "told twice: {repeated:?}");
        steps.dedup();
        assert_eq!(steps, [0, 1, 2, 3, 4], "each step is told");
        say(&format!(
            "ring 3: lines of a deployment and a canary of 4 steps with a run: {}",
            told.len()
        ));
        // Two revisions of at most four phases each, five steps, and three phases of the run.
        assert!(told.len() <= 16, "{told:#?}");
        let loud: Vec<_> = lines
            .iter()
            .filter(|l| l["level"] == "WARN" || l["level"] == "ERROR")
            .collect();
        assert!(loud.is_empty(), "{loud:#?}");
    });
}
