//! Striking secrets out of texts, and cutting texts to a length that a status can carry.

/// What stands where a secret stood. The contract's own mark.
pub(crate) const MARK: &str = "*****";

/// The longest text of a message or a metadata value, in characters.
pub(crate) const MAX_TEXT: usize = 1024;

/// The longest stored value, in characters. A query that returns thousands of series must not fill the
/// object's status.
pub(crate) const MAX_VALUE: usize = 4096;

/// The secrets of one measurement.
///
/// Servers echo what they are sent, and each layer on the way back writes it in its own way: a URL holds `%22` for a quote
/// but leaves a `/` as it is, a body of JSON inside an answer of JSON has its escapes escaped again. So a secret is
/// recognised character by character, whichever way each is written, and not by a list of whole spellings.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// Longest first, so that a secret that contains another one goes as a whole. Runs of backslashes are one.
    needles: Vec<Vec<char>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} secrets)", self.needles.len())
    }
}

impl Redactor {
    /// Adds a secret, to be found as it is, percent-encoded, and as JSON or HTML would write it, also mixed and repeatedly.
    /// An empty text is no secret.
    pub(crate) fn add(&mut self, secret: &str) {
        let mut needle: Vec<char> = secret.chars().collect();
        needle.dedup_by(|a, b| *a == '\\' && *b == '\\');
        if needle.is_empty() || self.needles.contains(&needle) {
            return;
        }
        self.needles.push(needle);
        self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    }

    /// The text without secrets.
    pub(crate) fn scrub(&self, text: &str) -> String {
        // One pass over the text, never over what was put in: a secret such as "*" must not find itself in the stars.
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if let Some(after) = self.needles.iter().find_map(|needle| strike(rest, needle)) {
                shown.push_str(MARK);
                rest = after;
            } else {
                shown.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        shown
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

/// What follows the secret that the text begins with, if it does.
fn strike<'a>(text: &'a str, needle: &[char]) -> Option<&'a str> {
    needle.iter().try_fold(text, |rest, wanted| eat(rest, *wanted))
}

/// What follows the character that the text begins with, however it is written.
fn eat(text: &str, wanted: char) -> Option<&str> {
    let bare = text.trim_start_matches('\\');
    let escaped = bare.len() < text.len();
    if wanted == '\\' {
        return if escaped {
            Some(bare)
        } else {
            percent(text, wanted).or_else(|| entity(text, wanted))
        };
    }
    if escaped {
        // Any number of backslashes: each JSON around JSON doubles them and adds one. None makes a letter of a letter.
        let plain = bare.strip_prefix(wanted).filter(|_| !wanted.is_alphanumeric());
        return plain
            .or_else(|| short_escape(bare, wanted))
            .or_else(|| unicode_escape(text, bare, wanted));
    }
    // The longer forms first: `&` alone is only the beginning of `&amp;`, and `%` that of `%25`.
    entity(text, wanted)
        .or_else(|| percent(text, wanted))
        .or_else(|| text.strip_prefix(wanted))
        .or_else(|| {
            // As in a form.
            if wanted == ' ' {
                text.strip_prefix('+')
            } else {
                None
            }
        })
}

/// `n` behind the backslashes of `\n`.
fn short_escape(bare: &str, wanted: char) -> Option<&str> {
    let letter = match wanted {
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        _ => return None,
    };
    bare.strip_prefix(letter)
}

/// `u00e9`, or the two halves of a character beyond the basic plane, behind the backslashes.
fn unicode_escape<'a>(text: &'a str, bare: &str, wanted: char) -> Option<&'a str> {
    let backslashes = &text[..text.len() - bare.len()];
    let mut units = [0; 2];
    wanted
        .encode_utf16(&mut units)
        .iter()
        .try_fold(text, |rest, unit| {
            prefix_ignoring_case(rest.strip_prefix(backslashes)?, &format!("u{unit:04x}"))
        })
}

/// `%C3%A9`; a `%` may itself be encoded, as `%25`, any number of times.
fn percent(text: &str, wanted: char) -> Option<&str> {
    if !text.starts_with('%') {
        return None;
    }
    let mut bytes = [0; 4];
    wanted
        .encode_utf8(&mut bytes)
        .bytes()
        .try_fold(text, |rest, byte| {
            let mut rest = rest.strip_prefix('%')?;
            while byte != b'%' && rest.starts_with("25") {
                rest = &rest[2..];
            }
            prefix_ignoring_case(rest, &format!("{byte:02x}"))
        })
}

/// As HTML and XML write it: `&quot;`, `&#34;`, `&#x22;`.
fn entity(text: &str, wanted: char) -> Option<&str> {
    if !text.starts_with('&') {
        return None;
    }
    let name = match wanted {
        '"' => "&quot;",
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '\'' => "&apos;",
        _ => "&#",
    };
    let code = u32::from(wanted);
    text.strip_prefix(name).filter(|_| name != "&#").or_else(|| {
        let hex = format!("&#x{code:x};");
        text.strip_prefix(&format!("&#{code};"))
            .or_else(|| prefix_ignoring_case(text, &hex))
    })
}

fn prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}
