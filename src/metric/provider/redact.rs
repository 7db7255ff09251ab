//! Striking secrets out of texts, and cutting texts to a length that a status can carry.

use crate::metric::sigv4::percent_encode;

/// What stands where a secret stood. The contract's own mark.
pub(crate) const MARK: &str = "*****";

/// The longest text of a message or a metadata value, in characters.
pub(crate) const MAX_TEXT: usize = 1024;

/// The longest stored value, in characters. A query that returns thousands of series must not fill the
/// object's status.
pub(crate) const MAX_VALUE: usize = 4096;

/// The secrets of one measurement, in every form in which a server may echo them.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// Longest first, so that a secret that contains another one goes as a whole.
    needles: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} secrets)", self.needles.len())
    }
}

impl Redactor {
    /// Adds a secret as it is, percent-encoded and as the inside of a JSON string. An empty text is no
    /// secret.
    pub(crate) fn add(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        let json = serde_json::Value::from(secret).to_string();
        let json = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
        let encoded = percent_encode(secret.as_bytes(), false);
        let form = encoded.replace("%20", "+");
        for needle in [secret.to_owned(), json, encoded, form] {
            if !self.needles.contains(&needle) {
                self.needles.push(needle);
            }
        }
        self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    }

    /// The text without secrets.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for needle in &self.needles {
            if text.contains(needle.as_str()) {
                text = text.replace(needle.as_str(), MARK);
            }
        }
        text
    }

    /// The text without secrets, cut to [`MAX_TEXT`] characters. Secrets go first: a cut must not leave half
    /// of one.
    pub(crate) fn line(&self, text: &str) -> String {
        cut(&self.scrub(text), MAX_TEXT)
    }

    /// A stored value without secrets, cut to [`MAX_VALUE`] characters.
    pub(crate) fn value(&self, text: &str) -> String {
        cut(&self.scrub(text), MAX_VALUE)
    }
}

/// The first `limit` characters; a cut text ends in `…`.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The beginning of a body as one line: white space folded, control characters dropped, at most 200
/// characters.
///
/// `limit` counts characters before a secret is struck out, so callers redact the body first.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean: String = folded.chars().filter(|c| !c.is_control()).collect();
    cut(&clean, limit)
}
