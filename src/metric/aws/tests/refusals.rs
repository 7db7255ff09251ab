//! What a person reads when there are no credentials to be had.

use super::{HUSH, ROLE, TokenFile, as_role, granted, measure, measurer, metric, now, own, prometheus};
use crate::metric::http::testing::{Answer, Server, nobody};

/// The message of a measurement in a process with these variables, as a role if one is given.
async fn message(env: &[(&str, &str)], role: Option<&str>) -> String {
    let server = prometheus().await;
    let measured = measure(&measurer(env), &metric(&server.url, as_role(role)), now()).await;
    assert!(server.seen().is_empty(), "nothing is asked without a signature");
    measured.message.unwrap()
}

#[tokio::test]
async fn a_refusal_of_sts_says_who_was_asked_for_what_and_why() {
    let denied = Server::start(|_| {
        Answer::status(
            403,
            "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/x is not \
             authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>",
        )
    })
    .await;
    assert_eq!(
        message(&own(&denied.url), Some(ROLE)).await,
        format!(
            "authentication for AWS STS at {}: AssumeRole of {ROLE}: HTTP 403 Forbidden: AccessDenied: User: \
             arn:aws:iam::1:user/x is not authorized to perform: sts:AssumeRole",
            denied.url
        )
    );
    let page = Server::start(|_| Answer::status(502, "<html>\n<b>Bad gateway</b></html>")).await;
    let text = message(&own(&page.url), Some(ROLE)).await;
    assert!(
        text.ends_with("HTTP 502 Bad Gateway: <html> <b>Bad gateway</b></html>"),
        "{text}"
    );
    let gone = nobody().await;
    assert_eq!(
        message(&own(&gone), Some(ROLE)).await,
        format!("cannot reach AWS STS at {gone}: connection refused")
    );
    assert_eq!(
        message(&own("sts.internal"), Some(ROLE)).await,
        "authentication for AWS STS: AWS_ENDPOINT_URL_STS (or AWS_ENDPOINT_URL) \"sts.internal\" is not an http or https URL"
    );
}

#[tokio::test]
async fn a_silent_sts_costs_no_more_than_the_metrics_own_limit() {
    let slow = Server::start(|_| Answer::Hang(Vec::new())).await;
    let server = prometheus().await;
    let mut limited = metric(&server.url, as_role(Some(ROLE)));
    limited.provider.prometheus.as_mut().unwrap().timeout = Some(1);
    let meter = measurer(&own(&slow.url));
    assert_eq!(
        measure(&meter, &limited, now()).await.message.unwrap(),
        format!("AWS STS at {} did not answer within 1 s", slow.url)
    );
    // Those who wait for the one that asks give up in their own time too.
    let all = futures::future::join_all((0..3).map(|_| measure(&meter, &limited, now()))).await;
    for one in all {
        let text = one.message.unwrap();
        assert!(text.contains("within 1 s"), "{text}");
    }
}

#[tokio::test]
async fn a_failure_is_shared_by_all_who_waited_for_it() {
    let denied = Server::start(|_| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        Answer::status(403, "<Error><Code>AccessDenied</Code></Error>")
    })
    .await;
    let server = prometheus().await;
    let meter = measurer(&own(&denied.url));
    let metric = metric(&server.url, as_role(Some(ROLE)));
    let all = futures::future::join_all((0..10).map(|_| measure(&meter, &metric, now()))).await;
    assert!(
        all.iter()
            .all(|one| one.message.as_deref().unwrap().contains("AccessDenied"))
    );
    assert_eq!(denied.seen().len(), 1);
    // The next measurement asks again.
    measure(&meter, &metric, now()).await;
    assert_eq!(denied.seen().len(), 2);
}

#[tokio::test]
async fn a_token_that_cannot_be_read_is_named() {
    let empty = TokenFile::new("empty", " \n");
    let env = |path| {
        [
            ("AWS_ROLE_ARN", ROLE),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", path),
            ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1"),
        ]
    };
    assert_eq!(
        message(&env("/nowhere/token"), None).await,
        "authentication for AWS: cannot read the file \"/nowhere/token\" of AWS_WEB_IDENTITY_TOKEN_FILE: No such file or \
         directory (os error 2)"
    );
    assert_eq!(
        message(&env(empty.path()), None).await,
        format!(
            "authentication for AWS: cannot read the file {:?} of AWS_WEB_IDENTITY_TOKEN_FILE: it is empty",
            empty.path()
        )
    );
}

#[tokio::test]
async fn container_credentials_come_by_https_or_from_this_machine() {
    for (url, says) in [
        (
            "http://credentials.shop/v1",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http on this machine (loopback, 169.254.170.2, \
             169.254.170.23 or [fd00:ec2::23])",
        ),
        (
            "/v1/credentials",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is not an http or https URL",
        ),
    ] {
        let text = message(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)], None).await;
        assert_eq!(text, format!("authentication for AWS: {says}"));
    }
    for (answer, says) in [
        (
            r#"{"code":"NotFound","message":"no association"}"#.to_owned(),
            "the answer holds no credentials",
        ),
        (
            format!(r#"{{"AccessKeyId":"A","SecretAccessKey":"{HUSH}"}}}}"#),
            "the answer holds no credentials",
        ),
    ] {
        let agent = Server::start(move |_| Answer::json(answer.clone())).await;
        let text = message(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url)], None).await;
        assert_eq!(
            text,
            format!(
                "authentication for the container credentials at {}: {says}",
                agent.url
            )
        );
    }
    let agent = Server::start(|request| {
        Answer::status(
            400,
            format!("bad token {}", request.header("authorization").unwrap()),
        )
    })
    .await;
    let env = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token-hush"),
    ];
    assert_eq!(
        message(&env, None).await,
        format!(
            "authentication for the container credentials at {}: HTTP 400 Bad Request: bad token *****",
            agent.url
        )
    );
}

/// STS and Prometheus tell everything that they were told, and that is shown to people.
#[tokio::test]
async fn nothing_that_is_secret_comes_back_in_a_message() {
    let token = TokenFile::new("echoed", "ey.token.hush");
    // The beginning of an answer is shown: each time that with the secret.
    let echo = |request: &crate::metric::http::testing::Request| {
        let token = request.header("x-amz-security-token").unwrap_or(&request.body);
        Answer::status(400, token.to_owned())
    };
    let telling = Server::start(echo).await;
    let web_identity = [
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.path()),
        ("AWS_ENDPOINT_URL_STS", telling.url.as_str()),
    ];
    let text = message(&web_identity, None).await;
    assert!(
        text.contains("WebIdentityToken=*****") && !text.contains("hush"),
        "{text}"
    );
    let mut session = own(&telling.url).to_vec();
    session.push(("AWS_SESSION_TOKEN", "hush-session"));
    let text = message(&session, Some(ROLE)).await;
    assert!(text.ends_with(": *****") && !text.contains("hush"), "{text}");
    // What STS gave goes to Prometheus, and comes back from there.
    let sts = Server::start(|_| granted(1, 3600)).await;
    let telling = Server::start(echo).await;
    let measured = measure(
        &measurer(&own(&sts.url)),
        &metric(&telling.url, as_role(Some(ROLE))),
        now(),
    )
    .await;
    let text = measured.message.unwrap();
    assert!(text.ends_with(": *****") && !text.contains("hush"), "{text}");
}
