//! What is done about a Service that no watched Rollout refers to, against a scripted API server.

use futures::channel::mpsc::unbounded;
use http::{Request, Response};
use kube::client::Body;
use serde_json::Value;
use tower_test::mock::{self, Handle};

use super::*;
use crate::controller::cache::cache;
use crate::controller::workloads::Workloads;

type Server = Handle<Request<Body>, Response<Body>>;

/// A process that watches nothing at all.
fn context(client: Client) -> Arc<Context> {
    let stores = Stores {
        rollouts: cache().0,
        replica_sets: cache().0,
        pods: cache().0,
        services: cache().0,
        endpoint_slices: cache().0,
        analysis_runs: cache().0,
        templates: cache().0,
        workloads: Arc::new(Workloads::new(unbounded().0).0),
        cluster_templates: cache().0,
    };
    Arc::new(Context {
        client,
        stores: Arc::new(stores),
        backoff: Backoff::default(),
    })
}

fn managed() -> Arc<Service> {
    let service = json!({
        "metadata": {
            "name": "web",
            "namespace": "n",
            "uid": "s",
            "resourceVersion": "7",
            "annotations": {annotations::MANAGED_BY_ROLLOUTS: "app"},
        },
        "spec": {"selector": {"app": "app", labels::POD_TEMPLATE_HASH: "abc"}},
    });
    Arc::new(serde_json::from_value(service).unwrap())
}

async fn answer(server: &mut Server, code: u16, body: &Value) -> String {
    let (request, send) = server.next_request().await.expect("a call is made");
    let response = Response::builder()
        .status(code)
        .body(Body::from(serde_json::to_vec(body).unwrap()));
    send.send_response(response.unwrap());
    format!("{} {}", request.method(), request.uri().path())
}

/// Two controllers with different instance ids in one cluster used to take each other's Services back for ever.
#[tokio::test]
async fn the_service_of_a_rollout_that_another_controller_watches_is_left_alone() {
    let (service, mut server) = mock::pair::<Request<Body>, Response<Body>>();
    let ctx = context(Client::new(service, "n"));
    let rollout = json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {"name": "app", "namespace": "n", "uid": "r"},
    });
    let (call, done) = tokio::join!(answer(&mut server, 200, &rollout), reconcile(managed(), ctx));
    assert_eq!(call, "GET /apis/argoproj.io/v1alpha1/namespaces/n/rollouts/app");
    done.unwrap();
    assert!(server.next_request().await.is_none(), "nothing is written");
}

#[tokio::test]
async fn the_service_of_a_rollout_that_is_gone_selects_by_its_own_labels_again() {
    let (service, mut server) = mock::pair::<Request<Body>, Response<Body>>();
    let ctx = context(Client::new(service, "n"));
    let gone =
        json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "gone"});
    let calls = async {
        let first = answer(&mut server, 404, &gone).await;
        let second = answer(
            &mut server,
            200,
            &serde_json::to_value(managed().as_ref()).unwrap(),
        )
        .await;
        (first, second)
    };
    let ((_, patch), done) = tokio::join!(calls, reconcile(managed(), ctx));
    done.unwrap();
    assert_eq!(patch, "PATCH /api/v1/namespaces/n/services/web");
}
