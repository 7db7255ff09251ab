//! The functions of the language: their names, how many arguments they take, and where they are computed.

mod lists;
mod maps;
mod numbers;
mod texts;
mod times;

use std::borrow::Cow;

use jiff::Timestamp;

use super::Fault;
use super::limits::Budget;
use super::operators;
use super::value::Value;

/// A function that an expression can call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    Abs,
    All,
    Any,
    AsFloat,
    AsInt,
    BitAnd,
    BitNand,
    BitNot,
    BitOr,
    BitShl,
    BitShr,
    BitUshr,
    BitXor,
    Ceil,
    Concat,
    Count,
    Date,
    Default,
    Duration,
    Filter,
    Find,
    FindIndex,
    FindLast,
    FindLastIndex,
    First,
    Flatten,
    Float,
    Floor,
    FromBase64,
    FromJson,
    FromPairs,
    Get,
    GroupBy,
    HasPrefix,
    HasSuffix,
    IndexOf,
    Int,
    IsInf,
    IsNan,
    IsNil,
    Join,
    Keys,
    Last,
    LastIndexOf,
    Len,
    Lower,
    Map,
    Max,
    Mean,
    Median,
    Min,
    None,
    Now,
    One,
    Reduce,
    Repeat,
    Replace,
    Reverse,
    Round,
    Sort,
    SortBy,
    Split,
    SplitAfter,
    String,
    Sum,
    Take,
    Timezone,
    ToBase64,
    ToJson,
    ToPairs,
    Trim,
    TrimPrefix,
    TrimSuffix,
    Type,
    Uniq,
    Upper,
    Values,
}

/// How a function is called.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) function: Builtin,
    /// The least and the greatest number of arguments.
    pub(super) arguments: (usize, usize),
    /// Whether the second argument is a predicate, evaluated for each element.
    pub(super) predicate: Predicate,
}

/// Whether a function takes a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predicate {
    No,
    Optional,
    Required,
}

const fn plain(name: &'static str, function: Builtin, min: usize, max: usize) -> Signature {
    Signature {
        name,
        function,
        arguments: (min, max),
        predicate: Predicate::No,
    }
}

const fn each(name: &'static str, function: Builtin, min: usize, max: usize) -> Signature {
    let predicate = if min == 1 {
        Predicate::Optional
    } else {
        Predicate::Required
    };
    Signature {
        name,
        function,
        arguments: (min, max),
        predicate,
    }
}

/// No bound on the number of arguments.
const MANY: usize = usize::MAX;

/// Every function, by name.
pub(super) const SIGNATURES: [Signature; 77] = [
    plain("abs", Builtin::Abs, 1, 1),
    each("all", Builtin::All, 2, 2),
    each("any", Builtin::Any, 2, 2),
    plain("asFloat", Builtin::AsFloat, 1, 1),
    plain("asInt", Builtin::AsInt, 1, 1),
    plain("bitand", Builtin::BitAnd, 2, 2),
    plain("bitnand", Builtin::BitNand, 2, 2),
    plain("bitnot", Builtin::BitNot, 1, 1),
    plain("bitor", Builtin::BitOr, 2, 2),
    plain("bitshl", Builtin::BitShl, 2, 2),
    plain("bitshr", Builtin::BitShr, 2, 2),
    plain("bitushr", Builtin::BitUshr, 2, 2),
    plain("bitxor", Builtin::BitXor, 2, 2),
    plain("ceil", Builtin::Ceil, 1, 1),
    plain("concat", Builtin::Concat, 1, MANY),
    each("count", Builtin::Count, 1, 2),
    plain("date", Builtin::Date, 1, 3),
    plain("default", Builtin::Default, 2, 2),
    plain("duration", Builtin::Duration, 1, 1),
    each("filter", Builtin::Filter, 2, 2),
    each("find", Builtin::Find, 2, 2),
    each("findIndex", Builtin::FindIndex, 2, 2),
    each("findLast", Builtin::FindLast, 2, 2),
    each("findLastIndex", Builtin::FindLastIndex, 2, 2),
    plain("first", Builtin::First, 1, 1),
    plain("flatten", Builtin::Flatten, 1, 1),
    plain("float", Builtin::Float, 1, 1),
    plain("floor", Builtin::Floor, 1, 1),
    plain("fromBase64", Builtin::FromBase64, 1, 1),
    plain("fromJSON", Builtin::FromJson, 1, 1),
    plain("fromPairs", Builtin::FromPairs, 1, 1),
    plain("get", Builtin::Get, 2, 2),
    each("groupBy", Builtin::GroupBy, 2, 2),
    plain("hasPrefix", Builtin::HasPrefix, 2, 2),
    plain("hasSuffix", Builtin::HasSuffix, 2, 2),
    plain("indexOf", Builtin::IndexOf, 2, 2),
    plain("int", Builtin::Int, 1, 1),
    plain("isInf", Builtin::IsInf, 1, 1),
    plain("isNaN", Builtin::IsNan, 1, 1),
    plain("isNil", Builtin::IsNil, 1, 1),
    plain("join", Builtin::Join, 1, 2),
    plain("keys", Builtin::Keys, 1, 1),
    plain("last", Builtin::Last, 1, 1),
    plain("lastIndexOf", Builtin::LastIndexOf, 2, 2),
    plain("len", Builtin::Len, 1, 1),
    plain("lower", Builtin::Lower, 1, 1),
    each("map", Builtin::Map, 2, 2),
    plain("max", Builtin::Max, 1, MANY),
    plain("mean", Builtin::Mean, 1, MANY),
    plain("median", Builtin::Median, 1, MANY),
    plain("min", Builtin::Min, 1, MANY),
    each("none", Builtin::None, 2, 2),
    plain("now", Builtin::Now, 0, 1),
    each("one", Builtin::One, 2, 2),
    each("reduce", Builtin::Reduce, 2, 3),
    plain("repeat", Builtin::Repeat, 2, 2),
    plain("replace", Builtin::Replace, 3, 4),
    plain("reverse", Builtin::Reverse, 1, 1),
    plain("round", Builtin::Round, 1, 1),
    plain("sort", Builtin::Sort, 1, 2),
    each("sortBy", Builtin::SortBy, 2, 3),
    plain("split", Builtin::Split, 2, 3),
    plain("splitAfter", Builtin::SplitAfter, 2, 3),
    plain("string", Builtin::String, 1, 1),
    each("sum", Builtin::Sum, 1, 2),
    plain("take", Builtin::Take, 2, 2),
    plain("timezone", Builtin::Timezone, 1, 1),
    plain("toBase64", Builtin::ToBase64, 1, 1),
    plain("toJSON", Builtin::ToJson, 1, 1),
    plain("toPairs", Builtin::ToPairs, 1, 1),
    plain("trim", Builtin::Trim, 1, 2),
    plain("trimPrefix", Builtin::TrimPrefix, 1, 2),
    plain("trimSuffix", Builtin::TrimSuffix, 1, 2),
    plain("type", Builtin::Type, 1, 1),
    plain("uniq", Builtin::Uniq, 1, 1),
    plain("upper", Builtin::Upper, 1, 1),
    plain("values", Builtin::Values, 1, 1),
];

/// The function of a name.
pub(super) fn find(name: &str) -> Option<&'static Signature> {
    SIGNATURES.iter().find(|signature| signature.name == name)
}

impl Builtin {
    /// How the function is written.
    pub(super) fn name(self) -> &'static str {
        SIGNATURES
            .iter()
            .find(|signature| signature.function == self)
            .map_or("", |signature| signature.name)
    }
}

impl Signature {
    /// Whether the function comes from the contract's environment, not from the language.
    pub(super) fn of_environment(&self) -> bool {
        self.needs_result() || matches!(self.function, Builtin::IsNan | Builtin::IsInf)
    }

    /// Whether the function is absent where there is no measurement (`rangeQuery`).
    pub(super) fn needs_result(&self) -> bool {
        matches!(
            self.function,
            Builtin::AsFloat | Builtin::AsInt | Builtin::Default | Builtin::IsNil
        )
    }
}

/// One call: the function's name, its place in the source, its evaluated arguments, and what it may cost.
pub(super) struct Call<'a, 'v> {
    pub(super) function: Builtin,
    pub(super) at: usize,
    pub(super) arguments: &'a [Cow<'v, Value>],
    pub(super) budget: &'a mut Budget,
    pub(super) now: Timestamp,
}

type Answer = Result<Value, Fault>;

impl Call<'_, '_> {
    fn len(&self) -> usize {
        self.arguments.len()
    }

    /// The argument at a position; the parser has checked their number.
    fn argument(&self, index: usize) -> &Value {
        self.arguments
            .get(index)
            .map_or(&Value::Nil, |argument| argument.as_ref())
    }

    fn fault(&self, message: impl std::fmt::Display) -> Fault {
        Fault::new(self.at, format!("{}: {message}", self.function.name()))
    }

    fn wants(&self, wanted: &str, found: &Value) -> Fault {
        self.fault(format_args!("expected {wanted}, got {}", found.shortened_kind()))
    }

    fn text(&self, index: usize) -> Result<&str, Fault> {
        match self.argument(index) {
            Value::String(text) => Ok(text),
            other => Err(self.wants("a string", other)),
        }
    }

    fn list(&self, index: usize) -> Result<&[Value], Fault> {
        match self.argument(index) {
            Value::List(items) => Ok(items),
            other => Err(self.wants("a list", other)),
        }
    }

    fn number(&self, index: usize) -> Result<f64, Fault> {
        let argument = self.argument(index);
        operators::number(argument).ok_or_else(|| self.wants("a number", argument))
    }

    fn whole(&self, index: usize) -> Result<i64, Fault> {
        match self.argument(index) {
            Value::Int(number) => Ok(*number),
            other => Err(self.wants("a whole number", other)),
        }
    }

    /// A copy of an argument, or of a part of one, paid for.
    fn copied(&mut self, value: &Value) -> Answer {
        self.budget.copy(self.at, value)?;
        Ok(value.clone())
    }

    /// Text as a value, paid for.
    fn made(&mut self, text: String) -> Answer {
        self.budget.text(self.at, text.len())?;
        Ok(Value::String(text))
    }
}

/// Computes a function that takes no predicate. `isNil` and `default` never come here: they need the measurement.
pub(super) fn call(call: &mut Call<'_, '_>) -> Answer {
    for index in 0..call.len() {
        call.budget.walk(
            call.at,
            call.arguments
                .get(index)
                .map_or(&Value::Nil, |argument| argument.as_ref()),
        )?;
    }
    match call.function {
        Builtin::Abs
        | Builtin::AsFloat
        | Builtin::AsInt
        | Builtin::BitAnd
        | Builtin::BitNand
        | Builtin::BitNot
        | Builtin::BitOr
        | Builtin::BitShl
        | Builtin::BitShr
        | Builtin::BitUshr
        | Builtin::BitXor
        | Builtin::Ceil
        | Builtin::Float
        | Builtin::Floor
        | Builtin::Int
        | Builtin::IsInf
        | Builtin::IsNan
        | Builtin::Max
        | Builtin::Mean
        | Builtin::Median
        | Builtin::Min
        | Builtin::Round => numbers::call(call),
        Builtin::FromBase64
        | Builtin::FromJson
        | Builtin::HasPrefix
        | Builtin::HasSuffix
        | Builtin::IndexOf
        | Builtin::Join
        | Builtin::LastIndexOf
        | Builtin::Lower
        | Builtin::Repeat
        | Builtin::Replace
        | Builtin::Split
        | Builtin::SplitAfter
        | Builtin::String
        | Builtin::ToBase64
        | Builtin::ToJson
        | Builtin::Trim
        | Builtin::TrimPrefix
        | Builtin::TrimSuffix
        | Builtin::Type
        | Builtin::Upper => texts::call(call),
        Builtin::Concat
        | Builtin::First
        | Builtin::Flatten
        | Builtin::Last
        | Builtin::Reverse
        | Builtin::Sort
        | Builtin::Take
        | Builtin::Uniq => lists::call(call),
        Builtin::FromPairs
        | Builtin::Get
        | Builtin::Keys
        | Builtin::Len
        | Builtin::ToPairs
        | Builtin::Values => maps::call(call),
        Builtin::Date | Builtin::Duration | Builtin::Now | Builtin::Timezone => times::call(call),
        Builtin::All
        | Builtin::Any
        | Builtin::Count
        | Builtin::Default
        | Builtin::Filter
        | Builtin::Find
        | Builtin::FindIndex
        | Builtin::FindLast
        | Builtin::FindLastIndex
        | Builtin::GroupBy
        | Builtin::IsNil
        | Builtin::Map
        | Builtin::None
        | Builtin::One
        | Builtin::Reduce
        | Builtin::SortBy
        | Builtin::Sum => Err(call.fault("cannot be called here")),
    }
}

pub(super) use lists::{Order, sorted};
pub(super) use times::{METHODS, method};
