//! What can go wrong when a metric is measured: a closed list, each kind told apart by its sentence.
//!
//! The sentence is what a person reads in `kubectl describe` in the middle of the night, so each says what
//! was asked, of whom, what came back, and where it helps what to do. No sentence carries a secret (see
//! [`Redactor`]).

use super::redact::Redactor;

/// Why a metric could not be measured. It always ends in a measurement with the phase `Error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The metric names no Prometheus and the controller has no default.
    #[error(
        "no Prometheus address: set provider.prometheus.address in the metric, or give the controller a default with \
         --prometheus-address or {env}",
        env = super::ADDRESS_ENV
    )]
    AddressMissing,

    /// The address is not an absolute http or https URL.
    #[error("{field} {address:?} is not a valid address: {reason}")]
    AddressInvalid {
        /// Where the address was written, such as `provider.prometheus.address`.
        field: &'static str,
        /// The address as written.
        address: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A field of the metric cannot be used as it stands.
    #[error("{field}: {message}")]
    Spec {
        /// Path of the field below `spec.metrics[]`.
        field: String,
        /// What is wrong with it.
        message: String,
    },

    /// No connection came about, or it broke before the answer.
    #[error("cannot reach {target}: {cause}")]
    Unreachable {
        /// Who was asked.
        target: String,
        /// Why no answer came.
        cause: Unreached,
    },

    /// The time was over.
    #[error("{}", timeout_text(target, *seconds, *stage))]
    Timeout {
        /// Who was asked.
        target: String,
        /// The limit that was reached, in seconds.
        seconds: u64,
        /// What was waited for.
        stage: Stage,
    },

    /// An HTTP status other than 2xx, with a body that is not Prometheus' own error.
    #[error("{target} answered HTTP {status}{}", body_text(body))]
    Status {
        /// Who was asked.
        target: String,
        /// Code and reason, such as `500 Internal Server Error`.
        status: String,
        /// The beginning of the body on one line; may be empty.
        body: String,
    },

    /// A redirect that leads to another host; following it would hand credentials to a stranger.
    #[error(
        "{target} answered HTTP {status}, a redirect to {location}: redirects to another host are not followed; write the final \
         address in the metric"
    )]
    Redirect {
        /// Who was asked.
        target: String,
        /// The status code.
        status: u16,
        /// Scheme, host and port that the answer points to.
        location: String,
    },

    /// The answer is larger than the cap.
    #[error("the answer of {target} is larger than {} KiB; let the query return fewer series", limit / 1024)]
    TooLarge {
        /// Who was asked.
        target: String,
        /// The cap in bytes.
        limit: usize,
    },

    /// Prometheus' own error object.
    #[error("{target} answered HTTP {status}: {error_type}: {message}")]
    Prometheus {
        /// Who was asked.
        target: String,
        /// The status code that came with it.
        status: u16,
        /// Prometheus' `errorType`, such as `bad_data`, `timeout`, `execution`.
        error_type: String,
        /// Prometheus' `error`.
        message: String,
    },

    /// Some server answered, but not a Prometheus query API.
    #[error(
        "the answer of {target} is not a Prometheus query result: {found}; the address must be the one below which \
         /api/v1/query lies"
    )]
    NotPrometheus {
        /// Who was asked.
        target: String,
        /// What came instead.
        found: String,
    },

    /// A Prometheus result from which no number can be taken.
    #[error(
        "{target} returned {found}, which has no numbers to judge; the query must return a vector, a matrix or a scalar"
    )]
    ResultType {
        /// Who was asked.
        target: String,
        /// The kind of result, such as `a string`.
        found: String,
    },

    /// No credentials, or the token endpoint refused them.
    #[error("authentication for {target}: {message}")]
    Authentication {
        /// Who was to be asked.
        target: String,
        /// What failed.
        message: String,
    },

    /// The JSONPath cannot be read, or finds nothing.
    #[error("provider.web.jsonPath {path:?}: {message}")]
    JsonPath {
        /// The path as written.
        path: String,
        /// What is wrong.
        message: String,
    },

    /// TLS cannot be set up on this machine.
    #[error("cannot set up TLS for {target}: {message}")]
    Tls {
        /// Who was to be asked.
        target: String,
        /// What failed.
        message: String,
    },

    /// A provider that this controller does not speak.
    #[error("the provider {provider:?} is not supported; supported are: {}", super::supported_providers().join(", "))]
    Unsupported {
        /// The provider's field name, such as `datadog`.
        provider: String,
    },
}

/// Why no answer came at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// Nobody listens on that port.
    #[error("connection refused")]
    Refused,
    /// The name has no address.
    #[error("the name {0:?} does not resolve")]
    Dns(String),
    /// The TCP connection was not accepted in time: often a wrong address or a network policy.
    #[error("no connection within {0} s")]
    ConnectTimeout(u64),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// The peer closed the connection before the answer was complete.
    #[error("the connection was closed before the answer was complete")]
    Closed,
    /// What answered does not speak HTTP.
    #[error("the answer is not HTTP: {0}")]
    NotHttp(String),
    /// Anything else, in the system's words.
    #[error("{0}")]
    Other(String),
}

/// What was waited for when the time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A place among the requests that are allowed to one address at once.
    Queue,
    /// The beginning of the answer.
    Answer,
    /// The rest of the answer.
    Body,
}

impl ProviderError {
    /// A stable name of the kind: the label of a metric, never free text.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AddressMissing => "AddressMissing",
            Self::AddressInvalid { .. } => "AddressInvalid",
            Self::Spec { .. } => "InvalidMetric",
            Self::Unreachable { .. } => "Unreachable",
            Self::Timeout { .. } => "Timeout",
            Self::Status { .. } => "HttpStatus",
            Self::Redirect { .. } => "Redirect",
            Self::TooLarge { .. } => "TooLarge",
            Self::Prometheus { .. } => "QueryError",
            Self::NotPrometheus { .. } => "NotPrometheus",
            Self::ResultType { .. } => "ResultType",
            Self::Authentication { .. } => "Authentication",
            Self::JsonPath { .. } => "JsonPath",
            Self::Tls { .. } => "Tls",
            Self::Unsupported { .. } => "Unsupported",
        }
    }

    /// The same error with every secret struck out and every text cut to a bounded length.
    #[must_use]
    pub(crate) fn redacted(mut self, redactor: &Redactor) -> Self {
        let clean = |text: &mut String| *text = redactor.line(text);
        match &mut self {
            Self::AddressMissing => {}
            Self::AddressInvalid {
                field: _,
                address,
                reason,
            } => {
                clean(address);
                clean(reason);
            }
            Self::Spec { field, message } => {
                clean(field);
                clean(message);
            }
            Self::Unreachable { target, cause } => {
                clean(target);
                match cause {
                    Unreached::Refused | Unreached::ConnectTimeout(_) | Unreached::Closed => {}
                    Unreached::Dns(text)
                    | Unreached::Tls(text)
                    | Unreached::NotHttp(text)
                    | Unreached::Other(text) => clean(text),
                }
            }
            Self::Timeout {
                target,
                seconds: _,
                stage: _,
            }
            | Self::TooLarge { target, limit: _ } => clean(target),
            Self::Status { target, status, body } => {
                clean(target);
                clean(status);
                clean(body);
            }
            Self::Redirect {
                target,
                status: _,
                location,
            } => {
                clean(target);
                clean(location);
            }
            Self::Prometheus {
                target,
                status: _,
                error_type,
                message,
            } => {
                clean(target);
                clean(error_type);
                clean(message);
            }
            Self::NotPrometheus { target, found } | Self::ResultType { target, found } => {
                clean(target);
                clean(found);
            }
            Self::Authentication { target, message } | Self::Tls { target, message } => {
                clean(target);
                clean(message);
            }
            Self::JsonPath { path, message } => {
                clean(path);
                clean(message);
            }
            Self::Unsupported { provider } => clean(provider),
        }
        self
    }
}

fn timeout_text(target: &str, seconds: u64, stage: Stage) -> String {
    match stage {
        Stage::Queue => format!(
            "no answer from {target} within {seconds} s: the request waited most of that time for its turn, because too many \
             others to this address were still unanswered"
        ),
        Stage::Answer => format!("{target} did not answer within {seconds} s"),
        Stage::Body => format!("{target} began to answer but did not finish within {seconds} s"),
    }
}

fn body_text(body: &str) -> String {
    if body.is_empty() {
        String::new()
    } else {
        format!(": {body}")
    }
}
