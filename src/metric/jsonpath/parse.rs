//! Reads a JSONPath text into steps.

use super::{Comparison, Filter, Operand, PathError, Step};
use serde_json::Value;

/// The longest path that is read, in characters.
const MAX_LENGTH: usize = 4096;

/// The deepest nesting of filters; each level is one level of recursion.
const MAX_DEPTH: usize = 16;

/// The whole text: `{$.a.b}`, or the same without braces.
pub(super) fn path(text: &str) -> Result<Vec<Step>, PathError> {
    let mut reader = Reader {
        chars: text.trim().chars().collect(),
        at: 0,
        depth: 0,
    };
    if reader.chars.len() > MAX_LENGTH {
        return Err(reader.error("the path is longer than 4096 characters"));
    }
    let braces = reader.eat('{');
    reader.skip_spaces();
    for word in ["range", "end"] {
        if braces && reader.rest_is_word(word) {
            return Err(PathError::Unsupported("{range}"));
        }
    }
    let steps = reader.steps()?;
    reader.skip_spaces();
    if braces && !reader.eat('}') {
        return Err(reader.error("expected `}`"));
    }
    if reader.at < reader.chars.len() {
        return Err(if braces || reader.peek() == Some('{') {
            PathError::Unsupported("text or a second expression beside {…}")
        } else {
            reader.error("unexpected character")
        });
    }
    Ok(steps)
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn error(&self, message: &str) -> PathError {
        PathError::Syntax {
            message: message.to_owned(),
            at: self.at + 1,
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// True when this word stands here and ends here.
    fn rest_is_word(&self, word: &str) -> bool {
        let end = self.at + word.chars().count();
        self.chars
            .get(self.at..end)
            .is_some_and(|chars| chars.iter().copied().eq(word.chars()))
            && self
                .chars
                .get(end)
                .is_none_or(|next| next.is_whitespace() || *next == '}')
    }

    fn steps(&mut self) -> Result<Vec<Step>, PathError> {
        let mut steps = Vec::new();
        if self.eat('$') {
            steps.push(Step::Root);
        } else if !self.eat('@') && self.peek().is_some_and(is_name) {
            // `{items[0]}`: Kubernetes lets the first dot be left out.
            steps.push(Step::Field(self.name()?));
        }
        loop {
            match self.peek() {
                Some('.') => {
                    self.at += 1;
                    if self.eat('.') {
                        steps.push(Step::Recurse);
                        if self.peek() == Some('[') {
                            continue;
                        }
                    } else if self.peek() == Some('[')
                        || steps.is_empty() && !self.peek().is_some_and(|c| is_name(c) || c == '*')
                    {
                        // `{.}` is the document; `.['a']` is `['a']`.
                        continue;
                    }
                    if self.eat('*') {
                        steps.push(Step::Wildcard);
                    } else {
                        steps.push(Step::Field(self.name()?));
                    }
                }
                Some('[') => {
                    self.at += 1;
                    steps.push(self.bracket()?);
                }
                _ => return Ok(steps),
            }
        }
    }

    /// A field name; `\` takes the next character as it is, so that `.a\.b` is the field `a.b`.
    fn name(&mut self) -> Result<String, PathError> {
        let mut name = String::new();
        while let Some(next) = self.peek() {
            if next == '\\' {
                self.at += 1;
                let Some(escaped) = self.peek() else {
                    return Err(self.error("`\\` at the end"));
                };
                name.push(escaped);
            } else if is_name(next) {
                name.push(next);
            } else {
                break;
            }
            self.at += 1;
        }
        if name.is_empty() {
            Err(self.error("expected a field name"))
        } else {
            Ok(name)
        }
    }

    /// What follows `[`, and the `]`.
    fn bracket(&mut self) -> Result<Step, PathError> {
        self.skip_spaces();
        let step = match self.peek() {
            Some('*') => {
                self.at += 1;
                Step::Wildcard
            }
            Some('?') => self.filter()?,
            Some('\'' | '"') => {
                let mut names = self.list(|reader| match reader.peek() {
                    Some('\'' | '"') => reader.quoted(),
                    _ => Err(reader.error("expected a quoted name")),
                })?;
                if names.len() == 1 {
                    Step::Field(names.remove(0))
                } else {
                    Step::Fields(names)
                }
            }
            _ => self.numbers()?,
        };
        self.skip_spaces();
        if self.eat(']') {
            Ok(step)
        } else {
            Err(self.error("expected `]`"))
        }
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, PathError>) -> Result<Vec<T>, PathError> {
        let mut items = vec![item(self)?];
        loop {
            self.skip_spaces();
            if !self.eat(',') {
                return Ok(items);
            }
            self.skip_spaces();
            items.push(item(self)?);
        }
    }

    fn numbers(&mut self) -> Result<Step, PathError> {
        let first = self.optional_number()?;
        self.skip_spaces();
        match (first, self.peek()) {
            (from, Some(':')) => {
                self.at += 1;
                let to = self.optional_number()?;
                let step = if self.eat(':') {
                    self.optional_number()?.unwrap_or(1)
                } else {
                    1
                };
                if step < 1 {
                    return Err(self.error("the step must be 1 or more"));
                }
                Ok(Step::Slice(from, to, step))
            }
            (Some(first), Some(',')) => {
                self.at += 1;
                self.skip_spaces();
                let mut indexes = vec![first];
                indexes.extend(self.list(|reader| {
                    reader
                        .optional_number()?
                        .ok_or_else(|| reader.error("expected a number"))
                })?);
                Ok(Step::Indexes(indexes))
            }
            (Some(index), _) => Ok(Step::Index(index)),
            (None, _) => Err(self.error("expected a number, a quoted name, `*` or `?()`")),
        }
    }

    fn optional_number(&mut self) -> Result<Option<i64>, PathError> {
        self.skip_spaces();
        let from = self.at;
        self.eat('-');
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == from {
            return Ok(None);
        }
        let text: String = self.chars[from..self.at].iter().collect();
        text.parse()
            .map(Some)
            .map_err(|_| self.error("is not a whole number"))
    }

    /// A text in single or double quotes; `\` takes the next character as it is, `\n` and `\t` have their
    /// usual meaning.
    fn quoted(&mut self) -> Result<String, PathError> {
        let quote = self.peek();
        self.at += 1;
        let mut text = String::new();
        while let Some(next) = self.peek() {
            self.at += 1;
            if Some(next) == quote {
                return Ok(text);
            }
            if next != '\\' {
                text.push(next);
                continue;
            }
            let Some(escaped) = self.peek() else { break };
            self.at += 1;
            text.push(match escaped {
                'n' => '\n',
                't' => '\t',
                other => other,
            });
        }
        Err(self.error("the closing quote is missing"))
    }

    fn filter(&mut self) -> Result<Step, PathError> {
        self.at += 1;
        if !self.eat('(') {
            return Err(self.error("expected `(` after `?`"));
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("filters are nested too deeply"));
        }
        let left = self.operand()?;
        self.skip_spaces();
        let filter = match self.comparison() {
            Some(comparison) => Filter::Compare(left, comparison, self.operand()?),
            None => Filter::Exists(left),
        };
        self.skip_spaces();
        if matches!(self.peek(), Some('&' | '|')) {
            return Err(PathError::Unsupported("&& or || in a filter"));
        }
        if !self.eat(')') {
            return Err(self.error("expected a comparison or `)`"));
        }
        self.depth -= 1;
        Ok(Step::Filter(filter))
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let table = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::MoreOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::More),
        ];
        let rest: String = self.chars[self.at..].iter().take(2).collect();
        let (sign, comparison) = table.into_iter().find(|(sign, _)| rest.starts_with(sign))?;
        self.at += sign.len();
        Some(comparison)
    }

    fn operand(&mut self) -> Result<Operand, PathError> {
        self.skip_spaces();
        match self.peek() {
            Some('\'' | '"') => self.quoted().map(|text| Operand::Literal(Value::from(text))),
            Some('@' | '$' | '.') => self.steps().map(Operand::Path),
            _ => {
                let from = self.at;
                while self
                    .peek()
                    .is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'))
                {
                    self.at += 1;
                }
                let word: String = self.chars[from..self.at].iter().collect();
                match serde_json::from_str::<Value>(&word) {
                    Ok(value) if !word.is_empty() => Ok(Operand::Literal(value)),
                    _ => {
                        self.at = from;
                        Err(self.error("expected a path, a quoted text, a number, true, false or null"))
                    }
                }
            }
        }
    }
}

/// True for a character that a field name may hold without a backslash.
fn is_name(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(
            c,
            '.' | '['
                | ']'
                | '{'
                | '}'
                | '('
                | ')'
                | ','
                | '$'
                | '@'
                | '*'
                | '<'
                | '>'
                | '='
                | '!'
                | '"'
                | '\''
                | '\\'
                | '|'
                | '&'
                | '?'
        )
        || c == '\\'
}
