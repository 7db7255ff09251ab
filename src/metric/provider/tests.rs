//! Verdicts: no data never promotes; what is stored is bounded and holds no secret.

use super::redact::{MAX_TEXT, MAX_VALUE, Redactor, cut, one_line};
use super::{Defaults, Gap, Measured, Measurer, MeasurerOptions, supported_providers};
use crate::api::analysis::{AnalysisPhase, Metric, MetricProvider, PrometheusMetric, WebMetric};
use crate::metric::http::TransportOptions;
use crate::metric::http::testing::{Answer, Server, nobody};
use AnalysisPhase::{Error, Failed, Inconclusive, Successful};

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

fn prometheus(address: &str, success: &str, failure: &str) -> Metric {
    Metric {
        name: "m".to_owned(),
        success_condition: Some(success.to_owned()),
        failure_condition: Some(failure.to_owned()),
        provider: MetricProvider {
            prometheus: Some(PrometheusMetric {
                address: Some(address.to_owned()),
                query: Some("q".to_owned()),
                ..PrometheusMetric::default()
            }),
            ..MetricProvider::default()
        },
        ..Metric::default()
    }
}

async fn judged(metric: &Metric) -> Measured {
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    measurer()
        .measure_and_judge(metric, &Defaults::default(), &[], now)
        .await
}

/// A Prometheus that always returns a vector of these values.
async fn returning(values: &'static [&'static str]) -> Server {
    Server::start(move |_| {
        let series: Vec<String> = values
            .iter()
            .map(|v| format!(r#"{{"metric":{{}},"value":[1,"{v}"]}}"#))
            .collect();
        Answer::json(format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#,
            series.join(",")
        ))
    })
    .await
}

const EMPTY: &str = "the query returned no data (empty vector): no series matched it";
const NAN: &str = "the query returned NaN (usually 0/0: no requests)";
const UNSAID: &str = "no condition says what that means, so it does not count as success";

#[tokio::test]
async fn no_data_never_promotes_unless_the_condition_deals_with_it() {
    let (empty, nan) = (returning(&[]).await, returning(&["NaN"]).await);
    // Conditions, then the phase and message on an empty result, then those on NaN.
    let table: &[(&str, &str, AnalysisPhase, AnalysisPhase)] = &[
        // The seed's: the contract's Failed stays, with the reason.
        ("len(result) > 0 && result[0] >= 0.995", "", Failed, Failed),
        ("result[0] >= 0.995", "", Error, Failed),
        // Nobody says what no data means.
        ("", "", Inconclusive, Inconclusive),
        ("all(result, # > 0.9)", "", Inconclusive, Failed),
        ("none(result, # > 0.1)", "", Inconclusive, Inconclusive),
        ("", "result[0] > 0.05", Error, Inconclusive),
        ("", "any(result, # > 0.05)", Inconclusive, Inconclusive),
        (
            "",
            "len(result) > 0 && result[0] > 0.05",
            Successful,
            Inconclusive,
        ),
        ("result[0] <= 0.05", "result[0] > 0.05", Error, Inconclusive),
        // Somebody does.
        (
            "len(result) == 0 || isNaN(result[0]) || result[0] > 0.9",
            "",
            Successful,
            Successful,
        ),
        ("result == [] || result[0] > 0.9", "", Successful, Failed),
        ("(get(result, 0) ?? 1) > 0.9", "", Successful, Failed),
        // An empty list is not nil: whoever asks for nil has not thought of it.
        ("default(result, 1) == 1 || result[0] > 0.9", "", Error, Failed),
        (
            "",
            "!isNil(result) && any(result, # > 0.05)",
            Inconclusive,
            Inconclusive,
        ),
        ("all(result, isNaN(#) || # > 0.9)", "", Inconclusive, Successful),
        // A condition for failure that deals with it does not make a vacuous success good.
        (
            "all(result, # < 2)",
            "len(result) > 9",
            Inconclusive,
            Inconclusive,
        ),
    ];
    for (success, failure, on_empty, on_nan) in table {
        for (server, gap, expected, value) in [(&empty, EMPTY, on_empty, "[]"), (&nan, NAN, on_nan, "[NaN]")]
        {
            let measured = judged(&prometheus(&server.url, success, failure)).await;
            let message = measured.message.unwrap();
            assert_eq!(
                measured.phase, *expected,
                "{success:?} {failure:?} {value}: {message}"
            );
            assert_eq!(measured.value.as_deref(), Some(value));
            assert!(message.starts_with(gap), "{success:?} {failure:?}: {message}");
            match expected {
                Error => assert!(message.contains("; could not evaluate "), "{message}"),
                Inconclusive if (*success).is_empty() || (*failure).is_empty() => {
                    assert_eq!(message, format!("{gap}; {UNSAID}"));
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn data_is_judged_as_the_contract_says() {
    let (good, bad, mixed) = (
        returning(&["0.999"]).await,
        returning(&["0.99"]).await,
        returning(&["0.999", "NaN"]).await,
    );
    let seed = "len(result) > 0 && result[0] >= 0.995";
    for (server, success, failure, phase, message) in [
        (&good, seed, "", Successful, None),
        (&bad, seed, "", Failed, None),
        (&good, "", "", Successful, None),
        (&bad, "result[0] > 0.995", "result[0] < 0.95", Inconclusive, None),
        (
            &mixed,
            seed,
            "",
            Successful,
            Some("1 of the 2 values that the query returned are NaN"),
        ),
    ] {
        let measured = judged(&prometheus(&server.url, success, failure)).await;
        assert_eq!(
            (measured.phase, measured.message.as_deref()),
            (phase, message),
            "{success:?} {failure:?}"
        );
        assert_eq!(measured.error_kind, None);
    }
}

#[tokio::test]
async fn a_condition_that_nobody_understands_asks_no_server() {
    let server = returning(&["1"]).await;
    let measured = judged(&prometheus(&server.url, "result[0] >", "")).await;
    assert_eq!(
        (measured.phase, measured.error_kind),
        (Error, Some("InvalidCondition"))
    );
    let message = measured.message.unwrap();
    assert!(
        message.starts_with("could not evaluate successCondition \"result[0] >\": "),
        "{message}"
    );
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_provider_that_fails_is_an_error_with_its_sentence() {
    let address = nobody().await;
    let measured = judged(&prometheus(&address, "result[0] > 0", "")).await;
    assert_eq!(
        (measured.phase, measured.error_kind, measured.value),
        (Error, Some("Unreachable"), None)
    );
    assert_eq!(
        measured.message.unwrap(),
        format!("cannot reach Prometheus at {address}: connection refused")
    );
    assert_eq!(measured.metric_metadata["ResolvedPrometheusQuery"], "q");
}

#[tokio::test]
async fn the_provider_must_be_one_and_known() {
    let text = |provider: MetricProvider| async move {
        let metric = Metric {
            name: "m".to_owned(),
            provider,
            ..Metric::default()
        };
        judged(&metric).await.message.unwrap()
    };
    assert_eq!(supported_providers(), ["prometheus", "web", "job"]);
    assert_eq!(
        text(MetricProvider::default()).await,
        "provider: names no provider"
    );
    let provider: MetricProvider = serde_json::from_str(r#"{"datadog":{"query":"q"}}"#).unwrap();
    assert_eq!(
        text(provider).await,
        "the provider \"datadog\" is not supported; supported are: prometheus, web, job"
    );
    let two = MetricProvider {
        prometheus: Some(PrometheusMetric::default()),
        web: Some(WebMetric::default()),
        ..MetricProvider::default()
    };
    assert_eq!(text(two).await, "provider: names more than one provider");
}

#[tokio::test]
async fn what_is_stored_is_bounded() {
    let numbers: Vec<String> = (0..50_000).map(|n| n.to_string()).collect();
    let body = format!("[{}]", numbers.join(","));
    let server = Server::start(move |_| Answer::json(body.clone())).await;
    let web = WebMetric {
        url: server.url.clone(),
        ..WebMetric::default()
    };
    let metric = Metric {
        name: "m".to_owned(),
        success_condition: Some("len(result) == 50000".to_owned()),
        provider: MetricProvider {
            web: Some(web),
            ..MetricProvider::default()
        },
        ..Metric::default()
    };
    let measured = judged(&metric).await;
    assert_eq!(measured.phase, Successful, "{:?}", measured.message);
    assert_eq!(measured.value.unwrap().chars().count(), MAX_VALUE + 1);
}

#[test]
fn conditions_that_deal_with_a_gap() {
    let empty = Gap::Empty("vector".to_owned());
    for (condition, of_empty, of_nan) in [
        ("len(result) == 0", true, false),
        ("len (result) == 0", true, false),
        ("result | len() == 0", true, false),
        ("isNil(result)", false, false),
        ("default(result, 0) < 1", false, false),
        ("(get(result, 0) ?? 0) < 1", true, false),
        ("result == []", true, false),
        ("isNaN(result[0])", false, true),
        ("!isNaN(result[0]) && len(result) > 0", true, true),
        ("result[0] < 1", false, false),
        ("\"len(\" != \"isNaN(\" && result[0] < 1", false, false),
        ("'it\\'s len(' == '' || result[0] < 1", false, false),
        ("`\\` == \"\" || len(result) > 0", true, false),
        ("result[0] < 1 // len(result) isNaN(x)", false, false),
        ("result[0] < 1 /* len(result) */", false, false),
        ("strlen(result) > 0", false, false),
        ("result.len(1)", false, false),
        ("length > 0", false, false),
    ] {
        assert_eq!(empty.is_handled_by(Some(condition)), of_empty, "{condition}");
        assert_eq!(Gap::AllNan.is_handled_by(Some(condition)), of_nan, "{condition}");
    }
    assert!(
        !empty.is_handled_by(None)
            && !Gap::AllNan.is_handled_by(None)
            && Gap::SomeNan(1, 2).is_handled_by(None)
    );
}

#[test]
fn secrets_are_struck_out_in_every_spelling() {
    let mut redactor = Redactor::default();
    for secret in ["", "a b&\"c\"", "a b", "p/w+d"] {
        redactor.add(secret);
    }
    for text in [
        "a b&\"c\"",
        "a b&\\\"c\\\"",
        "a%20b%26%22c%22",
        "a+b%26%22c%22",
        "p/w+d",
        "p%2Fw%2Bd",
        "a b",
    ] {
        assert_eq!(redactor.scrub(&format!("<{text}>")), "<*****>", "{text}");
    }
    assert_eq!(redactor.scrub("nothing"), "nothing");
    assert!(!format!("{redactor:?}").contains("p/w"));
    // The cut comes after: no half of a secret is left at the end.
    let long = format!("{}a b", "x".repeat(MAX_TEXT - 1));
    assert_eq!(redactor.line(&long), format!("{}*…", "x".repeat(MAX_TEXT - 1)));
}

#[test]
fn texts_are_cut_at_characters() {
    assert_eq!(cut("äöü", 3), "äöü");
    assert_eq!(cut("äöü", 2), "äö…");
    assert_eq!(one_line(" a\n\tb \u{7}c ", 10), "a b c");
}

#[test]
fn a_secret_is_found_however_each_layer_writes_it() {
    let mut redactor = Redactor::default();
    redactor.add("s3/of\"the+\\hé 😀");
    for written in [
        "s3/of\"the+\\hé 😀",
        // As a URL has it, as a form has it, encoded in full, and encoded twice.
        "s3/of%22the+%5Ch%C3%A9%20%F0%9F%98%80",
        "s3%2Fof%22the%2B%5Ch%c3%a9+%F0%9F%98%80",
        "%73%33%2f%6f%66%22%74%68%65%2b%5c%68%c3%a9%20%f0%9f%98%80",
        "s3%252Fof%2522the%252B%255Ch%25C3%25A9%2520%25F0%259F%2598%2580",
        // As JSON, in ASCII, and JSON inside JSON inside JSON.
        r#"s3\/of\"the+\\hé 😀"#,
        r#"s3/of\"the+\\h\u00e9 \ud83d\uDE00"#,
        r#"s3/of\\\"the+\\\\hé 😀"#,
        r#"s3/of\\\\\\\"the+\\\\\\\\h\\\\u00e9 \\\\ud83d\\\\ude00"#,
        // As a page shows it.
        "s3/of&quot;the&#43;\\h&#xE9; &#128512;",
    ] {
        assert_eq!(redactor.scrub(&format!("<{written}>")), "<*****>", "{written}");
    }
    for other in ["s3/of'the+", "s3/of\"the+\\h", "s3", ""] {
        assert_eq!(redactor.scrub(other), other);
    }
    let mut line = Redactor::default();
    line.add("a\nb&c%");
    for written in [
        "a\nb&c%",
        r"a\nb&c%",
        r"a\\nb&amp;c%25",
        "a%0Ab%26c%25",
        r"a\u000ab\u0026c\u0025",
    ] {
        assert_eq!(line.scrub(written), "*****", "{written}");
    }
    let mut stars = Redactor::default();
    stars.add("*");
    stars.add("**x");
    assert_eq!(stars.scrub("a*b**x"), "a*****b*****");
}
