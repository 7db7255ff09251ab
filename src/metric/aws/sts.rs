//! AWS STS: credentials for a role. Its protocol is a form that goes there and XML that comes back.
//!
//! Source: the API reference of the AWS Security Token Service, version 2011-06-15, AssumeRole and
//! AssumeRoleWithWebIdentity. It documents no answer in JSON.

use super::{Asking, Fetched, TIMEOUT, WebIdentity, token_in};
use crate::metric::auth::{self, no_signature};
use crate::metric::http::{Call, Target};
use crate::metric::provider::ProviderError;
use crate::metric::provider::redact::{Redactor, one_line};
use crate::metric::sigv4::{AwsCredentials, percent_encode};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};

/// What a session is called in AWS' own logs where `AWS_ROLE_SESSION_NAME` does not say.
const SESSION: &str = "serin";

/// The STS of one region.
pub(super) struct Sts {
    url: Url,
    region: String,
    session: String,
    target: Target,
}

impl Sts {
    /// At the given address, or at the region's own: the global one is far away from most, and down when its region is.
    pub(super) fn new(
        given: Option<&str>,
        region: &str,
        session: Option<&str>,
    ) -> Result<Self, ProviderError> {
        let cn = if region.starts_with("cn-") { ".cn" } else { "" };
        let address = given.map_or_else(
            || format!("https://sts.{region}.amazonaws.com{cn}/"),
            str::to_owned,
        );
        let url = Url::parse(address.trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| ProviderError::Authentication {
                target: "AWS STS".to_owned(),
                message: match given {
                    Some(given) => format!(
                        "AWS_ENDPOINT_URL_STS (or AWS_ENDPOINT_URL) {given:?} is not an http or https URL"
                    ),
                    None => format!("{region:?} is not the name of a region"),
                },
            })?;
        Ok(Self {
            target: Target::new("AWS STS", &url),
            url,
            region: region.to_owned(),
            session: session.unwrap_or(SESSION).to_owned(),
        })
    }

    /// Credentials for a role, for whoever has these.
    pub(super) async fn assume_role(
        &self,
        role: &str,
        own: &AwsCredentials,
        asking: &Asking<'_>,
    ) -> Result<Fetched, ProviderError> {
        let call = self.call("AssumeRole", role, &[]);
        let sign = |call: &Call| auth::signature(call, &self.region, "sts", own, asking.now);
        let mut redactor = Redactor::default();
        super::hide(own, &mut redactor);
        self.ask(call, "AssumeRole", role, asking, sign, &redactor).await
    }

    /// Credentials for a role, for whoever has the token of a service account.
    pub(super) async fn assume_role_with_web_identity(
        &self,
        WebIdentity { role, token_file }: &WebIdentity,
        asking: &Asking<'_>,
    ) -> Result<Fetched, ProviderError> {
        const ACTION: &str = "AssumeRoleWithWebIdentity";
        let token = token_in("AWS_WEB_IDENTITY_TOKEN_FILE", token_file, asking.deadline).await?;
        let mut redactor = Redactor::default();
        redactor.add(&token);
        let call = self.call(ACTION, role, &[("WebIdentityToken", &token)]);
        self.ask(call, ACTION, role, asking, no_signature, &redactor)
            .await
    }

    fn call(&self, action: &str, role: &str, more: &[(&str, &str)]) -> Call {
        let fields = [
            ("Action", action),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", &self.session),
        ];
        let form: Vec<String> = fields
            .iter()
            .chain(more)
            .map(|(name, value)| format!("{name}={}", percent_encode(value.as_bytes(), false)))
            .collect();
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        Call {
            target: self.target.clone(),
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body: Some(form.join("&").into_bytes()),
            // Whatever `insecure` says of the measured server.
            insecure: false,
        }
    }

    async fn ask(
        &self,
        call: Call,
        action: &str,
        role: &str,
        asking: &Asking<'_>,
        sign: impl Fn(&Call) -> Result<HeaderMap, ProviderError>,
        redactor: &Redactor,
    ) -> Result<Fetched, ProviderError> {
        let deadline = asking.deadline.or_after(TIMEOUT);
        let reply = asking.transport.exchange(call, deadline, sign).await?;
        let refuse = |why: String| ProviderError::Authentication {
            target: self.target.0.clone(),
            message: format!("{action} of {role}: {why}"),
        };
        let text = String::from_utf8_lossy(&reply.body);
        if !reply.status.is_success() {
            let said = refusal(&text).unwrap_or_else(|| text.into_owned());
            let said = one_line(&redactor.scrub(&said), 300);
            return Err(refuse(format!("HTTP {}: {said}", reply.status_text())));
        }
        // What is in it is not repeated: it may be half of what was asked for.
        credentials(&text).ok_or_else(|| refuse("the answer holds no credentials".to_owned()))
    }
}

/// The four elements of an answer that count. Nothing where one is missing, is there twice, or holds markup.
fn credentials(answer: &str) -> Option<Fetched> {
    let block = element(answer, "Credentials")?;
    let plain = |name| {
        element(block, name)
            .map(str::trim)
            .filter(|text| !text.is_empty() && !text.contains(['<', '&']))
    };
    Some(Fetched {
        value: AwsCredentials {
            access_key_id: plain("AccessKeyId")?.to_owned(),
            secret_access_key: plain("SecretAccessKey")?.to_owned(),
            session_token: Some(plain("SessionToken")?.to_owned()),
        },
        until: plain("Expiration")?.parse().ok()?,
    })
}

/// Code and message of a refusal, such as `AccessDenied: User ... is not authorized to perform: sts:AssumeRole`.
fn refusal(answer: &str) -> Option<String> {
    let error = element(answer, "Error")?;
    let text = |name| element(error, name).map(unescaped);
    Some(format!(
        "{}: {}",
        text("Code")?,
        text("Message").unwrap_or_default()
    ))
}

/// What is between the one start tag without attributes of this name and its end tag.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (inside, rest) = rest.split_once(&format!("</{name}>"))?;
    (!rest.contains(&format!("<{name}>")) && !inside.contains(&format!("<{name}>"))).then_some(inside)
}

/// Text without the five entities that XML itself has.
fn unescaped(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.trim().to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests;
