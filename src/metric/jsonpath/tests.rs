use super::{JsonPath, PathError};
use serde_json::{Value, json};

/// The document of the Kubernetes reference, shortened.
fn document() -> Value {
    json!({
        "kind": "List",
        "items": [
            {"kind": "None", "metadata": {"name": "127.0.0.1", "labels": {"kubernetes.io/hostname": "a"}},
             "status": {"capacity": {"cpu": "4"}, "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.1"}]}},
            {"kind": "None", "metadata": {"name": "127.0.0.2"},
             "status": {"capacity": {"cpu": "8"}, "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.2"}, {"type": "another", "address": "127.0.0.3"}]}}
        ],
        "users": [
            {"name": "myself", "user": {}, "age": 30},
            {"name": "e2e", "user": {"username": "admin", "password": "secret"}, "age": 18.5, "on": true}
        ],
        "n": [0, 1, 2, 3, 4],
        "nil": null
    })
}

fn all(path: &str) -> Result<Vec<Value>, PathError> {
    JsonPath::parse(path)?
        .all(&document())
        .map(|values| values.into_iter().cloned().collect())
}

#[test]
fn the_forms_of_the_kubernetes_reference() {
    let table: &[(&str, Value)] = &[
        ("{.kind}", json!(["List"])),
        ("{@.kind}", json!(["List"])),
        ("{$.kind}", json!(["List"])),
        ("{['kind']}", json!(["List"])),
        ("{kind}", json!(["List"])),
        ("$.kind", json!(["List"])),
        ("{ .kind }", json!(["List"])),
        ("{..name}", json!(["127.0.0.1", "127.0.0.2", "myself", "e2e"])),
        ("{.items[*].metadata.name}", json!(["127.0.0.1", "127.0.0.2"])),
        ("{.users[0].name}", json!(["myself"])),
        ("{.users[-1].name}", json!(["e2e"])),
        (
            "{.items[*]['metadata']['name']}",
            json!(["127.0.0.1", "127.0.0.2"]),
        ),
        ("{.items[0]['kind','status']['capacity','kind']}", json!(null)),
        ("{.users[?(@.name==\"e2e\")].user.password}", json!(["secret"])),
        ("{.users[?(@.user.username)].name}", json!(["e2e"])),
        (
            "{.items[0].metadata.labels.kubernetes\\.io/hostname}",
            json!(["a"]),
        ),
        (
            "{.items[0].metadata.labels['kubernetes.io/hostname']}",
            json!(["a"]),
        ),
        (
            "{.items[?(@.status.addresses[0].address == '127.0.0.2')].metadata.name}",
            json!(["127.0.0.2"]),
        ),
        (
            "{..addresses[?(@.type==\"another\")].address}",
            json!(["127.0.0.3"]),
        ),
        ("{.n[1:3]}", json!([1, 2])),
        ("{.n[:2]}", json!([0, 1])),
        ("{.n[3:]}", json!([3, 4])),
        ("{.n[-2:]}", json!([3, 4])),
        ("{.n[-1:]}", json!([4])),
        ("{.n[0:5:2]}", json!([0, 2, 4])),
        ("{.n[::3]}", json!([0, 3])),
        ("{.n[4:1]}", json!([])),
        ("{.n[7:9]}", json!([])),
        ("{.n[-9:1]}", json!([0])),
        ("{.n[0,2]}", json!([0, 2])),
        ("{.n[ 1 , -1 ]}", json!([1, 4])),
        ("{.users[0]['name', 'age']}", json!(["myself", 30])),
        ("{.users[0].user.*}", json!([])),
        ("{.users[1].user.*}", json!(["secret", "admin"])),
        ("{.nil}", json!([null])),
        ("{.kind[*]}", json!([])),
    ];
    for (path, expected) in table {
        match expected {
            Value::Array(expected) => {
                let mut found = all(path).unwrap_or_else(|error| panic!("{path}: {error}"));
                let mut expected = expected.clone();
                if path.ends_with(".*}") {
                    found.sort_by_key(ToString::to_string);
                    expected.sort_by_key(ToString::to_string);
                }
                assert_eq!(found, expected, "{path}");
            }
            _ => assert!(all(path).is_err(), "{path}"),
        }
    }
}

#[test]
fn the_document_itself() {
    for path in ["{$}", "{}", "{.}", "{@}", "$", ""] {
        let parsed = JsonPath::parse(path).unwrap();
        assert_eq!(parsed.first(&document()), Ok(&document()), "{path}");
        assert!(parsed.is_root(), "{path}");
    }
    assert!(!JsonPath::parse("{$.a}").unwrap().is_root());
}

#[test]
fn filters_compare_like_with_like() {
    let table: &[(&str, &[&str])] = &[
        ("@.age > 20", &["myself"]),
        ("@.age >= 18.5", &["myself", "e2e"]),
        ("@.age < 20", &["e2e"]),
        ("@.age <= 18.4", &[]),
        ("@.age == 30", &["myself"]),
        ("@.age == 30.0", &["myself"]),
        ("@.age != 30", &["e2e"]),
        ("@.age == \"30\"", &[]),
        ("@.age < \"40\"", &[]),
        ("@.on == true", &["e2e"]),
        ("@.on != true", &[]),
        ("@.absent == 1", &[]),
        ("@.name >= \"f\"", &["myself"]),
        ("\"e2e\" == @.name", &["e2e"]),
        ("@.name == $.users[1].name", &["e2e"]),
        ("@.age > -1", &["myself", "e2e"]),
        ("@.age > 1e1", &["myself", "e2e"]),
        ("@['name'] == 'e2e'", &["e2e"]),
    ];
    for (filter, expected) in table {
        let found =
            all(&format!("{{.users[?({filter})].name}}")).unwrap_or_else(|error| panic!("{filter}: {error}"));
        assert_eq!(
            found,
            expected.iter().map(|name| json!(name)).collect::<Vec<_>>(),
            "{filter}"
        );
    }
}

#[test]
fn what_is_not_there_is_named() {
    let error = |path: &str| {
        JsonPath::parse(path)
            .unwrap()
            .first(&document())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(error("{.absent}"), "absent is not found");
    assert_eq!(error("{.kind.x}"), "x is not found");
    assert_eq!(
        error("{.n[5]}"),
        "array index 5 is out of bounds: the list has 5 elements"
    );
    assert_eq!(
        error("{.n[-6]}"),
        "array index -6 is out of bounds: the list has 5 elements"
    );
    assert_eq!(error("{.kind[0]}"), "[n] cannot be applied to a text");
    assert_eq!(
        error("{.users[0].user[?(@.a)]}"),
        "[?()] cannot be applied to an object"
    );
    assert_eq!(error("{..nowhere}"), "it finds no value in the answer");
    assert_eq!(
        error("{.users[?(@.name==\"nobody\")].name}"),
        "it finds no value in the answer"
    );
    assert_eq!(error("{.users[*].on}"), "on is not found");
}

#[test]
fn what_cannot_be_read_is_named_with_its_place() {
    let error = |path: &str| JsonPath::parse(path).unwrap_err().to_string();
    assert_eq!(error("{.a"), "expected `}` (at character 4)");
    assert_eq!(
        error("{.a[}"),
        "expected a number, a quoted name, `*` or `?()` (at character 5)"
    );
    assert_eq!(error("{.a[1}"), "expected `]` (at character 6)");
    assert_eq!(error("{.a['b]}"), "the closing quote is missing (at character 9)");
    assert_eq!(error("{.a..}"), "expected a field name (at character 6)");
    assert_eq!(
        error("{.a[?(@.x ~ 1)]}"),
        "expected a comparison or `)` (at character 11)"
    );
    assert_eq!(
        error("{.a[?(@.x == )]}"),
        "expected a path, a quoted text, a number, true, false or null (at character 14)"
    );
    assert_eq!(error("{.a[::0]}"), "the step must be 1 or more (at character 8)");
    assert_eq!(
        error("{.a[99999999999999999999]}"),
        "is not a whole number (at character 25)"
    );
    assert_eq!(
        error("{range .a[*]}{.b}{end}"),
        "{range} is not supported here: a metric is one value"
    );
    assert_eq!(
        error("{.a} and {.b}"),
        "text or a second expression beside {…} is not supported here: a metric is one value"
    );
    assert_eq!(
        error("{.a[?(@.x==1 && @.y==2)]}"),
        "&& or || in a filter is not supported here: a metric is one value"
    );
    assert!(JsonPath::parse(&format!("{{{}}}", ".a[?(@".repeat(40))).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[{}$@.*\\[\\]'\"a-c0-9:,?()=<>!&|\\\\ -]{0,40}") {
        if let Ok(path) = JsonPath::parse(&text) {
            let _ = path.all(&document());
        }
    }
}
