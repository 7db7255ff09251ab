//! Evaluation: a walk over the tree that borrows from the result instead of copying, within a [`Budget`].

mod iterate;

use std::borrow::Cow;

use jiff::Timestamp;

use super::Fault;
use super::ast::{Binary, Kind, Node, Pointer};
use super::builtins::{self, Builtin, Call};
use super::limits::Budget;
use super::operators::{self, Found};
use super::value::{Key, Value, int};

/// What one evaluation needs: the measurement, the moment, and what is left to spend.
pub(super) struct Machine<'r> {
    pub(super) result: &'r Value,
    pub(super) now: Timestamp,
    pub(super) budget: Budget,
}

/// The names in force: a chain from the innermost outwards, on the stack.
pub(super) struct Scope<'s> {
    frame: Frame<'s>,
    outer: Option<&'s Scope<'s>>,
}

enum Frame<'s> {
    Let {
        name: &'s str,
        value: &'s Value,
    },
    Each {
        item: &'s Value,
        index: usize,
        accumulator: Option<&'s Value>,
    },
}

type Evaluated<'s> = Result<Cow<'s, Value>, Fault>;

const NIL: Value = Value::Nil;

fn made<'s>(value: Value) -> Cow<'s, Value> {
    Cow::Owned(value)
}

impl<'r> Machine<'r> {
    /// The value of a part of an expression.
    pub(super) fn eval<'s>(&mut self, node: &'s Node, scope: Option<&'s Scope<'s>>) -> Evaluated<'s>
    where
        'r: 's,
    {
        self.budget.step(node.at, 1)?;
        match &node.kind {
            Kind::Literal(value) => Ok(Cow::Borrowed(value)),
            Kind::Result => Ok(Cow::Borrowed(self.result)),
            Kind::Variable(name) => Ok(variable(name, scope)),
            Kind::Pointer(pointer) => Ok(pointed(*pointer, scope)),
            Kind::Unary(operator, operand) => {
                let operand = self.eval(operand, scope)?;
                operators::unary(*operator, node.at, &operand).map(made)
            }
            Kind::Binary(operator, left, right) => self.binary(node.at, *operator, left, right, scope),
            Kind::Compare(first, rest) => self.comparisons(node.at, first, rest, scope),
            Kind::Matches(subject, pattern) => {
                let subject = self.eval(subject, scope)?;
                match subject.as_ref() {
                    Value::Nil => Ok(made(Value::Bool(false))),
                    Value::String(text) => {
                        self.budget.step(node.at, text.len())?;
                        Ok(made(Value::Bool(pattern.is_match(text))))
                    }
                    other => {
                        let message = format!("matches needs a string, got {}", other.shortened_kind());
                        Err(Fault::new(node.at, message))
                    }
                }
            }
            Kind::Conditional(condition, yes, no) => {
                let chosen = if self.truth(condition, scope, "a condition")? {
                    yes
                } else {
                    no
                };
                self.eval(chosen, scope)
            }
            Kind::Elvis(condition, other) => {
                if self.truth(condition, scope, "a condition")? {
                    Ok(made(Value::Bool(true)))
                } else {
                    self.eval(other, scope)
                }
            }
            Kind::Member { .. } | Kind::Method { .. } => Ok(self.link(node, scope)?.unwrap_or(made(NIL))),
            Kind::Chain(inner) => Ok(self.link(inner, scope)?.unwrap_or(made(NIL))),
            Kind::Slice { base, from, to } => {
                let base = self.eval(base, scope)?;
                let from = self.bound(from.as_deref(), scope)?;
                let to = self.bound(to.as_deref(), scope)?;
                operators::slice(&base, from, to, node.at, &mut self.budget).map(made)
            }
            Kind::Call(function, arguments) => self.call(node.at, *function, arguments, scope),
            Kind::Iterate {
                function,
                list,
                predicate,
                extra,
            } => self
                .iterate(
                    node.at,
                    *function,
                    list,
                    predicate.as_deref(),
                    extra.as_deref(),
                    scope,
                )
                .map(made),
            Kind::List(items) => self.list(node.at, items, scope).map(made),
            Kind::Map(entries) => self.map(node.at, entries, scope).map(made),
            Kind::Let { name, value, body } => self.declare(name, value, body, scope).map(made),
            Kind::Sequence(parts) => {
                let mut last = made(NIL);
                for part in parts {
                    last = self.eval(part, scope)?;
                }
                Ok(last)
            }
        }
    }

    /// The value itself; a borrowed one is copied and paid for.
    fn own(&mut self, at: usize, value: Cow<'_, Value>) -> Result<Value, Fault> {
        match value {
            Cow::Owned(value) => Ok(value),
            Cow::Borrowed(value) => {
                self.budget.copy(at, value)?;
                Ok(value.clone())
            }
        }
    }

    fn truth<'s>(&mut self, node: &'s Node, scope: Option<&'s Scope<'s>>, what: &str) -> Result<bool, Fault>
    where
        'r: 's,
    {
        match self.eval(node, scope)?.as_ref() {
            Value::Bool(flag) => Ok(*flag),
            other => Err(Fault::new(
                node.at,
                format!("{what} must be a bool, got {}", other.shortened_kind()),
            )),
        }
    }

    #[inline(never)]
    fn binary<'s>(
        &mut self,
        at: usize,
        operator: Binary,
        left: &'s Node,
        right: &'s Node,
        scope: Option<&'s Scope<'s>>,
    ) -> Evaluated<'s>
    where
        'r: 's,
    {
        match operator {
            Binary::And => {
                let holds = self.truth(left, scope, "each side of and")?
                    && self.truth(right, scope, "each side of and")?;
                Ok(made(Value::Bool(holds)))
            }
            Binary::Or => {
                let holds = self.truth(left, scope, "each side of or")?
                    || self.truth(right, scope, "each side of or")?;
                Ok(made(Value::Bool(holds)))
            }
            Binary::Coalesce => {
                let left = self.eval(left, scope)?;
                if matches!(left.as_ref(), Value::Nil) {
                    self.eval(right, scope)
                } else {
                    Ok(left)
                }
            }
            _ => {
                let left = self.eval(left, scope)?;
                let right = self.eval(right, scope)?;
                operators::binary(operator, at, &left, &right, &mut self.budget).map(made)
            }
        }
    }

    #[inline(never)]
    fn comparisons<'s>(
        &mut self,
        at: usize,
        first: &'s Node,
        rest: &'s [(super::ast::Comparison, Node)],
        scope: Option<&'s Scope<'s>>,
    ) -> Evaluated<'s>
    where
        'r: 's,
    {
        let mut left = self.eval(first, scope)?;
        for (operator, right) in rest {
            let right = self.eval(right, scope)?;
            self.budget.step(at, 1)?;
            if !operators::compare(*operator, at, &left, &right)? {
                return Ok(made(Value::Bool(false)));
            }
            left = right;
        }
        Ok(made(Value::Bool(true)))
    }

    /// A link of a chain of `.field`, `[index]` and methods; `None` where a `?.` met nil, which ends the chain.
    #[inline(never)]
    fn link<'s>(
        &mut self,
        node: &'s Node,
        scope: Option<&'s Scope<'s>>,
    ) -> Result<Option<Cow<'s, Value>>, Fault>
    where
        'r: 's,
    {
        match &node.kind {
            Kind::Member { base, key, optional } => {
                let Some(base) = self.link(base, scope)? else {
                    return Ok(None);
                };
                if *optional && matches!(base.as_ref(), Value::Nil) {
                    return Ok(None);
                }
                let key = self.eval(key, scope)?;
                self.member(node.at, base, &key).map(Some)
            }
            Kind::Method {
                base,
                name,
                arguments,
                optional,
            } => {
                let Some(base) = self.link(base, scope)? else {
                    return Ok(None);
                };
                if *optional && matches!(base.as_ref(), Value::Nil) {
                    return Ok(None);
                }
                let arguments = self.arguments(arguments, scope)?;
                let arguments: Vec<&Value> = arguments.iter().map(AsRef::as_ref).collect();
                let found = builtins::method(&base, name, &arguments, node.at, &mut self.budget)?;
                Ok(Some(made(found)))
            }
            _ => self.eval(node, scope).map(Some),
        }
    }

    fn member<'s>(&mut self, at: usize, base: Cow<'s, Value>, key: &Value) -> Evaluated<'s> {
        match base {
            Cow::Borrowed(base) => Ok(match operators::member(base, key, at)? {
                Found::Part(part) => Cow::Borrowed(part),
                Found::Made(value) => made(value),
            }),
            Cow::Owned(base) => match operators::member(&base, key, at)? {
                Found::Part(part) => {
                    self.budget.copy(at, part)?;
                    Ok(made(part.clone()))
                }
                Found::Made(value) => Ok(made(value)),
            },
        }
    }

    fn bound<'s>(
        &mut self,
        node: Option<&'s Node>,
        scope: Option<&'s Scope<'s>>,
    ) -> Result<Option<i64>, Fault>
    where
        'r: 's,
    {
        let Some(node) = node else { return Ok(None) };
        let value = self.eval(node, scope)?;
        operators::whole(node.at, &value, "the bound of a slice").map(Some)
    }

    fn arguments<'s>(
        &mut self,
        nodes: &'s [Node],
        scope: Option<&'s Scope<'s>>,
    ) -> Result<Vec<Cow<'s, Value>>, Fault>
    where
        'r: 's,
    {
        nodes.iter().map(|node| self.eval(node, scope)).collect()
    }

    #[inline(never)]
    fn call<'s>(
        &mut self,
        at: usize,
        function: Builtin,
        arguments: &'s [Node],
        scope: Option<&'s Scope<'s>>,
    ) -> Evaluated<'s>
    where
        'r: 's,
    {
        let arguments = self.arguments(arguments, scope)?;
        // These two ask about the whole measurement, whatever their first argument is: so the contract has it.
        let nothing = matches!(self.result, Value::Nil);
        match function {
            Builtin::IsNil => return Ok(made(Value::Bool(nothing))),
            Builtin::Default if !nothing => return Ok(Cow::Borrowed(self.result)),
            Builtin::Default => return Ok(arguments.into_iter().nth(1).unwrap_or(made(NIL))),
            _ => {}
        }
        let mut call = Call {
            function,
            at,
            arguments: &arguments,
            budget: &mut self.budget,
            now: self.now,
        };
        builtins::call(&mut call).map(made)
    }

    #[inline(never)]
    fn list<'s>(&mut self, at: usize, items: &'s [Node], scope: Option<&'s Scope<'s>>) -> Result<Value, Fault>
    where
        'r: 's,
    {
        self.budget.build(at, items.len())?;
        let mut values = Vec::new();
        for item in items {
            let value = self.eval(item, scope)?;
            values.push(self.own(at, value)?);
        }
        Ok(Value::List(values))
    }

    #[inline(never)]
    fn map<'s>(
        &mut self,
        at: usize,
        entries: &'s [(Node, Node)],
        scope: Option<&'s Scope<'s>>,
    ) -> Result<Value, Fault>
    where
        'r: 's,
    {
        self.budget.build(at, entries.len())?;
        let mut values = std::collections::BTreeMap::new();
        for (key, value) in entries {
            let key = match self.eval(key, scope)?.as_ref() {
                Value::String(text) => Key::String(text.clone()),
                other => {
                    let message = format!("a map key must be a string, got {}", other.shortened_kind());
                    return Err(Fault::new(key.at, message));
                }
            };
            let value = self.eval(value, scope)?;
            values.insert(key, self.own(at, value)?);
        }
        Ok(Value::Map(values))
    }

    #[inline(never)]
    fn declare<'s>(
        &mut self,
        name: &'s str,
        value: &'s Node,
        body: &'s Node,
        scope: Option<&'s Scope<'s>>,
    ) -> Result<Value, Fault>
    where
        'r: 's,
    {
        let value = self.eval(value, scope)?;
        let inner = Scope {
            frame: Frame::Let {
                name,
                value: value.as_ref(),
            },
            outer: scope,
        };
        let found = self.eval(body, Some(&inner))?;
        self.own(body.at, found)
    }
}

/// The value of a declared name; the parser has made sure that there is one.
fn variable<'s>(wanted: &str, scope: Option<&'s Scope<'s>>) -> Cow<'s, Value> {
    let mut scope = scope;
    while let Some(Scope { frame, outer }) = scope {
        match frame {
            Frame::Let { name, value } if *name == wanted => return Cow::Borrowed(*value),
            Frame::Let { .. } | Frame::Each { .. } => scope = *outer,
        }
    }
    made(NIL)
}

/// What `#`, `#index` or `#acc` is in the innermost predicate; the parser has made sure that there is one.
fn pointed<'s>(pointer: Pointer, scope: Option<&'s Scope<'s>>) -> Cow<'s, Value> {
    let mut scope = scope;
    while let Some(Scope { frame, outer }) = scope {
        match frame {
            Frame::Each {
                item,
                index,
                accumulator,
            } => {
                return match pointer {
                    Pointer::Item => Cow::Borrowed(*item),
                    Pointer::Index => made(int(*index)),
                    Pointer::Accumulator => accumulator.map_or(made(NIL), Cow::Borrowed),
                };
            }
            Frame::Let { .. } => scope = *outer,
        }
    }
    made(NIL)
}
