//! The functions that evaluate a predicate for each element of a list.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::Fault;
use super::super::ast::{Binary, Node};
use super::super::builtins::{Builtin, Order, sorted};
use super::super::operators;
use super::super::value::{Key, Value, int};
use super::{Evaluated, Frame, Machine, NIL, Scope};

/// One call, its list evaluated.
struct Each<'s> {
    at: usize,
    function: Builtin,
    items: &'s [Value],
    predicate: Option<&'s Node>,
    scope: Option<&'s Scope<'s>>,
}

impl<'r> Machine<'r> {
    #[inline(never)]
    pub(super) fn iterate<'s>(
        &mut self,
        at: usize,
        function: Builtin,
        list: &'s Node,
        predicate: Option<&'s Node>,
        extra: Option<&'s Node>,
        scope: Option<&'s Scope<'s>>,
    ) -> Result<Value, Fault>
    where
        'r: 's,
    {
        let evaluated = self.eval(list, scope)?;
        let Value::List(items) = evaluated.as_ref() else {
            let message = format!(
                "{}: expected a list, got {}",
                function.name(),
                evaluated.shortened_kind()
            );
            return Err(Fault::new(list.at, message));
        };
        let extra = extra.map(|extra| self.eval(extra, scope)).transpose()?;
        let each = Each {
            at,
            function,
            items,
            predicate,
            scope,
        };
        match function {
            Builtin::All => self.first(&each, false).map(|found| Value::Bool(found.is_none())),
            Builtin::Any => self.first(&each, true).map(|found| Value::Bool(found.is_some())),
            Builtin::None => self.first(&each, true).map(|found| Value::Bool(found.is_none())),
            Builtin::One => self.holding(&each).map(|held| Value::Bool(held.len() == 1)),
            Builtin::Count => self.holding(&each).map(|held| int(held.len())),
            Builtin::Filter => {
                let held = self.holding(&each)?;
                self.copies(at, held.into_iter().map(|(_, item)| item))
            }
            Builtin::Find | Builtin::FindIndex => {
                let found = self.first(&each, true)?;
                self.found(&each, found)
            }
            Builtin::FindLast | Builtin::FindLastIndex => {
                let found = self.last(&each)?;
                self.found(&each, found)
            }
            Builtin::Map => {
                self.budget.build(at, items.len())?;
                let mut values = Vec::new();
                for index in 0..items.len() {
                    values.push(self.owned(&each, index, None)?);
                }
                Ok(Value::List(values))
            }
            Builtin::Sum => {
                let mut total = Value::Int(0);
                for index in 0..items.len() {
                    let value = self.owned(&each, index, None)?;
                    total = operators::binary(Binary::Add, at, &total, &value, &mut self.budget)?;
                }
                Ok(total)
            }
            Builtin::Reduce => self.reduce(&each, extra),
            Builtin::GroupBy => self.group(&each),
            _ => self.sort(&each, extra.as_deref()),
        }
    }

    /// The predicate for one element; the element itself where there is no predicate. Copied where it is borrowed.
    fn owned<'s>(
        &mut self,
        each: &Each<'s>,
        index: usize,
        accumulator: Option<&Value>,
    ) -> Result<Value, Fault>
    where
        'r: 's,
    {
        let item = each.items.get(index).unwrap_or(&NIL);
        let Some(predicate) = each.predicate else {
            let value = Cow::Borrowed(item);
            return self.own(each.at, value);
        };
        let scope = Scope {
            frame: Frame::Each {
                item,
                index,
                accumulator,
            },
            outer: each.scope,
        };
        let value: Evaluated<'_> = self.eval(predicate, Some(&scope));
        self.own(each.at, value?)
    }

    /// Whether the predicate holds for one element.
    fn holds<'s>(&mut self, each: &Each<'s>, index: usize) -> Result<bool, Fault>
    where
        'r: 's,
    {
        match self.owned(each, index, None)? {
            Value::Bool(flag) => Ok(flag),
            other => {
                let at = each.predicate.map_or(each.at, |predicate| predicate.at);
                let message = format!(
                    "{}: the predicate must yield true or false, but yields {}",
                    each.function.name(),
                    other.shortened_kind()
                );
                Err(Fault::new(at, message))
            }
        }
    }

    /// The first element for which the predicate yields `wanted`; what follows is not evaluated.
    fn first<'s>(&mut self, each: &Each<'s>, wanted: bool) -> Result<Option<(usize, &'s Value)>, Fault>
    where
        'r: 's,
    {
        for (index, item) in each.items.iter().enumerate() {
            if self.holds(each, index)? == wanted {
                return Ok(Some((index, item)));
            }
        }
        Ok(None)
    }

    fn last<'s>(&mut self, each: &Each<'s>) -> Result<Option<(usize, &'s Value)>, Fault>
    where
        'r: 's,
    {
        for (index, item) in each.items.iter().enumerate().rev() {
            if self.holds(each, index)? {
                return Ok(Some((index, item)));
            }
        }
        Ok(None)
    }

    fn holding<'s>(&mut self, each: &Each<'s>) -> Result<Vec<(usize, &'s Value)>, Fault>
    where
        'r: 's,
    {
        let mut held = Vec::new();
        for (index, item) in each.items.iter().enumerate() {
            if self.holds(each, index)? {
                held.push((index, item));
            }
        }
        Ok(held)
    }

    fn copies<'v>(&mut self, at: usize, items: impl IntoIterator<Item = &'v Value>) -> Result<Value, Fault> {
        let mut copies = Vec::new();
        for item in items {
            copies.push(self.own(at, Cow::Borrowed(item))?);
        }
        Ok(Value::List(copies))
    }

    /// The answer of the `find` functions: the element or its index; nil of none.
    fn found(&mut self, each: &Each<'_>, found: Option<(usize, &Value)>) -> Result<Value, Fault> {
        match (each.function, found) {
            (_, None) => Ok(Value::Nil),
            (Builtin::FindIndex | Builtin::FindLastIndex, Some((index, _))) => Ok(int(index)),
            (_, Some((_, item))) => self.own(each.at, Cow::Borrowed(item)),
        }
    }

    fn reduce<'s>(&mut self, each: &Each<'s>, start: Option<Cow<'s, Value>>) -> Result<Value, Fault>
    where
        'r: 's,
    {
        let (mut accumulator, from) = match (start, each.items.first()) {
            (Some(start), _) => (self.own(each.at, start)?, 0),
            (None, Some(first)) => (self.own(each.at, Cow::Borrowed(first))?, 1),
            (None, None) => {
                return Err(Fault::new(
                    each.at,
                    "reduce: the list is empty and there is no start",
                ));
            }
        };
        for index in from..each.items.len() {
            accumulator = self.owned(each, index, Some(&accumulator))?;
        }
        Ok(accumulator)
    }

    fn group<'s>(&mut self, each: &Each<'s>) -> Result<Value, Fault>
    where
        'r: 's,
    {
        let mut groups: BTreeMap<Key, Vec<Value>> = BTreeMap::new();
        for (index, item) in each.items.iter().enumerate() {
            let key = self.owned(each, index, None)?;
            let Some(key) = Key::of(&key) else {
                let message = format!("groupBy: {} cannot be the key of a group", key.shortened_kind());
                return Err(Fault::new(each.at, message));
            };
            let item = self.own(each.at, Cow::Borrowed(item))?;
            groups.entry(key).or_default().push(item);
        }
        Ok(Value::Map(
            groups
                .into_iter()
                .map(|(key, items)| (key, Value::List(items)))
                .collect(),
        ))
    }

    fn sort<'s>(&mut self, each: &Each<'s>, order: Option<&Value>) -> Result<Value, Fault>
    where
        'r: 's,
    {
        let order = match order {
            None => Order::Ascending,
            Some(Value::String(name)) => Order::of(name, each.at)?,
            Some(other) => {
                let message = format!(
                    "sortBy: the order must be a string, got {}",
                    other.shortened_kind()
                );
                return Err(Fault::new(each.at, message));
            }
        };
        let mut pairs = Vec::new();
        for (index, item) in each.items.iter().enumerate() {
            let key = self.owned(each, index, None)?;
            pairs.push((key, self.own(each.at, Cow::Borrowed(item))?));
        }
        sorted(pairs, order, each.at, &mut self.budget).map(Value::List)
    }
}
