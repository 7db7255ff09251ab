//! Why a request got no answer, told apart from the error chain of the HTTP client.

use crate::metric::provider::Unreached;
use std::error::Error;
use std::io;
use std::time::Duration;

/// The cause in the words of a person. `host` is named when it does not resolve.
pub(super) fn cause(error: &reqwest::Error, host: &str, connect: Duration) -> Unreached {
    let links = || links(error);
    if links().any(|link| link.to_string() == "dns error") {
        return Unreached::Dns(host.to_owned());
    }
    // A TLS error travels inside an io::Error, so it is asked for first.
    if let Some(tls) = links().find_map(tls_error) {
        return Unreached::Tls(tls);
    }
    if error.is_connect() && error.is_timeout() {
        return Unreached::ConnectTimeout(connect.as_secs());
    }
    if let Some(io) = links().find_map(|link| link.downcast_ref::<io::Error>()) {
        return match io.kind() {
            io::ErrorKind::ConnectionRefused => Unreached::Refused,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Unreached::Closed,
            io::ErrorKind::HostUnreachable => Unreached::Other("no route to the host".to_owned()),
            io::ErrorKind::NetworkUnreachable => Unreached::Other("no route to the network".to_owned()),
            _ => Unreached::Other(io.to_string()),
        };
    }
    let root = links().last().map_or_else(String::new, ToString::to_string);
    if root.contains("connection closed before message completed")
        || root.contains("end of file before message length")
    {
        return Unreached::Closed;
    }
    if root.contains("invalid HTTP") || root.contains("invalid HTTP version parsed") {
        return Unreached::NotHttp(root);
    }
    Unreached::Other(root)
}

/// The TLS error in this link: it stands there itself, or inside an io::Error that is inside an io::Error.
fn tls_error<'a>(mut link: &'a (dyn Error + 'static)) -> Option<String> {
    loop {
        if let Some(tls) = link.downcast_ref::<rustls::Error>() {
            return Some(tls.to_string());
        }
        let inner: &'a (dyn Error + Send + Sync + 'static) = link.downcast_ref::<io::Error>()?.get_ref()?;
        link = inner;
    }
}

/// The error and its sources, outermost first.
fn links(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    std::iter::from_fn(move || {
        let link = next?;
        next = link.source();
        Some(link)
    })
}

/// An error and its sources on one line, without the URL.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    for link in links(error) {
        let link = link.to_string();
        if !text.contains(&link) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&link);
        }
    }
    text
}
