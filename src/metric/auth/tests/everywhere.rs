//! Every way to prove who one is, for every provider, over http and https, against a server that lets nobody else in.

use crate::api::analysis::{
    Authentication, BasicAuth, Metric, MetricProvider, OAuth2Config, PrometheusMetric, Sigv4Config,
    WebMetric, WebMetricHeader,
};
use crate::metric::http::TransportOptions;
use crate::metric::http::testing::{Answer, Request, Server, authority};
use crate::metric::provider::{Defaults, Measured, Measurer, MeasurerOptions};
use crate::metric::sigv4::{AwsCredentials, Scope, Signable, sign};
use jiff::Timestamp;

const NOW: &str = "2026-01-02T03:04:05Z";
const ONE: &str = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#;
const SECRET: &str = "op3n s:s4me/ü";

/// What a metric carries to be let in, and what the server wants.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Basic,
    Bearer,
    OAuth2,
    InUrl,
}

fn aws() -> AwsCredentials {
    AwsCredentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI".to_owned(),
        session_token: Some("session".to_owned()),
    }
}

fn measurer(ca_pem: Option<Vec<u8>>) -> Measurer {
    let transport = TransportOptions {
        ca_pem,
        proxy_from_env: false,
        ..TransportOptions::default()
    };
    Measurer::new(MeasurerOptions {
        transport,
        aws: aws().into(),
    })
    .unwrap()
}

/// The same question to both providers.
struct Asked {
    url: String,
    headers: Vec<WebMetricHeader>,
    authentication: Option<Authentication>,
    insecure: bool,
}

impl Asked {
    fn of(kind: Option<Kind>, url: &str, token_url: &str) -> Self {
        let mut asked = Asked {
            url: url.to_owned(),
            headers: Vec::new(),
            authentication: None,
            insecure: false,
        };
        match kind {
            None => {}
            Some(Kind::Basic) => {
                asked.authentication = Some(Authentication {
                    basic_auth: Some(BasicAuth {
                        username: Some("serin".to_owned()),
                        password: Some(SECRET.to_owned()),
                    }),
                    ..Authentication::default()
                });
            }
            Some(Kind::Bearer) => asked.headers.push(WebMetricHeader {
                key: "Authorization".to_owned(),
                value: "Bearer t0ken-0f-the-metric".to_owned(),
            }),
            Some(Kind::OAuth2) => {
                asked.authentication = Some(Authentication {
                    oauth2: Some(OAuth2Config {
                        token_url: Some(token_url.to_owned()),
                        client_id: Some("serin".to_owned()),
                        client_secret: Some(SECRET.to_owned()),
                        scopes: vec!["metrics".to_owned()],
                    }),
                    ..Authentication::default()
                });
            }
            Some(Kind::InUrl) => {
                asked.url = url.replace("://", "://serin:op3n%20s%3As4me%2F%C3%BC@");
            }
        }
        asked
    }

    fn prometheus(&self) -> MetricProvider {
        MetricProvider {
            prometheus: Some(PrometheusMetric {
                address: Some(self.url.clone()),
                query: Some("up".to_owned()),
                headers: self.headers.clone(),
                authentication: self.authentication.clone(),
                insecure: self.insecure,
                ..PrometheusMetric::default()
            }),
            ..MetricProvider::default()
        }
    }

    fn web(&self) -> MetricProvider {
        MetricProvider {
            web: Some(WebMetric {
                url: self.url.clone(),
                json_path: Some("{$.data.resultType}".to_owned()),
                headers: self.headers.clone(),
                authentication: self.authentication.clone(),
                insecure: self.insecure,
                ..WebMetric::default()
            }),
            ..MetricProvider::default()
        }
    }

    /// What each provider brought.
    async fn measured(&self, measurer: &Measurer) -> [Measured; 2] {
        [
            measured(measurer, self.prometheus()).await,
            measured(measurer, self.web()).await,
        ]
    }
}

async fn measured(measurer: &Measurer, provider: MetricProvider) -> Measured {
    let metric = Metric {
        name: "m".to_owned(),
        provider,
        ..Metric::default()
    };
    let now = NOW.parse().unwrap();
    measurer
        .measure_and_judge(&metric, &Defaults::default(), &[], now)
        .await
}

/// Lets in whoever shows this, and tells everybody else what he showed.
fn guard(wanted: String) -> impl Fn(&Request) -> Answer + Send + Sync + 'static {
    move |request| {
        if request.header("authorization") == Some(&wanted) {
            Answer::json(ONE)
        } else {
            Answer::status(401, format!("not you: {:?}", request.headers))
        }
    }
}

fn issuer(request: &Request) -> Answer {
    // RFC 6749, 2.3.1: each form-encoded, then joined, then base64.
    let known = super::base64(b"serin:op3n%20s%3As4me%2F%C3%BC");
    if request.header("authorization") == Some(&format!("Basic {known}")) {
        Answer::json(r#"{"access_token":"t0ken-0f-the-issuer","token_type":"Bearer","expires_in":3600}"#)
    } else {
        Answer::status(401, "who?")
    }
}

fn wanted(kind: Kind) -> String {
    match kind {
        Kind::Basic | Kind::InUrl => {
            format!("Basic {}", super::base64(format!("serin:{SECRET}").as_bytes()))
        }
        Kind::Bearer => "Bearer t0ken-0f-the-metric".to_owned(),
        Kind::OAuth2 => "Bearer t0ken-0f-the-issuer".to_owned(),
    }
}

fn values(all: &[Measured; 2]) -> [Option<&str>; 2] {
    [all[0].value.as_deref(), all[1].value.as_deref()]
}

const GOOD: [Option<&str>; 2] = [Some("1"), Some("\"scalar\"")];

#[tokio::test]
async fn each_kind_of_credential_lets_both_providers_in_by_http_and_by_https() {
    let measurer = measurer(Some(authority()));
    for kind in [Kind::Basic, Kind::Bearer, Kind::OAuth2, Kind::InUrl] {
        let tokens = Server::start(issuer).await;
        let secure_tokens = Server::start_tls(issuer).await;
        let plain = Server::start(guard(wanted(kind))).await;
        let secure = Server::start_tls(guard(wanted(kind))).await;
        for (server, tokens) in [(&plain, &tokens), (&secure, &secure_tokens)] {
            let all = Asked::of(Some(kind), &server.url, &tokens.url)
                .measured(&measurer)
                .await;
            assert_eq!(values(&all), GOOD, "{kind:?} at {}: {all:?}", server.url);
            // The server is particular: without it nobody comes in.
            for refused in Asked::of(None, &server.url, "").measured(&measurer).await {
                let message = refused.message.unwrap();
                assert!(message.contains("HTTP 401 Unauthorized: not you"), "{message}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_server_echoes_of_a_credential_is_struck_out() {
    let measurer = measurer(None);
    for kind in [Kind::Basic, Kind::Bearer, Kind::OAuth2, Kind::InUrl] {
        let tokens = Server::start(issuer).await;
        let server = Server::start(guard("nothing that is ever sent".to_owned())).await;
        for refused in Asked::of(Some(kind), &server.url, &tokens.url)
            .measured(&measurer)
            .await
        {
            let shown = format!("{refused:?}");
            assert!(
                shown.contains("*****"),
                "{kind:?}: it was sent and came back: {shown}"
            );
            for secret in ["op3n", "t0ken", &super::base64(b"serin:op3n")[..12]] {
                assert!(!shown.contains(secret), "{kind:?}: {shown}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_token_endpoint_echoes_is_struck_out() {
    let tokens =
        Server::start(|request| Answer::status(500, format!("{:?} {}", request.headers, request.body))).await;
    let asked = Asked::of(Some(Kind::OAuth2), "http://127.0.0.1:1", &tokens.url);
    for refused in asked.measured(&measurer(None)).await {
        let shown = format!("{refused:?}");
        assert!(shown.contains("Basic *****"), "{shown}");
        let pair = super::base64(b"serin:op3n%20s%3As4me%2F%C3%BC");
        assert!(!shown.contains("op3n") && !shown.contains(&pair[..12]), "{shown}");
    }
    // As a form, too: the first try is refused.
    let tokens = Server::start(|request| match request.header("authorization") {
        Some(_) => Answer::status(401, ""),
        None => Answer::status(500, request.body.clone()),
    })
    .await;
    let asked = Asked::of(Some(Kind::OAuth2), "http://127.0.0.1:1", &tokens.url);
    for refused in asked.measured(&measurer(None)).await {
        let shown = format!("{refused:?}");
        assert!(
            shown.contains("client_secret=*****") && !shown.contains("op3n"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_certificate_counts_when_its_authority_is_given_or_when_it_is_waived() {
    let server = Server::start_tls(|_| Answer::json(ONE)).await;
    let asked = |insecure| Asked {
        insecure,
        ..Asked::of(None, &server.url, "")
    };
    let stranger = asked(false).measured(&measurer(None)).await;
    for refused in &stranger {
        let message = refused.message.as_deref().unwrap();
        assert!(message.contains("TLS: invalid peer certificate"), "{message}");
        assert_eq!(refused.error_kind, Some("Unreachable"));
    }
    assert_eq!(
        values(&asked(false).measured(&measurer(Some(authority()))).await),
        GOOD
    );
    assert_eq!(values(&asked(true).measured(&measurer(None)).await), GOOD);
}

/// The client's secret goes to a verified server only, whatever is waived for the measured one.
#[tokio::test]
async fn a_token_endpoint_is_verified_although_the_metric_is_insecure() {
    let tokens = Server::start_tls(issuer).await;
    let server = Server::start_tls(|_| Answer::json(ONE)).await;
    let mut asked = Asked::of(Some(Kind::OAuth2), &server.url, &tokens.url);
    asked.insecure = true;
    for refused in asked.measured(&measurer(None)).await {
        let message = refused.message.unwrap();
        assert!(
            message.contains("the OAuth2 token endpoint at") && message.contains("TLS:"),
            "{message}"
        );
    }
    assert!(tokens.seen().is_empty() && server.seen().is_empty());
}

/// The server computes the signature anew from what it got.
#[tokio::test]
async fn a_signature_is_that_of_the_request_as_it_arrives() {
    let server = Server::start_tls(|request: &Request| {
        let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
        let (host, kind) = (header("host"), header("content-type"));
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let signable = Signable {
            method: &request.method,
            path,
            query,
            headers: &[("host", &host), ("content-type", &kind)],
            body: request.body.as_bytes(),
        };
        let scope = Scope {
            region: "eu-west-1".to_owned(),
            service: "aps".to_owned(),
        };
        let now: Timestamp = NOW.parse().unwrap();
        let expected = sign(&signable, &scope, &aws(), now);
        if expected.iter().all(|(name, value)| header(name) == *value) {
            Answer::json(ONE)
        } else {
            Answer::status(403, format!("{expected:?} but {:?}", request.headers))
        }
    })
    .await;
    let mut asked = Asked::of(None, &format!("{}/workspaces/ws a", server.url), "");
    asked.authentication = Some(Authentication {
        sigv4: Some(Sigv4Config {
            region: Some("eu-west-1".to_owned()),
            ..Sigv4Config::default()
        }),
        ..Authentication::default()
    });
    let sample = measured(&measurer(Some(authority())), asked.prometheus()).await;
    assert_eq!(sample.value.as_deref(), Some("1"), "{sample:?}");
    let seen = server.seen();
    assert_eq!(
        (
            seen[0].header("x-amz-security-token"),
            seen[0].header("x-amz-date")
        ),
        (Some("session"), Some("20260102T030405Z"))
    );
    assert!(
        !format!("{seen:?}").contains("wJalr"),
        "the key itself never travels"
    );
}
