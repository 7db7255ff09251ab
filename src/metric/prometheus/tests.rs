//! Each failure of a Prometheus, with the exact sentence that a person reads.

use crate::api::analysis::{Metric, MetricProvider, PrometheusMetric};
use crate::metric::http::testing::{Answer, Server, nobody};
use crate::metric::http::{Limits, TransportOptions};
use crate::metric::provider::{Defaults, Gap, Measurer, MeasurerOptions, Sample};
use jiff::Timestamp;
use std::time::{Duration, Instant};

mod requests;

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn options() -> MeasurerOptions {
    let transport = TransportOptions {
        proxy_from_env: false,
        ..TransportOptions::default()
    };
    MeasurerOptions {
        transport,
        ..MeasurerOptions::default()
    }
}

fn query(address: &str) -> PrometheusMetric {
    PrometheusMetric {
        address: Some(address.to_owned()),
        query: Some("sum(rate(http_requests_total[5m]))".to_owned()),
        ..PrometheusMetric::default()
    }
}

fn metric(prometheus: PrometheusMetric) -> Metric {
    Metric {
        name: "m".to_owned(),
        provider: MetricProvider {
            prometheus: Some(prometheus),
            ..MetricProvider::default()
        },
        ..Metric::default()
    }
}

async fn sample(options: MeasurerOptions, prometheus: PrometheusMetric) -> Sample {
    Measurer::new(options)
        .unwrap()
        .measure(&metric(prometheus), &Defaults::default(), &[], now())
        .await
}

async fn error(prometheus: PrometheusMetric) -> (&'static str, String) {
    let error = sample(options(), prometheus).await.outcome.unwrap_err();
    (error.kind(), error.to_string())
}

/// The error when the server answers so; the server's address is written `ADDRESS`.
async fn error_of(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (&'static str, String) {
    let server = Server::start(move |_| answer()).await;
    let (kind, text) = error(query(&server.url)).await;
    (kind, text.replace(&server.url, "ADDRESS"))
}

fn vector(values: &str) -> String {
    let series: Vec<String> = values
        .split_whitespace()
        .map(|v| format!(r#"{{"metric":{{"a":"b"}},"value":[1700000000.1,"{v}"]}}"#))
        .collect();
    format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#,
        series.join(",")
    )
}

#[tokio::test]
async fn no_address_or_a_wrong_one_is_named() {
    let (kind, text) = error(PrometheusMetric {
        address: None,
        ..query("")
    })
    .await;
    assert_eq!(kind, "AddressMissing");
    assert_eq!(
        text,
        "no Prometheus address: set provider.prometheus.address in the metric, or give the controller a default with \
         --prometheus-address or ARGO_ROLLOUTS_PROMETHEUS_ADDRESS"
    );
    for (address, reason) in [
        ("prometheus:9090", "it must begin with http:// or https://"),
        ("prometheus", "it must begin with http:// or https://"),
        ("ftp://prometheus", "it must begin with http:// or https://"),
        ("http://", "empty host"),
        ("http://a:99999", "invalid port number"),
    ] {
        let (kind, text) = error(query(address)).await;
        assert_eq!(kind, "AddressInvalid");
        assert_eq!(
            text,
            format!("provider.prometheus.address {address:?} is not a valid address: {reason}")
        );
    }
    let (_, text) = error(query("http://me:hush@host:99999")).await;
    assert!(
        text.contains("*****@host:99999") && !text.contains("hush"),
        "{text}"
    );
}

#[tokio::test]
async fn the_default_address_serves_a_metric_without_one() {
    let server = Server::start(|_| Answer::json(vector("1"))).await;
    let defaults = Defaults {
        prometheus_address: Some(server.url.clone()),
        ..Defaults::default()
    };
    let measurer = Measurer::new(options()).unwrap();
    for address in [None, Some(String::new())] {
        let metric = metric(PrometheusMetric { address, ..query("") });
        assert_eq!(
            measurer.measure(&metric, &defaults, &[], now()).await.value_text,
            "[1]"
        );
    }
}

#[tokio::test]
async fn a_query_is_needed_and_the_timeout_must_make_sense() {
    let (_, text) = error(PrometheusMetric {
        query: Some("  ".to_owned()),
        ..query("http://x")
    })
    .await;
    assert_eq!(text, "provider.prometheus.query: must be set");
    let (_, text) = error(PrometheusMetric {
        timeout: Some(-1),
        ..query("http://x")
    })
    .await;
    assert_eq!(text, "provider.prometheus.timeout: must not be negative");
}

#[tokio::test]
async fn nobody_listens() {
    let address = nobody().await;
    let (kind, text) = error(query(&address)).await;
    assert_eq!(
        (kind, text),
        (
            "Unreachable",
            format!("cannot reach Prometheus at {address}: connection refused")
        )
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    let (kind, text) = error(query("http://prometheus.invalid:9090")).await;
    assert_eq!(kind, "Unreachable");
    assert_eq!(
        text,
        "cannot reach Prometheus at http://prometheus.invalid:9090: the name \"prometheus.invalid\" does not resolve"
    );
}

#[tokio::test]
async fn slow_and_half_answers_are_told_apart() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{";
    for (bytes, expected) in [
        ("", "Prometheus at ADDRESS did not answer within 1 s"),
        (
            head,
            "Prometheus at ADDRESS began to answer but did not finish within 1 s",
        ),
    ] {
        let server = Server::start(move |_| Answer::Hang(bytes.as_bytes().to_vec())).await;
        let begin = Instant::now();
        let (kind, text) = error(PrometheusMetric {
            timeout: Some(1),
            ..query(&server.url)
        })
        .await;
        assert_eq!(
            (kind, text.replace(&server.url, "ADDRESS").as_str()),
            ("Timeout", expected)
        );
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
    for bytes in ["", head] {
        let (kind, text) = error_of(move || Answer::Bytes(bytes.as_bytes().to_vec())).await;
        assert_eq!(
            (kind, text.as_str()),
            (
                "Unreachable",
                "cannot reach Prometheus at ADDRESS: the connection was closed before the answer was complete"
            )
        );
    }
    let (kind, text) = error_of(|| Answer::Bytes(b"SSH-2.0-OpenSSH\r\n\r\n\r\n".to_vec())).await;
    assert_eq!(kind, "Unreachable");
    assert_eq!(
        text,
        "cannot reach Prometheus at ADDRESS: the answer is not HTTP: invalid HTTP version parsed"
    );
}

#[tokio::test]
async fn statuses_and_the_servers_own_errors() {
    let page = "<html>\n <b>upstream\tdown</b></html>";
    let (kind, text) = error_of(move || Answer::status(500, page)).await;
    assert_eq!(
        (kind, text.as_str()),
        (
            "HttpStatus",
            "Prometheus at ADDRESS answered HTTP 500 Internal Server Error: <html> <b>upstream down</b></html>"
        )
    );
    let (_, text) = error_of(|| Answer::status(503, "x".repeat(500))).await;
    assert_eq!(
        text,
        format!(
            "Prometheus at ADDRESS answered HTTP 503 Service Unavailable: {}…",
            "x".repeat(200)
        )
    );
    let (_, text) = error_of(|| Answer::status(401, "")).await;
    assert_eq!(text, "Prometheus at ADDRESS answered HTTP 401 Unauthorized");
    let (_, text) = error_of(|| Answer::status(404, "404 page not found\n")).await;
    assert_eq!(
        text,
        "Prometheus at ADDRESS answered HTTP 404 Not Found: 404 page not found"
    );

    let own = |error_type: &'static str, message: &'static str| {
        format!(r#"{{"status":"error","errorType":"{error_type}","error":"{message}"}}"#)
    };
    let (kind, text) = error_of(move || {
        Answer::status(
            400,
            own(
                "bad_data",
                "invalid parameter \\\"query\\\": 1:5: parse error: unexpected end of input",
            ),
        )
    })
    .await;
    assert_eq!(kind, "QueryError");
    assert_eq!(
        text,
        "Prometheus at ADDRESS answered HTTP 400: bad_data: invalid parameter \"query\": 1:5: parse error: unexpected end of input"
    );
    let (kind, text) =
        error_of(move || Answer::status(503, own("timeout", "query timed out in expression evaluation")))
            .await;
    assert_eq!(
        (kind, text.as_str()),
        (
            "QueryError",
            "Prometheus at ADDRESS answered HTTP 503: timeout: query timed out in expression evaluation"
        )
    );
}

#[tokio::test]
async fn what_is_not_a_query_result_is_described() {
    let tail = "; the address must be the one below which /api/v1/query lies";
    for (body, found) in [
        (
            "<!DOCTYPE html><title>Grafana</title>",
            "it is a web page or XML (<!DOCTYPE html><title>Grafana</title>)",
        ),
        ("", "the answer is empty"),
        ("hello", "it is not JSON (hello)"),
        ("{\"a\":1}", "it is other JSON ({\"a\":1})"),
        ("[1]", "it is other JSON ([1])"),
        (
            "{\"status\":\"success\",\"data\":[\"up\"]}",
            "it is other JSON ({\"status\":\"success\",\"data\":[\"up\"]})",
        ),
        (
            "{\"status\":\"success\"}",
            "it is other JSON ({\"status\":\"success\"})",
        ),
    ] {
        let (kind, text) = error_of(move || Answer::status(200, body)).await;
        assert_eq!(kind, "NotPrometheus", "{body}");
        assert_eq!(
            text,
            format!("the answer of Prometheus at ADDRESS is not a Prometheus query result: {found}{tail}")
        );
    }
    let broken =
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}"#;
    let (kind, text) = error_of(move || Answer::json(broken)).await;
    assert_eq!(kind, "NotPrometheus");
    assert!(text.contains("the vector cannot be read: "), "{text}");
}

#[tokio::test]
async fn results_without_numbers() {
    let tail = ", which has no numbers to judge; the query must return a vector, a matrix or a scalar";
    let string = r#"{"status":"success","data":{"resultType":"string","result":[1,"a"]}}"#;
    let (kind, text) = error_of(move || Answer::json(string)).await;
    assert_eq!(
        (kind, text),
        (
            "ResultType",
            format!("Prometheus at ADDRESS returned a string{tail}")
        )
    );
    let histogram =
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}"#;
    let (kind, text) = error_of(move || Answer::json(histogram)).await;
    assert_eq!(kind, "ResultType");
    assert_eq!(
        text,
        format!(
            "Prometheus at ADDRESS returned a native histogram (histogram_quantile() makes a number of it){tail}"
        )
    );
}

#[tokio::test]
async fn an_answer_beyond_the_cap_is_refused_whether_or_not_its_length_is_announced() {
    let expected =
        "the answer of Prometheus at ADDRESS is larger than 64 KiB; let the query return fewer series";
    let body = vector(&"1 ".repeat(3000));
    assert!(body.len() > 65_536);
    let bytes = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}").into_bytes();
    let announced = Server::start(move |_| Answer::json(body.clone())).await;
    let streamed = Server::start(move |_| Answer::Bytes(bytes.clone())).await;
    for server in [announced, streamed] {
        let mut options = options();
        options.transport.limits = Limits {
            body_bytes: 65_536,
            ..Limits::default()
        };
        let error = sample(options, query(&server.url)).await.outcome.unwrap_err();
        assert_eq!(
            (
                error.kind(),
                error.to_string().replace(&server.url, "ADDRESS").as_str()
            ),
            ("TooLarge", expected)
        );
    }
}

#[tokio::test]
async fn values_of_every_kind_of_result() {
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"0.5"],[2,"NaN"]]},{"metric":{},"values":[[1,"3"]]}]}}"#;
    let scalar =
        |v: &str| format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[1,"{v}"]}}}}"#);
    let empty_matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    let table: Vec<(String, &str, Option<Gap>)> = vec![
        (vector("0.99"), "[0.99]", None),
        (
            vector("0.99 1 1e-7 +Inf -Inf"),
            "[0.99,1,0.0000001,+Inf,-Inf]",
            None,
        ),
        (vector("1e21"), "[1000000000000000000000]", None),
        (vector(""), "[]", Some(Gap::Empty("vector".to_owned()))),
        (vector("NaN"), "[NaN]", Some(Gap::AllNan)),
        (vector("NaN 0.5"), "[NaN,0.5]", Some(Gap::SomeNan(1, 2))),
        (matrix.to_owned(), "[0.5,NaN,3]", Some(Gap::SomeNan(1, 3))),
        (
            empty_matrix.to_owned(),
            "[]",
            Some(Gap::Empty("matrix".to_owned())),
        ),
        (scalar("0.25"), "0.25", None),
        (scalar("NaN"), "NaN", Some(Gap::AllNan)),
    ];
    for (body, text, gap) in table {
        let server = Server::start(move |_| Answer::json(body.clone())).await;
        let sample = sample(options(), query(&server.url)).await;
        assert!(sample.outcome.is_ok(), "{:?}", sample.outcome);
        assert_eq!((sample.value_text.as_str(), &sample.gap), (text, &gap));
    }
}
