//! Credentials of a request: basic, OAuth 2 client credentials, AWS signatures. A bearer token is an `Authorization` header.
//!
//! A secret is in memory only while a request is made, except for OAuth tokens, which are kept until shortly before they
//! expire. Nothing of it is ever stored in an object.

use super::http::{Call, Deadline, Target, Transport, origin};
use super::provider::ProviderError;
use super::provider::redact::{Redactor, one_line};
use super::sigv4::{self, AwsCredentials, Scope, Signable, percent_encode};
use crate::api::analysis::{Authentication, OAuth2Config, Sigv4Config, WebMetricHeader};
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// The time that a token endpoint gets, in seconds, unless the metric's own limit is sooner.
const TOKEN_TIMEOUT: u64 = 10;

/// The most tokens kept. Beyond it the kept ones are forgotten: that costs a request each, nothing more.
const MAX_TOKENS: usize = 256;

/// How one request proves who it is.
#[derive(Clone)]
pub(crate) enum Credential {
    /// Not at all, or by a header of the metric.
    None,
    /// The value of an `Authorization: Basic` header.
    Basic(HeaderValue),
    /// A token is fetched first.
    OAuth2(ClientCredentials),
    /// Each request is signed.
    SigV4 {
        region: String,
        keys: AwsCredentials,
    },
}

/// OAuth 2 client credentials (RFC 6749, 4.4), complete.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClientCredentials {
    token_url: reqwest::Url,
    client_id: String,
    client_secret: String,
    scopes: Vec<String>,
}

impl Credential {
    /// Reads the block of a metric. An empty block counts as absent, as the contract's own controller writes it.
    ///
    /// Errors: more than one kind at once, a kind that is not complete, or one that needs what this controller lacks.
    pub(crate) fn from_spec(
        spec: Option<&Authentication>,
        field: &str,
        aws: Option<&AwsCredentials>,
        redactor: &mut Redactor,
    ) -> Result<Self, ProviderError> {
        let Some(Authentication { basic_auth, oauth2, sigv4 }) = spec else { return Ok(Self::None) };
        let basic = basic_auth.as_ref().filter(|b| filled(b.username.as_ref()) || filled(b.password.as_ref()));
        let oauth2 = oauth2.as_ref().filter(|o| {
            filled(o.token_url.as_ref()) || filled(o.client_id.as_ref()) || filled(o.client_secret.as_ref())
        });
        let sigv4 = sigv4.as_ref().filter(|s| filled(s.region.as_ref()) || filled(s.profile.as_ref()) || filled(s.role_arn.as_ref()));
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
            (None, None, Some(sigv4)) => signing(sigv4, field, aws, redactor),
            _ => Err(spec_error(field, "", "has more than one of basicAuth, oauth2 and sigv4; give one")),
        }
    }
}

fn filled(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

fn spec_error(field: &str, below: &str, message: &str) -> ProviderError {
    let field = if below.is_empty() { format!("{field}.authentication") } else { format!("{field}.authentication.{below}") };
    ProviderError::Spec { field, message: message.to_owned() }
}

fn client_credentials(spec: &OAuth2Config, field: &str, redactor: &mut Redactor) -> Result<ClientCredentials, ProviderError> {
    let required = |value: &Option<String>, name: &str| {
        value
            .clone()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| spec_error(field, &format!("oauth2.{name}"), "must be set"))
    };
    let secret = required(&spec.client_secret, "clientSecret")?;
    redactor.add(&secret);
    let token_url = required(&spec.token_url, "tokenUrl")?;
    let token_url = reqwest::Url::parse(&token_url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| spec_error(field, "oauth2.tokenUrl", "is not an http or https URL"))?;
    Ok(ClientCredentials {
        token_url,
        client_id: required(&spec.client_id, "clientId")?,
        client_secret: secret,
        scopes: spec.scopes.clone(),
    })
}

fn signing(spec: &Sigv4Config, field: &str, aws: Option<&AwsCredentials>, redactor: &mut Redactor) -> Result<Credential, ProviderError> {
    if filled(spec.role_arn.as_ref()) {
        let text = "is not supported: give the controller credentials of that role in AWS_ACCESS_KEY_ID, \
                    AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN";
        return Err(spec_error(field, "sigv4.roleArn", text));
    }
    if filled(spec.profile.as_ref()) {
        let text = "is not supported: give the controller the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        return Err(spec_error(field, "sigv4.profile", text));
    }
    let Some(region) = spec.region.clone().filter(|region| !region.is_empty()) else {
        return Err(spec_error(field, "sigv4.region", "must be set"));
    };
    let Some(keys) = aws.cloned() else {
        let text = "needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the controller's environment";
        return Err(spec_error(field, "sigv4", text));
    };
    redactor.add(&keys.secret_access_key);
    redactor.add(keys.session_token.as_deref().unwrap_or_default());
    Ok(Credential::SigV4 { region, keys })
}

/// The headers of a metric. Values of headers that carry credentials become secrets.
pub(crate) fn headers(list: &[WebMetricHeader], field: &str, redactor: &mut Redactor) -> Result<HeaderMap, ProviderError> {
    let mut map = HeaderMap::new();
    for WebMetricHeader { key, value } in list {
        let refuse = |message: &str| ProviderError::Spec { field: format!("{field}.headers[{key:?}]"), message: message.to_owned() };
        let name = HeaderName::from_bytes(key.as_bytes()).map_err(|_| refuse("is not a header name"))?;
        let mut header = HeaderValue::from_str(value).map_err(|_| refuse("the value holds characters that a header cannot carry"))?;
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
        || ["token", "secret", "password", "api-key", "apikey", "app-key", "auth-key", "credential"]
            .iter()
            .any(|part| name.contains(part))
}

/// The tokens that were fetched and are still valid.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<ClientCredentials, Token>>);

#[derive(Clone)]
struct Token {
    value: HeaderValue,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenReply {
    access_token: String,
    #[serde(default)]
    token_type: String,
    /// A number by the standard; some servers write it as a string.
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

impl Tokens {
    /// The value of the `Authorization` header: a kept token, or a new one.
    pub(crate) async fn get(
        &self,
        transport: &Transport,
        credentials: &ClientCredentials,
        deadline: Deadline,
        redactor: &mut Redactor,
    ) -> Result<HeaderValue, ProviderError> {
        let kept = self.lock().get(credentials).filter(|token| token.until > Instant::now()).cloned();
        let token = match kept {
            Some(token) => token,
            None => self.fetch(transport, credentials, deadline.or_after(TOKEN_TIMEOUT), redactor).await?,
        };
        if let Ok(text) = token.value.to_str() {
            redactor.add(text.rsplit(' ').next().unwrap_or_default());
        }
        Ok(token.value)
    }

    /// Forgets a token that was refused, so that the next measurement fetches another.
    pub(crate) fn forget(&self, credentials: &ClientCredentials) {
        self.lock().remove(credentials);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ClientCredentials, Token>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(
        &self,
        transport: &Transport,
        credentials: &ClientCredentials,
        deadline: Deadline,
        redactor: &mut Redactor,
    ) -> Result<Token, ProviderError> {
        let target = Target::new("the OAuth2 token endpoint", &credentials.token_url);
        let refuse = |message: String| ProviderError::Authentication { target: target.0.clone(), message };
        // RFC 6749 2.3.1: every server takes the client's name in a Basic header; some only know it in the body.
        let mut reply = transport.exchange(token_call(&target, credentials, true)?, deadline, no_signature).await?;
        if matches!(reply.status.as_u16(), 400 | 401 | 403) {
            reply = transport.exchange(token_call(&target, credentials, false)?, deadline, no_signature).await?;
        }
        let text = String::from_utf8_lossy(&reply.body);
        if !reply.status.is_success() {
            return Err(refuse(format!("HTTP {}: {}", reply.status_text(), one_line(&redactor.scrub(&text), 200))));
        }
        let answer: TokenReply =
            serde_json::from_slice(&reply.body).map_err(|_| refuse("the answer holds no access_token".to_owned()))?;
        redactor.add(&answer.access_token);
        let kind = if answer.token_type.eq_ignore_ascii_case("bearer") || answer.token_type.is_empty() {
            "Bearer"
        } else {
            answer.token_type.as_str()
        };
        let mut value = HeaderValue::from_str(&format!("{kind} {}", answer.access_token))
            .map_err(|_| refuse("the access_token cannot be sent as a header".to_owned()))?;
        value.set_sensitive(true);
        let lifetime = answer.expires_in.as_ref().and_then(seconds).unwrap_or(300);
        // A token that expires on the way is refused: stop using it 10 s before. Worked example: 3600 s are used for 3590 s.
        let until = Instant::now() + Duration::from_secs(lifetime.min(86_400).saturating_sub(10));
        let token = Token { value, until };
        let mut kept = self.lock();
        if kept.len() >= MAX_TOKENS {
            kept.retain(|_, token| token.until > Instant::now());
            if kept.len() >= MAX_TOKENS {
                kept.clear();
            }
        }
        kept.insert(credentials.clone(), token.clone());
        Ok(token)
    }
}

fn seconds(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

/// No further headers.
pub(crate) fn no_signature(_: &Call) -> Result<HeaderMap, ProviderError> {
    Ok(HeaderMap::new())
}

fn token_call(target: &Target, credentials: &ClientCredentials, header: bool) -> Result<Call, ProviderError> {
    let ClientCredentials { token_url, client_id, client_secret, scopes } = credentials;
    let encode = |text: &str| percent_encode(text.as_bytes(), false);
    let mut body = "grant_type=client_credentials".to_owned();
    if !scopes.is_empty() {
        body.push_str("&scope=");
        body.push_str(&encode(&scopes.join(" ")));
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(reqwest::header::ACCEPT, HeaderValue::from_static("application/json"));
    if header {
        let pair = base64(format!("{}:{}", encode(client_id), encode(client_secret)).as_bytes());
        let mut value = HeaderValue::from_str(&format!("Basic {pair}")).map_err(|_| ProviderError::Authentication {
            target: target.0.clone(),
            message: "the client's id and secret cannot be sent as a header".to_owned(),
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    } else {
        body.push_str(&format!("&client_id={}&client_secret={}", encode(client_id), encode(client_secret)));
    }
    Ok(Call {
        target: target.clone(),
        method: Method::POST,
        url: token_url.clone(),
        headers,
        body: Some(body.into_bytes()),
        // The client's secret goes only to a verified server, whatever `insecure` says of the measured one.
        insecure: false,
    })
}

/// The headers that sign this request.
pub(crate) fn signature(call: &Call, region: &str, service: &str, keys: &AwsCredentials, now: Timestamp) -> Result<HeaderMap, ProviderError> {
    let address = origin(&call.url);
    let host = address.split_once("://").map_or(address.as_str(), |(_, host)| host);
    let mut signed = vec![("host", host)];
    if let Some(kind) = call.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        signed.push(("content-type", kind));
    }
    let request = Signable {
        method: call.method.as_str(),
        path: call.url.path(),
        query: call.url.query().unwrap_or_default(),
        headers: &signed,
        body: call.body.as_deref().unwrap_or_default(),
    };
    let scope = Scope { region: region.to_owned(), service: service.to_owned() };
    let mut map = HeaderMap::new();
    for (name, value) in sigv4::sign(&request, &scope, keys, now) {
        let mut value = HeaderValue::from_str(&value).map_err(|_| ProviderError::Authentication {
            target: call.target.0.clone(),
            message: "the AWS credentials or the region hold characters that a header cannot carry".to_owned(),
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
        let word = group.iter().fold(0_u32, |word, &byte| (word << 8) | u32::from(byte)) << (8 * (3 - group.len()));
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
