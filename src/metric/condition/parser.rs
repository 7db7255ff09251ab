//! Tokens to a tree. Names, functions, methods and the number of arguments are checked here, before anything runs.

mod operand;
mod words;

use super::Fault;
use super::ast::{Binary, Comparison, Kind, Node, Unary};
use super::lexer::{self, Token};
use super::limits::{MAX_DEPTH, MAX_SOURCE};
use super::pattern;
use super::value::Value;

/// What an expression may speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// A measurement: `result` and the functions on it.
    Measurement,
    /// A moment only.
    Time,
}

/// Parses a whole expression.
pub(super) fn parse(source: &str, scope: Scope) -> Result<Node, Fault> {
    if source.len() > MAX_SOURCE {
        let message = format!(
            "the expression is {} bytes long; at most {MAX_SOURCE} are read",
            source.len()
        );
        return Err(Fault::new(0, message));
    }
    let tokens = lexer::tokens(source)?;
    let mut parser = Parser {
        tokens,
        position: 0,
        nesting: 0,
        predicates: Vec::new(),
        variables: Vec::new(),
        scope,
    };
    let node = parser.sequence()?;
    if *parser.current() == Token::End {
        Ok(node)
    } else {
        Err(parser.expected("an operator or the end"))
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    position: usize,
    nesting: usize,
    /// The functions whose predicates surround the current place.
    predicates: Vec<super::builtins::Builtin>,
    variables: Vec<String>,
    scope: Scope,
}

/// How tightly an operator binds, and whether it groups from the right.
const fn binding(symbol: &str) -> Option<(u16, bool)> {
    Some(match symbol.as_bytes() {
        b"|" => (0, false),
        b"or" | b"||" => (10, false),
        b"and" | b"&&" => (15, false),
        b"==" | b"!=" | b"<" | b">" | b"<=" | b">=" | b"in" | b"matches" | b"contains" | b"startsWith"
        | b"endsWith" => (20, false),
        b".." => (25, false),
        b"+" | b"-" => (30, false),
        b"*" | b"/" | b"%" => (60, false),
        b"**" | b"^" => (100, true),
        b"??" => (500, false),
        _ => return None,
    })
}

fn comparison(symbol: &str) -> Option<Comparison> {
    Some(match symbol {
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::More,
        ">=" => Comparison::MoreOrEqual,
        _ => return None,
    })
}

fn binary(symbol: &str) -> Option<Binary> {
    Some(match symbol {
        "or" | "||" => Binary::Or,
        "and" | "&&" => Binary::And,
        "==" => Binary::Equal,
        "!=" => Binary::NotEqual,
        "in" => Binary::In,
        "matches" => Binary::Matches,
        "contains" => Binary::Contains,
        "startsWith" => Binary::StartsWith,
        "endsWith" => Binary::EndsWith,
        ".." => Binary::Range,
        "+" => Binary::Add,
        "-" => Binary::Subtract,
        "*" => Binary::Multiply,
        "/" => Binary::Divide,
        "%" => Binary::Modulo,
        "**" | "^" => Binary::Power,
        "??" => Binary::Coalesce,
        _ => return None,
    })
}

impl Parser {
    fn current(&self) -> &Token {
        self.tokens
            .get(self.position)
            .map_or(&Token::End, |(_, token)| token)
    }

    fn following(&self) -> &Token {
        self.tokens
            .get(self.position + 1)
            .map_or(&Token::End, |(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens
            .get(self.position)
            .or(self.tokens.last())
            .map_or(0, |(at, _)| *at)
    }

    /// Steps past the current token; the end stays.
    fn advance(&mut self) {
        if self.position + 1 < self.tokens.len() {
            self.position += 1;
        }
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.current(), Token::Symbol(found) if *found == symbol)
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Fault> {
        if self.accept(symbol) {
            Ok(())
        } else {
            Err(self.expected(&format!("\"{symbol}\"")))
        }
    }

    fn expected(&self, what: &str) -> Fault {
        Fault::new(
            self.at(),
            format!("expected {what}, found {}", self.current().describe()),
        )
    }

    fn name(&mut self, what: &str) -> Result<(usize, String), Fault> {
        let at = self.at();
        let Token::Name(name) = self.current() else {
            return Err(self.expected(what));
        };
        let name = name.clone();
        self.advance();
        Ok((at, name))
    }

    /// A node of the given children's greatest depth.
    fn node(at: usize, kind: Kind, children: impl IntoIterator<Item = usize>) -> Result<Node, Fault> {
        let depth = children.into_iter().max().unwrap_or(0) + 1;
        if depth > MAX_DEPTH {
            Err(too_deep(at))
        } else {
            Ok(Node { at, depth, kind })
        }
    }

    fn sequence(&mut self) -> Result<Node, Fault> {
        let first = self.expression(0)?;
        if !self.is(";") {
            return Ok(first);
        }
        let at = first.at;
        let mut nodes = vec![first];
        while self.accept(";") {
            if *self.current() == Token::End {
                break;
            }
            nodes.push(self.expression(0)?);
        }
        let depths: Vec<usize> = nodes.iter().map(|node| node.depth).collect();
        Self::node(at, Kind::Sequence(nodes), depths)
    }

    /// An expression of operators that bind at least as tightly as `least`.
    fn expression(&mut self, least: u16) -> Result<Node, Fault> {
        self.nesting += 1;
        if self.nesting > MAX_DEPTH {
            return Err(too_deep(self.at()));
        }
        let node = if least == 0 && self.is("let") {
            self.declaration()
        } else if least == 0 && self.is("if") {
            self.branches()
        } else {
            self.operators(least)
        };
        self.nesting -= 1;
        node
    }

    fn operators(&mut self, least: u16) -> Result<Node, Fault> {
        let mut left = self.primary()?;
        let mut coalesced = false;
        loop {
            let at = self.at();
            let Token::Symbol(mut symbol) = *self.current() else {
                break;
            };
            let negated = symbol == "not";
            if negated {
                let Token::Symbol(word @ ("in" | "matches" | "contains" | "startsWith" | "endsWith")) =
                    *self.following()
                else {
                    self.advance();
                    return Err(self.expected("in, matches, contains, startsWith or endsWith after not"));
                };
                symbol = word;
            }
            let Some((tightness, from_right)) = binding(symbol).filter(|(tightness, _)| *tightness >= least)
            else {
                break;
            };
            if negated {
                self.advance();
            }
            self.advance();
            if symbol == "|" {
                let (at, name) = self.name("the name of a function after |")?;
                left = self.call(at, &name, Some(left))?;
                continue;
            }
            if coalesced && symbol != "??" {
                let message = format!("?? and {symbol} cannot be mixed: put one of them into parentheses");
                return Err(Fault::new(at, message));
            }
            coalesced = symbol == "??";
            if let Some(first) = comparison(symbol) {
                left = self.comparisons(at, left, first, tightness)?;
                continue;
            }
            let right = self.expression(if from_right { tightness } else { tightness + 1 })?;
            left = Self::joined(at, symbol, left, right)?;
            if negated {
                let depth = left.depth;
                left = Self::node(at, Kind::Unary(Unary::Not, Box::new(left)), [depth])?;
            }
        }
        if least == 0 {
            self.conditional(left)
        } else {
            Ok(left)
        }
    }

    fn joined(at: usize, symbol: &str, left: Node, right: Node) -> Result<Node, Fault> {
        let Some(operator) = binary(symbol) else {
            return Err(Fault::new(at, format!("{symbol} is not an operator")));
        };
        let depths = [left.depth, right.depth];
        let kind = match (operator, right.kind) {
            (Binary::Matches, Kind::Literal(Value::String(text))) => {
                let pattern = pattern::compile(&text).map_err(|reason| Fault::new(right.at, reason))?;
                Kind::Matches(Box::new(left), pattern)
            }
            (_, kind) => Kind::Binary(operator, Box::new(left), Box::new(Node { kind, ..right })),
        };
        Self::node(at, kind, depths)
    }

    /// `left < a <= b`: a chain of comparisons.
    fn comparisons(
        &mut self,
        at: usize,
        left: Node,
        first: Comparison,
        tightness: u16,
    ) -> Result<Node, Fault> {
        let mut operator = first;
        let mut rest = Vec::new();
        let mut depths = vec![left.depth];
        loop {
            let right = self.expression(tightness + 1)?;
            depths.push(right.depth);
            rest.push((operator, right));
            let Token::Symbol(symbol) = *self.current() else {
                break;
            };
            let Some(next) = comparison(symbol) else { break };
            operator = next;
            self.advance();
        }
        Self::node(at, Kind::Compare(Box::new(left), rest), depths)
    }

    fn conditional(&mut self, condition: Node) -> Result<Node, Fault> {
        let mut node = condition;
        while self.is("?") {
            let at = self.at();
            self.advance();
            if self.accept(":") {
                let other = self.expression(0)?;
                let depths = [node.depth, other.depth];
                node = Self::node(at, Kind::Elvis(Box::new(node), Box::new(other)), depths)?;
            } else {
                let yes = self.expression(0)?;
                self.expect(":")?;
                let no = self.expression(0)?;
                node = Self::choice(at, node, yes, no)?;
            }
        }
        Ok(node)
    }

    fn choice(at: usize, condition: Node, yes: Node, no: Node) -> Result<Node, Fault> {
        let depths = [condition.depth, yes.depth, no.depth];
        Self::node(
            at,
            Kind::Conditional(Box::new(condition), Box::new(yes), Box::new(no)),
            depths,
        )
    }

    /// `if a { b } else { c }`, also with `else if`.
    fn branches(&mut self) -> Result<Node, Fault> {
        let at = self.at();
        self.expect("if")?;
        let condition = self.expression(0)?;
        self.expect("{")?;
        let yes = self.sequence()?;
        self.expect("}")?;
        self.expect("else")?;
        let no = if self.is("if") {
            self.expression(0)?
        } else {
            self.expect("{")?;
            let no = self.sequence()?;
            self.expect("}")?;
            no
        };
        Self::choice(at, condition, yes, no)
    }

    /// `let name = value; body`.
    fn declaration(&mut self) -> Result<Node, Fault> {
        self.expect("let")?;
        let (at, name) = self.name("a name after let")?;
        if name == "result" || name == "$env" || super::builtins::find(&name).is_some() {
            return Err(Fault::new(
                at,
                format!("{name} exists already: choose another name"),
            ));
        }
        if self.variables.contains(&name) {
            return Err(Fault::new(
                at,
                format!("{name} is declared already: choose another name"),
            ));
        }
        self.expect("=")?;
        let value = self.expression(0)?;
        self.expect(";")?;
        self.variables.push(name.clone());
        let body = self.sequence()?;
        self.variables.pop();
        let depths = [value.depth, body.depth];
        Self::node(
            at,
            Kind::Let {
                name,
                value: Box::new(value),
                body: Box::new(body),
            },
            depths,
        )
    }
}

fn too_deep(at: usize) -> Fault {
    Fault::new(at, format!("the expression nests deeper than {MAX_DEPTH} levels"))
}
