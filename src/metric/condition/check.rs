//! What can be known of the kinds of values before evaluation.
//!
//! The check finds operators that can never work (`"1" + 1`) and comparisons that can never hold (`1 == "1"`), also
//! in a part that this evaluation would not reach. It runs when an expression is parsed, when nothing is known of the
//! result, and again for each result.

mod functions;

use super::Fault;
use super::ast::{Binary, Kind, Node, Pointer, Unary};
use super::builtins::Builtin;
use super::value::Value;

/// The kind of value that a part of an expression yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// Anything; also nil, so that a guard such as `result == nil || result > 1` may be written.
    Unknown,
    Bool,
    Int,
    Float,
    String,
    List(Box<Type>),
    Map,
    Time,
    Duration,
    Zone,
}

impl Type {
    /// What is known of a result. A list of floats only is one of Prometheus: its elements are known too.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Nil => Self::Unknown,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Float(_) => Self::Float,
            Value::String(_) => Self::String,
            Value::List(items) => {
                let floats = !items.is_empty() && items.iter().all(|item| matches!(item, Value::Float(_)));
                Self::List(Box::new(if floats { Self::Float } else { Self::Unknown }))
            }
            Value::Map(_) => Self::Map,
            Value::Time(_) => Self::Time,
            Value::Duration(_) => Self::Duration,
            Value::Zone(_) => Self::Zone,
        }
    }

    /// How the type is named in messages, with its article.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "anything",
            Self::Bool => "a bool",
            Self::Int => "an int",
            Self::Float => "a float",
            Self::String => "a string",
            Self::List(_) => "a list",
            Self::Map => "a map",
            Self::Time => "a time",
            Self::Duration => "a duration",
            Self::Zone => "a time zone",
        }
    }

    /// The name without its article.
    fn bare(&self) -> &'static str {
        self.name().split_once(' ').map_or(self.name(), |(_, bare)| bare)
    }

    fn number(&self) -> bool {
        matches!(self, Self::Int | Self::Float)
    }

    fn unknown(&self) -> bool {
        *self == Self::Unknown
    }

    fn comparable(&self, other: &Self) -> bool {
        let lists = matches!((self, other), (Self::List(_), Self::List(_)));
        self.unknown() || other.unknown() || lists || self.number() && other.number() || self == other
    }

    fn ordered(&self) -> bool {
        self.number() || matches!(self, Self::Unknown | Self::String | Self::Time | Self::Duration)
    }
}

/// Checks a tree, where `result` has the given type; the type that the whole yields.
pub(super) fn check(node: &Node, result: Type) -> Result<Type, Fault> {
    Checker {
        result,
        variables: Vec::new(),
        items: Vec::new(),
    }
    .visit(node)
}

struct Checker<'n> {
    result: Type,
    variables: Vec<(&'n str, Type)>,
    items: Vec<Type>,
}

fn mismatch(node: &Node, symbol: &str, left: &Type, right: &Type) -> Fault {
    Fault::new(
        node.at,
        format!("cannot apply {symbol} to {} and {}", left.name(), right.name()),
    )
}

impl<'n> Checker<'n> {
    fn visit(&mut self, node: &'n Node) -> Result<Type, Fault> {
        Ok(match &node.kind {
            Kind::Literal(value) => Type::of(value),
            Kind::Result => self.result.clone(),
            Kind::Variable(name) => self.variable(name),
            Kind::Pointer(Pointer::Item) => self.items.last().cloned().unwrap_or(Type::Unknown),
            Kind::Pointer(Pointer::Index) => Type::Int,
            Kind::Pointer(Pointer::Accumulator) => Type::Unknown,
            Kind::Unary(operator, operand) => {
                let found = self.visit(operand)?;
                let (fits, symbol, wanted) = match operator {
                    Unary::Not => (matches!(found, Type::Bool | Type::Unknown), "not", "a bool"),
                    Unary::Minus => (found.number() || found.unknown(), "-", "a number"),
                    Unary::Plus => (found.number() || found.unknown(), "+", "a number"),
                };
                if !fits {
                    let message = format!("{symbol} needs {wanted}, got {}", found.name());
                    return Err(Fault::new(node.at, message));
                }
                found
            }
            Kind::Binary(operator, left, right) => {
                let (left, right) = (self.visit(left)?, self.visit(right)?);
                binary(node, *operator, &left, &right)?
            }
            Kind::Compare(first, rest) => {
                let mut left = self.visit(first)?;
                for (operator, right) in rest {
                    let right = self.visit(right)?;
                    if !left.ordered() || !right.ordered() || !left.comparable(&right) {
                        return Err(mismatch(node, operator.symbol(), &left, &right));
                    }
                    left = right;
                }
                Type::Bool
            }
            Kind::Matches(subject, _) => {
                let found = self.visit(subject)?;
                if !matches!(found, Type::String | Type::Unknown) {
                    return Err(mismatch(node, "matches", &found, &Type::String));
                }
                Type::Bool
            }
            Kind::Conditional(condition, yes, no) => {
                self.condition(condition)?;
                let (yes, no) = (self.visit(yes)?, self.visit(no)?);
                if yes == no { yes } else { Type::Unknown }
            }
            Kind::Elvis(condition, other) => {
                self.condition(condition)?;
                if self.visit(other)? == Type::Bool {
                    Type::Bool
                } else {
                    Type::Unknown
                }
            }
            Kind::Member { base, key, .. } => {
                let (base, key) = (self.visit(base)?, self.visit(key)?);
                member(node, &base, &key)?
            }
            Kind::Method { base, arguments, .. } => {
                let base = self.visit(base)?;
                for argument in arguments {
                    self.visit(argument)?;
                }
                if !matches!(base, Type::Time | Type::Duration | Type::Unknown) {
                    return Err(Fault::new(node.at, format!("{} has no methods", base.name())));
                }
                Type::Unknown
            }
            Kind::Chain(inner) => match self.visit(inner)? {
                // The chain may yield nil instead.
                Type::List(_) => Type::List(Box::new(Type::Unknown)),
                other => other,
            },
            Kind::Slice { base, from, to } => {
                for bound in [from, to].into_iter().flatten() {
                    let found = self.visit(bound)?;
                    if !matches!(found, Type::Int | Type::Unknown) {
                        let message = format!("a slice needs whole numbers, got {}", found.name());
                        return Err(Fault::new(bound.at, message));
                    }
                }
                let base = self.visit(base)?;
                if !matches!(base, Type::List(_) | Type::String | Type::Unknown) {
                    return Err(Fault::new(
                        node.at,
                        format!("cannot take a slice of {}", base.name()),
                    ));
                }
                base
            }
            Kind::Call(function, arguments) => {
                let mut types = Vec::new();
                for argument in arguments {
                    types.push(self.visit(argument)?);
                }
                functions::called(node, *function, &types)?
            }
            Kind::Iterate {
                function,
                list,
                predicate,
                extra,
            } => self.iterate(*function, list, predicate.as_deref(), extra.as_deref())?,
            Kind::List(items) => {
                let mut same = None;
                for item in items {
                    let found = self.visit(item)?;
                    same = Some(if same.is_none_or(|same| same == found) {
                        found
                    } else {
                        Type::Unknown
                    });
                }
                Type::List(Box::new(same.unwrap_or(Type::Unknown)))
            }
            Kind::Map(entries) => {
                for (key, value) in entries {
                    let key_type = self.visit(key)?;
                    if !matches!(key_type, Type::String | Type::Unknown) {
                        let message = format!("a map key must be a string, got {}", key_type.name());
                        return Err(Fault::new(key.at, message));
                    }
                    self.visit(value)?;
                }
                Type::Map
            }
            Kind::Let { name, value, body } => {
                let value = self.visit(value)?;
                self.variables.push((name, value));
                let found = self.visit(body);
                self.variables.pop();
                found?
            }
            Kind::Sequence(parts) => {
                let mut last = Type::Unknown;
                for part in parts {
                    last = self.visit(part)?;
                }
                last
            }
        })
    }

    fn variable(&self, wanted: &str) -> Type {
        let found = self.variables.iter().rev().find(|(name, _)| *name == wanted);
        found.map_or(Type::Unknown, |(_, found)| found.clone())
    }

    fn condition(&mut self, condition: &'n Node) -> Result<(), Fault> {
        let found = self.visit(condition)?;
        if matches!(found, Type::Bool | Type::Unknown) {
            return Ok(());
        }
        Err(Fault::new(
            condition.at,
            format!("a condition must be a bool, got {}", found.name()),
        ))
    }

    fn iterate(
        &mut self,
        function: Builtin,
        list: &'n Node,
        predicate: Option<&'n Node>,
        extra: Option<&'n Node>,
    ) -> Result<Type, Fault> {
        let items = match self.visit(list)? {
            Type::List(item) => *item,
            Type::Unknown => Type::Unknown,
            other => {
                let message = format!("{}: expected a list, got {}", function.name(), other.name());
                return Err(Fault::new(list.at, message));
            }
        };
        if let Some(extra) = extra {
            self.visit(extra)?;
        }
        let mut mapped = Type::Unknown;
        if let Some(predicate) = predicate {
            self.items.push(items.clone());
            let found = self.visit(predicate);
            self.items.pop();
            mapped = found?;
            let free = matches!(
                function,
                Builtin::Map | Builtin::Sum | Builtin::GroupBy | Builtin::SortBy | Builtin::Reduce
            );
            if !free && !matches!(mapped, Type::Bool | Type::Unknown) {
                let message = format!(
                    "{}: the predicate must yield true or false, but yields {}",
                    function.name(),
                    mapped.name()
                );
                return Err(Fault::new(predicate.at, message));
            }
        }
        Ok(match function {
            Builtin::All | Builtin::Any | Builtin::None | Builtin::One => Type::Bool,
            Builtin::Count => Type::Int,
            Builtin::Filter | Builtin::SortBy => Type::List(Box::new(items)),
            Builtin::Map => Type::List(Box::new(mapped)),
            Builtin::GroupBy => Type::Map,
            Builtin::Find | Builtin::FindLast => items,
            _ => Type::Unknown,
        })
    }
}

fn binary(node: &Node, operator: Binary, left: &Type, right: &Type) -> Result<Type, Fault> {
    use Type::{Bool, Duration, Float, Int, List, Map, String, Time, Unknown};
    let unknown = left.unknown() || right.unknown();
    let numbers = left.number() && right.number();
    let found = match operator {
        Binary::Equal | Binary::NotEqual => {
            if left.comparable(right) {
                Some(Bool)
            } else {
                let (left, right) = (left.name(), right.name());
                let message = format!("{left} never equals {right}: convert one with int, float or string");
                return Err(Fault::new(node.at, message));
            }
        }
        Binary::Or | Binary::And => {
            (matches!(left, Bool | Unknown) && matches!(right, Bool | Unknown)).then_some(Bool)
        }
        Binary::In => match right {
            Map => matches!(left, String | Unknown | Int | Float | Bool).then_some(Bool),
            List(item) if !left.comparable(item) => {
                let message = format!("{} is never in a list of {}s", left.name(), item.bare());
                return Err(Fault::new(node.at, message));
            }
            List(_) | Unknown => Some(Bool),
            _ => None,
        },
        Binary::Matches | Binary::Contains | Binary::StartsWith | Binary::EndsWith => {
            (matches!(left, String | Unknown) && matches!(right, String | Unknown)).then_some(Bool)
        }
        Binary::Range => {
            (matches!(left, Int | Unknown) && matches!(right, Int | Unknown)).then(|| List(Box::new(Int)))
        }
        Binary::Divide | Binary::Power => {
            (numbers || unknown && both(left, right, &[Int, Float])).then_some(Float)
        }
        Binary::Modulo => (matches!(left, Int | Unknown) && matches!(right, Int | Unknown)).then_some(Int),
        Binary::Coalesce => Some(if left == right { left.clone() } else { Unknown }),
        Binary::Add => match (left, right) {
            (String, String) => Some(String),
            (Time, Duration) | (Duration, Time) => Some(Time),
            (Duration, Duration) => Some(Duration),
            _ if numbers => Some(promoted(left, right)),
            _ => (unknown && both(left, right, &[Int, Float, String, Time, Duration])).then_some(Unknown),
        },
        Binary::Subtract => match (left, right) {
            (Time, Time) | (Duration, Duration) => Some(Duration),
            (Time, Duration) => Some(Time),
            _ if numbers => Some(promoted(left, right)),
            _ => (unknown && both(left, right, &[Int, Float, Time, Duration])).then_some(Unknown),
        },
        Binary::Multiply => match (left, right) {
            (Duration, Int) | (Int, Duration) => Some(Duration),
            (Duration, Float) | (Float, Duration) => Some(Float),
            _ if numbers => Some(promoted(left, right)),
            _ => (unknown && both(left, right, &[Int, Float, Duration])).then_some(Unknown),
        },
    };
    found.ok_or_else(|| mismatch(node, operator.symbol(), left, right))
}

/// Whether each side is unknown or one of the given types.
fn both(left: &Type, right: &Type, types: &[Type]) -> bool {
    [left, right]
        .into_iter()
        .all(|side| side.unknown() || types.contains(side))
}

fn promoted(left: &Type, right: &Type) -> Type {
    if *left == Type::Int && *right == Type::Int {
        Type::Int
    } else {
        Type::Float
    }
}

fn member(node: &Node, base: &Type, key: &Type) -> Result<Type, Fault> {
    let fits = match base {
        Type::Unknown | Type::Map => true,
        Type::List(_) => matches!(key, Type::Int | Type::Unknown),
        _ => false,
    };
    if fits {
        return Ok(if let Type::List(item) = base {
            (**item).clone()
        } else {
            Type::Unknown
        });
    }
    let message = match (base, key) {
        (Type::List(_), Type::String) => {
            "a list has no fields: take an element first, as in result[0].name".to_owned()
        }
        (Type::List(_), key) => format!("an index must be a whole number, got {}", key.name()),
        (base, Type::String) => format!("{} has no fields", base.name()),
        (base, _) => format!("{} has no elements", base.name()),
    };
    Err(Fault::new(node.at, message))
}
