//! Turns, and what is counted of calls, against a scripted API server with a clock of its own.

use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{EvictParams, WatchParams};
use tower_test::mock;

use super::*;

fn gate(limit: Option<Limit>) -> (Arc<Gate>, Arc<Metrics>) {
    let metrics = Arc::<Metrics>::default();
    let gate = Gate {
        bucket: limit.map(|limit| tokio::sync::Mutex::new(Bucket::full(limit, Instant::now()))),
        rest_until: Mutex::new(None),
        begun: Mutex::default(),
        metrics: Arc::clone(&metrics),
    };
    (Arc::new(gate), metrics)
}

/// A client behind the gate, whose server answers everything with this.
fn client(gate: &Arc<Gate>, status: u16, retry_after: Option<&'static str>) -> Client {
    let (service, mut server) = mock::pair::<Request<Body>, Response<Body>>();
    tokio::spawn(async move {
        while let Some((_, send)) = server.next_request().await {
            let mut response = Response::builder().status(status);
            if let Some(after) = retry_after {
                response = response.header("retry-after", after);
            }
            let body = if status == 200 {
                r#"{"metadata":{}}"#
            } else {
                "too many"
            };
            send.send_response(response.body(Body::from(body.as_bytes().to_vec())).unwrap());
        }
    });
    let layer = GateLayer {
        gate: Arc::clone(gate),
    };
    Client::new(layer.layer(service), "n")
}

#[test]
fn a_bucket_gives_its_burst_at_once_and_then_keeps_to_the_rate() {
    let start = Instant::now();
    let mut bucket = Bucket::full(Limit { qps: 10.0, burst: 2 }, start);
    assert_eq!((bucket.take(start), bucket.take(start)), (Ok(()), Ok(())));
    let wait = bucket.take(start).unwrap_err();
    assert!(
        (Duration::from_millis(100)..Duration::from_millis(101)).contains(&wait),
        "{wait:?}"
    );
    assert_eq!(bucket.take(start + wait), Ok(()));
    // It holds no more than its burst, however long nobody calls.
    let later = start + Duration::from_secs(3600);
    assert_eq!((bucket.take(later), bucket.take(later)), (Ok(()), Ok(())));
    assert!(bucket.take(later).is_err());
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_wait_and_the_lease_does_not() {
    let (gate, metrics) = gate(Some(Limit { qps: 5.0, burst: 1 }));
    let client = client(&gate, 200, None);
    let began = Instant::now();
    for _ in 0..6 {
        Api::<Pod>::namespaced(client.clone(), "n")
            .get("p")
            .await
            .unwrap();
    }
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(1)..Duration::from_millis(1100)).contains(&took),
        "{took:?}"
    );
    Api::<Lease>::namespaced(client, "n").get("l").await.unwrap();
    assert_eq!(began.elapsed(), took);
    let text = metrics.text(None);
    let line = r#"controller_clientset_k8s_request_total{kind="pods",verb="Get",status_code="200"} 6"#;
    assert!(text.lines().any(|l| l == line), "{text}");
    assert!(text.contains("\nserin_api_held_back_seconds_total 1.0"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_has_had_enough_is_left_alone_for_as_long_as_it_asks() {
    let (gate, _) = gate(None);
    let busy = client(&gate, 429, Some("3"));
    let pods = Api::<Pod>::namespaced(busy.clone(), "n");
    assert!(pods.get("p").await.is_err());
    let began = Instant::now();
    assert!(pods.get("p").await.is_err());
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    // A long rest is the business of each object's own wait.
    let (gate, _) = self::gate(None);
    let pods = Api::<Pod>::namespaced(client(&gate, 429, Some("600")), "n");
    assert!(pods.get("p").await.is_err());
    let began = Instant::now();
    assert!(pods.get("p").await.is_err());
    assert_eq!(began.elapsed(), LONGEST_REST);
}

/// A PodDisruptionBudget refuses with 429, too, and with a `Retry-After`.
#[tokio::test(start_paused = true)]
async fn an_eviction_that_is_refused_holds_nobody_back() {
    let (gate, _) = gate(None);
    let pods = Api::<Pod>::namespaced(client(&gate, 429, Some("10")), "n");
    let began = Instant::now();
    assert!(pods.evict("p", &EvictParams::default()).await.is_err());
    assert!(pods.get("p").await.is_err());
    assert_eq!(began.elapsed(), Duration::ZERO);
}

/// Whoever ends every watch at once is not asked without an end.
#[tokio::test(start_paused = true)]
async fn a_watch_is_begun_once_a_second_at_most() {
    let (gate, _) = gate(None);
    let pods = Api::<Pod>::namespaced(client(&gate, 200, None), "n");
    let began = Instant::now();
    for version in ["1", "2", "3", "4", "5"] {
        let watch = pods.watch(&WatchParams::default(), version).await;
        drop(watch.unwrap());
    }
    assert_eq!(began.elapsed(), Duration::from_secs(4));
    // Another one of the same kind is another one, and so is a list.
    let some = WatchParams::default().labels("app");
    drop(pods.watch(&some, "1").await.unwrap());
    assert!(pods.get("p").await.is_ok());
    assert_eq!(began.elapsed(), Duration::from_secs(4));
    tokio::time::advance(Duration::from_secs(290)).await;
    let now = Instant::now();
    drop(pods.watch(&some, "2").await.unwrap());
    assert_eq!(
        now.elapsed(),
        Duration::ZERO,
        "one that has lasted is begun at once"
    );
}

#[test]
fn only_the_lease_goes_first() {
    assert!(is_lease(
        &"/apis/coordination.k8s.io/v1/namespaces/n/leases/l"
            .parse()
            .unwrap()
    ));
    assert!(!is_lease(&"/api/v1/namespaces/n/pods".parse().unwrap()));
    let (gate, metrics) = gate(None);
    gate.metrics.called(&Method::GET, &"/version".parse().unwrap(), 0);
    assert!(
        metrics
            .text(None)
            .contains(r#"{kind="other",verb="Get",status_code="0"} 1"#)
    );
}
