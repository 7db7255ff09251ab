//! Credentials from an endpoint beside the container: the agent of EKS Pod Identity.
//!
//! Source: "Container credential provider" in the reference of AWS' own libraries.

use super::{Asking, Container, Fetched, TIMEOUT, token_in};
use crate::metric::auth::no_signature;
use crate::metric::http::{Call, Target};
use crate::metric::provider::ProviderError;
use crate::metric::provider::redact::{Redactor, one_line};
use crate::metric::sigv4::AwsCredentials;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;

/// The agents of ECS and EKS, which are asked by plain http: they are on the same machine.
const AGENTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// How long credentials that do not say when they expire are used.
const UNSAID: SignedDuration = SignedDuration::from_mins(15);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    expiration: Option<Timestamp>,
}

impl Container {
    pub(super) async fn fetch(&self, asking: &Asking<'_>) -> Result<Fetched, ProviderError> {
        let url = self.url()?;
        let target = Target::new("the container credentials", &url);
        let refuse = |message: String| ProviderError::Authentication {
            target: target.0.clone(),
            message,
        };
        let (mut headers, mut redactor) = (HeaderMap::new(), Redactor::default());
        if let Some(token) = self.token(asking).await? {
            redactor.add(&token);
            let mut value = HeaderValue::from_str(&token)
                .map_err(|_| refuse("the authorization token cannot be sent as a header".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let call = Call {
            target: target.clone(),
            method: Method::GET,
            url,
            headers,
            body: None,
            insecure: false,
        };
        let deadline = asking.deadline.or_after(TIMEOUT);
        let reply = asking.transport.exchange(call, deadline, no_signature).await?;
        if !reply.status.is_success() {
            let text = redactor.scrub(&String::from_utf8_lossy(&reply.body));
            return Err(refuse(format!(
                "HTTP {}: {}",
                reply.status_text(),
                one_line(&text, 200)
            )));
        }
        // What is in it is not repeated: it may be half of what was asked for.
        let answer: Answer = serde_json::from_slice(&reply.body)
            .map_err(|_| refuse("the answer holds no credentials".to_owned()))?;
        let unsaid = || asking.now.saturating_add(UNSAID).unwrap_or(asking.now);
        Ok(Fetched {
            until: answer.expiration.unwrap_or_else(unsaid),
            value: AwsCredentials {
                access_key_id: answer.access_key_id,
                secret_access_key: answer.secret_access_key,
                session_token: answer.token.filter(|token| !token.is_empty()),
            },
        })
    }

    /// Where credentials are asked for: by https, or on this machine.
    fn url(&self) -> Result<Url, ProviderError> {
        let refuse = |why: &str| ProviderError::Authentication {
            target: "AWS".to_owned(),
            message: format!("AWS_CONTAINER_CREDENTIALS_FULL_URI {why}"),
        };
        let url = Url::parse(self.url.trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| refuse("is not an http or https URL"))?;
        let host = url.host_str().unwrap_or_default();
        let is_here = AGENTS.contains(&host)
            || matches!(host, "localhost" | "[::1]")
            || host
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|ip| ip.is_loopback());
        if url.scheme() == "https" || is_here {
            Ok(url)
        } else {
            Err(refuse(
                "must be https, or http on this machine (loopback, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23])",
            ))
        }
    }

    async fn token(&self, asking: &Asking<'_>) -> Result<Option<String>, ProviderError> {
        match (&self.token_file, &self.token) {
            (Some(file), _) => token_in("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file, asking.deadline)
                .await
                .map(Some),
            (None, token) => Ok(token.clone()),
        }
    }
}
