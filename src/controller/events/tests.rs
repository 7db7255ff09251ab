//! The order and the names of events, against a scripted API server.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;
use tower_test::mock::{self, SendResponse};

use super::*;

fn about(uid: &str) -> ObjectReference {
    ObjectReference {
        name: Some("app".to_owned()),
        namespace: Some("n".to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// The event that a request creates, and where its answer goes.
async fn created(
    server: &mut mock::Handle<Request<Body>, Response<Body>>,
) -> (Value, SendResponse<Response<Body>>) {
    let next = tokio::time::timeout(Duration::from_secs(5), server.next_request()).await;
    let (request, send) = next.expect("an event within five seconds").unwrap();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    (serde_json::from_slice(&body).unwrap(), send)
}

#[tokio::test]
async fn the_events_of_one_object_keep_their_order_and_delay_no_other_object() {
    let (service, mut server) = mock::pair::<Request<Body>, Response<Body>>();
    let (events, publisher) = events(&Client::new(service, "n"), &Arc::default());
    tokio::spawn(publisher.run());
    let (slow, other) = (about("a"), about("b"));
    assert_ne!(lane_of(&slow), lane_of(&other));
    events.publish(
        &slow,
        [Notice::normal("First", "1"), Notice::normal("Second", "2")],
    );
    let (first, unanswered) = created(&mut server).await;
    assert_eq!(first["reason"], "First");
    events.publish(&other, [Notice::normal("Third", "3")]);
    let (third, _) = created(&mut server).await;
    assert_eq!(third["reason"], "Third", "the second one waits for the first");
    unanswered.send_response(Response::new(Body::from(first.to_string().into_bytes())));
    let (second, _) = created(&mut server).await;
    assert_eq!(second["reason"], "Second");
    // A name that is taken costs another call.
    assert_ne!(first["metadata"]["name"], second["metadata"]["name"]);
}
