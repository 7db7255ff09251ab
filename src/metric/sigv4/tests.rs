use super::{AwsCredentials, Scope, Signable, percent_decode, percent_encode, sign};
use serde_json::Value;

#[test]
fn the_published_vectors_are_met() {
    let file: Value = serde_json::from_str(include_str!("../../../tests/golden/sigv4/vectors.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 15);
    for vector in vectors {
        let credentials = AwsCredentials {
            access_key_id: text(&file["accessKeyId"]),
            secret_access_key: text(&file["secretAccessKey"]),
            session_token: vector["sessionToken"].as_str().map(str::to_owned),
        };
        let scope = Scope {
            region: text(&file["region"]),
            service: text(&file["service"]),
        };
        let mut headers = vec![("Host", "example.amazonaws.com")];
        for pair in vector["headers"].as_array().unwrap() {
            headers.push((pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
        }
        let request = Signable {
            method: vector["method"].as_str().unwrap(),
            path: vector["path"].as_str().unwrap(),
            query: vector["query"].as_str().unwrap(),
            headers: &headers,
            body: vector["body"].as_str().unwrap().as_bytes(),
        };
        let signed = sign(
            &request,
            &scope,
            &credentials,
            text(&file["now"]).parse().unwrap(),
        );
        let (_, authorization) = signed.iter().find(|(name, _)| *name == "authorization").unwrap();
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={}, Signature={}",
            vector["signedHeaders"].as_str().unwrap(),
            vector["signature"].as_str().unwrap(),
        );
        assert_eq!(*authorization, expected, "{}", vector["name"]);
    }
}

#[test]
fn escapes_are_decoded_once_and_broken_ones_stay() {
    for (text, bytes) in [
        ("a%20b", "a b"),
        ("%E1%88%B4", "ሴ"),
        ("100%", "100%"),
        ("%zz%4", "%zz%4"),
        ("a+b", "a+b"),
        ("%+1", "%+1"),
        ("", ""),
    ] {
        assert_eq!(percent_decode(text), bytes.as_bytes(), "{text}");
    }
    assert_eq!(percent_encode("a b/ü~".as_bytes(), false), "a%20b%2F%C3%BC~");
    assert_eq!(percent_encode(b"/a b/", true), "/a%20b/");
}

#[test]
fn credentials_need_both_keys_and_do_not_print_the_secret() {
    let read = |pairs: &'static [(&str, &str)]| {
        AwsCredentials::from_env(|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    };
    assert_eq!(read(&[("AWS_ACCESS_KEY_ID", "id")]), None);
    assert_eq!(
        read(&[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "")]),
        None
    );
    let full = read(&[
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("AWS_SESSION_TOKEN", "token"),
    ])
    .unwrap();
    assert_eq!(full.session_token.as_deref(), Some("token"));
    let shown = format!("{full:?}");
    assert!(
        shown.contains("id") && !shown.contains("hush") && !shown.contains("token\""),
        "{shown}"
    );
}
