//! Finding what no server could read in a pod template. The API server says only that some quantity is wrong, not which.

use serde_json::Value;

use super::encode::quantity_of;
use super::fields::{Kind, Table};

/// The path below the template and the value of the first quantity that is none, such as `spec.containers[0].resources.
/// requests[cpu]` and `"a lot"`.
pub fn wrong_quantity(template: &Value) -> Option<(String, Value)> {
    let table = Table::pod_template();
    wrong(table, &table.root, template, "")
}

fn wrong(table: &Table, kind: &Kind, value: &Value, at: &str) -> Option<(String, Value)> {
    match (kind, value) {
        (Kind::Pointer(inner), value) => wrong(table, inner, value, at),
        (Kind::Quantity, value) => {
            let is_wrong = !value.is_null() && quantity_of(value).is_none();
            is_wrong.then(|| (at.to_owned(), value.clone()))
        }
        (Kind::List(inner), Value::Array(items)) => items
            .iter()
            .enumerate()
            .find_map(|(i, item)| wrong(table, inner, item, &format!("{at}[{i}]"))),
        (Kind::Map(inner), Value::Object(entries)) => entries
            .iter()
            .find_map(|(key, entry)| wrong(table, inner, entry, &format!("{at}[{key}]"))),
        (Kind::Struct(number), Value::Object(entries)) => table.fields(*number).iter().find_map(|field| {
            let path = if at.is_empty() {
                field.name.to_owned()
            } else {
                format!("{at}.{}", field.name)
            };
            wrong(table, &field.kind, entries.get(field.name)?, &path)
        }),
        // Another type, or nothing that could be read: the API server names its path.
        (
            Kind::String
            | Kind::Bool
            | Kind::Int
            | Kind::IntOrString
            | Kind::Time
            | Kind::Raw
            | Kind::List(_)
            | Kind::Map(_)
            | Kind::Struct(_),
            _,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_wrong_quantity_is_found_wherever_it_stands() {
        let container = |resources: Value| json!({"spec": {"containers": [{"name": "a"}, {"name": "b", "resources": resources}]}});
        for (template, want) in [
            (
                container(json!({"requests": {"cpu": "100m", "memory": "1.5Gi"}, "limits": {"cpu": 2}})),
                None,
            ),
            (
                container(json!({"requests": {"cpu": "a lot"}})),
                Some("spec.containers[1].resources.requests[cpu]"),
            ),
            (
                container(json!({"limits": {"memory": true}})),
                Some("spec.containers[1].resources.limits[memory]"),
            ),
            (container(json!({"limits": {"memory": null}})), None),
            (container(json!("much")), None),
            (
                json!({"spec": {"overhead": {"cpu": "1x"}}}),
                Some("spec.overhead[cpu]"),
            ),
            (
                json!({"spec": {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1 GB"}}]}}),
                Some("spec.volumes[0].emptyDir.sizeLimit"),
            ),
        ] {
            assert_eq!(
                wrong_quantity(&template).map(|(path, _)| path).as_deref(),
                want,
                "{template}"
            );
        }
    }
}
