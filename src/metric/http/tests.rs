//! The bounds of an exchange: redirects, the queue per address, TLS.

use super::testing::{Answer, Server};
use super::{Call, Deadline, Limits, SetupError, Target, Transport, TransportOptions};
use crate::metric::auth::no_signature as unsigned;
use crate::metric::provider::ProviderError;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use std::sync::Arc;
use std::time::Duration;

fn transport(limits: Limits) -> Transport {
    Transport::new(TransportOptions {
        limits,
        ca_pem: None,
        proxy_from_env: false,
    })
    .unwrap()
}

fn call(url: &str) -> Call {
    let url = Url::parse(url).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer hush"));
    Call {
        target: Target::new("it", &url),
        method: Method::POST,
        url,
        headers,
        body: Some(b"a=1".to_vec()),
        insecure: false,
    }
}

#[tokio::test]
async fn a_redirect_on_the_same_host_is_followed_with_method_and_body() {
    let server = Server::start(|request| match request.target.as_str() {
        "/a" => Answer::Reply(302, vec![("Location", "/b".to_owned())], String::new()),
        "/b" => Answer::Reply(308, vec![("Location", "c?x=1".to_owned())], String::new()),
        "/s" => Answer::Reply(303, vec![("Location", "/c".to_owned())], String::new()),
        _ => Answer::status(200, request.method.clone() + &request.body),
    })
    .await;
    let transport = transport(Limits::default());
    for (path, body) in [("/a", "POSTa=1"), ("/s", "GET")] {
        let reply = transport
            .exchange(
                call(&format!("{}{path}", server.url)),
                Deadline::after(5),
                unsigned,
            )
            .await
            .unwrap();
        assert_eq!(
            (
                reply.status.as_u16(),
                String::from_utf8(reply.body).unwrap().as_str()
            ),
            (200, body)
        );
    }
    assert_eq!(server.seen()[2].header("authorization"), Some("Bearer hush"));
}

#[tokio::test]
async fn a_redirect_to_another_host_is_refused_and_never_asked() {
    let other = Server::start(|_| Answer::status(200, "")).await;
    let location = format!("{}/login?token=x", other.url);
    let server =
        Server::start(move |_| Answer::Reply(301, vec![("Location", location.clone())], String::new())).await;
    let error = transport(Limits::default())
        .exchange(call(&server.url), Deadline::after(5), unsigned)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "it at {} answered HTTP 301, a redirect to {}: redirects to another host are not followed; write the final address \
             in the metric",
            server.url, other.url
        )
    );
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let server =
        Server::start(|_| Answer::Reply(302, vec![("Location", "/".to_owned())], String::new())).await;
    let error = transport(Limits::default())
        .exchange(call(&server.url), Deadline::after(5), unsigned)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ProviderError::Redirect { status: 302, .. }),
        "{error}"
    );
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn credentials_go_to_the_same_host_only() {
    let url = |text| Url::parse(text).unwrap();
    for (from, to, same) in [
        ("http://a/x", "http://a/y", true),
        ("http://a", "http://a:80", true),
        ("http://a", "https://a", true),
        ("https://a", "http://a", false),
        ("http://a", "http://b", false),
        ("http://a", "http://a:81", false),
        ("http://a", "http://a.b", false),
    ] {
        assert_eq!(super::same_host(&url(from), &url(to)), same, "{from} {to}");
    }
}

#[tokio::test]
async fn a_slow_address_starves_no_other_and_waiting_counts() {
    let slow = Server::start(|_| Answer::Hang(Vec::new())).await;
    let fast = Server::start(|_| Answer::status(200, "ok")).await;
    let transport = Arc::new(transport(Limits {
        per_address: 2,
        ..Limits::default()
    }));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (transport, url) = (Arc::clone(&transport), slow.url.clone());
        tasks.spawn(async move {
            transport
                .exchange(call(&url), Deadline::after(3), unsigned)
                .await
                .unwrap_err()
        });
    }
    while slow.seen().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // While two requests hang and four wait for 3 s, another address answers at once.
    let reply = tokio::time::timeout(
        Duration::from_secs(2),
        transport.exchange(call(&fast.url), Deadline::after(9), unsigned),
    )
    .await
    .expect("the fast server is not behind the slow one");
    assert_eq!(reply.unwrap().body, b"ok");
    assert_eq!(slow.seen().len(), 2);
    let mut texts: Vec<String> = tasks.join_all().await.iter().map(ToString::to_string).collect();
    texts.sort();
    let address = &slow.url;
    let waited = format!(
        "no answer from it at {address} within 3 s: the request waited most of that time for its turn, because too many others \
         to this address were still unanswered"
    );
    let hung = format!("it at {address} did not answer within 3 s");
    assert_eq!(
        texts,
        [
            hung.clone(),
            hung,
            waited.clone(),
            waited.clone(),
            waited.clone(),
            waited
        ]
    );
}

#[tokio::test]
async fn the_map_of_addresses_holds_only_what_is_in_use() {
    let transport = transport(Limits::default());
    let held = transport.gate("http://held");
    for number in 0..10_000 {
        drop(transport.gate(&format!("http://host-{number}")));
    }
    assert!(transport.gates.lock().unwrap().len() <= 256);
    assert!(Arc::ptr_eq(&held, &transport.gate("http://held")));
}

#[test]
fn certificates_that_cannot_be_read_are_refused_at_the_start() {
    for pem in [
        "",
        "hello",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let options = TransportOptions {
            ca_pem: Some(pem.as_bytes().to_vec()),
            proxy_from_env: false,
            ..TransportOptions::default()
        };
        let error = Transport::new(options)
            .err()
            .unwrap_or_else(|| panic!("{pem:?} was taken"));
        assert!(matches!(error, SetupError::CaPem(_)), "{error}");
    }
}

#[tokio::test]
async fn plain_http_behind_an_https_address_is_named() {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        stream
    };
    let transport = transport(Limits::default());
    let (_stream, result) = tokio::join!(
        server,
        transport.exchange(call(&url), Deadline::after(5), unsigned)
    );
    let error = result.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("cannot reach it at {url}: TLS: received corrupt message of type InvalidContentType")
    );
}

#[tokio::test]
async fn a_connection_that_nobody_accepts_is_not_called_slow() {
    // A queue of one that is full: the kernel drops what comes after, as a firewall does.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(
        Duration::from_millis(200),
        tokio::net::TcpStream::connect(address),
    )
    .await
    {
        held.push(stream);
        assert!(held.len() < 100, "the queue never fills");
    }
    let transport = transport(Limits {
        connect: Duration::from_secs(1),
        ..Limits::default()
    });
    let error = transport
        .exchange(call(&format!("http://{address}")), Deadline::after(5), unsigned)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot reach it at http://{address}: no connection within 1 s")
    );
}
