//! The defaults that an API server fills into a pod template, on JSON in normal form (see `normalise`).
//!
//! Source: `SetObjectDefaults_PodTemplate` of Kubernetes 1.36, the conversion of `serviceAccount`, and three of the
//! defaults that a server only fills into pods: requests from limits, service links and host ports. Those are here too,
//! since a template that spells them out makes the same pods as one that does not; and older servers did write host
//! ports into templates.
//!
//! Not here: defaults of pod-level resources, which depend on the sum over the containers. They are only filled into
//! pods, so they differ between two templates only when a user writes them out, and then a new revision is made.

use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// Permissions of files in volumes: 0644.
const FILE_MODE: u32 = 0o644;

/// Fills in the defaults. What has another shape than a pod template is left as it is.
pub(super) fn fill(template: &mut Value) {
    let Some(template) = template.as_object_mut() else {
        return;
    };
    let spec = template
        .entry("spec")
        .or_insert_with(|| Value::Object(Object::new()));
    let Some(spec) = spec.as_object_mut() else { return };
    // The older name of the same field: a server keeps both, with one value.
    if let Some(account) = spec.remove("serviceAccount") {
        default(spec, "serviceAccountName", account);
    }
    default(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "enableServiceLinks", true);
    default(spec, "restartPolicy", "Always");
    default(spec, "schedulerName", "default-scheduler");
    default(spec, "terminationGracePeriodSeconds", 30);
    let host_network = spec.get("hostNetwork") == Some(&json!(true));
    for list in ["initContainers", "containers"] {
        each(spec, list, |container| {
            fill_container(container);
            requests_from_limits(container);
            if host_network {
                each(container, "ports", |port| {
                    if let Some(number) = port.get("containerPort").cloned() {
                        default(port, "hostPort", number);
                    }
                });
            }
        });
    }
    each(spec, "ephemeralContainers", fill_container);
    each(spec, "volumes", fill_volume);
}

fn fill_container(container: &mut Object) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = pull_policy(image);
    default(container, "imagePullPolicy", policy);
    default(container, "terminationMessagePath", "/dev/termination-log");
    default(container, "terminationMessagePolicy", "File");
    each(container, "ports", |port| default(port, "protocol", "TCP"));
    each(container, "env", |variable| {
        within(variable, "valueFrom", |source| {
            within(source, "fieldRef", fill_field_reference);
            within(source, "fileKeyRef", |key| default(key, "optional", false));
        });
    });
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        within(container, probe, |probe| {
            default(probe, "timeoutSeconds", 1);
            default(probe, "periodSeconds", 10);
            default(probe, "successThreshold", 1);
            default(probe, "failureThreshold", 3);
            within(probe, "httpGet", fill_http_get);
            within(probe, "grpc", |grpc| default(grpc, "service", ""));
        });
    }
    within(container, "lifecycle", |lifecycle| {
        for hook in ["postStart", "preStop"] {
            within(lifecycle, hook, |hook| within(hook, "httpGet", fill_http_get));
        }
    });
}

/// Images that may change under their name are pulled always: tag `latest`, or neither tag nor digest. A text that is
/// no image reference counts as fixed, as it does for the server.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image
        .split_once('@')
        .map_or((image, None), |(name, digest)| (name, Some(digest)));
    // The port of a registry comes before the last slash.
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match name[last..].find(':') {
        Some(colon) => (&name[..last + colon], Some(&name[last + colon + 1..])),
        None => (name, None),
    };
    let moving = tag.map_or(digest.is_none(), |tag| tag == "latest");
    if moving && is_image_name(name) {
        "Always"
    } else {
        "IfNotPresent"
    }
}

/// Whether this is an image's name: perhaps a registry, which shows by a dot, a port, a capital or the name `localhost`,
/// then lower-case words with `.`, `_`, `-` inside, separated by slashes.
fn is_image_name(name: &str) -> bool {
    let path = match name.split_once('/') {
        Some((registry, path))
            if registry == "localhost"
                || registry.contains(['.', ':'])
                || registry.contains(|c: char| c.is_ascii_uppercase()) =>
        {
            path
        }
        Some(_) | None => name,
    };
    path.split('/').all(|word| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        word.starts_with(plain)
            && word.ends_with(plain)
            && word.chars().all(|c| plain(c) || "._-".contains(c))
    })
}

/// A limit without a request is the request too.
fn requests_from_limits(container: &mut Object) {
    within(container, "resources", |resources| {
        let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else {
            return;
        };
        let requests = resources
            .entry("requests")
            .or_insert_with(|| Value::Object(Object::new()));
        let Some(requests) = requests.as_object_mut() else {
            return;
        };
        for (name, amount) in limits {
            requests.entry(name).or_insert(amount);
        }
    });
}

fn fill_http_get(action: &mut Object) {
    default(action, "path", "/");
    default(action, "scheme", "HTTP");
}

fn fill_field_reference(reference: &mut Object) {
    default(reference, "apiVersion", "v1");
}

fn fill_volume(volume: &mut Object) {
    // A volume of no kind is an empty directory. One of an unknown, newer kind is not of no kind.
    if volume.keys().all(|key| key == "name") {
        default(volume, "emptyDir", Value::Object(Object::new()));
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        within(volume, kind, |source| default(source, "defaultMode", FILE_MODE));
    }
    within(volume, "hostPath", |path| default(path, "type", ""));
    within(volume, "downwardAPI", fill_downward_items);
    within(volume, "projected", |projected| {
        each(projected, "sources", |source| {
            within(source, "downwardAPI", fill_downward_items);
            within(source, "serviceAccountToken", |token| {
                default(token, "expirationSeconds", 3600);
            });
        });
    });
    within(volume, "image", |image| {
        let policy = pull_policy(image.get("reference").and_then(Value::as_str).unwrap_or_default());
        default(image, "pullPolicy", policy);
    });
    within(volume, "ephemeral", |ephemeral| {
        within(ephemeral, "volumeClaimTemplate", |claim| {
            let spec = claim
                .entry("spec")
                .or_insert_with(|| Value::Object(Object::new()));
            if let Some(spec) = spec.as_object_mut() {
                default(spec, "volumeMode", "Filesystem");
            }
        });
    });
    within(volume, "iscsi", |iscsi| {
        default(iscsi, "iscsiInterface", "default");
    });
    within(volume, "rbd", |rbd| {
        default(rbd, "pool", "rbd");
        default(rbd, "user", "admin");
        default(rbd, "keyring", "/etc/ceph/keyring");
    });
    within(volume, "azureDisk", |disk| {
        default(disk, "cachingMode", "ReadWrite");
        default(disk, "fsType", "ext4");
        default(disk, "readOnly", false);
        default(disk, "kind", "Shared");
    });
    within(volume, "scaleIO", |scale_io| {
        default(scale_io, "storageMode", "ThinProvisioned");
        default(scale_io, "fsType", "xfs");
    });
}

fn fill_downward_items(source: &mut Object) {
    each(source, "items", |item| {
        within(item, "fieldRef", fill_field_reference);
    });
}

/// Sets a field that is not there.
fn default(object: &mut Object, field: &str, value: impl Into<Value>) {
    if !object.contains_key(field) {
        object.insert(field.to_owned(), value.into());
    }
}

/// Runs `change` on the object in this field, if there is one.
fn within(object: &mut Object, field: &str, change: impl FnOnce(&mut Object)) {
    if let Some(inner) = object.get_mut(field).and_then(Value::as_object_mut) {
        change(inner);
    }
}

/// Runs `change` on each object in the list in this field.
fn each(object: &mut Object, field: &str, change: impl Fn(&mut Object)) {
    let items = object
        .get_mut(field)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten();
    items.filter_map(Value::as_object_mut).for_each(change);
}
