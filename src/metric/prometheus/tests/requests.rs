//! What is sent: the query, its range, headers, credentials; and that nothing of the credentials comes back.

use super::{error, metric, now, options, query, sample, vector};
use crate::api::analysis::{
    Authentication, BasicAuth, OAuth2Config, PrometheusMetric, PrometheusRangeQuery, Sigv4Config,
    WebMetricHeader,
};
use crate::metric::http::testing::{Answer, Server};
use crate::metric::provider::{Defaults, Measurer, MeasurerOptions};
use crate::metric::sigv4::AwsCredentials;

#[tokio::test]
async fn the_query_goes_by_post_and_to_a_server_that_refuses_it_by_get() {
    let server = Server::start(|request| match request.method.as_str() {
        "GET" => Answer::json(vector("1")),
        _ => Answer::status(405, ""),
    })
    .await;
    let address = format!("{}/prom/?tenant=a", server.url);
    let long = format!("up{{a=\"ü+&{}\"}}", "x".repeat(3000));
    let metric = PrometheusMetric {
        query: Some(long.clone()),
        timeout: Some(7),
        ..query(&address)
    };
    let sample = sample(options(), metric).await;
    assert_eq!(sample.value_text, "[1]");
    assert_eq!(sample.metric_metadata["ResolvedPrometheusQuery"], long);
    let seen = server.seen();
    assert_eq!(
        seen.iter().map(|r| r.method.as_str()).collect::<Vec<_>>(),
        ["POST", "GET"]
    );
    assert_eq!(seen[0].target, "/prom/api/v1/query?tenant=a");
    assert_eq!(
        seen[0].header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert!(
        seen[1]
            .target
            .starts_with("/prom/api/v1/query?tenant=a&query=up%7B"),
        "{}",
        seen[1].target
    );
    assert_eq!(seen[1].parameter("query"), Some(long));
    assert_eq!(seen[1].parameter("timeout").as_deref(), Some("7s"));
    assert_eq!(seen[1].body, "");
}

#[tokio::test]
async fn a_range_query_is_asked_from_start_to_end() {
    let server = Server::start(|_| Answer::json(vector("1"))).await;
    let range = |start: &str, end: &str, step: &str| PrometheusMetric {
        range_query: Some(PrometheusRangeQuery {
            start: Some(start.to_owned()),
            end: Some(end.to_owned()),
            step: Some(step.to_owned()),
        }),
        ..query(&server.url)
    };
    sample(options(), range("now() - duration(\"1h\")", "now()", "1m30s"))
        .await
        .outcome
        .unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].target, "/api/v1/query_range");
    let parameter = |name| seen[0].parameter(name).unwrap();
    assert_eq!(
        (parameter("start"), parameter("end")),
        ("1767319445.000".to_owned(), "1767323045.000".to_owned())
    );
    assert_eq!(parameter("step"), "90");

    let (_, text) = error(range("now()", "now() - duration(\"1h\")", "1m")).await;
    assert_eq!(
        text,
        "provider.prometheus.rangeQuery.end: 2026-01-02T02:04:05Z is before the start 2026-01-02T03:04:05Z"
    );
    for step in ["0s", "soon", "60"] {
        let (_, text) = error(range("now()", "now()", step)).await;
        assert_eq!(
            text,
            format!(
                "provider.prometheus.rangeQuery.step: {step:?} is not a duration above 0, such as 30s or 1m"
            )
        );
    }
    let (_, text) = error(range("", "now()", "1m")).await;
    assert_eq!(text, "provider.prometheus.rangeQuery.start: must be set");
    let (_, text) = error(range("1 +", "now()", "1m")).await;
    assert!(
        text.starts_with("provider.prometheus.rangeQuery.start: "),
        "{text}"
    );
}

#[tokio::test]
async fn warnings_are_kept() {
    let body = r#"{"status":"success","warnings":["a slow store","metric might not be a counter"],"infos":["x"],"data":{"resultType":"vector","result":[]}}"#;
    let server = Server::start(move |_| Answer::json(body)).await;
    let sample = sample(options(), query(&server.url)).await;
    assert_eq!(
        sample.metadata["warnings"],
        r#""a slow store", "metric might not be a counter""#
    );
}

#[tokio::test]
async fn headers_and_basic_credentials_are_sent() {
    let server = Server::start(|_| Answer::json(vector("1"))).await;
    let header = |key: &str, value: &str| WebMetricHeader {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let mut metric = query(&server.url);
    metric.headers = vec![
        header("X-Scope-OrgID", "team"),
        header("Authorization", "Bearer t0k"),
    ];
    sample(options(), metric.clone()).await.outcome.unwrap();
    let basic = BasicAuth {
        username: Some("Aladdin".to_owned()),
        password: Some("open sesame".to_owned()),
    };
    metric.authentication = Some(Authentication {
        basic_auth: Some(basic),
        ..Authentication::default()
    });
    sample(options(), metric.clone()).await.outcome.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].header("x-scope-orgid"), Some("team"));
    assert_eq!(seen[0].header("authorization"), Some("Bearer t0k"));
    // RFC 7617's own example.
    assert_eq!(
        seen[1].header("authorization"),
        Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    );

    metric.headers = vec![header("bad name", "x")];
    assert_eq!(
        error(metric.clone()).await.1,
        "provider.prometheus.headers[\"bad name\"]: is not a header name"
    );
    metric.headers = vec![header("X-A", "a\nb")];
    assert_eq!(
        error(metric).await.1,
        "provider.prometheus.headers[\"X-A\"]: the value holds characters that a header cannot carry"
    );
}

#[tokio::test]
async fn requests_are_signed_for_aws() {
    let server = Server::start(|_| Answer::json(vector("1"))).await;
    let sigv4 = Sigv4Config {
        region: Some("eu-west-1".to_owned()),
        ..Sigv4Config::default()
    };
    let with = |sigv4: Sigv4Config| PrometheusMetric {
        authentication: Some(Authentication {
            sigv4: Some(sigv4),
            ..Authentication::default()
        }),
        ..query(&server.url)
    };
    let aws = AwsCredentials {
        access_key_id: "AKID".to_owned(),
        secret_access_key: "hush-hush".to_owned(),
        session_token: Some("tok".to_owned()),
    };
    sample(
        MeasurerOptions {
            aws: aws.into(),
            ..options()
        },
        with(sigv4.clone()),
    )
    .await
    .outcome
    .unwrap();
    let seen = server.seen();
    let authorization = seen[0].header("authorization").unwrap();
    assert!(
        authorization.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKID/20260102/eu-west-1/aps/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature="
        ),
        "{authorization}"
    );
    assert_eq!(seen[0].header("x-amz-date"), Some("20260102T030405Z"));
    assert_eq!(seen[0].header("x-amz-security-token"), Some("tok"));

    assert_eq!(
        error(with(sigv4.clone())).await.1,
        "provider.prometheus.authentication.sigv4: needs AWS credentials in the controller's environment: AWS_ACCESS_KEY_ID \
         and AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE (a role for the service account), or \
         AWS_CONTAINER_CREDENTIALS_FULL_URI (EKS Pod Identity)"
    );
    let role = Sigv4Config {
        role_arn: Some("prometheus".to_owned()),
        ..sigv4.clone()
    };
    let (_, text) = error(with(role)).await;
    assert_eq!(
        text,
        "provider.prometheus.authentication.sigv4.roleArn: \"prometheus\" is not the ARN of a role, such as \
         arn:aws:iam::123456789012:role/prometheus"
    );
    let profile = Sigv4Config {
        profile: Some("x".to_owned()),
        ..sigv4
    };
    let (_, text) = error(with(profile)).await;
    assert!(
        text.starts_with("provider.prometheus.authentication.sigv4.profile: is not supported: "),
        "{text}"
    );
}

#[tokio::test]
async fn an_empty_authentication_is_none_and_two_are_refused() {
    let server = Server::start(|_| Answer::json(vector("1"))).await;
    let mut metric = query(&server.url);
    metric.authentication = Some(Authentication {
        basic_auth: Some(BasicAuth::default()),
        oauth2: Some(OAuth2Config::default()),
        sigv4: Some(Sigv4Config::default()),
    });
    sample(options(), metric.clone()).await.outcome.unwrap();
    assert_eq!(server.seen()[0].header("authorization"), None);
    metric.authentication = Some(Authentication {
        basic_auth: Some(BasicAuth {
            username: Some("u".to_owned()),
            password: None,
        }),
        oauth2: None,
        sigv4: Some(Sigv4Config {
            region: Some("r".to_owned()),
            ..Sigv4Config::default()
        }),
    });
    assert_eq!(
        error(metric).await.1,
        "provider.prometheus.authentication: has more than one of basicAuth, oauth2 and sigv4; give one"
    );
}

#[tokio::test]
async fn no_message_holds_a_secret() {
    // The server echoes all that it was sent.
    let server = Server::start(|request| {
        Answer::status(
            500,
            format!("{:?} {} {}", request.headers, request.target, request.body),
        )
    })
    .await;
    let mut metric = query(&server.url.replace("http://", "http://user:url-pass@"));
    metric.query = Some("up{key=\"arg secret\"}".to_owned());
    metric.headers = vec![WebMetricHeader {
        key: "X-Api-Key".to_owned(),
        value: "header-secret".to_owned(),
    }];
    let basic = BasicAuth {
        username: Some("u".to_owned()),
        password: Some("basic-secret".to_owned()),
    };
    metric.authentication = Some(Authentication {
        basic_auth: Some(basic),
        ..Authentication::default()
    });
    let metric = self::metric(metric);
    let secrets = ["arg secret".to_owned(), String::new()];
    let measured = Measurer::new(options())
        .unwrap()
        .measure_and_judge(&metric, &Defaults::default(), &secrets, now())
        .await;
    let all = format!("{measured:?}");
    assert!(all.contains("HTTP 500") && all.contains("*****"), "{all}");
    for secret in [
        "arg secret",
        "arg%20secret",
        "arg+secret",
        "url-pass",
        "header-secret",
        "basic-secret",
        "dTpiYXNpYy1zZWNyZXQ=",
    ] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    assert_eq!(
        measured.metric_metadata["ResolvedPrometheusQuery"],
        "up{key=\"*****\"}"
    );
}

#[tokio::test]
async fn a_password_in_the_address_is_sent_and_never_shown() {
    let server = Server::start(|request| Answer::status(500, format!("{:?}", request.headers))).await;
    let address = server.url.replace("http://", "http://us%40er:p%2Fss@");
    let (_, text) = error(query(&address)).await;
    // base64 of "us@er:p/ss"
    assert_eq!(
        server.seen()[0].header("authorization"),
        Some("Basic dXNAZXI6cC9zcw==")
    );
    assert!(text.contains("Basic *****"), "{text}");
    for secret in ["p/ss", "p%2Fss", "dXNAZXI6cC9zcw=="] {
        assert!(!text.contains(secret), "{text}");
    }
}
