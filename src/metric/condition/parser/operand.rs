//! Operands: literals, names, calls, and what may follow them (`.field`, `[index]`, `?.`).

use super::super::Fault;
use super::super::ast::{Kind, Node, Pointer, Unary};
use super::super::builtins::{self, Builtin, METHODS, Predicate, Signature};
use super::super::lexer::Token;
use super::super::value::{Key, Value, int};
use super::words::{count, near};
use super::{Parser, Scope};

impl Parser {
    pub(super) fn primary(&mut self) -> Result<Node, Fault> {
        let at = self.at();
        let Token::Symbol(symbol) = *self.current() else {
            return self.secondary();
        };
        let unary = match symbol {
            "not" | "!" => Some((Unary::Not, 50)),
            "-" => Some((Unary::Minus, 90)),
            "+" => Some((Unary::Plus, 90)),
            _ => None,
        };
        if let Some((operator, tightness)) = unary {
            self.advance();
            let operand = self.expression(tightness)?;
            let depth = operand.depth;
            let node = Self::node(at, Kind::Unary(operator, Box::new(operand)), [depth])?;
            return self.postfix(node);
        }
        match symbol {
            "(" => {
                self.advance();
                let inner = self.sequence()?;
                self.expect(")")?;
                self.postfix(inner)
            }
            "#" | "." => {
                let node = self.pointer(at)?;
                self.postfix(node)
            }
            "::" => {
                self.advance();
                let (at, name) = self.name("the name of a function after ::")?;
                let node = self.call(at, &name, None)?;
                self.postfix(node)
            }
            _ => self.secondary(),
        }
    }

    /// `#`, `#index`, `#acc`, or the `#` that is left out before `.field`.
    fn pointer(&mut self, at: usize) -> Result<Node, Fault> {
        let Some(function) = self.predicates.last().copied() else {
            let message = "# and .field stand only inside a predicate, as in all(result, # < 1)";
            return Err(Fault::new(at, message));
        };
        let mut pointer = Pointer::Item;
        if self.accept("#")
            && let Token::Name(name) = self.current()
        {
            pointer = match name.as_str() {
                "index" => Pointer::Index,
                "acc" if function == Builtin::Reduce => Pointer::Accumulator,
                _ => {
                    let acc = if function == Builtin::Reduce {
                        " and #acc"
                    } else {
                        ""
                    };
                    let message = format!(
                        "unknown #{name}: inside {} there are #, #index{acc}",
                        function.name()
                    );
                    return Err(Fault::new(at, message));
                }
            };
            self.advance();
        }
        Self::node(at, Kind::Pointer(pointer), [])
    }

    fn secondary(&mut self) -> Result<Node, Fault> {
        let at = self.at();
        let node = match self.current().clone() {
            Token::Name(name) => {
                self.advance();
                let literal = match name.as_str() {
                    "true" => Some(Value::Bool(true)),
                    "false" => Some(Value::Bool(false)),
                    "nil" => Some(Value::Nil),
                    _ => None,
                };
                if let Some(value) = literal {
                    return Self::node(at, Kind::Literal(value), []);
                }
                if self.is("(") {
                    self.call(at, &name, None)?
                } else {
                    self.variable(at, name)?
                }
            }
            Token::Number(digits) => {
                self.advance();
                return Self::node(at, Kind::Literal(number(at, &digits)?), []);
            }
            Token::String(text) => {
                self.advance();
                Self::node(at, Kind::Literal(Value::String(text)), [])?
            }
            Token::Bytes(bytes) => {
                self.advance();
                let bytes = bytes.into_iter().map(|byte| int(byte.into())).collect();
                Self::node(at, Kind::Literal(Value::List(bytes)), [])?
            }
            Token::Symbol("[") => self.list(at)?,
            Token::Symbol("{") => self.map(at)?,
            Token::Symbol(_) | Token::End => return Err(self.expected("a value")),
        };
        self.postfix(node)
    }

    fn variable(&mut self, at: usize, name: String) -> Result<Node, Fault> {
        if self.variables.contains(&name) {
            return Self::node(at, Kind::Variable(name), []);
        }
        match name.as_str() {
            "result" if self.scope == Scope::Measurement => return Self::node(at, Kind::Result, []),
            "$env" if self.scope == Scope::Measurement => return self.environment(at),
            _ => {}
        }
        if builtins::find(&name).is_some() {
            return Err(Fault::new(
                at,
                format!("{name} is a function: expected {name}(…)"),
            ));
        }
        let mut known: Vec<&str> = self.variables.iter().map(String::as_str).collect();
        if self.scope == Scope::Measurement {
            known.push("result");
        }
        let near = near(&name, known.iter().copied());
        let all = match (near.is_empty(), known.as_slice()) {
            (false, _) => near,
            (true, []) => String::new(),
            (true, known) => format!("; known here: {}", known.join(", ")),
        };
        Err(Fault::new(at, format!("unknown name {name}{all}")))
    }

    /// `$env.result`, `$env["result"]` and `"result" in $env`: the environment holds nothing else but functions.
    fn environment(&mut self, at: usize) -> Result<Node, Fault> {
        let optional = self.is("?.");
        let name = if self.accept(".") || self.accept("?.") {
            self.name("a name")?.1
        } else if self.accept("[") {
            let Token::String(name) = self.current().clone() else {
                return Err(self.expected("a name in quotes"));
            };
            self.advance();
            self.expect("]")?;
            name
        } else if self.after_in() {
            let names = builtins::SIGNATURES
                .iter()
                .filter(|signature| signature.of_environment());
            let names = names.map(|signature| signature.name).chain(["result"]);
            let keys = names
                .map(|name| (Key::String(name.to_owned()), Value::Nil))
                .collect();
            return Self::node(at, Kind::Literal(Value::Map(keys)), []);
        } else {
            return Err(self.expected(".result after $env"));
        };
        match name.as_str() {
            "result" => Self::node(at, Kind::Result, []),
            _ if optional => Self::node(at, Kind::Literal(Value::Nil), []),
            _ => Err(Fault::new(
                at,
                format!("unknown name {name} in $env; known here: result"),
            )),
        }
    }

    /// Whether the operand just read stands behind `in`.
    fn after_in(&self) -> bool {
        let before = self
            .position
            .checked_sub(2)
            .and_then(|position| self.tokens.get(position));
        matches!(before, Some((_, Token::Symbol("in"))))
    }

    /// A call, its name read already; `piped` is the first argument of `value | name(…)`.
    pub(super) fn call(&mut self, at: usize, name: &str, piped: Option<Node>) -> Result<Node, Fault> {
        let available =
            |signature: &&Signature| self.scope == Scope::Measurement || !signature.needs_result();
        let Some(signature) = builtins::find(name).filter(available) else {
            if self.variables.iter().any(|variable| variable == name) || name == "result" {
                return Err(Fault::new(at, format!("{name} is a value, not a function")));
            }
            let names = builtins::SIGNATURES
                .iter()
                .filter(available)
                .map(|signature| signature.name);
            return Err(Fault::new(
                at,
                format!("unknown function {name}{}", near(name, names)),
            ));
        };
        let mut arguments: Vec<Node> = piped.into_iter().collect();
        self.expect("(")?;
        let mut first = true;
        while !self.is(")") {
            if !first {
                self.expect(",")?;
                if self.is(")") {
                    break;
                }
            }
            first = false;
            let predicate = signature.predicate != Predicate::No && arguments.len() == 1;
            let argument = if predicate {
                self.predicate(signature.function)?
            } else {
                self.expression(0)?
            };
            arguments.push(argument);
        }
        self.expect(")")?;
        let (min, max) = signature.arguments;
        if !(min..=max).contains(&arguments.len()) {
            let zone = matches!(signature.function, Builtin::Date) && arguments.len() == 4;
            if !zone {
                return Err(Fault::new(at, count(name, signature.arguments, arguments.len())));
            }
        }
        let depths: Vec<usize> = arguments.iter().map(|argument| argument.depth).collect();
        if signature.predicate == Predicate::No {
            return Self::node(at, Kind::Call(signature.function, arguments), depths);
        }
        let mut arguments = arguments.into_iter().map(Box::new);
        let Some(list) = arguments.next() else {
            return Err(self.expected("a list"));
        };
        let (predicate, extra) = (arguments.next(), arguments.next());
        Self::node(
            at,
            Kind::Iterate {
                function: signature.function,
                list,
                predicate,
                extra,
            },
            depths,
        )
    }

    fn predicate(&mut self, function: Builtin) -> Result<Node, Fault> {
        let braces = self.accept("{");
        self.predicates.push(function);
        let node = if braces {
            self.sequence()?
        } else {
            self.expression(0)?
        };
        self.predicates.pop();
        if braces {
            self.expect("}")?;
        } else if self.is(";") {
            return Err(Fault::new(
                self.at(),
                "a predicate of several parts stands in braces { }",
            ));
        }
        Ok(node)
    }

    fn list(&mut self, at: usize) -> Result<Node, Fault> {
        self.expect("[")?;
        let mut items: Vec<Node> = Vec::new();
        while !self.is("]") {
            if !items.is_empty() {
                if !self.accept(",") {
                    return Err(self.expected("\",\" or \"]\""));
                }
                if self.is("]") {
                    break;
                }
            }
            items.push(self.expression(0)?);
        }
        self.expect("]")?;
        let depths: Vec<usize> = items.iter().map(|item| item.depth).collect();
        Self::node(at, Kind::List(items), depths)
    }

    fn map(&mut self, at: usize) -> Result<Node, Fault> {
        self.expect("{")?;
        let mut entries: Vec<(Node, Node)> = Vec::new();
        while !self.is("}") {
            if !entries.is_empty() {
                if !self.accept(",") {
                    return Err(self.expected("\",\" or \"}\""));
                }
                if self.is("}") {
                    break;
                }
            }
            let key_at = self.at();
            let key = match self.current().clone() {
                Token::Name(text) | Token::Number(text) | Token::String(text) => {
                    self.advance();
                    Self::node(key_at, Kind::Literal(Value::String(text)), [])?
                }
                Token::Symbol("(") => self.expression(0)?,
                Token::Symbol(_) | Token::Bytes(_) | Token::End => {
                    return Err(
                        self.expected("a key: a name, a string, a number or an expression in parentheses")
                    );
                }
            };
            self.expect(":")?;
            entries.push((key, self.expression(0)?));
        }
        self.expect("}")?;
        let depths: Vec<usize> = entries
            .iter()
            .flat_map(|(key, value)| [key.depth, value.depth])
            .collect();
        Self::node(at, Kind::Map(entries), depths)
    }

    /// What follows an operand.
    pub(super) fn postfix(&mut self, mut node: Node) -> Result<Node, Fault> {
        loop {
            let at = self.at();
            let optional = self.is("?.");
            if optional || self.is(".") {
                self.advance();
                if optional && self.accept("[") {
                    node = self.index(at, node, true)?;
                } else {
                    node = self.field(node, optional)?;
                }
            } else if self.accept("[") {
                node = self.index(at, node, false)?;
            } else {
                return Ok(node);
            }
        }
    }

    /// `.field` or `.Method(…)`. A chain that `?.` began goes on.
    fn field(&mut self, node: Node, optional: bool) -> Result<Node, Fault> {
        let at = self.at();
        let name = match self.current() {
            Token::Name(name) => name.clone(),
            Token::Symbol(word) if word.chars().all(char::is_alphabetic) => (*word).to_owned(),
            _ => return Err(self.expected("the name of a field")),
        };
        self.advance();
        let (base, chained) = match node.kind {
            Kind::Chain(inner) => (*inner, true),
            _ => (node, false),
        };
        let depth = base.depth;
        let base = Box::new(base);
        let node = if self.accept("(") {
            let Some(method) = METHODS.iter().find(|method| method.name == name) else {
                let names = METHODS.iter().map(|method| method.name);
                return Err(Fault::new(
                    at,
                    format!("unknown method {name}{}", near(&name, names)),
                ));
            };
            let mut arguments = Vec::new();
            while !self.is(")") {
                if !arguments.is_empty() {
                    self.expect(",")?;
                }
                arguments.push(self.expression(0)?);
            }
            self.expect(")")?;
            if arguments.len() != method.arguments {
                let wanted = (method.arguments, method.arguments);
                return Err(Fault::new(at, count(&name, wanted, arguments.len())));
            }
            let depths: Vec<usize> = arguments
                .iter()
                .map(|argument| argument.depth)
                .chain([depth])
                .collect();
            Self::node(
                at,
                Kind::Method {
                    base,
                    name: method,
                    arguments,
                    optional,
                },
                depths,
            )?
        } else {
            let key = Box::new(Self::node(at, Kind::Literal(Value::String(name)), [])?);
            Self::node(at, Kind::Member { base, key, optional }, [depth])?
        };
        if chained || optional {
            Self::chain(node)
        } else {
            Ok(node)
        }
    }

    fn chain(node: Node) -> Result<Node, Fault> {
        let (at, depth) = (node.at, node.depth);
        Self::node(at, Kind::Chain(Box::new(node)), [depth])
    }

    /// `[index]` or `[from:to]`, its bracket read already.
    fn index(&mut self, at: usize, node: Node, optional: bool) -> Result<Node, Fault> {
        let from = if self.is(":") {
            None
        } else {
            Some(Box::new(self.expression(0)?))
        };
        let depth = node.depth;
        let base = Box::new(node);
        let found = if self.accept(":") {
            let to = if self.is("]") {
                None
            } else {
                Some(Box::new(self.expression(0)?))
            };
            let depths = [
                depth,
                from.as_ref().map_or(0, |n| n.depth),
                to.as_ref().map_or(0, |n| n.depth),
            ];
            Self::node(at, Kind::Slice { base, from, to }, depths)?
        } else {
            let Some(key) = from else {
                return Err(self.expected("an index"));
            };
            let depths = [depth, key.depth];
            let node = Self::node(at, Kind::Member { base, key, optional }, depths)?;
            if optional { Self::chain(node)? } else { node }
        };
        self.expect("]")?;
        Ok(found)
    }
}

/// The value of a number as it is written.
fn number(at: usize, digits: &str) -> Result<Value, Fault> {
    let lower = digits.to_ascii_lowercase();
    let radix = match lower.get(..2) {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => 10,
    };
    if radix == 10 && lower.contains(['.', 'e']) {
        let found: Option<f64> = lower.parse().ok();
        return match found {
            Some(number) if number.is_finite() => Ok(Value::Float(number)),
            Some(_) => Err(Fault::new(at, format!("the number {digits} is too large"))),
            None => Err(Fault::new(at, format!("{digits} is not a number"))),
        };
    }
    let written = if radix == 10 {
        lower.as_str()
    } else {
        lower.get(2..).unwrap_or_default()
    };
    match i64::from_str_radix(written, radix) {
        Ok(number) => Ok(Value::Int(number)),
        Err(_) if written.is_empty() => Err(Fault::new(at, format!("{digits} is not a number"))),
        Err(_) => Err(Fault::new(
            at,
            format!("the whole number {digits} is too large (64 bits)"),
        )),
    }
}
