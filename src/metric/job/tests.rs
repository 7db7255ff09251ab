use super::*;

const UID: &str = "0f9a3c1e-52b7-4a53-9d58-2f1f3c8e6a11";

fn run(spec: &str) -> AnalysisRun {
    let spec: Value = serde_saphyr::from_str(spec).unwrap();
    serde_json::from_value(json!({
        "apiVersion": API_VERSION, "kind": "AnalysisRun",
        "metadata": {"name": "checks", "namespace": "shop", "uid": UID},
        "spec": spec,
    }))
    .unwrap()
}

const BESIDE: Place<'_> = Place {
    namespace: "shop",
    beside_run: true,
};

fn smoke(container: &str) -> AnalysisRun {
    run(&format!(
        r"
args:
- {{name: host, value: api.shop}}
- {{name: token, valueFrom: {{secretKeyRef: {{name: login, key: token}}}}}}
metrics:
- name: smoke
  provider:
    job:
      metadata: {{labels: {{team: shop}}, annotations: {{note: 'for {{{{args.host}}}}'}}}}
      spec:
        backoffLimit: 1
        template:
          metadata: {{labels: {{app: smoke}}}}
          spec: {{restartPolicy: Never, containers: [{container}]}}
"
    ))
}

#[test]
fn the_job_has_the_names_labels_and_owner_of_the_contract() {
    let job = build(
        &smoke("{name: main, image: curl, args: ['http://{{args.host}}/ready']}"),
        0,
        3,
        &BESIDE,
    )
    .unwrap();
    let meta = &job["metadata"];
    assert_eq!(meta["name"], format!("{UID}.smoke.3"));
    assert_eq!(meta["namespace"], "shop");
    assert_eq!(
        meta["labels"],
        json!({"team": "shop", "analysisrun.argoproj.io/uid": UID})
    );
    assert_eq!(
        meta["annotations"],
        json!({
            "note": "for api.shop",
            "analysisrun.argoproj.io/name": "checks",
            "analysisrun.argoproj.io/namespace": "shop",
            "analysisrun.argoproj.io/metric-name": "smoke",
        })
    );
    assert_eq!(meta["ownerReferences"][0]["uid"], UID);
    assert_eq!(meta["ownerReferences"][0]["kind"], "AnalysisRun");
    assert_eq!(meta["ownerReferences"][0]["controller"], true);
    let template = &job["spec"]["template"];
    assert_eq!(
        template["metadata"]["labels"],
        json!({"app": "smoke", "analysisrun.argoproj.io/uid": UID})
    );
    assert_eq!(
        template["spec"]["containers"][0]["args"][0],
        "http://api.shop/ready"
    );
    assert_eq!(job["spec"]["backoffLimit"], 1);

    let elsewhere = Place {
        namespace: "checks",
        beside_run: false,
    };
    let job = build(&smoke("{name: main, image: curl}"), 0, 1, &elsewhere).unwrap();
    assert_eq!(job["metadata"]["namespace"], "checks");
    assert_eq!(
        job["metadata"].get("ownerReferences"),
        None,
        "owners are of the same namespace"
    );
    assert_eq!(
        job["spec"]["ttlSecondsAfterFinished"], 86_400,
        "where nobody may be left to delete it"
    );
    let own = smoke("{name: main, image: curl}");
    let mut patient = own.clone();
    patient.spec.metrics[0].provider.job.as_mut().unwrap().spec["ttlSecondsAfterFinished"] = 60.into();
    let job = build(&patient, 0, 1, &elsewhere).unwrap();
    assert_eq!(
        job["spec"]["ttlSecondsAfterFinished"], 60,
        "what it says itself stays"
    );
    let beside = Place {
        beside_run: true,
        ..elsewhere
    };
    let job = build(&own, 0, 1, &beside).unwrap();
    assert_eq!(
        job["spec"].get("ttlSecondsAfterFinished"),
        None,
        "there its owner does it"
    );
}

#[test]
fn names_have_63_characters_at_most_and_differ() {
    let name = |metrics: &[&str], index, ordinal| {
        let name = job_name(UID, metrics, index, ordinal);
        assert!(name.len() <= 63, "{name}");
        name[UID.len() + 1..].to_owned()
    };
    let long = [
        "integration-test-checkout-happy",
        "integration-test-checkout-error",
        "smoke",
    ];
    assert_eq!(name(&long, 0, 1), "integration-test-check-0.1");
    assert_eq!(name(&long, 1, 1), "integration-test-check-1.1");
    assert_eq!(name(&long, 2, 1), "smoke.1");
    assert_eq!(name(&long[..1], 0, 12), "integration-test-checko.12");
    // A part that is cut must not end in what a name cannot end in.
    assert_eq!(
        name(&["abcdefghijklmnopqrstuvw-xyz"], 0, 1),
        "abcdefghijklmnopqrstuvw.1"
    );
    assert_eq!(name(&["DB_migration check"], 0, 1), "db-migration-check.1");
    assert_eq!(name(&["Ü"], 0, 1), "metric.1");
}

#[test]
fn a_secret_goes_by_reference_and_never_by_value() {
    let spec = "{name: main, image: curl, command: [sh, -c, 'curl -H \"Authorization: {{args.token}}\" {{args.host}}'],
      env: [{name: A, value: 'x{{ args.token }}'}]}";
    let job = build(&smoke(spec), 0, 1, &BESIDE).unwrap();
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["command"][2],
        "curl -H \"Authorization: $(SERIN_ARG_0)\" api.shop"
    );
    assert_eq!(
        container["env"],
        json!([
            {"name": "SERIN_ARG_0", "valueFrom": {"secretKeyRef": {"name": "login", "key": "token"}}},
            {"name": "A", "value": "x$(SERIN_ARG_0)"},
        ])
    );
    // What does not use it does not get it.
    let job = build(&smoke("{name: main, image: curl}"), 0, 1, &BESIDE).unwrap();
    assert_eq!(job["spec"]["template"]["spec"]["containers"][0].get("env"), None);
}

#[test]
fn a_secret_where_it_would_be_seen_is_refused() {
    for container in [
        "{name: main, image: 'curl:{{args.token}}'}",
        "{name: '{{args.token}}', image: curl}",
        "{name: main, image: curl, env: [{name: '{{args.token}}', value: a}]}",
        "{name: main, image: curl, args: ['${{args.token}}']}",
    ] {
        let error = build(&smoke(container), 0, 1, &BESIDE).unwrap_err();
        assert!(
            error.starts_with("argument \"token\" is a secret and everybody"),
            "{container}: {error}"
        );
    }
    let elsewhere = Place {
        namespace: "checks",
        beside_run: false,
    };
    let error = build(
        &smoke("{name: main, image: curl, args: ['{{args.token}}']}"),
        0,
        1,
        &elsewhere,
    )
    .unwrap_err();
    assert!(error.contains("is a Secret of the run's namespace"), "{error}");
}

#[test]
fn a_spec_of_another_shape_is_named_with_its_path() {
    for (spec, words) in [
        ("[]", "provider.job.spec must be an object"),
        ("{template: 3}", "provider.job.spec.template must be an object"),
        (
            "{template: {metadata: [a]}}",
            "provider.job.spec.template.metadata must be an object",
        ),
    ] {
        let run = run(&format!(
            "metrics: [{{name: m, provider: {{job: {{spec: {spec}}}}}}}]"
        ));
        assert_eq!(build(&run, 0, 1, &BESIDE).unwrap_err(), words);
    }
    // Absent ones are made: what is then missing, the API server says.
    let bare = run("metrics: [{name: m, provider: {job: {spec: {}}}}]");
    assert_eq!(
        build(&bare, 0, 1, &BESIDE).unwrap()["spec"]["template"]["metadata"]["labels"]
            [labels::ANALYSIS_RUN_UID],
        UID
    );
}

fn job(name: &str, metric: &str, conditions: &Value) -> Job {
    serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": {annotations::ANALYSIS_RUN_METRIC: metric}},
        "status": {"conditions": conditions},
    }))
    .unwrap()
}

fn pod(reason: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p"},
        "status": {"containerStatuses": [{
            "name": "main", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": "Back-off pulling image \"x\""}},
        }]},
    }))
    .unwrap()
}

#[test]
fn the_exit_decides() {
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let flight = started("j", "shop", "2026-01-02T03:04:00Z".parse().unwrap());
    assert_eq!(
        flight.metadata,
        BTreeMap::from([
            (JOB_NAME.into(), "j".into()),
            (JOB_NAMESPACE.into(), "shop".into())
        ])
    );
    let judged = |conditions: Value, pods: &[Pod]| {
        outcome(&flight, &job("j", "m", &conditions), pods, now).map(|m| {
            assert_eq!(
                (&m.started_at, &m.metadata),
                (&flight.started_at, &flight.metadata)
            );
            assert_eq!(m.finished_at, Some(Time(now)));
            (m.phase, m.message.unwrap_or_default())
        })
    };
    assert_eq!(judged(json!([]), &[]), None);
    assert_eq!(
        judged(json!([{"type": "Suspended", "status": "True"}]), &[]),
        None
    );
    assert_eq!(
        judged(json!([{"type": "FailureTarget", "status": "True"}]), &[]),
        None,
        "pods still end"
    );
    assert_eq!(
        judged(json!([{"type": "Complete", "status": "False"}]), &[]),
        None
    );
    assert_eq!(
        judged(json!([{"type": "Complete", "status": "True"}]), &[]),
        Some((AnalysisPhase::Successful, String::new()))
    );
    let failed = json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded",
        "message": "Job has reached the specified backoff limit"}]);
    let words = "BackoffLimitExceeded: Job has reached the specified backoff limit".to_owned();
    assert_eq!(
        judged(failed, &[pod("ImagePullBackOff")]),
        Some((AnalysisPhase::Failed, words))
    );
    for reason in STUCK {
        assert_eq!(
            judged(json!([]), &[pod("ContainerCreating"), pod(reason)]),
            Some((
                AnalysisPhase::Inconclusive,
                format!("pod p, container main: {reason}: Back-off pulling image \"x\"")
            ))
        );
    }
    assert_eq!(
        judged(json!([]), &[pod("CrashLoopBackOff")]),
        None,
        "the Job's own limit ends that"
    );
}

#[test]
fn a_job_goes_when_its_measurement_is_over_and_it_is_not_or_when_nobody_keeps_it() {
    let done = json!([{"type": "Complete", "status": "True"}]);
    let running = json!([]);
    let status = |phase: &str, measurements: Value, count: i32| -> AnalysisRunStatus {
        serde_json::from_value(json!({"phase": phase, "metricResults": [
            {"name": "m", "phase": phase, "count": count, "measurements": measurements}]}))
        .unwrap()
    };
    let kept = |phase: &str| json!([{"phase": phase, "metadata": {JOB_NAME: "u.m.2"}}]);
    let surplus = |name: &str, conditions: &Value, status: &AnalysisRunStatus, measured: bool| {
        is_surplus(&job(name, "m", conditions), status, measured)
    };
    let running_run = status("Running", kept("Running"), 1);
    assert!(!surplus("u.m.2", &running, &running_run, false), "in flight");
    assert!(
        !surplus("u.m.2", &done, &status("Running", kept("Successful"), 2), false),
        "kept with its measurement"
    );
    assert!(
        surplus(
            "u.m.2",
            &running,
            &status("Running", kept("Inconclusive"), 2),
            false
        ),
        "cancelled or stuck"
    );
    assert!(
        surplus("u.m.1", &done, &running_run, false),
        "beyond the retention"
    );
    assert!(surplus(
        "u.m.1",
        &done,
        &status("Successful", kept("Successful"), 2),
        false
    ));
    assert!(
        !surplus(
            "u.m.3",
            &running,
            &status("Running", kept("Successful"), 2),
            false
        ),
        "to be taken over"
    );
    assert!(
        !surplus(
            "u.m.3",
            &running,
            &status("Successful", kept("Successful"), 2),
            true
        ),
        "being created"
    );
    assert!(
        surplus(
            "u.m.3",
            &running,
            &status("Successful", kept("Successful"), 2),
            false
        ),
        "nobody will look"
    );
    let mut going = job("u.m.1", "m", &running);
    going.metadata.deletion_timestamp = Some(Time("2026-01-02T03:04:05Z".parse().unwrap()));
    assert!(!is_surplus(&going, &running_run, false), "once is enough");
}
