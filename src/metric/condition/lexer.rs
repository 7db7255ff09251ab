//! Source text to tokens.

use super::Fault;

/// The smallest piece of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name: of a variable, a function or a field.
    Name(String),
    /// An operator, a bracket or a word such as `in`, `let`, `not`.
    Symbol(&'static str),
    /// The digits as written, without underscores.
    Number(String),
    /// The text between the quotes, its escapes resolved.
    String(String),
    /// The bytes of `b"…"`.
    Bytes(Vec<u8>),
    /// Behind the last token.
    End,
}

/// Longer ones first: the first that fits is taken.
const SYMBOLS: [&str; 36] = [
    "&&", "||", "==", "!=", "<=", ">=", "**", "..", "?.", "??", "::", "<", ">", "!", "+", "-", "*", "/", "%",
    "^", "(", ")", "[", "]", "{", "}", ",", ";", ".", "?", ":", "=", "|", "#", "&", "~",
];

const WORDS: [&str; 11] = [
    "in",
    "or",
    "and",
    "not",
    "matches",
    "contains",
    "startsWith",
    "endsWith",
    "let",
    "if",
    "else",
];

impl Token {
    /// How the token is named in "found …".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("the name {name}"),
            Self::Symbol(symbol) => format!("\"{symbol}\""),
            Self::Number(digits) => format!("the number {digits}"),
            Self::String(_) => "a string".to_owned(),
            Self::Bytes(_) => "a byte string".to_owned(),
            Self::End => "the end".to_owned(),
        }
    }
}

/// All tokens with their byte offsets; the last is [`Token::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<(usize, Token)>, Fault> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks()?;
        let at = lexer.at;
        let token = lexer.next()?;
        let last = token == Token::End;
        tokens.push((at, token));
        if last {
            return Ok(tokens);
        }
    }
}

/// What a name is made of.
fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn accept(&mut self, accepted: impl Fn(char) -> bool) -> Option<char> {
        self.peek().filter(|character| accepted(*character))?;
        self.take()
    }

    fn take_while(&mut self, accepted: impl Fn(char) -> bool) -> &'s str {
        let start = self.at;
        while self.accept(&accepted).is_some() {}
        self.source.get(start..self.at).unwrap_or_default()
    }

    fn skip_blanks(&mut self) -> Result<(), Fault> {
        loop {
            self.take_while(char::is_whitespace);
            let rest = self.rest();
            if rest.starts_with("//") {
                self.take_while(|character| character != '\n');
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let Some(length) = comment.find("*/") else {
                    return Err(Fault::new(self.at, "the comment is not closed: expected \"*/\""));
                };
                self.at += length + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let Some(first) = self.peek() else {
            return Ok(Token::End);
        };
        let second = self.rest().chars().nth(1);
        match first {
            '"' | '\'' => {
                let bytes = self.quoted(false)?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Ok(Token::String(text))
            }
            'b' | 'B' if matches!(second, Some('"' | '\'')) => {
                self.take();
                self.quoted(true).map(Token::Bytes)
            }
            '`' => self.raw(),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|digit| digit.is_ascii_digit()) => self.number(),
            _ if is_word(first) => {
                let word = self.take_while(is_word);
                let symbol = WORDS.into_iter().find(|known| *known == word);
                Ok(symbol.map_or_else(|| Token::Name(word.to_owned()), Token::Symbol))
            }
            _ => {
                let Some(symbol) = SYMBOLS.into_iter().find(|symbol| self.rest().starts_with(symbol)) else {
                    return Err(Fault::new(start, format!("unexpected character {first:?}")));
                };
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
        }
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let radix = match self.rest().get(..2).map(str::to_ascii_lowercase).as_deref() {
            Some("0x") => 16,
            Some("0o") => 8,
            Some("0b") => 2,
            _ => 10,
        };
        if radix != 10 {
            self.at += 2;
        }
        let digit = |character: char| character.is_digit(radix) || character == '_';
        self.take_while(digit);
        // In `1..5` the point belongs to the range operator.
        if radix == 10 && self.peek() == Some('.') && !self.rest().starts_with("..") {
            self.take();
            self.take_while(digit);
        }
        if radix == 10 && self.accept(|character| matches!(character, 'e' | 'E')).is_some() {
            self.accept(|character| matches!(character, '+' | '-'));
            self.take_while(digit);
        }
        if self.peek().is_some_and(is_word) {
            self.take_while(is_word);
            let written = self.source.get(start..self.at).unwrap_or_default();
            return Err(Fault::new(start, format!("{written} is not a number")));
        }
        let written = self.source.get(start..self.at).unwrap_or_default();
        Ok(Token::Number(written.replace('_', "")))
    }

    /// Text between backticks: no escapes; a doubled backtick stands for one.
    fn raw(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        self.take();
        let mut text = String::new();
        loop {
            match self.take() {
                None => return Err(Fault::new(start, "the string is not closed: expected a backtick")),
                Some('`') if self.peek() != Some('`') => return Ok(Token::String(text)),
                Some('`') => text.extend(self.take()),
                Some(other) => text.push(other),
            }
        }
    }

    /// Text between quotes. Of a byte string the escapes `\x` and `\377` give bytes, elsewhere characters.
    fn quoted(&mut self, bytes: bool) -> Result<Vec<u8>, Fault> {
        let start = self.at;
        let quote = self.take();
        let mut text = Vec::new();
        let push = |text: &mut Vec<u8>, character: char| {
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        };
        loop {
            let at = self.at;
            match self.take() {
                None | Some('\n') => {
                    let quote = quote.unwrap_or('"');
                    return Err(Fault::new(
                        start,
                        format!("the string is not closed: expected {quote}"),
                    ));
                }
                found if found == quote => return Ok(text),
                Some('\\') => match self.escape(quote) {
                    Some(Escape::Character(character)) => push(&mut text, character),
                    Some(Escape::Byte(byte)) if bytes => text.push(byte),
                    Some(Escape::Byte(byte)) => push(&mut text, char::from(byte)),
                    None => {
                        return Err(Fault::new(
                            at,
                            "unknown escape: expected \\n, \\t, \\\\, \\\", \\xHH, \\uHHHH or the like",
                        ));
                    }
                },
                Some(other) => push(&mut text, other),
            }
        }
    }

    fn escape(&mut self, quote: Option<char>) -> Option<Escape> {
        let first = self.take()?;
        let simple = match first {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' => '\\',
            _ if Some(first) == quote => first,
            '0'..='7' => {
                self.at -= 1;
                return u8::try_from(self.digits(8, 3)?).ok().map(Escape::Byte);
            }
            'x' => return u8::try_from(self.digits(16, 2)?).ok().map(Escape::Byte),
            'u' if self.peek() == Some('{') => {
                self.take();
                let digits = self.take_while(|character| character.is_ascii_hexdigit());
                self.accept(|character| character == '}')?;
                u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?
            }
            'u' => char::from_u32(self.digits(16, 4)?)?,
            'U' => char::from_u32(self.digits(16, 8)?)?,
            _ => return None,
        };
        Some(Escape::Character(simple))
    }

    /// Exactly `count` digits.
    fn digits(&mut self, radix: u32, count: usize) -> Option<u32> {
        let digits = self.rest().get(..count)?;
        self.at += count;
        // `from_str_radix` alone would accept a sign.
        digits
            .chars()
            .all(|digit| digit.is_digit(radix))
            .then(|| u32::from_str_radix(digits, radix).ok())?
    }
}

enum Escape {
    Character(char),
    Byte(u8),
}
