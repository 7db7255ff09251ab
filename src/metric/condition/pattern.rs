//! Regular expressions in the syntax of the contract's reference (RE2).
//!
//! The `regex` crate reads nearly the same syntax. Two differences are evened out here: `\d`, `\w`, `\s` and `\b`
//! mean ASCII, and inside brackets `[`, `&&`, `--` and `~~` are plain characters.

use regex::{Regex, RegexBuilder};

/// The most memory that a compiled pattern may take, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// Compiles a pattern; the error names the pattern and the reason in one line.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&translate(pattern))
        .size_limit(MAX_COMPILED)
        .nest_limit(50)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let reason = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim()
                .trim_start_matches("error: ");
            let pattern = super::Value::from(pattern).shortened(80);
            format!("{pattern} is not a regular expression: {reason}")
        })
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars().peekable();
    let mut class = false;
    // Whether the next character is the first of a class, where `]` is plain.
    let mut first = false;
    while let Some(character) = characters.next() {
        let was_first = std::mem::take(&mut first);
        match character {
            '\\' => match characters.next() {
                Some('Q') if !class => literal(&mut characters, &mut out),
                Some(escaped) => escape(escaped, class, &mut out),
                None => out.push('\\'),
            },
            '[' if !class => {
                class = true;
                first = true;
                out.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            '[' if characters.peek() == Some(&':') => {
                // A named class such as `[:digit:]`.
                out.push('[');
                for inner in characters.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            ']' if class && was_first => out.push_str("\\]"),
            ']' => {
                class = false;
                out.push(']');
            }
            '[' | '&' | '~' if class => {
                out.push('\\');
                out.push(character);
            }
            '-' if class && (was_first || matches!(characters.peek(), Some('-' | ']'))) => {
                out.push_str("\\-");
            }
            other => out.push(other),
        }
    }
    out
}

/// `\Q…\E`: the text between stands for itself.
fn literal(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    let mut text = String::new();
    while let Some(character) = characters.next() {
        if character == '\\' && characters.next_if_eq(&'E').is_some() {
            break;
        }
        text.push(character);
    }
    out.push_str(&regex::escape(&text));
}

fn escape(escaped: char, class: bool, out: &mut String) {
    match escaped {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str("[\\t\\n\\f\\r ]"),
        'S' => out.push_str("[^\\t\\n\\f\\r ]"),
        'b' if !class => out.push_str("(?-u:\\b)"),
        other => {
            out.push('\\');
            out.push(other);
        }
    }
}
