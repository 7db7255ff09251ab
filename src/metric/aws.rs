//! AWS credentials: where they come from, and keeping those that expire.
//!
//! The first of these that the controller's environment has, in the order of AWS' own libraries:
//!
//! 1. `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`;
//! 2. `AWS_ROLE_ARN` and `AWS_WEB_IDENTITY_TOKEN_FILE`: IAM roles for service accounts;
//! 3. `AWS_CONTAINER_CREDENTIALS_FULL_URI`: EKS Pod Identity.
//!
//! A metric that names a role is signed as that role: AWS STS gives credentials for it to the ones found so.
//!
//! What expires is kept in memory until shortly before (see [`super::kept`]). Absent on purpose: credential files
//! (a container has none) and the metadata service of the machine (its role is not meant for pods).

use super::http::{Deadline, Transport};
use super::kept::{self, Kept, TIMEOUT};
use super::provider::ProviderError;
use super::provider::redact::Redactor;
use super::sigv4::AwsCredentials;
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;

mod container;
pub(crate) mod host;
mod sts;
#[cfg(test)]
mod tests;

/// The largest file with a token that is read, in bytes. Such tokens have one or two thousand.
const MAX_TOKEN: u64 = 64 * 1024;

/// What the environment of the process says of AWS.
#[derive(Clone, Default)]
pub struct Environment {
    keys: Option<AwsCredentials>,
    web_identity: Option<WebIdentity>,
    container: Option<Container>,
    region: Option<String>,
    sts_endpoint: Option<String>,
    session_name: Option<String>,
}

/// A role for whoever has the token of a service account.
#[derive(Clone)]
struct WebIdentity {
    role: String,
    token_file: String,
}

/// An endpoint beside the container.
#[derive(Clone)]
struct Container {
    url: String,
    token: Option<String>,
    token_file: Option<String>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl From<AwsCredentials> for Environment {
    /// Nothing but these credentials.
    fn from(keys: AwsCredentials) -> Self {
        Self {
            keys: Some(keys),
            ..Self::default()
        }
    }
}

impl Environment {
    /// From a reader of environment variables. A variable that is empty counts as absent.
    pub fn read(read: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| read(name).filter(|value| !value.trim().is_empty());
        let web_identity = get("AWS_ROLE_ARN").zip(get("AWS_WEB_IDENTITY_TOKEN_FILE"));
        // The variables of AWS' own libraries for another address of one service, and of all.
        let ignored =
            get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let endpoint = get("AWS_ENDPOINT_URL_STS").or_else(|| get("AWS_ENDPOINT_URL"));
        Self {
            keys: AwsCredentials::from_env(get),
            web_identity: web_identity.map(|(role, token_file)| WebIdentity { role, token_file }),
            container: get("AWS_CONTAINER_CREDENTIALS_FULL_URI").map(|url| Container {
                url,
                token: get("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
                token_file: get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
            }),
            region: get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION")),
            sts_endpoint: endpoint.filter(|_| !ignored),
            session_name: get("AWS_ROLE_SESSION_NAME"),
        }
    }
}

/// Who is to sign: credentials of this process, as they are or as a role, for a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signer {
    /// Path of the block in the metric, for messages.
    pub(crate) field: String,
    /// The metric's own region, if it names one.
    pub(crate) region: Option<String>,
    /// The ARN of the role to assume.
    pub(crate) role: Option<String>,
}

/// With what, and until when, an endpoint is asked.
pub(crate) struct Asking<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) deadline: Deadline,
    pub(crate) now: Timestamp,
}

/// The credentials of this process, and those that were fetched.
#[derive(Default)]
pub(crate) struct Aws {
    environment: Environment,
    kept: Kept<AwsCredentials>,
}

/// What an endpoint gave.
type Fetched = kept::Fetched<AwsCredentials>;

/// What a server refuses is not fetched anew more often than this: mostly it is a right that is missing, and another answer
/// of STS changes nothing.
const REFUSED: SignedDuration = SignedDuration::from_secs(60);

impl Aws {
    pub(crate) fn new(environment: Environment) -> Self {
        Self {
            environment,
            kept: Kept::default(),
        }
    }

    /// The secret that the process was started with, which must not be shown by any measurement.
    pub(crate) fn secret(&self) -> &str {
        self.environment
            .keys
            .as_ref()
            .map_or("", |keys| keys.secret_access_key.as_str())
    }

    /// The region to sign for: that of the metric, of the environment, or of the name of the host.
    pub(crate) fn region(&self, signer: &Signer, url: &Url) -> Result<String, ProviderError> {
        let known = signer.region.clone().or_else(|| self.environment.region.clone());
        known
            .or_else(|| host::region(url).map(str::to_owned))
            .ok_or_else(|| ProviderError::Spec {
                field: format!("{}.region", signer.field),
                message: "must be set, or AWS_REGION in the controller's environment".to_owned(),
            })
    }

    /// The credentials that sign for a region. All that is secret of them is known to the redactor then.
    pub(crate) async fn credentials(
        &self,
        signer: &Signer,
        region: &str,
        asking: &Asking<'_>,
        redactor: &mut Redactor,
    ) -> Result<AwsCredentials, ProviderError> {
        // One's own region is what a network without a way out can reach.
        let region = self.environment.region.as_deref().unwrap_or(region);
        let own = self.own(signer, region, asking, redactor).await?;
        let Some(role) = &signer.role else {
            return Ok(own);
        };
        let fetch = async {
            let sts = self.sts(region)?;
            sts.assume_role(role, &own, asking).await
        };
        let keys = self.kept.get(role, asking.deadline, asking.now, fetch).await?;
        hide(&keys, redactor);
        Ok(keys)
    }

    /// Those of this process, whatever role a metric names.
    async fn own(
        &self,
        signer: &Signer,
        region: &str,
        asking: &Asking<'_>,
        redactor: &mut Redactor,
    ) -> Result<AwsCredentials, ProviderError> {
        let Environment {
            keys,
            web_identity,
            container,
            ..
        } = &self.environment;
        let keys = if let Some(keys) = keys {
            keys.clone()
        } else if let Some(identity) = web_identity {
            let fetch = async {
                let sts = self.sts(region)?;
                sts.assume_role_with_web_identity(identity, asking).await
            };
            self.kept.get(OWN, asking.deadline, asking.now, fetch).await?
        } else if let Some(container) = container {
            let fetch = container.fetch(asking);
            self.kept.get(OWN, asking.deadline, asking.now, fetch).await?
        } else {
            return Err(ProviderError::Spec {
                field: signer.field.clone(),
                message: "needs AWS credentials in the controller's environment: AWS_ACCESS_KEY_ID and \
                          AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE (a role for the service \
                          account), or AWS_CONTAINER_CREDENTIALS_FULL_URI (EKS Pod Identity)"
                    .to_owned(),
            });
        };
        hide(&keys, redactor);
        Ok(keys)
    }

    /// Has what was refused fetched anew by the next measurement.
    pub(crate) fn forget(&self, signer: &Signer, refused: &AwsCredentials, now: Timestamp) {
        let key = signer.role.as_deref().unwrap_or(OWN);
        let is_refused = |kept: &AwsCredentials| kept.access_key_id == refused.access_key_id;
        self.kept.forget(key, is_refused, REFUSED, now);
    }

    fn sts(&self, region: &str) -> Result<sts::Sts, ProviderError> {
        sts::Sts::new(
            self.environment.sts_endpoint.as_deref(),
            region,
            self.environment.session_name.as_deref(),
        )
    }
}

/// Under what the process' own credentials are kept; those of a role by its ARN, which is never empty.
const OWN: &str = "";

fn hide(keys: &AwsCredentials, redactor: &mut Redactor) {
    redactor.add(&keys.secret_access_key);
    redactor.add(keys.session_token.as_deref().unwrap_or_default());
}

/// The token in a file, as it is now: the kubelet writes it anew before it expires. The file may be one that never ends
/// or never answers, so it is read beside everything else.
async fn token_in(variable: &str, path: &str, deadline: Deadline) -> Result<String, ProviderError> {
    let refuse = |why: String| ProviderError::Authentication {
        target: "AWS".to_owned(),
        message: format!("cannot read the file {path:?} of {variable}: {why}"),
    };
    let name = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        use std::io::Read as _;
        let mut text = String::new();
        let file = std::fs::File::open(name)?;
        file.take(MAX_TOKEN).read_to_string(&mut text)?;
        std::io::Result::Ok(text)
    });
    let text = match deadline.or_after(TIMEOUT).bound(read).await {
        None => return Err(refuse("it gave nothing in time".to_owned())),
        Some(Err(error)) => return Err(refuse(error.to_string())),
        Some(Ok(Err(error))) => return Err(refuse(error.to_string())),
        Some(Ok(Ok(text))) => text,
    };
    match text.trim() {
        "" => Err(refuse("it is empty".to_owned())),
        token => Ok(token.to_owned()),
    }
}
