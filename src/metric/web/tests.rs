//! Web metrics: what is sent, what is taken from the answer, what is refused.

use super::aws_service;
use crate::api::analysis::{
    Authentication, BasicAuth, Metric, MetricProvider, Sigv4Config, WebMetric, WebMetricHeader,
};
use crate::metric::http::TransportOptions;
use crate::metric::http::testing::{Answer, Server, nobody};
use crate::metric::provider::{Defaults, Measurer, MeasurerOptions, Sample};
use crate::metric::sigv4::AwsCredentials;
use serde_json::json;

fn web(url: &str) -> WebMetric {
    WebMetric {
        url: url.to_owned(),
        ..WebMetric::default()
    }
}

fn path(url: &str, path: &str) -> WebMetric {
    WebMetric {
        json_path: Some(path.to_owned()),
        ..web(url)
    }
}

async fn sample(web: WebMetric) -> Sample {
    let transport = TransportOptions {
        proxy_from_env: false,
        ..TransportOptions::default()
    };
    let metric = Metric {
        name: "m".to_owned(),
        provider: MetricProvider {
            web: Some(web),
            ..MetricProvider::default()
        },
        ..Metric::default()
    };
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let aws = AwsCredentials {
        access_key_id: "A".to_owned(),
        secret_access_key: "hush".to_owned(),
        session_token: None,
    };
    let measurer = Measurer::new(MeasurerOptions {
        transport,
        aws: aws.into(),
    })
    .unwrap();
    measurer.measure(&metric, &Defaults::default(), &[], now).await
}

async fn error(web: WebMetric) -> String {
    sample(web).await.outcome.unwrap_err().to_string()
}

#[tokio::test]
async fn the_value_is_what_the_path_finds() {
    let body = r#"{"data":{"ok":true,"ratio":0.5,"whole":2.0,"n":7,"s":"a \"b\"","list":[1.0,{"x":null}],"big":1e300}}"#;
    let server = Server::start(move |_| Answer::json(body)).await;
    for (jsonpath, text) in [
        ("{$.data.ok}", "true"),
        ("{$.data.ratio}", "0.5"),
        ("{$.data.whole}", "2"),
        ("{$.data.n}", "7"),
        ("{$.data.s}", r#""a \"b\"""#),
        ("{.data.list}", r#"[1,{"x":null}]"#),
        ("{.data.list[1].x}", "null"),
        ("{.data.big}", "1e+300"),
        ("{.data.list[?(@.x == null)]}", r#"{"x":null}"#),
    ] {
        let sample = sample(path(&server.url, jsonpath)).await;
        assert!(sample.outcome.is_ok(), "{jsonpath}: {:?}", sample.outcome);
        assert_eq!(sample.value_text, text, "{jsonpath}");
    }
    let whole = sample(web(&server.url)).await.value_text;
    assert!(whole.starts_with(r#"{"data":{"#), "{whole}");
    assert_eq!(server.seen()[0].method, "GET");
    assert_eq!(
        error(path(&server.url, "{$.data.nope}")).await,
        "provider.web.jsonPath \"{$.data.nope}\": nope is not found"
    );
    assert_eq!(
        error(path(&server.url, "{$.data")).await,
        "provider.web.jsonPath \"{$.data\": expected `}` (at character 8)"
    );
}

#[tokio::test]
async fn a_body_that_is_not_json_is_a_text() {
    let server = Server::start(|_| Answer::status(200, "all fine\n")).await;
    assert_eq!(sample(web(&server.url)).await.value_text, r#""all fine\n""#);
    assert_eq!(
        sample(path(&server.url, "{$}")).await.value_text,
        r#""all fine\n""#
    );
    assert_eq!(
        error(path(&server.url, "{$.a}")).await,
        format!(
            "provider.web.jsonPath \"{{$.a}}\": the answer of the web endpoint at {} is not JSON: all fine",
            server.url
        )
    );
}

#[tokio::test]
async fn bodies_methods_and_headers_are_sent() {
    let server = Server::start(|_| Answer::json("1")).await;
    let header = |key: &str, value: &str| WebMetricHeader {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let post = |body: Option<&str>, json_body| WebMetric {
        method: Some("POST".to_owned()),
        body: body.map(str::to_owned),
        json_body,
        ..web(&format!("{}/a?b=c", server.url))
    };
    sample(post(Some("plain"), None)).await.outcome.unwrap();
    let mut json = post(None, Some(json!({"a": [1]})));
    sample(json.clone()).await.outcome.unwrap();
    json.method = Some("PUT".to_owned());
    json.headers = vec![
        header("content-type", "application/vnd.x+json"),
        header("X-A", "1"),
        header("X-A", "2"),
    ];
    let basic = BasicAuth {
        username: Some("u".to_owned()),
        password: Some("p".to_owned()),
    };
    json.authentication = Some(Authentication {
        basic_auth: Some(basic),
        ..Authentication::default()
    });
    sample(json).await.outcome.unwrap();
    let seen = server.seen();
    assert_eq!(
        (
            seen[0].method.as_str(),
            seen[0].target.as_str(),
            seen[0].body.as_str()
        ),
        ("POST", "/a?b=c", "plain")
    );
    assert_eq!(
        (seen[1].body.as_str(), seen[1].header("content-type")),
        (r#"{"a":[1]}"#, Some("application/json"))
    );
    assert_eq!(
        (seen[2].method.as_str(), seen[2].header("content-type")),
        ("PUT", Some("application/vnd.x+json"))
    );
    assert_eq!(
        seen[2].headers.iter().filter(|(name, _)| name == "x-a").count(),
        2
    );
    assert_eq!(seen[2].header("authorization"), Some("Basic dTpw"));

    assert_eq!(
        error(post(Some("x"), Some(json!(1)))).await,
        "provider.web.body: and jsonBody are both set; give one"
    );
    let get = WebMetric {
        method: None,
        ..post(Some("x"), None)
    };
    assert_eq!(
        error(get).await,
        "provider.web.method: must be POST or PUT when there is a body"
    );
    let delete = WebMetric {
        method: Some("DELETE".to_owned()),
        ..web(&server.url)
    };
    assert_eq!(
        error(delete).await,
        "provider.web.method: \"DELETE\" is not one of GET, POST and PUT"
    );
}

#[tokio::test]
async fn failures_are_told_apart() {
    let server = Server::start(|_| Answer::status(502, "bad\ngateway")).await;
    assert_eq!(
        error(web(&server.url)).await,
        format!(
            "the web endpoint at {} answered HTTP 502 Bad Gateway: bad gateway",
            server.url
        )
    );
    let gone = nobody().await;
    assert_eq!(
        error(web(&gone)).await,
        format!("cannot reach the web endpoint at {gone}: connection refused")
    );
    let slow = Server::start(|_| Answer::Hang(Vec::new())).await;
    let limited = WebMetric {
        timeout_seconds: Some(1),
        ..web(&slow.url)
    };
    assert_eq!(
        error(limited).await,
        format!("the web endpoint at {} did not answer within 1 s", slow.url)
    );
    assert_eq!(
        error(web("localhost/x")).await,
        "provider.web.url \"localhost/x\" is not a valid address: it must begin with http:// or https://"
    );
    let negative = WebMetric {
        timeout_seconds: Some(-5),
        ..web(&slow.url)
    };
    assert_eq!(
        error(negative).await,
        "provider.web.timeoutSeconds: must not be negative"
    );
}

#[tokio::test]
async fn an_endpoint_that_is_not_amazons_is_not_signed_for() {
    let server = Server::start(|_| Answer::json("1")).await;
    let sigv4 = Sigv4Config {
        region: Some("eu-west-1".to_owned()),
        ..Sigv4Config::default()
    };
    let mut metric = web(&server.url);
    metric.authentication = Some(Authentication {
        sigv4: Some(sigv4),
        ..Authentication::default()
    });
    assert_eq!(
        error(metric).await,
        format!(
            "authentication for the web endpoint at {}: no AWS service is known for this host; sigv4 here is for \
             *.amazonaws.com and *.on.aws",
            server.url
        )
    );
    assert!(server.seen().is_empty());
    for (url, service) in [
        (
            "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/x",
            Some("aps"),
        ),
        (
            "https://abc.execute-api.eu-west-1.amazonaws.com/prod",
            Some("execute-api"),
        ),
        ("https://monitoring.eu-west-1.amazonaws.com/", Some("monitoring")),
        ("https://abc.lambda-url.eu-west-1.on.aws/", Some("lambda")),
        ("https://abc.on.aws/", None),
        ("https://amazonaws.com/", None),
        ("https://evil-amazonaws.com/", None),
    ] {
        assert_eq!(aws_service(&reqwest::Url::parse(url).unwrap()), service, "{url}");
    }
}
