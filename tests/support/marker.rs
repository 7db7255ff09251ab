//! The word that is in every secret of the suite and nowhere else, and looking for it.
//!
//! After all other tests of ring 3 `tests/secrets.rs` looks for it in all that they left behind. A test that gives a
//! controller a secret of any kind (a Secret, a password, a token that a server of the test gives out, a variable of the
//! environment) begins it with this word, by [`marked!`].

/// A text that begins with the word: `marked!("s3cret")`. Letters and digits only, so that no encoding of text changes it.
macro_rules! marked {
    ($rest:literal) => {
        concat!("N3verToBeShown", $rest)
    };
}
#[allow(unused_imports, reason = "not all who search also mark")]
pub(crate) use marked;

/// The word alone.
pub const MARKER: &str = marked!("");

/// The ways in which it may be written, beside itself: in base64 at each of the three places where it may begin in a group of
/// three bytes, without the digits at either end that depend on what stands beside it; and in hexadecimal.
fn forms() -> &'static [(&'static str, String)] {
    static FORMS: std::sync::OnceLock<Vec<(&'static str, String)>> = std::sync::OnceLock::new();
    FORMS.get_or_init(|| {
        let mut forms = vec![("as it is", MARKER.to_owned())];
        for before in 0..3 {
            let text = base64(&[&b"..."[..before], MARKER.as_bytes()].concat());
            // A digit of base64 is six bits: those of the bytes before it, and of the last group, are not its own.
            let first = (before * 8_usize).div_ceil(6);
            let last = (before + MARKER.len()) * 8 / 6;
            forms.push(("in base64", text[first..last].to_owned()));
        }
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
        let hex: String = MARKER
            .bytes()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
            .collect();
        forms.push(("in hexadecimal", hex.to_uppercase()));
        forms.push(("in hexadecimal", hex));
        forms
    })
}

/// Standard base64 without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word =
            group.iter().fold(0, |word, byte| word << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            text.push(char::from(DIGITS[word >> (18 - 6 * place) & 63]));
        }
    }
    text
}

/// How the word is written in this text, if it is. Percent escapes are looked through, as often as they were put on.
pub fn find(text: &str) -> Option<String> {
    let mut text = std::borrow::Cow::Borrowed(text);
    let mut layers = 0;
    loop {
        if let Some((how, _)) = forms().iter().find(|(_, form)| text.contains(form.as_str())) {
            return Some(format!("{how}{}", " behind percent escapes".repeat(layers)));
        }
        let decoded = percent_decoded(&text);
        if decoded.len() == text.len() {
            return None;
        }
        text = decoded.into();
        layers += 1;
    }
}

/// The text without one layer of percent escapes.
fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let escaped = part
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = escaped {
            bytes.push(byte);
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        } else {
            bytes.push(b'%');
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
