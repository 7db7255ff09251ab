//! What the name of a host says of AWS. Pure.

use reqwest::Url;

/// The region in the name of a host of AWS.
///
/// Worked: `aps-workspaces.eu-west-1.amazonaws.com` and `vpce-1.aps-workspaces.eu-west-1.vpce.amazonaws.com` are in
/// `eu-west-1`; `monitoring.amazonaws.com` says nothing.
pub(crate) fn region(url: &Url) -> Option<&str> {
    let mut labels = labels(url)?;
    let last = labels.next_back().filter(|label| *label != "vpce");
    last.or_else(|| labels.next_back())
        .filter(|label| is_region(label))
}

/// Whether Amazon's managed Prometheus answers there: it wants each request signed, also where a metric says nothing of it,
/// as the contract's own controller does it. Source: that controller's rule for addresses with `aps-workspaces`.
pub(crate) fn is_managed_prometheus(url: &Url) -> bool {
    labels(url).is_some_and(|mut labels| labels.any(|label| label == "aps-workspaces"))
}

fn labels(url: &Url) -> Option<impl DoubleEndedIterator<Item = &str>> {
    let host = url.host_str()?;
    let name = host
        .strip_suffix(".amazonaws.com")
        .or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    Some(name.split('.'))
}

/// Such as `eu-west-1` and `us-gov-east-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<&str> = label.split('-').collect();
    let Some((number, words)) = parts.split_last() else {
        return false;
    };
    words.len() >= 2
        && words
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}
