//! AWS Signature Version 4 for one HTTP request, as the Amazon Managed Service for Prometheus asks for it.
//! Pure.
//!
//! Source of the rule: "Signature Version 4 signing process" in the AWS General Reference. The vectors of its
//! published test suite are in `tests/golden/sigv4/`. Absent on purpose: presigned URLs, chunked bodies, S3's
//! own path rule, and everything that fetches credentials (they come in as a value; see [`super::aws`]).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ring::{digest, hmac};
use std::fmt::Write as _;

#[cfg(test)]
mod tests;

/// AWS credentials, as the usual environment variables give them.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsCredentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`, for temporary credentials.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsCredentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

impl AwsCredentials {
    /// Credentials from a reader of environment variables; `None` unless both keys are set and not empty.
    pub fn from_env(read: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let get = |name: &str| read(name).filter(|value| !value.is_empty());
        Some(Self {
            access_key_id: get("AWS_ACCESS_KEY_ID")?,
            secret_access_key: get("AWS_SECRET_ACCESS_KEY")?,
            session_token: get("AWS_SESSION_TOKEN"),
        })
    }
}

/// The request to sign, as it will be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signable<'a> {
    /// The method in capitals.
    pub(crate) method: &'a str,
    /// The path as it stands in the request line, so already percent-encoded once.
    pub(crate) path: &'a str,
    /// The query without `?`; empty when there is none.
    pub(crate) query: &'a str,
    /// Headers to sign, `host` among them. Not `x-amz-date` and `x-amz-security-token`, which are made here.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub(crate) body: &'a [u8],
}

/// Where a signature is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Such as `eu-central-1`.
    pub(crate) region: String,
    /// Such as `aps`.
    pub(crate) service: String,
}

/// The headers that make the request a signed one: `x-amz-date`, `x-amz-security-token` when there is one,
/// `authorization`.
pub(crate) fn sign(
    request: &Signable<'_>,
    scope: &Scope,
    credentials: &AwsCredentials,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let moment = now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    let date = &moment[..8];
    let mut added = vec![("x-amz-date", moment.clone())];
    if let Some(token) = &credentials.session_token {
        added.push(("x-amz-security-token", token.clone()));
    }

    let mut headers: Vec<(String, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), *value))
        .collect();
    headers.extend(
        added
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_str())),
    );
    let (canonical, signed_names) = canonical_request(request, headers);

    let place = format!("{date}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{moment}\n{place}\n{}",
        hex_sha256(canonical.as_bytes())
    );
    let signature = hex(mac(
        &signing_key(&credentials.secret_access_key, date, scope),
        to_sign.as_bytes(),
    )
    .as_ref());
    added.push((
        "authorization",
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{place}, SignedHeaders={signed_names}, Signature={signature}",
            credentials.access_key_id
        ),
    ));
    added
}

/// Task 1 of the signing process: the request in its one canonical spelling, and the names of the signed
/// headers.
///
/// Headers are sorted by name; values of one name keep their order and are joined by a comma, their white
/// space folded.
fn canonical_request(request: &Signable<'_>, mut headers: Vec<(String, &str)>) -> (String, String) {
    headers.sort_by(|a, b| a.0.cmp(&b.0));
    let mut merged: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        match merged.last_mut() {
            Some((last, values)) if *last == name => {
                values.push(',');
                values.push_str(&value);
            }
            _ => merged.push((name, value)),
        }
    }
    let names = merged
        .iter()
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>()
        .join(";");
    let lines = merged.iter().fold(String::new(), |mut lines, (name, value)| {
        let _ = writeln!(lines, "{name}:{value}");
        lines
    });
    let path = if request.path.is_empty() {
        "/"
    } else {
        request.path
    };
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        request.method,
        percent_encode(path.as_bytes(), true),
        canonical_query(request.query),
        hex_sha256(request.body)
    );
    (canonical, names)
}

/// Parameters decoded, encoded again in the strict way, and sorted by name and then by value.
fn canonical_query(query: &str) -> String {
    let strict = |part: &str| percent_encode(&percent_decode(part), false);
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (strict(name), strict(value))
        })
        .collect();
    pairs.sort();
    pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("&")
}

/// Task 3: the key that is valid for one day, one region and one service.
fn signing_key(secret: &str, date: &str, scope: &Scope) -> hmac::Tag {
    let mut tag = mac_with(format!("AWS4{secret}").as_bytes(), date.as_bytes());
    for part in [scope.region.as_str(), scope.service.as_str(), "aws4_request"] {
        tag = mac(&tag, part.as_bytes());
    }
    tag
}

fn mac(key: &hmac::Tag, data: &[u8]) -> hmac::Tag {
    mac_with(key.as_ref(), data)
}

fn mac_with(key: &[u8], data: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data)
}

/// SHA-256 as lower-case hexadecimal.
pub(crate) fn hex_sha256(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// RFC 3986 percent-encoding of everything but `A-Z a-z 0-9 - . _ ~`, and `/` when it is kept.
pub(crate) fn percent_encode(bytes: &[u8], keep_slash: bool) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len()), |mut text, &byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/') {
                text.push(char::from(byte));
            } else {
                let _ = write!(text, "%{byte:02X}");
            }
            text
        })
}

/// The bytes behind percent escapes; an escape that is none stays as it is. `+` is a plus, as AWS reads it.
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(escape.unwrap_or(bytes[at]));
        at += if escape.is_some() { 3 } else { 1 };
    }
    decoded
}
