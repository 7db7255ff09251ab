//! Reading a field of a Rollout by its path, for arguments of an analysis.

use serde_json::Value;

use crate::api::rollout::Rollout;

/// The text of the field at `path`: `metadata.labels['x']` and `metadata.annotations["x"]` as in the downward API, or any
/// dotted path with `[index]`, such as `spec.template.spec.containers[0].image`. The error is one sentence.
pub(crate) fn read(rollout: &Rollout, path: &str) -> Result<String, String> {
    let value = serde_json::to_value(rollout).map_err(|e| format!("the Rollout cannot be read: {e}"))?;
    let keys = parse(path)?;
    let mut at = &value;
    for key in &keys {
        let next = match key {
            Key::Name(name) => at.get(name),
            Key::Index(index) => at.get(index),
        };
        at = next.ok_or_else(|| format!("fieldPath \"{path}\" does not exist in the Rollout"))?;
    }
    match at {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(at.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(format!(
            "fieldPath \"{path}\" is not a text, a number or a truth value"
        )),
    }
}

/// Whether the path could name a field at all.
pub(crate) fn check(path: &str) -> Result<(), String> {
    parse(path).map(|_| ())
}

enum Key {
    Name(String),
    Index(usize),
}

fn parse(path: &str) -> Result<Vec<Key>, String> {
    let wrong = || format!("fieldPath \"{path}\" is not a path such as metadata.labels['x'] or status.x");
    let mut keys = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (key, after) = inner.split_once(']').ok_or_else(wrong)?;
            let quoted = ['\'', '"']
                .iter()
                .find_map(|q| key.strip_prefix(*q)?.strip_suffix(*q));
            keys.push(match quoted {
                Some(name) => Key::Name(name.to_owned()),
                None => Key::Index(key.parse().map_err(|_| wrong())?),
            });
            rest = after.strip_prefix('.').unwrap_or(after);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end == 0 {
                return Err(wrong());
            }
            keys.push(Key::Name(rest[..end].to_owned()));
            rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
        }
    }
    if keys.is_empty() { Err(wrong()) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_the_downward_api_and_by_path() {
        let rollout: Rollout = serde_json::from_value(serde_json::json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "r", "labels": {"a.b/c": "x"}},
            "spec": {"replicas": 3, "template": {"spec": {"containers": [{"image": "i:1"}]}}},
            "status": {"canary": {}},
        }))
        .unwrap();
        for (path, want) in [
            ("metadata.name", Some("r")),
            ("metadata.labels['a.b/c']", Some("x")),
            ("metadata.labels[\"a.b/c\"]", Some("x")),
            ("spec.replicas", Some("3")),
            ("spec.template.spec.containers[0].image", Some("i:1")),
            ("spec.template.spec.containers[1].image", None),
            ("spec.template", None),
            ("", None),
            ("a[", None),
            ("a[b]", None),
            (".a", None),
        ] {
            assert_eq!(read(&rollout, path).ok().as_deref(), want, "{path}");
        }
    }
}
