//! What the functions yield.

use super::super::Fault;
use super::super::ast::Node;
use super::super::builtins::Builtin;
use super::Type;

/// What a call yields. The functions that take elements fail on what is known to have none.
pub(super) fn called(node: &Node, function: Builtin, arguments: &[Type]) -> Result<Type, Fault> {
    let wanted = match (function, arguments.first()) {
        (Builtin::First | Builtin::Last | Builtin::Get, Some(Type::List(_) | Type::Unknown) | None)
        | (Builtin::Get, Some(Type::Map)) => return Ok(Type::Unknown),
        (Builtin::First | Builtin::Last, _) => "a list",
        (Builtin::Get, _) => "a list or a map",
        _ => return Ok(returned(function, arguments)),
    };
    let found = arguments.first().map_or("nothing", Type::name);
    Err(Fault::new(
        node.at,
        format!("{}: expected {wanted}, got {found}", function.name()),
    ))
}

/// What a function without a predicate yields.
fn returned(function: Builtin, arguments: &[Type]) -> Type {
    match function {
        Builtin::Len
        | Builtin::Int
        | Builtin::AsInt
        | Builtin::IndexOf
        | Builtin::LastIndexOf
        | Builtin::BitAnd
        | Builtin::BitOr
        | Builtin::BitXor
        | Builtin::BitNand
        | Builtin::BitNot
        | Builtin::BitShl
        | Builtin::BitShr
        | Builtin::BitUshr => Type::Int,
        Builtin::Float
        | Builtin::AsFloat
        | Builtin::Ceil
        | Builtin::Floor
        | Builtin::Round
        | Builtin::Mean
        | Builtin::Median => Type::Float,
        Builtin::IsNan | Builtin::IsInf | Builtin::IsNil | Builtin::HasPrefix | Builtin::HasSuffix => {
            Type::Bool
        }
        Builtin::String
        | Builtin::Trim
        | Builtin::TrimPrefix
        | Builtin::TrimSuffix
        | Builtin::Upper
        | Builtin::Lower
        | Builtin::Replace
        | Builtin::Repeat
        | Builtin::Join
        | Builtin::Type
        | Builtin::ToJson
        | Builtin::ToBase64
        | Builtin::FromBase64 => Type::String,
        Builtin::Split | Builtin::SplitAfter => Type::List(Box::new(Type::String)),
        Builtin::Concat
        | Builtin::Flatten
        | Builtin::Reverse
        | Builtin::Uniq
        | Builtin::Sort
        | Builtin::Take
        | Builtin::Keys
        | Builtin::Values
        | Builtin::ToPairs => Type::List(Box::new(Type::Unknown)),
        Builtin::FromPairs => Type::Map,
        Builtin::Now | Builtin::Date => Type::Time,
        Builtin::Duration => Type::Duration,
        Builtin::Timezone => Type::Zone,
        Builtin::Abs => match arguments.first() {
            Some(number @ (Type::Int | Type::Float)) => number.clone(),
            _ => Type::Unknown,
        },
        // Elements of anything, or the measurement; and those with a predicate, which do not come here.
        Builtin::First
        | Builtin::Last
        | Builtin::Get
        | Builtin::Max
        | Builtin::Min
        | Builtin::FromJson
        | Builtin::Default
        | Builtin::All
        | Builtin::Any
        | Builtin::Count
        | Builtin::Filter
        | Builtin::Find
        | Builtin::FindIndex
        | Builtin::FindLast
        | Builtin::FindLastIndex
        | Builtin::GroupBy
        | Builtin::Map
        | Builtin::None
        | Builtin::One
        | Builtin::Reduce
        | Builtin::SortBy
        | Builtin::Sum => Type::Unknown,
    }
}
