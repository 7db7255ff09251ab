//! Label selectors as values: matching, printing, extending.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

/// Whether the labels satisfy every part of the selector. An operator that does not exist matches nothing.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let exact = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    exact
        && selector.match_expressions.iter().flatten().all(|need| {
            let value = labels.get(&need.key);
            let listed = || value.is_some_and(|v| need.values.iter().flatten().any(|w| w == v));
            match need.operator.as_str() {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

/// Whether the selector asks for nothing at all.
pub fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// The selector in the text form of `kubectl get -l`, which the scale subresource hands to autoscalers.
///
/// `{app: a, tier In [x, y], !old}` prints as `app=a,!old,tier in (x,y)`: sorted by key.
pub fn to_text(selector: &LabelSelector) -> String {
    let mut parts: Vec<(String, String)> = Vec::new();
    for (key, value) in selector.match_labels.iter().flatten() {
        parts.push((key.clone(), format!("{key}={value}")));
    }
    for need in selector.match_expressions.iter().flatten() {
        let key = &need.key;
        let mut values = need.values.clone().unwrap_or_default();
        values.sort();
        let values = values.join(",");
        let text = match need.operator.as_str() {
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.clone(),
            "DoesNotExist" => format!("!{key}"),
            _ => format!("{key} in ({values})"),
        };
        parts.push((key.clone(), text));
    }
    parts.sort();
    parts
        .into_iter()
        .map(|(_, text)| text)
        .collect::<Vec<_>>()
        .join(",")
}

/// The selector as JSON with one more label to match.
pub fn with_label(selector: Option<&LabelSelector>, key: &str, value: &str) -> Value {
    let mut out = selector
        .and_then(|s| serde_json::to_value(s).ok())
        .unwrap_or_else(|| json!({}));
    if !out["matchLabels"].is_object() {
        out["matchLabels"] = json!({});
    }
    out["matchLabels"][key] = json!(value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(value: Value) -> LabelSelector {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_operator_matches_as_in_kubernetes() {
        let labels: BTreeMap<String, String> = [("app", "a"), ("tier", "x")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        for (text, want) in [
            (json!({"matchLabels": {"app": "a"}}), true),
            (json!({"matchLabels": {"app": "b"}}), false),
            (
                json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["x", "y"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["x"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "Near"}]}),
                false,
            ),
        ] {
            assert_eq!(matches(&selector(text.clone()), &labels), want, "{text}");
        }
    }

    #[test]
    fn the_text_form_is_that_of_kubectl() {
        let all = selector(json!({
            "matchLabels": {"app": "a"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["y", "x"]},
                {"key": "old", "operator": "DoesNotExist"},
                {"key": "zone", "operator": "NotIn", "values": ["z"]},
            ],
        }));
        assert_eq!(to_text(&all), "app=a,!old,tier in (x,y),zone notin (z)");
    }

    #[test]
    fn a_label_is_added_to_whatever_there_is() {
        let got = with_label(Some(&selector(json!({"matchLabels": {"app": "a"}}))), "hash", "1");
        assert_eq!(got, json!({"matchLabels": {"app": "a", "hash": "1"}}));
        assert_eq!(
            with_label(None, "hash", "1"),
            json!({"matchLabels": {"hash": "1"}})
        );
    }
}
