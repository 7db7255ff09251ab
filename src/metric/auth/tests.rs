//! Tokens: fetched once, kept, fetched anew, and told apart when they fail.

mod everywhere;

use super::base64;
use crate::api::analysis::{Authentication, Metric, MetricProvider, OAuth2Config, PrometheusMetric};
use crate::metric::http::TransportOptions;
use crate::metric::http::testing::{Answer, Request, Server, nobody};
use crate::metric::provider::{Defaults, Measured, Measurer, MeasurerOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const DATA: &str = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#;

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

fn metric(address: &str, token_url: &str) -> Metric {
    let oauth2 = OAuth2Config {
        token_url: Some(token_url.to_owned()),
        client_id: Some("serin".to_owned()),
        client_secret: Some("s3:cret".to_owned()),
        scopes: vec!["read".to_owned(), "all".to_owned()],
    };
    let prometheus = PrometheusMetric {
        address: Some(address.to_owned()),
        query: Some("up".to_owned()),
        authentication: Some(Authentication {
            oauth2: Some(oauth2),
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

async fn measure(measurer: &Measurer, metric: &Metric) -> Measured {
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    measurer
        .measure_and_judge(metric, &Defaults::default(), &[], now)
        .await
}

/// A token endpoint that numbers its tokens.
async fn issuer(expires_in: &'static str) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        Answer::json(format!(
            r#"{{"access_token":"token-{number}","token_type":"bearer"{expires_in}}}"#
        ))
    })
    .await
}

#[tokio::test]
async fn a_token_is_fetched_once_and_kept_until_it_expires() {
    for (expires_in, fetched) in [
        (r#","expires_in":3600"#, 1),
        (r#","expires_in":"3600""#, 1),
        ("", 1),
        (r#","expires_in":5"#, 2),
    ] {
        let issuer = issuer(expires_in).await;
        let server = Server::start(|_| Answer::json(DATA)).await;
        let (measurer, metric) = (measurer(), metric(&server.url, &issuer.url));
        for _ in 0..2 {
            assert_eq!(measure(&measurer, &metric).await.value.as_deref(), Some("1"));
        }
        let tokens: Vec<String> = server
            .seen()
            .iter()
            .map(|r| r.header("authorization").unwrap().to_owned())
            .collect();
        assert_eq!(
            tokens,
            ["Bearer token-1".to_owned(), format!("Bearer token-{fetched}")]
        );
        let seen = issuer.seen();
        assert_eq!(seen.len(), fetched);
        assert_eq!(seen[0].body, "grant_type=client_credentials&scope=read%20all");
        // RFC 6749 2.3.1: id and secret are form-encoded before they are joined.
        assert_eq!(
            seen[0].header("authorization").unwrap(),
            format!("Basic {}", base64(b"serin:s3%3Acret"))
        );
    }
}

#[tokio::test]
async fn many_who_wait_for_a_token_are_served_by_one_fetch() {
    let slow = Server::start(|_| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        Answer::json(r#"{"access_token":"t","expires_in":3600}"#)
    })
    .await;
    let server = Server::start(|_| Answer::json(DATA)).await;
    let (measurer, metric) = (measurer(), metric(&server.url, &slow.url));
    let all = futures::future::join_all((0..20).map(|_| measure(&measurer, &metric))).await;
    assert!(all.iter().all(|one| one.value.as_deref() == Some("1")), "{all:?}");
    assert_eq!((slow.seen().len(), server.seen().len()), (1, 20));
}

#[tokio::test]
async fn a_server_that_knows_the_client_only_in_the_body_is_served() {
    let issuer = Server::start(|request: &Request| {
        if request.header("authorization").is_some() {
            Answer::status(401, "{}")
        } else {
            Answer::json(r#"{"access_token":"t","expires_in":60}"#)
        }
    })
    .await;
    let server = Server::start(|_| Answer::json(DATA)).await;
    assert_eq!(
        measure(&measurer(), &metric(&server.url, &issuer.url))
            .await
            .value
            .as_deref(),
        Some("1")
    );
    let body = &issuer.seen()[1].body;
    assert!(
        body.ends_with("&client_id=serin&client_secret=s3%3Acret"),
        "{body}"
    );
}

#[tokio::test]
async fn a_refused_token_is_forgotten() {
    let issuer = issuer(r#","expires_in":3600"#).await;
    let accepted = Arc::new(AtomicUsize::new(1));
    let which = Arc::clone(&accepted);
    let server = Server::start(move |request: &Request| {
        let expected = format!("Bearer token-{}", which.load(Ordering::SeqCst));
        if request.header("authorization") == Some(&expected) {
            Answer::json(DATA)
        } else {
            Answer::status(401, "revoked")
        }
    })
    .await;
    let (measurer, metric) = (measurer(), metric(&server.url, &issuer.url));
    assert_eq!(measure(&measurer, &metric).await.error_kind, None);
    accepted.store(2, Ordering::SeqCst);
    assert_eq!(
        measure(&measurer, &metric).await.message.unwrap(),
        format!(
            "Prometheus at {} answered HTTP 401 Unauthorized: revoked",
            server.url
        )
    );
    assert_eq!(measure(&measurer, &metric).await.error_kind, None);
}

#[tokio::test]
async fn failures_of_the_token_endpoint_are_its_own() {
    let server = Server::start(|_| Answer::json(DATA)).await;
    let cases = [
        (
            400,
            r#"{"error":"invalid_client s3:cret"}"#,
            "HTTP 400 Bad Request: {\"error\":\"invalid_client *****\"}",
        ),
        (500, "", "HTTP 500 Internal Server Error: "),
        (200, "<html>", "the answer holds no access_token"),
        (200, "{\"token\":\"x\"}", "the answer holds no access_token"),
    ];
    for (status, body, expected) in cases {
        let issuer = Server::start(move |_| Answer::status(status, body)).await;
        let measured = measure(&measurer(), &metric(&server.url, &issuer.url)).await;
        assert_eq!(measured.error_kind, Some("Authentication"));
        assert_eq!(
            measured.message.unwrap(),
            format!(
                "authentication for the OAuth2 token endpoint at {}: {expected}",
                issuer.url
            )
        );
    }
    let gone = nobody().await;
    let measured = measure(&measurer(), &metric(&server.url, &gone)).await;
    assert_eq!(
        measured.message.unwrap(),
        format!("cannot reach the OAuth2 token endpoint at {gone}: connection refused")
    );
    let slow = Server::start(|_| Answer::Hang(Vec::new())).await;
    let mut limited = metric(&server.url, &slow.url);
    limited.provider.prometheus.as_mut().unwrap().timeout = Some(1);
    assert_eq!(
        measure(&measurer(), &limited).await.message.unwrap(),
        format!(
            "the OAuth2 token endpoint at {} did not answer within 1 s",
            slow.url
        )
    );
    assert!(server.seen().is_empty(), "nothing was asked without a token");
}

#[tokio::test]
async fn a_token_that_the_server_echoes_is_struck_out() {
    let issuer = issuer("").await;
    let server = Server::start(|request| Answer::status(500, format!("{:?}", request.headers))).await;
    let message = measure(&measurer(), &metric(&server.url, &issuer.url))
        .await
        .message
        .unwrap();
    assert!(
        message.contains("Bearer *****") && !message.contains("token-1"),
        "{message}"
    );
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let complete = metric("http://x", "http://y");
    let text = |change: fn(&mut OAuth2Config)| {
        let mut metric = complete.clone();
        let prometheus = metric.provider.prometheus.as_mut().unwrap();
        change(
            prometheus
                .authentication
                .as_mut()
                .unwrap()
                .oauth2
                .as_mut()
                .unwrap(),
        );
        async move { measure(&measurer(), &metric).await.message.unwrap() }
    };
    let field = "provider.prometheus.authentication.oauth2";
    assert_eq!(
        text(|o| o.client_id = None).await,
        format!("{field}.clientId: must be set")
    );
    assert_eq!(
        text(|o| o.client_secret = Some(String::new())).await,
        format!("{field}.clientSecret: must be set")
    );
    assert_eq!(
        text(|o| o.token_url = None).await,
        format!("{field}.tokenUrl: must be set")
    );
    assert_eq!(
        text(|o| o.token_url = Some("y".to_owned())).await,
        format!("{field}.tokenUrl: is not an http or https URL")
    );
}

#[test]
fn base64_as_in_rfc_4648() {
    for (plain, encoded) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(base64(plain.as_bytes()), encoded);
    }
    assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
}
