//! The syntax tree of a filter.
//!
//! It mirrors the JSON, so that a filter is printed as it was written and an error can say where
//! it stands. What a filter means is decided when it is bound to a schema.

use super::literal::Value;
use crate::limits::{MAX_FILTER_DEPTH, MAX_FILTER_NODES, MAX_FILTER_VALUES};

/// A filter, or a part of one that could stand alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// The keys of one object, all of which must hold: none of them, or at least two.
    Object(Vec<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// All tests of one field must hold; there is at least one.
    Field {
        name: String,
        tests: Vec<Test>,
    },
}

/// What the value of a field must be like.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    Compare(Compare, Value),
    In(Vec<Value>),
    Nin(Vec<Value>),
    Exists(bool),
    Contains(Value),
    Not(Vec<Test>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
}

/// The operators that stand where a field can stand.
pub(super) const CONNECTIVES: [&str; 3] = ["$and", "$or", "$not"];

/// The operators that stand under a field. Of two that are equally near to a misspelled name the
/// first is suggested, so `$ge` leads to `$gte`.
pub(super) const OPERATORS: [&str; 11] =
    ["$eq", "$gte", "$gt", "$lte", "$lt", "$ne", "$in", "$nin", "$exists", "$contains", "$not"];

impl Compare {
    pub(super) const ALL: [Self; 6] =
        [Self::Eq, Self::Ne, Self::Gt, Self::Gte, Self::Lt, Self::Lte];

    pub(super) fn operator(self) -> &'static str {
        match self {
            Self::Eq => "$eq",
            Self::Ne => "$ne",
            Self::Gt => "$gt",
            Self::Gte => "$gte",
            Self::Lt => "$lt",
            Self::Lte => "$lte",
        }
    }

    pub(super) fn from_operator(operator: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compare| compare.operator() == operator)
    }
}

impl Test {
    pub(super) fn operator(&self) -> &'static str {
        match self {
            Self::Compare(compare, _) => compare.operator(),
            Self::In(_) => "$in",
            Self::Nin(_) => "$nin",
            Self::Exists(_) => "$exists",
            Self::Contains(_) => "$contains",
            Self::Not(_) => "$not",
        }
    }
}

/// How large a filter is, in the terms of the limits.
///
/// A level is a field or a connective, also an inner `$not`; a node is a condition or a connective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub depth: usize,
    pub nodes: usize,
    pub values: usize,
}

/// A limit that a filter breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Depth,
    Nodes,
    Values,
}

impl Limit {
    pub(super) fn message(self) -> String {
        match self {
            Self::Depth => format!("it is nested deeper than {MAX_FILTER_DEPTH} levels"),
            Self::Nodes => format!("it has more than {MAX_FILTER_NODES} conditions"),
            Self::Values => format!("its lists have more than {MAX_FILTER_VALUES} values"),
        }
    }

    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Depth => "write it flatter, or split it into several filters",
            Self::Nodes => "use \"$in\" for many values of one field",
            Self::Values => "split it into several filters",
        }
    }
}

impl Size {
    /// The limit that is broken, if one is.
    pub(super) fn check(self) -> Result<(), Limit> {
        let limits = [
            (self.depth, MAX_FILTER_DEPTH, Limit::Depth),
            (self.nodes, MAX_FILTER_NODES, Limit::Nodes),
            (self.values, MAX_FILTER_VALUES, Limit::Values),
        ];
        let broken = limits.into_iter().find(|(size, most, _)| size > most);
        broken.map_or(Ok(()), |(_, _, limit)| Err(limit))
    }

    /// Two things side by side.
    fn beside(self, other: Self) -> Self {
        Self {
            depth: self.depth.max(other.depth),
            nodes: self.nodes + other.nodes,
            values: self.values + other.values,
        }
    }

    /// One node around what is inside it.
    fn enclosed(self) -> Self {
        Self { depth: self.depth + 1, nodes: self.nodes + 1, ..self }
    }
}

impl Node {
    pub(super) fn size(&self) -> Size {
        match self {
            Self::Object(parts) if parts.is_empty() => Size::default().enclosed(),
            Self::Object(parts) => beside(parts.iter().map(Self::size)),
            Self::And(parts) | Self::Or(parts) => beside(parts.iter().map(Self::size)).enclosed(),
            Self::Not(inner) => inner.size().enclosed(),
            Self::Field { tests, .. } => beside(tests.iter().map(Test::size)),
        }
    }
}

impl Test {
    fn size(&self) -> Size {
        match self {
            Self::In(values) | Self::Nin(values) => {
                Size { values: values.len(), ..Size::default() }.enclosed()
            }
            Self::Not(tests) => beside(tests.iter().map(Self::size)).enclosed(),
            Self::Compare(..) | Self::Exists(_) | Self::Contains(_) => Size::default().enclosed(),
        }
    }
}

fn beside(sizes: impl Iterator<Item = Size>) -> Size {
    sizes.fold(Size::default(), Size::beside)
}
