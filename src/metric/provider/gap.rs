//! What a result lacks, and whether a condition has thought of it. Pure.

/// A result that holds less than a verdict needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// No series matched. Holds the kind of the empty result: `vector` or `matrix`.
    Empty(String),
    /// Every value is NaN: usually a division of zero by zero, because there were no requests.
    AllNan,
    /// So many of so many values are NaN. It does not change a verdict, but a person wants to know.
    SomeNan(usize, usize),
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty(kind) => write!(
                f,
                "the query returned no data (empty {kind}): no series matched it"
            ),
            Self::AllNan => f.write_str("the query returned NaN (usually 0/0: no requests)"),
            Self::SomeNan(nan, all) => write!(f, "{nan} of the {all} values that the query returned are NaN"),
        }
    }
}

impl Gap {
    /// What these numbers lack, if anything. `kind` is the kind of the result.
    pub(crate) fn of(numbers: &[f64], kind: &str) -> Option<Self> {
        let nan = numbers.iter().filter(|number| number.is_nan()).count();
        match (numbers.len(), nan) {
            (0, _) => Some(Self::Empty(kind.to_owned())),
            (_, 0) => None,
            (all, nan) if all == nan => Some(Self::AllNan),
            (all, nan) => Some(Self::SomeNan(nan, all)),
        }
    }

    /// True when a success in spite of this gap is what the condition's author asked for.
    ///
    /// `condition` is the text that grants the success; without one, nobody asked.
    ///
    /// | gap | condition | handled |
    /// |---|---|---|
    /// | empty | `all(result, # > 0.9)` | no |
    /// | empty | `len(result) == 0 \|\| result[0] > 0.9` | yes |
    /// | empty | `(get(result, 0) ?? 1) > 0.9` | yes |
    /// | empty | `result == [] \|\| result[0] > 0.9` | yes |
    /// | empty | `isNil(result) \|\| none(result, # > 0.1)` | no: an empty list is not nil |
    /// | NaN | `len(result) == 0 \|\| !(result[0] > 0.05)` | no |
    /// | NaN | `isNaN(result[0]) \|\| result[0] > 0.9` | yes |
    pub(crate) fn is_handled_by(&self, condition: Option<&str>) -> bool {
        let Some(condition) = condition else {
            return matches!(self, Self::SomeNan(..));
        };
        let code = without_strings(condition);
        match self {
            // Not `isNil` and `default`: an empty list is not nil, so they let it pass unseen.
            Self::Empty(_) => code.contains("??") || code.contains("[]") || calls(&code, "len"),
            Self::AllNan => calls(&code, "isNaN"),
            Self::SomeNan(..) => true,
        }
    }
}

/// The source with the insides of string literals and comments left out: `"len("` calls nothing.
fn without_strings(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut chars = source.chars().peekable();
    while let Some(next) = chars.next() {
        match (next, chars.peek()) {
            ('"' | '\'' | '`', _) => {
                while let Some(inner) = chars.next() {
                    if inner == '\\' && next != '`' {
                        chars.next();
                    } else if inner == next {
                        break;
                    }
                }
                code.push(' ');
            }
            ('/', Some('/')) => {
                chars.by_ref().find(|c| *c == '\n');
                code.push(' ');
            }
            ('/', Some('*')) => {
                let mut last = ' ';
                chars.next();
                for inner in chars.by_ref() {
                    if last == '*' && inner == '/' {
                        break;
                    }
                    last = inner;
                }
                code.push(' ');
            }
            _ => code.push(next),
        }
    }
    code
}

/// True when the name stands in the code as a call: a word of its own, followed by `(`.
fn calls(code: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].trim_start();
        // `.len(` would be a method or a field of something else.
        !before.is_some_and(|c| word(c) || c == '.') && after.starts_with('(')
    })
}
