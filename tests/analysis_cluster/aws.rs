//! Requests that are signed with AWS credentials, which come from the controller's environment.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use serin::api::analysis::{AnalysisPhase, AnalysisRun};

use super::examples::{by_hand, example};
use super::marker::{self, marked};
use super::world::{Setup, World, serve};
use super::{metrics, phase, with};

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_signs_with_the_credentials_of_its_environment() {
    let seen = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&seen);
    let answer =
        json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}).to_string();
    let url = serve(move |asked| {
        log.lock().push_str(asked);
        ("200 OK", answer.clone())
    })
    .await;
    let world = with(Setup {
        namespace: "sigv4",
        log_level: "trace",
        env: &[
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", marked!("4ws-s3cr3t")),
            ("AWS_SESSION_TOKEN", marked!("4ws-s3ssion")),
            // The address of a metric without one.
            ("ARGO_ROLLOUTS_PROMETHEUS_ADDRESS", &url),
        ],
        ..Setup::default()
    })
    .await;
    let metric = "- name: signed\n  consecutiveErrorLimit: 0\n  provider: {prometheus: {query: up, authentication: {sigv4: {region: eu-west-1}}}}";
    world.run("signed", &metrics(&[metric.to_owned()])).await;
    let run = world.finished("signed").await;
    assert_eq!(phase(&run), AnalysisPhase::Successful, "{:?}", run.status);
    let asked = seen.lock().clone();
    for part in [
        "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/",
        "/eu-west-1/aps/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=",
        concat!("x-amz-security-token: ", marked!("4ws-s3ssion")),
    ] {
        assert!(asked.contains(part), "{asked}");
    }
    unseen(&world, &run).await;
}

/// Neither the run nor the log has anything that is secret.
async fn unseen(world: &World, run: &AnalysisRun) {
    // What it says at the end is written by then.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let log = std::fs::read_to_string(&world.log).unwrap();
    assert!(log.lines().count() > 100, "it logs all that it has to say");
    for line in log.lines().chain([serde_json::to_string(run).unwrap().as_str()]) {
        assert_eq!(marker::find(line), None, "{line}");
    }
}

/// As a controller on EKS does it: the token of its service account gives it a role, which is allowed to assume the role that
/// the metric names. STS and the Prometheus are local.
#[tokio::test(flavor = "multi_thread")]
async fn a_controller_measures_as_the_role_of_the_metric_by_the_token_of_its_service_account() {
    const READER: &str = "arn:aws:iam::123456789012:role/prometheus-reader";
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let sts = serve(move |request| {
        let mut log = log.lock();
        log.push(request.to_owned());
        let number = log.len();
        let answer = format!(
            "<R><Credentials><AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}\
             </SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></R>",
            marked!("assumed"),
            marked!("session"),
        );
        ("200 OK", answer)
    })
    .await;
    let queries = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&queries);
    let answer = json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "0.001"]}]}});
    let prometheus = serve(move |request| {
        log.lock().push_str(request);
        ("200 OK", answer.to_string())
    })
    .await;
    let token = std::env::temp_dir().join(format!("serin-token-{}", std::process::id()));
    std::fs::write(&token, marked!("token-of-the-service-account")).unwrap();
    let world = with(Setup {
        namespace: "sigv4-role",
        log_level: "trace",
        env: &[
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/serin"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL_STS", &sts),
        ],
        ..Setup::default()
    })
    .await;
    let mut template = example("managed-prometheus").remove(0);
    template["spec"]["metrics"][0]["initialDelay"].take();
    template["spec"]["metrics"][0]["provider"]["prometheus"]["address"] = json!(prometheus);
    let args = [("pod-hash", "abc"), ("workspace", "ws-1"), ("role", READER)];
    let run = by_hand(&world, "signed", &template, &args).await;
    assert_eq!(phase(&run), AnalysisPhase::Successful, "{:?}", run.status);
    assert_eq!(run.status.as_ref().unwrap().metric_results[0].count, 2);
    let asked = asked.lock().clone();
    assert_eq!(asked.len(), 2, "once for each role, and kept: {asked:?}");
    assert!(
        asked[0].contains("Action=AssumeRoleWithWebIdentity")
            && asked[0].contains(marked!("token-of-the-service-account")),
        "{asked:?}"
    );
    let role = READER.replace(':', "%3A").replace('/', "%2F");
    for part in [
        "Action=AssumeRole&",
        &role,
        "authorization: AWS4-HMAC-SHA256 Credential=ASIA1/",
        "/eu-west-1/sts/aws4_request",
    ] {
        assert!(asked[1].contains(part), "{part}: {asked:?}");
    }
    let queries = queries.lock().clone();
    for part in [
        "Credential=ASIA2/",
        "/eu-west-1/aps/aws4_request",
        concat!("x-amz-security-token: ", marked!("session")),
    ] {
        assert!(queries.contains(part), "{part}: {queries}");
    }
    unseen(&world, &run).await;
    std::fs::remove_file(token).unwrap();
}
