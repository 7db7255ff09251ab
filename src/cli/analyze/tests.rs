use super::*;
use crate::metric::http::TransportOptions;
use crate::metric::http::testing::{Answer, Server};
use crate::metric::provider::MeasurerOptions;

fn measurer() -> Measurer {
    let transport = TransportOptions {
        proxy_from_env: false,
        ..TransportOptions::default()
    };
    Measurer::new(MeasurerOptions {
        transport,
        ..MeasurerOptions::default()
    })
    .unwrap()
}

/// 2026-11-13T10:00:00Z.
const START: i64 = 1_794_564_000;

fn second(after: i64) -> Timestamp {
    Timestamp::from_second(START + after).unwrap()
}

/// A Prometheus whose value fell from 0.999 to 0.9 five minutes after [`START`], and that answers only for the time it is
/// asked about.
async fn fallen() -> Server {
    Server::start(|request| {
        let at: f64 = request.parameter("time").map_or(0.0, |time| time.parse().unwrap());
        #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
        let value = if at < (START + 300) as f64 { "0.999" } else { "0.9" };
        Answer::json(format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"{value}"]}}]}}}}"#
        ))
    })
    .await
}

const TEMPLATE: &str = r"
apiVersion: v1
kind: Service
metadata: {name: passed-over}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: gate}
spec:
  args: [{name: app}]
  templates: [{templateName: rate, clusterScope: true}]
---
apiVersion: argoproj.io/v1alpha1
kind: ClusterAnalysisTemplate
metadata: {name: rate}
spec:
  args: [{name: app}, {name: limit, value: '0.99'}, {name: key, valueFrom: {secretKeyRef: {name: s, key: k}}}]
  metrics:
  - name: rate
    interval: 1m
    count: 10
    failureLimit: 1
    successCondition: len(result) > 0 && result[0] >= {{args.limit}}
    provider: {prometheus: {query: 'rate{app=\'{{args.app}}\'}', headers: [{key: X-Key, value: '{{args.key}}'}]}}
";

fn inputs(manifests: &str, args: &[(&str, &str)]) -> Inputs {
    let args = args
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Inputs {
        manifests: manifests.replace("\\'", "\""),
        templates: Vec::new(),
        args,
    }
}

async fn run(inputs: &Inputs, when: When, address: &str) -> (Result<Ended, String>, String) {
    let mut out = Vec::new();
    let ended = analyze(inputs, when, Some(address.to_owned()), &measurer(), &mut out).await;
    (ended, String::from_utf8(out).unwrap())
}

const ARGS: [(&str, &str); 2] = [("app", "shop"), ("key", "hush-hush")];

#[tokio::test]
async fn a_run_over_past_data_asks_for_each_due_time_and_ends_as_the_gate_would_have() {
    let server = fallen().await;
    let when = When::Between {
        from: second(120),
        to: second(3600),
        step: None,
    };
    let (ended, text) = run(&inputs(TEMPLATE, &ARGS), when, &server.url).await;
    let ended = ended.unwrap();
    assert_eq!((ended.status.phase, ended.code()), (AnalysisPhase::Failed, 1));
    assert_eq!(
        text,
        "TIME                  METRIC  PHASE         VALUE\n\
         2026-11-13T10:02:00Z  rate    Successful    [0.999]\n\
         2026-11-13T10:03:00Z  rate    Successful    [0.999]\n\
         2026-11-13T10:04:00Z  rate    Successful    [0.999]\n\
         2026-11-13T10:05:00Z  rate    Failed        [0.9]\n\
         2026-11-13T10:06:00Z  rate    Failed        [0.9]\n\
         \n\
         rate: Failed (3 successful, 2 failed)\n\
         Verdict: Failed: Metric \"rate\" assessed Failed due to failed (2) > failureLimit (1)\n"
    );
    let seen = server.seen();
    let times: Vec<String> = seen
        .iter()
        .map(|request| request.parameter("time").unwrap())
        .collect();
    let due: Vec<String> = (2..=6)
        .map(|minute| format!("{}.000", START + minute * 60))
        .collect();
    assert_eq!(times, due);
    assert_eq!(seen[0].parameter("query").unwrap(), "rate{app=\"shop\"}");
    assert_eq!(
        seen[0].header("x-key"),
        Some("hush-hush"),
        "a secret is given at the prompt"
    );
    assert!(!text.contains("hush-hush"));
}

#[tokio::test]
async fn the_step_replaces_the_interval_and_the_end_of_the_window_ends_the_run() {
    let server = fallen().await;
    let step = Some(SignedDuration::from_secs(20));
    let when = When::Between {
        from: second(0),
        to: second(59),
        step,
    };
    let (ended, text) = run(&inputs(TEMPLATE, &ARGS), when, &server.url).await;
    assert_eq!(ended.unwrap().code(), 0);
    assert_eq!(server.seen().len(), 3);
    assert!(
        text.contains("The run is ended at 2026-11-13T10:00:59Z, after 3 measurements"),
        "{text}"
    );
    assert!(text.ends_with("Verdict: Successful\n"), "{text}");
}

#[tokio::test]
async fn one_moment_is_one_measurement_that_decides() {
    let server = fallen().await;
    for (at, code) in [(second(0), 0), (second(400), 1)] {
        let (ended, _) = run(&inputs(TEMPLATE, &ARGS), When::At(at), &server.url).await;
        assert_eq!(
            ended.unwrap().code(),
            code,
            "one failure, though the limit tolerates it"
        );
    }
    assert_eq!(server.seen().len(), 2);
    let (ended, _) = run(&inputs(TEMPLATE, &ARGS), When::Now, &server.url).await;
    assert_eq!(ended.unwrap().code(), 0);
    assert_eq!(
        server.seen()[2].parameter("time"),
        None,
        "the present is the server's own"
    );
}

#[tokio::test]
async fn an_interval_below_a_second_does_not_stand_still() {
    let server = fallen().await;
    let template = TEMPLATE.replace("interval: 1m", "interval: 100ms");
    let when = When::Between {
        from: second(0),
        to: second(3),
        step: None,
    };
    let (ended, _) = run(&inputs(&template, &ARGS), when, &server.url).await;
    assert_eq!(ended.unwrap().code(), 0);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn what_cannot_be_measured_here_is_said() {
    let server = fallen().await;
    let job = "\n---\napiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: smoke}\nspec:\n  \
               metrics: [{name: smoke, provider: {job: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}}]\n  dryRun: [{metricName: smoke}]\n";
    let both = format!("{TEMPLATE}{job}");
    let (ended, text) = run(&inputs(&both, &ARGS), When::At(second(0)), &server.url).await;
    assert_eq!(ended.unwrap().code(), 0);
    assert!(
        text.starts_with("metric \"smoke\" is skipped: a Job needs a cluster to run in\n"),
        "{text}"
    );
    let (ended, _) = run(&inputs(job, &[]), When::Now, &server.url).await;
    assert_eq!(
        ended.unwrap_err(),
        "nothing is left to measure: metric \"smoke\" is skipped: a Job needs a cluster to run in"
    );
    let late = TEMPLATE.replace("interval: 1m", "interval: 1m\n    initialDelay: 1h");
    let when = When::Between {
        from: second(0),
        to: second(60),
        step: None,
    };
    let (ended, _) = run(&inputs(&late, &ARGS), when, &server.url).await;
    assert_eq!(ended.unwrap().code(), 2, "nothing measured is no success");
}

#[tokio::test]
async fn mistakes_are_one_sentence() {
    for (manifests, args, words) in [
        (
            TEMPLATE,
            &[][..],
            "argument \"key\" is the key \"k\" of Secret \"s\": give its value with --arg key=...",
        ),
        (TEMPLATE, &[("key", "x")], "argument \"app\" has no value"),
        (
            TEMPLATE,
            &[("ap", "x")],
            "--arg ap: the template has no such argument; it declares app, limit, key",
        ),
        ("kind: Service", &[], "the file has no AnalysisTemplate"),
        (
            "kind: AnalysisTemplate\nmetadata: {name: a}\nspec: {templates: [{templateName: b}]}",
            &[],
            "AnalysisTemplate \"b\" was not found",
        ),
        (
            "kind: AnalysisTemplate\nmetadata: {name: a}\nspec: {metrics: [{name: m, interval: 3, provider: {}}]}",
            &[],
            "AnalysisTemplate \"a\": spec.metrics[0].interval: invalid type",
        ),
        (
            "kind: AnalysisTemplate\nmetadata: {name: a}\nspec: {metrics: [{name: m, count: 3, provider: {web: {url: x}}}]}",
            &[],
            "Analysis spec invalid: metrics[0] (\"m\"): interval is required because count is 3",
        ),
    ] {
        let (ended, _) = run(&inputs(manifests, args), When::Now, "http://127.0.0.1:1").await;
        let error = ended.unwrap_err();
        assert!(error.starts_with(words), "{error}");
    }
}

#[test]
fn moments_are_written_in_four_ways() {
    let now = second(0);
    for (text, moment_of) in [
        ("2026-11-13T10:00:07Z", second(7)),
        ("1794564009", second(9)),
        ("now", now),
        ("-1h", second(-3600)),
    ] {
        assert_eq!(moment(text, now).unwrap(), moment_of, "{text}");
    }
    assert!(moment("yesterday", now).is_err());
    assert!(moment("-1", now).is_err(), "a duration has a unit");
}
