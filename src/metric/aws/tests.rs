//! Each way to credentials, against local servers in place of AWS: signed as AWS wants it, fetched once, told apart when it
//! fails, and never shown.

mod refusals;

use super::Environment;
use crate::api::analysis::{Authentication, Metric, MetricProvider, PrometheusMetric, Sigv4Config};
use crate::metric::http::TransportOptions;
use crate::metric::http::testing::{Answer, Request, Server};
use crate::metric::provider::{Defaults, Measured, Measurer, MeasurerOptions};
use crate::metric::sigv4::{AwsCredentials, Scope, Signable, percent_decode, sign};
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const DATA: &str = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#;
const ROLE: &str = "arn:aws:iam::123456789012:role/prometheus";
const OWN_ROLE: &str = "arn:aws:iam::123456789012:role/serin";
/// In everything that must not be seen.
const HUSH: &str = "hush+hush/";

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// A measurer in a process with these variables.
fn measurer(env: &[(&str, &str)]) -> Measurer {
    let transport = TransportOptions {
        proxy_from_env: false,
        ..TransportOptions::default()
    };
    let read = |name: &str| {
        let found = env.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Measurer::new(MeasurerOptions {
        transport,
        aws: Environment::read(read),
    })
    .unwrap()
}

/// Keys in the environment, and an STS there.
fn own(endpoint: &str) -> [(&str, &str); 3] {
    [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "hush-own"),
        ("AWS_ENDPOINT_URL_STS", endpoint),
    ]
}

fn metric(address: &str, sigv4: Sigv4Config) -> Metric {
    let prometheus = PrometheusMetric {
        address: Some(address.to_owned()),
        query: Some("up".to_owned()),
        authentication: Some(Authentication {
            sigv4: Some(sigv4),
            ..Authentication::default()
        }),
        ..PrometheusMetric::default()
    };
    Metric {
        name: "m".to_owned(),
        provider: MetricProvider {
            prometheus: Some(prometheus),
            ..MetricProvider::default()
        },
        ..Metric::default()
    }
}

fn as_role(role: Option<&str>) -> Sigv4Config {
    Sigv4Config {
        region: Some("eu-west-1".to_owned()),
        role_arn: role.map(str::to_owned),
        ..Sigv4Config::default()
    }
}

async fn measure(measurer: &Measurer, metric: &Metric, now: Timestamp) -> Measured {
    measurer
        .measure_and_judge(metric, &Defaults::default(), &[], now)
        .await
}

/// A Prometheus behind AWS' door.
async fn prometheus() -> Server {
    Server::start(|_| Answer::json(DATA)).await
}

/// An answer of STS with credentials that carry this number and live for so long.
fn granted(number: usize, seconds: i64) -> Answer {
    let until = now() + SignedDuration::from_secs(seconds);
    Answer::Reply(
        200,
        vec![("Content-Type", "text/xml".to_owned())],
        format!(
            "<R><Credentials><AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>{HUSH}{number}</SecretAccessKey>\
             <SessionToken>{HUSH}session-{number}</SessionToken><Expiration>{until}</Expiration></Credentials></R>"
        ),
    )
}

/// An STS that numbers what it gives.
async fn sts(seconds: i64) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |_| granted(count.fetch_add(1, Ordering::SeqCst) + 1, seconds)).await
}

/// The fields of a form.
fn form(request: &Request) -> Vec<(String, String)> {
    let pairs = request.body.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| {
            let value = String::from_utf8(percent_decode(value)).unwrap();
            (name.to_owned(), value)
        })
        .collect()
}

fn field(request: &Request, name: &str) -> Option<String> {
    form(request)
        .into_iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

/// Whether a request carries the signature that these credentials give it for this service.
fn is_signed_by(request: &Request, keys: &AwsCredentials, service: &str) -> bool {
    let header = |name: &str| request.header(name).unwrap_or_default();
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let signable = Signable {
        method: &request.method,
        path,
        query,
        headers: &[("host", header("host")), ("content-type", header("content-type"))],
        body: request.body.as_bytes(),
    };
    let scope = Scope {
        region: "eu-west-1".to_owned(),
        service: service.to_owned(),
    };
    let expected = sign(&signable, &scope, keys, now());
    expected.iter().all(|(name, value)| header(name) == value)
}

fn keys(id: &str, secret: &str, token: Option<&str>) -> AwsCredentials {
    AwsCredentials {
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned(),
        session_token: token.map(str::to_owned),
    }
}

fn given(number: usize) -> AwsCredentials {
    keys(
        &format!("ASIA{number}"),
        &format!("{HUSH}{number}"),
        Some(&format!("{HUSH}session-{number}")),
    )
}

/// A file with a token, gone with the value.
struct TokenFile(PathBuf);

impl TokenFile {
    fn new(name: &str, text: &str) -> Self {
        let file = format!("serin-token-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_role_is_assumed_by_a_signed_call_and_signs_what_is_measured() {
    let (sts, server) = (sts(3600).await, prometheus().await);
    let meter = measurer(&own(&sts.url));
    let measured = measure(&meter, &metric(&server.url, as_role(Some(ROLE))), now()).await;
    assert_eq!(measured.value.as_deref(), Some("1"), "{measured:?}");
    let asked = &sts.seen()[0];
    assert_eq!(
        form(asked),
        [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", ROLE),
            ("RoleSessionName", "serin"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert!(
        is_signed_by(asked, &keys("AKID", "hush-own", None), "sts"),
        "{asked:?}"
    );
    let query = &server.seen()[0];
    assert!(is_signed_by(query, &given(1), "aps"), "{query:?}");
    // Another role has credentials of its own; without a role the own ones sign.
    let other = metric(&server.url, as_role(Some("arn:aws:iam::1:role/other")));
    measure(&meter, &other, now()).await;
    assert!(is_signed_by(&server.seen()[1], &given(2), "aps"));
    measure(&meter, &metric(&server.url, as_role(None)), now()).await;
    assert!(is_signed_by(
        &server.seen()[2],
        &keys("AKID", "hush-own", None),
        "aps"
    ));
    assert_eq!(sts.seen().len(), 2);
}

#[tokio::test]
async fn the_token_of_the_service_account_is_read_at_use_and_needs_no_keys() {
    let token = TokenFile::new("web-identity", "ey.first.hush\n");
    let (sts, server) = (sts(3600).await, prometheus().await);
    let meter = measurer(&[
        ("AWS_ROLE_ARN", OWN_ROLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.path()),
        ("AWS_ROLE_SESSION_NAME", "gate-keeper"),
        ("AWS_REGION", "eu-west-1"),
        // Half of the keys are none.
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_ENDPOINT_URL", &sts.url),
    ]);
    let plain = metric(&server.url, as_role(None));
    let measured = measure(&meter, &plain, now()).await;
    assert_eq!(measured.value.as_deref(), Some("1"), "{measured:?}");
    let asked = &sts.seen()[0];
    assert_eq!(asked.header("authorization"), None, "nobody could sign it");
    assert_eq!(
        form(asked),
        [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", OWN_ROLE),
            ("RoleSessionName", "gate-keeper"),
            ("WebIdentityToken", "ey.first.hush"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert!(is_signed_by(&server.seen()[0], &given(1), "aps"));
    // The metric's role is assumed with what the token brought, which is kept.
    measure(&meter, &metric(&server.url, as_role(Some(ROLE))), now()).await;
    let second = &sts.seen()[1];
    assert_eq!(field(second, "Action").unwrap(), "AssumeRole");
    assert!(is_signed_by(second, &given(1), "sts"), "{second:?}");
    assert!(is_signed_by(&server.seen()[1], &given(2), "aps"));
    // The kubelet writes the file anew.
    std::fs::write(&token.0, "ey.second.hush").unwrap();
    let later = now() + SignedDuration::from_mins(56);
    measure(&meter, &plain, later).await;
    let third = &sts.seen()[2];
    assert_eq!(field(third, "WebIdentityToken").unwrap(), "ey.second.hush");
}

#[tokio::test]
async fn pod_identity_gives_credentials_to_whoever_has_its_token() {
    let token = TokenFile::new("pod-identity", "pod-token-hush");
    let agent = Server::start(|request| {
        if request.header("authorization") != Some("pod-token-hush") {
            return Answer::status(401, "who?");
        }
        Answer::json(format!(
            r#"{{"AccessKeyId":"ASIA7","SecretAccessKey":"{HUSH}7","Token":"{HUSH}session-7",
                "AccountId":"123456789012","Expiration":"2026-01-02T09:04:05Z"}}"#
        ))
    })
    .await;
    let server = prometheus().await;
    let url = format!("{}/v1/credentials", agent.url);
    let meter = measurer(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.path()),
    ]);
    for _ in 0..2 {
        let measured = measure(&meter, &metric(&server.url, as_role(None)), now()).await;
        assert_eq!(measured.value.as_deref(), Some("1"), "{measured:?}");
    }
    assert!(is_signed_by(&server.seen()[1], &given(7), "aps"));
    let seen = agent.seen();
    assert_eq!(seen.len(), 1, "kept until shortly before it expires");
    assert_eq!(
        (seen[0].method.as_str(), seen[0].target.as_str()),
        ("GET", "/v1/credentials")
    );
}

#[tokio::test]
async fn credentials_are_kept_until_shortly_before_they_expire() {
    let (sts, server) = (sts(3600).await, prometheus().await);
    let meter = measurer(&own(&sts.url));
    let metric = metric(&server.url, as_role(Some(ROLE)));
    // Worked: an hour is used for 55 minutes. What this STS gives always expires at the same moment.
    for (minutes, fetched) in [(0, 1), (54, 1), (55, 2), (56, 2), (58, 3)] {
        let at = now() + SignedDuration::from_mins(minutes);
        measure(&meter, &metric, at).await;
        assert_eq!(sts.seen().len(), fetched, "after {minutes} minutes");
    }
}

#[tokio::test]
async fn many_who_wait_are_served_by_one_fetch() {
    let slow = Server::start(|_| {
        std::thread::sleep(Duration::from_millis(200));
        granted(1, 3600)
    })
    .await;
    let server = prometheus().await;
    let meter = measurer(&own(&slow.url));
    let metric = metric(&server.url, as_role(Some(ROLE)));
    let all = futures::future::join_all((0..20).map(|_| measure(&meter, &metric, now()))).await;
    assert!(all.iter().all(|one| one.value.as_deref() == Some("1")), "{all:?}");
    assert_eq!((slow.seen().len(), server.seen().len()), (1, 20));
}

#[tokio::test]
async fn a_renewal_that_fails_is_no_matter_while_the_old_ones_are_good() {
    let count = AtomicUsize::new(0);
    let sts = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => granted(1, 3600),
        _ => Answer::status(503, "busy"),
    })
    .await;
    let server = prometheus().await;
    let meter = measurer(&own(&sts.url));
    let metric = metric(&server.url, as_role(Some(ROLE)));
    // After the first failure the next try comes a minute later; ten seconds before the end they are good no more.
    for (seconds, asked, good) in [
        (0, 1, true),
        (3300, 2, true),
        (3330, 2, true),
        (3360, 3, true),
        (3589, 4, true),
        (3591, 5, false),
    ] {
        let at = now() + SignedDuration::from_secs(seconds);
        let measured = measure(&meter, &metric, at).await;
        assert_eq!(
            (sts.seen().len(), measured.error_kind.is_none()),
            (asked, good),
            "after {seconds} s: {measured:?}"
        );
    }
}

#[tokio::test]
async fn a_renewal_that_is_silent_leaves_the_measurement_its_time() {
    let count = AtomicUsize::new(0);
    let sts = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => granted(1, 3600),
        _ => Answer::Hang(Vec::new()),
    })
    .await;
    let server = prometheus().await;
    let meter = measurer(&own(&sts.url));
    let mut metric = metric(&server.url, as_role(Some(ROLE)));
    metric.provider.prometheus.as_mut().unwrap().timeout = Some(8);
    for minutes in [0, 56] {
        let at = now() + SignedDuration::from_mins(minutes);
        let measured = measure(&meter, &metric, at).await;
        assert_eq!(measured.value.as_deref(), Some("1"), "{measured:?}");
    }
    assert_eq!(sts.seen().len(), 2);
}

#[tokio::test]
async fn what_prometheus_refuses_is_fetched_anew_but_not_all_the_time() {
    let sts = sts(3600).await;
    let server = Server::start(|_| Answer::status(403, "ExpiredTokenException")).await;
    let meter = measurer(&own(&sts.url));
    let metric = metric(&server.url, as_role(Some(ROLE)));
    for (seconds, fetched) in [(0, 1), (59, 1), (61, 1), (62, 2), (100, 2)] {
        let at = now() + SignedDuration::from_secs(seconds);
        measure(&meter, &metric, at).await;
        assert_eq!(sts.seen().len(), fetched, "after {seconds} s");
    }
}

#[test]
fn a_region_is_that_of_the_metric_the_environment_or_the_host() {
    let signer = |region: Option<&str>| super::Signer {
        field: "provider.prometheus.authentication.sigv4".to_owned(),
        region: region.map(str::to_owned),
        role: None,
    };
    let url = |host: &str| reqwest::Url::parse(&format!("https://{host}/workspaces/ws-1")).unwrap();
    let aps = url("aps-workspaces.us-gov-east-1.amazonaws.com");
    let somewhere = super::Aws::new(Environment::read(|name| {
        (name == "AWS_DEFAULT_REGION").then(|| "ap-south-1".to_owned())
    }));
    let nowhere = super::Aws::default();
    assert_eq!(
        somewhere.region(&signer(Some("eu-west-1")), &aps).unwrap(),
        "eu-west-1"
    );
    assert_eq!(somewhere.region(&signer(None), &aps).unwrap(), "ap-south-1");
    assert_eq!(nowhere.region(&signer(None), &aps).unwrap(), "us-gov-east-1");
    for (host, region) in [
        (
            "vpce-1.aps-workspaces.eu-west-1.vpce.amazonaws.com",
            Some("eu-west-1"),
        ),
        ("aps-workspaces.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
        ("monitoring.amazonaws.com", None),
        ("aps-workspaces.eu-west-1.example.com", None),
        ("amazonaws.com", None),
    ] {
        let found = nowhere.region(&signer(None), &url(host));
        assert_eq!(found.as_deref().ok(), region, "{host}");
    }
    let error = nowhere
        .region(&signer(None), &url("prometheus.shop"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "provider.prometheus.authentication.sigv4.region: must be set, or AWS_REGION in the controller's environment"
    );
}

#[test]
fn a_managed_prometheus_is_known_by_its_host() {
    for (url, managed) in [
        (
            "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws",
            true,
        ),
        (
            "https://vpce-1.aps-workspaces.eu-west-1.vpce.amazonaws.com/",
            true,
        ),
        ("https://proxy.shop/aps-workspaces/ws", false),
        ("https://aps-workspaces.example.com/", false),
    ] {
        let url = reqwest::Url::parse(url).unwrap();
        assert_eq!(super::host::is_managed_prometheus(&url), managed, "{url}");
    }
}
