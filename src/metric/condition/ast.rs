//! The parsed form of an expression.

use regex::Regex;

use super::builtins::Builtin;
use super::value::Value;

/// A part of an expression and where it stands in the source, as a byte offset.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: usize,
    /// One more than the deepest child: bounds the recursion of everything that walks the tree.
    pub(super) depth: usize,
    pub(super) kind: Kind,
}

/// What a part of an expression does.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Literal(Value),
    /// The measurement under judgement.
    Result,
    /// A name declared by `let`.
    Variable(String),
    Pointer(Pointer),
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    /// `a < b < c`: each operand is evaluated once, each pair must hold.
    Compare(Box<Node>, Vec<(Comparison, Node)>),
    /// `matches` with a literal pattern, compiled when parsed.
    Matches(Box<Node>, Regex),
    Conditional(Box<Node>, Box<Node>, Box<Node>),
    /// `a ?: b`.
    Elvis(Box<Node>, Box<Node>),
    Member {
        base: Box<Node>,
        key: Box<Node>,
        optional: bool,
    },
    Method {
        base: Box<Node>,
        name: &'static Method,
        arguments: Vec<Node>,
        optional: bool,
    },
    /// Where a `?.` that meets nil stops: the whole chain is nil then.
    Chain(Box<Node>),
    Slice {
        base: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
    },
    Call(Builtin, Vec<Node>),
    /// `all(list, predicate)` and its like; `extra` is the order of `sortBy` or the start of `reduce`.
    Iterate {
        function: Builtin,
        list: Box<Node>,
        predicate: Option<Box<Node>>,
        extra: Option<Box<Node>>,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Let {
        name: String,
        value: Box<Node>,
        body: Box<Node>,
    },
    Sequence(Vec<Node>),
}

/// What `#`, `#index` and `#acc` stand for inside a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pointer {
    Item,
    Index,
    Accumulator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Minus,
    Plus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    In,
    Matches,
    Contains,
    StartsWith,
    EndsWith,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Coalesce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

/// A method of times or durations.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) name: &'static str,
    pub(super) arguments: usize,
}

impl Binary {
    /// How the operator is written, for messages.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::In => "in",
            Self::Matches => "matches",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Range => "..",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "**",
            Self::Coalesce => "??",
        }
    }
}

impl Comparison {
    /// How the operator is written, for messages.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::More => ">",
            Self::MoreOrEqual => ">=",
        }
    }
}
