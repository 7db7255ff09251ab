//! OAuth 2 client credentials: fetching a token, keeping it until it expires, forgetting it when it is
//! refused.

use super::{base64, no_signature, spec_error};
use crate::api::analysis::OAuth2Config;
use crate::metric::http::{Call, Deadline, Target, Transport};
use crate::metric::kept::{Fetched, Kept, TIMEOUT};
use crate::metric::provider::ProviderError;
use crate::metric::provider::redact::{Redactor, one_line};
use crate::metric::sigv4::{hex_sha256, percent_encode};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use std::fmt::Write as _;

/// How many seconds a token is taken to live that does not say, and the most that one is believed.
const UNSAID: u64 = 300;
const MOST: u64 = 86_400;

/// OAuth 2 client credentials (RFC 6749, 4.4), complete.
#[derive(Clone)]
pub(crate) struct ClientCredentials {
    token_url: reqwest::Url,
    client_id: String,
    client_secret: String,
    scopes: Vec<String>,
}

impl ClientCredentials {
    /// Id and secret as a Basic header carries them: each form-encoded, then joined (RFC 6749, 2.3.1).
    fn pair(&self) -> String {
        let encode = |text: &str| percent_encode(text.as_bytes(), false);
        base64(format!("{}:{}", encode(&self.client_id), encode(&self.client_secret)).as_bytes())
    }

    /// What a kept token is found by. A hash, so that the secret is not kept with it.
    fn key(&self) -> String {
        let Self {
            token_url,
            client_id,
            client_secret,
            scopes,
        } = self;
        hex_sha256(format!("{:?}", (token_url.as_str(), client_id, client_secret, scopes)).as_bytes())
    }
}

/// Reads and checks the block of a metric.
pub(super) fn client_credentials(
    spec: &OAuth2Config,
    field: &str,
    redactor: &mut Redactor,
) -> Result<ClientCredentials, ProviderError> {
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
    let credentials = ClientCredentials {
        token_url,
        client_id: required(&spec.client_id, "clientId")?,
        client_secret: secret,
        scopes: spec.scopes.clone(),
    };
    redactor.add(&credentials.pair());
    Ok(credentials)
}

/// The tokens that were fetched, as values of the `Authorization` header.
#[derive(Default)]
pub(crate) struct Tokens(Kept<HeaderValue>);

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
        now: Timestamp,
    ) -> Result<HeaderValue, ProviderError> {
        let fetch = fetch(transport, credentials, deadline.or_after(TIMEOUT), redactor, now);
        let value = self.0.get(&credentials.key(), deadline, now, fetch).await?;
        if let Ok(text) = value.to_str() {
            redactor.add(text.rsplit(' ').next().unwrap_or_default());
        }
        Ok(value)
    }

    /// Forgets a token that was refused, so that the next measurement fetches another.
    pub(crate) fn forget(&self, credentials: &ClientCredentials, refused: &HeaderValue, now: Timestamp) {
        let is_refused = |kept: &HeaderValue| kept == refused;
        self.0
            .forget(&credentials.key(), is_refused, SignedDuration::ZERO, now);
    }
}

/// Asks the token endpoint.
async fn fetch(
    transport: &Transport,
    credentials: &ClientCredentials,
    deadline: Deadline,
    redactor: &mut Redactor,
    now: Timestamp,
) -> Result<Fetched<HeaderValue>, ProviderError> {
    let target = Target::new("the OAuth2 token endpoint", &credentials.token_url);
    let refuse = |message: String| ProviderError::Authentication {
        target: target.0.clone(),
        message,
    };
    // RFC 6749 2.3.1: every server takes the client's name in a Basic header; some only know it in the
    // body.
    let mut reply = transport
        .exchange(token_call(&target, credentials, true)?, deadline, no_signature)
        .await?;
    if matches!(reply.status.as_u16(), 400 | 401 | 403) {
        reply = transport
            .exchange(token_call(&target, credentials, false)?, deadline, no_signature)
            .await?;
    }
    let text = String::from_utf8_lossy(&reply.body);
    if !reply.status.is_success() {
        return Err(refuse(format!(
            "HTTP {}: {}",
            reply.status_text(),
            one_line(&redactor.scrub(&text), 200)
        )));
    }
    let answer: TokenReply = serde_json::from_slice(&reply.body)
        .map_err(|_| refuse("the answer holds no access_token".to_owned()))?;
    redactor.add(&answer.access_token);
    let kind = if answer.token_type.eq_ignore_ascii_case("bearer") || answer.token_type.is_empty() {
        "Bearer"
    } else {
        answer.token_type.as_str()
    };
    let mut value = HeaderValue::from_str(&format!("{kind} {}", answer.access_token))
        .map_err(|_| refuse("the access_token cannot be sent as a header".to_owned()))?;
    value.set_sensitive(true);
    let lifetime = answer
        .expires_in
        .as_ref()
        .and_then(seconds)
        .map_or(UNSAID, |said| said.min(MOST));
    let lifetime = SignedDuration::from_secs(i64::try_from(lifetime).unwrap_or_default());
    let until = now.saturating_add(lifetime).unwrap_or(now);
    Ok(Fetched { value, until })
}

fn seconds(value: &serde_json::Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn token_call(target: &Target, credentials: &ClientCredentials, header: bool) -> Result<Call, ProviderError> {
    let ClientCredentials {
        token_url,
        client_id,
        client_secret,
        scopes,
    } = credentials;
    let encode = |text: &str| percent_encode(text.as_bytes(), false);
    let mut body = "grant_type=client_credentials".to_owned();
    if !scopes.is_empty() {
        body.push_str("&scope=");
        body.push_str(&encode(&scopes.join(" ")));
    }
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if header {
        let mut value = HeaderValue::from_str(&format!("Basic {}", credentials.pair())).map_err(|_| {
            ProviderError::Authentication {
                target: target.0.clone(),
                message: "the client's id and secret cannot be sent as a header".to_owned(),
            }
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    } else {
        let _ = write!(
            body,
            "&client_id={}&client_secret={}",
            encode(client_id),
            encode(client_secret)
        );
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
