//! Credentials of a request: basic, OAuth 2 client credentials, AWS signatures. A bearer token is an
//! `Authorization` header.
//!
//! A secret is in memory only while a request is made, except for OAuth tokens, by a hash of what they were
//! fetched with, and for what AWS gives (see [`super::aws`]): both are kept until shortly before they expire. Nothing of it
//! is ever stored in an object.

use super::aws::{Asking, Signer};
use super::http::{Call, Deadline, origin};
use super::provider::redact::{MARK, Redactor};
use super::provider::{Measurer, ProviderError};
use super::sigv4::{self, AwsCredentials, Scope, Signable};
use crate::api::analysis::{Authentication, Sigv4Config, WebMetricHeader};
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};
use token::{ClientCredentials, client_credentials};

#[cfg(test)]
mod tests;
pub(crate) mod token;

/// How one request proves who it is.
#[derive(Clone)]
pub(crate) enum Credential {
    /// Not at all, or by a header of the metric.
    None,
    /// The value of an `Authorization: Basic` header.
    Basic(HeaderValue),
    /// A token is fetched first.
    OAuth2(ClientCredentials),
    /// Each request is signed by AWS' rules.
    SigV4(Signer),
}

/// What goes with the requests of one measurement.
pub(crate) struct Proof<'a> {
    credential: &'a Credential,
    /// The value of the `Authorization` header, where the credential is one.
    header: Option<HeaderValue>,
    /// The region and the credentials to sign with.
    signing: Option<(String, AwsCredentials)>,
}

impl Credential {
    /// Gets what requests to this address are to carry: fetched now, or kept.
    pub(crate) async fn prove(
        &self,
        measurer: &Measurer,
        url: &Url,
        deadline: Deadline,
        redactor: &mut Redactor,
        now: Timestamp,
    ) -> Result<Proof<'_>, ProviderError> {
        let (mut header, mut signing) = (None, None);
        match self {
            Self::None => {}
            Self::Basic(value) => header = Some(value.clone()),
            Self::OAuth2(client) => {
                let token = measurer
                    .tokens
                    .get(&measurer.transport, client, deadline, redactor, now)
                    .await?;
                header = Some(token);
            }
            Self::SigV4(signer) => {
                let region = measurer.aws.region(signer, url)?;
                let asking = Asking {
                    transport: &measurer.transport,
                    deadline,
                    now,
                };
                let keys = measurer
                    .aws
                    .credentials(signer, &region, &asking, redactor)
                    .await?;
                signing = Some((region, keys));
            }
        }
        Ok(Proof {
            credential: self,
            header,
            signing,
        })
    }

    /// Reads the block of a metric. An empty block counts as absent, as the contract's own controller writes
    /// it.
    ///
    /// Errors: more than one kind at once, or a kind that is not complete.
    pub(crate) fn from_spec(
        spec: Option<&Authentication>,
        field: &str,
        redactor: &mut Redactor,
    ) -> Result<Self, ProviderError> {
        let Some(Authentication {
            basic_auth,
            oauth2,
            sigv4,
        }) = spec
        else {
            return Ok(Self::None);
        };
        let basic = basic_auth
            .as_ref()
            .filter(|b| filled(b.username.as_ref()) || filled(b.password.as_ref()));
        let oauth2 = oauth2.as_ref().filter(|o| {
            filled(o.token_url.as_ref()) || filled(o.client_id.as_ref()) || filled(o.client_secret.as_ref())
        });
        let sigv4 = sigv4.as_ref().filter(|s| {
            filled(s.region.as_ref()) || filled(s.profile.as_ref()) || filled(s.role_arn.as_ref())
        });
        match (basic, oauth2, sigv4) {
            (None, None, None) => Ok(Self::None),
            (Some(basic), None, None) => {
                let user = basic.username.clone().unwrap_or_default();
                let password = basic.password.clone().unwrap_or_default();
                let encoded = base64(format!("{user}:{password}").as_bytes());
                redactor.add(&password);
                redactor.add(&encoded);
                let mut value = HeaderValue::from_str(&format!("Basic {encoded}"))
                    .map_err(|_| spec_error(field, "basicAuth", "cannot be sent as a header"))?;
                value.set_sensitive(true);
                Ok(Self::Basic(value))
            }
            (None, Some(oauth2), None) => client_credentials(oauth2, field, redactor).map(Self::OAuth2),
            (None, None, Some(sigv4)) => signer(sigv4, field).map(Self::SigV4),
            _ => Err(spec_error(
                field,
                "",
                "has more than one of basicAuth, oauth2 and sigv4; give one",
            )),
        }
    }
}

fn filled(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

fn spec_error(field: &str, below: &str, message: &str) -> ProviderError {
    let field = if below.is_empty() {
        format!("{field}.authentication")
    } else {
        format!("{field}.authentication.{below}")
    };
    ProviderError::Spec {
        field,
        message: message.to_owned(),
    }
}

/// Reads the block `sigv4`. An ARN that is hidden is not looked at.
fn signer(spec: &Sigv4Config, field: &str) -> Result<Signer, ProviderError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if given(&spec.profile).is_some() {
        let text = "is not supported: a container has no file of profiles. Leave it out and give the controller credentials in \
                    its environment; sigv4.roleArn makes another role of them";
        return Err(spec_error(field, "sigv4.profile", text));
    }
    let role = given(&spec.role_arn);
    if let Some(arn) = &role
        && !arn.contains(MARK)
        && !(arn.starts_with("arn:") && arn.contains(":role/"))
    {
        let text =
            format!("{arn:?} is not the ARN of a role, such as arn:aws:iam::123456789012:role/prometheus");
        return Err(spec_error(field, "sigv4.roleArn", &text));
    }
    Ok(Signer {
        field: format!("{field}.authentication.sigv4"),
        region: given(&spec.region),
        role,
    })
}

impl Proof<'_> {
    /// Puts the header among those of a request.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        if let Some(value) = &self.header {
            headers.insert(AUTHORIZATION, value.clone());
        }
    }

    /// The headers that sign this request, where the credential signs. `service` names the AWS service of a
    /// request.
    pub(crate) fn sign<'c>(
        &self,
        call: &'c Call,
        service: impl Fn(&'c Call) -> Result<&'c str, ProviderError>,
        now: Timestamp,
    ) -> Result<HeaderMap, ProviderError> {
        match &self.signing {
            Some((region, keys)) => signature(call, region, service(call)?, keys, now),
            None => no_signature(call),
        }
    }

    /// Looks at the status of an answer: what was refused is fetched anew next time.
    pub(crate) fn learn(&self, measurer: &Measurer, status: StatusCode, now: Timestamp) {
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return;
        }
        match (self.credential, &self.header, &self.signing) {
            (Credential::OAuth2(client), Some(token), _) => measurer.tokens.forget(client, token, now),
            (Credential::SigV4(signer), _, Some((_, keys))) => measurer.aws.forget(signer, keys, now),
            (Credential::OAuth2(_) | Credential::SigV4(_) | Credential::None | Credential::Basic(_), ..) => {}
        }
    }
}

/// The headers of a metric. Values of headers that carry credentials become secrets.
pub(crate) fn headers(
    list: &[WebMetricHeader],
    field: &str,
    redactor: &mut Redactor,
) -> Result<HeaderMap, ProviderError> {
    let mut map = HeaderMap::new();
    for WebMetricHeader { key, value } in list {
        let refuse = |message: &str| ProviderError::Spec {
            field: format!("{field}.headers[{key:?}]"),
            message: message.to_owned(),
        };
        let name = HeaderName::from_bytes(key.as_bytes()).map_err(|_| refuse("is not a header name"))?;
        let mut header = HeaderValue::from_str(value)
            .map_err(|_| refuse("the value holds characters that a header cannot carry"))?;
        if is_sensitive(name.as_str()) {
            header.set_sensitive(true);
            redactor.add(value);
            // `Bearer abc`: the token alone is as secret.
            redactor.add(value.rsplit(' ').next().unwrap_or_default());
        }
        map.append(name, header);
    }
    Ok(map)
}

/// True for a header name (in lower case) whose value is usually a credential.
fn is_sensitive(name: &str) -> bool {
    matches!(name, "authorization" | "proxy-authorization" | "cookie")
        || [
            "token",
            "secret",
            "password",
            "api-key",
            "apikey",
            "app-key",
            "auth-key",
            "credential",
        ]
        .iter()
        .any(|part| name.contains(part))
}

/// No further headers.
#[expect(
    clippy::unnecessary_wraps,
    reason = "stands where a signer stands, and that can fail"
)]
pub(crate) fn no_signature(_: &Call) -> Result<HeaderMap, ProviderError> {
    Ok(HeaderMap::new())
}

/// The headers that sign this request.
pub(crate) fn signature(
    call: &Call,
    region: &str,
    service: &str,
    keys: &AwsCredentials,
    now: Timestamp,
) -> Result<HeaderMap, ProviderError> {
    let address = origin(&call.url);
    let host = address
        .split_once("://")
        .map_or(address.as_str(), |(_, host)| host);
    let mut signed = vec![("host", host)];
    if let Some(kind) = call
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    {
        signed.push(("content-type", kind));
    }
    let request = Signable {
        method: call.method.as_str(),
        path: call.url.path(),
        query: call.url.query().unwrap_or_default(),
        headers: &signed,
        body: call.body.as_deref().unwrap_or_default(),
    };
    let scope = Scope {
        region: region.to_owned(),
        service: service.to_owned(),
    };
    let mut map = HeaderMap::new();
    for (name, value) in sigv4::sign(&request, &scope, keys, now) {
        let mut value = HeaderValue::from_str(&value).map_err(|_| ProviderError::Authentication {
            target: call.target.0.clone(),
            message: "the AWS credentials or the region hold characters that a header cannot carry"
                .to_owned(),
        })?;
        value.set_sensitive(true);
        map.insert(HeaderName::from_static(name), value);
    }
    Ok(map)
}

/// Standard base64 with padding (RFC 4648, 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group
            .iter()
            .fold(0_u32, |word, &byte| (word << 8) | u32::from(byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            if place <= group.len() {
                let index = (word >> (18 - 6 * place)) & 0x3f;
                text.push(char::from(ALPHABET[usize::try_from(index).unwrap_or_default()]));
            } else {
                text.push('=');
            }
        }
    }
    text
}
