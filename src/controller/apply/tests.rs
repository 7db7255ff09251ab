//! The exact calls of intents, answered by a scripted API server.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use tower_test::mock::{self, Handle};

use super::*;
use crate::controller::events::events;
use crate::engine::plan::MetadataPatch;

type Api = Handle<Request<Body>, Response<Body>>;

/// What a call looked like.
#[derive(Debug, PartialEq)]
struct Seen {
    line: String,
    content_type: String,
    body: Value,
}

/// Answers one call.
async fn answer(api: &mut Api, code: StatusCode, body: &Value) -> Seen {
    let (request, send) = api.next_request().await.expect("a call is made");
    let (parts, content) = request.into_parts();
    let content = content.collect().await.unwrap().to_bytes();
    let response = Response::builder()
        .status(code)
        .body(Body::from(serde_json::to_vec(body).unwrap()));
    send.send_response(response.unwrap());
    let content_type = parts.headers.get(http::header::CONTENT_TYPE);
    Seen {
        line: format!("{} {}", parts.method, parts.uri),
        content_type: content_type.map_or("", |v| v.to_str().unwrap()).to_owned(),
        body: serde_json::from_slice(&content).unwrap_or_default(),
    }
}

fn failure(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "no"})
}

/// Applies an intent against one answer.
async fn apply(intent: Intent, code: StatusCode, body: Value) -> (Seen, Result<Done, Error>, Written) {
    let (service, mut api) = mock::pair::<Request<Body>, Response<Body>>();
    let client = Client::new(service, "n");
    let rollout: Rollout = serde_json::from_value(
        json!({"metadata": {"name": "r", "namespace": "n", "uid": "r-uid"}, "spec": {}}),
    )
    .unwrap();
    let (events, _publisher) = events(&client, &Arc::default());
    let (written, about) = (Written::default(), ObjectReference::default());
    let done = {
        let applier = Applier {
            client: &client,
            rollout: &rollout,
            written: &written,
            events: &events,
            about: &about,
            now: Timestamp::UNIX_EPOCH,
        };
        let both = async { tokio::join!(answer(&mut api, code, &body), applier.apply(&intent, Some("1"))) };
        tokio::time::timeout(Duration::from_secs(5), both)
            .await
            .expect("exactly one call")
    };
    (done.0, done.1, written)
}

fn evict() -> Intent {
    Intent::EvictPod {
        name: "p".to_owned(),
        uid: "p-uid".to_owned(),
        resource_version: "41".to_owned(),
    }
}

fn is_seen(written: &Written, version: &'static str) -> bool {
    written.is_seen("r-uid", Timestamp::UNIX_EPOCH, move |_, _| {
        Some(version.to_owned())
    })
}

#[tokio::test]
async fn an_eviction_is_of_the_pod_that_was_looked_at_and_waited_for() {
    let success = json!({"kind": "Status", "apiVersion": "v1", "status": "Success"});
    let (seen, done, written) = apply(evict(), StatusCode::CREATED, success).await;
    assert_eq!(
        seen.line,
        "POST /api/v1/namespaces/n/pods/p/eviction?fieldManager=serin"
    );
    assert_eq!(
        seen.body,
        json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": "n"},
            "deleteOptions": {"preconditions": {"uid": "p-uid", "resourceVersion": "41"}},
        })
    );
    assert_eq!(done.unwrap(), Done::Yes(None));
    assert!(!is_seen(&written, "41"), "the store does not show it yet");
    assert!(is_seen(&written, "42"));
}

#[tokio::test]
async fn an_eviction_may_be_refused_by_a_budget_or_come_too_late() {
    for (code, reason) in [
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (404, "NotFound"),
    ] {
        let (_, done, written) = apply(
            evict(),
            StatusCode::from_u16(code).unwrap(),
            failure(code, reason),
        )
        .await;
        assert_eq!(done.unwrap(), Done::Yes(None), "{reason}");
        assert!(is_seen(&written, "41"), "nothing is waited for");
    }
    let (_, done, _) = apply(evict(), StatusCode::CONFLICT, failure(409, "Conflict")).await;
    assert!(done.is_err(), "the pod has changed: it is looked at again");
}

fn metadata() -> MetadataPatch {
    MetadataPatch {
        labels: BTreeMap::from([
            ("role".to_owned(), Some("stable".to_owned())),
            ("a.b/only".to_owned(), None),
        ]),
        annotations: BTreeMap::from([("since".to_owned(), Some("x".to_owned()))]),
    }
}

#[tokio::test]
async fn a_pod_gets_only_the_keys_that_change() {
    let intent = Intent::PatchPod {
        name: "p".to_owned(),
        uid: "p-uid".to_owned(),
        metadata: metadata(),
    };
    let answer = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                        "metadata": {"name": "p", "resourceVersion": "50"}});
    let (seen, done, written) = apply(intent.clone(), StatusCode::OK, answer).await;
    assert_eq!(seen.line, "PATCH /api/v1/namespaces/n/pods/p?&fieldManager=serin");
    assert_eq!(seen.content_type, "application/merge-patch+json");
    assert_eq!(
        seen.body,
        json!({"metadata": {
            "uid": "p-uid", "labels": {"role": "stable", "a.b/only": null}, "annotations": {"since": "x"},
        }})
    );
    assert_eq!(done.unwrap(), Done::Yes(None));
    assert!(!is_seen(&written, "49") && is_seen(&written, "50"));
    let (_, done, _) = apply(intent, StatusCode::NOT_FOUND, failure(404, "NotFound")).await;
    assert_eq!(done.unwrap(), Done::Yes(None), "what is gone needs no labels");
}

#[tokio::test]
async fn a_template_is_changed_key_by_key() {
    let intent = Intent::PatchReplicaSet(ReplicaSetPatch {
        name: "r-1".to_owned(),
        uid: "rs-uid".to_owned(),
        has_annotations: true,
        template: metadata(),
        affinity: Some(Value::Null),
        ..ReplicaSetPatch::default()
    });
    let (seen, done, _) = apply(
        intent,
        StatusCode::OK,
        json!({"metadata": {"name": "r-1", "resourceVersion": "9"}}),
    )
    .await;
    assert_eq!(
        seen.line,
        "PATCH /apis/apps/v1/namespaces/n/replicasets/r-1?&fieldManager=serin"
    );
    let at = "/spec/template/metadata";
    assert_eq!(
        seen.body,
        json!([
            {"op": "test", "path": "/metadata/uid", "value": "rs-uid"},
            {"op": "remove", "path": format!("{at}/labels/a.b~1only")},
            {"op": "add", "path": format!("{at}/labels/role"), "value": "stable"},
            {"op": "add", "path": format!("{at}/annotations"), "value": {}},
            {"op": "add", "path": format!("{at}/annotations/since"), "value": "x"},
            {"op": "remove", "path": "/spec/template/spec/affinity"},
        ])
    );
    assert_eq!(done.unwrap(), Done::Yes(None));
}
