//! Filters written in Rust.

use std::ops;

use super::literal::{Literal, Value};
use super::tree::{Compare, Limit, Node, Test};
use super::{Filter, Refusal};

impl Filter {
    /// Every row, as `{}` in JSON.
    pub fn all() -> Self {
        Self(Ok(Node::Object(Vec::new())))
    }

    /// The field has this value; a list has it among its elements. `None` is a missing value.
    pub fn eq(field: impl Into<String>, value: impl Into<Literal>) -> Self {
        Self::compare(field, Compare::Eq, value)
    }

    /// The complement of [`Filter::eq`], so a missing value matches.
    pub fn ne(field: impl Into<String>, value: impl Into<Literal>) -> Self {
        Self::compare(field, Compare::Ne, value)
    }

    /// The field is greater.
    pub fn gt(field: impl Into<String>, value: impl Into<Literal>) -> Self {
        Self::compare(field, Compare::Gt, value)
    }

    /// The field is greater or equal.
    pub fn gte(field: impl Into<String>, value: impl Into<Literal>) -> Self {
        Self::compare(field, Compare::Gte, value)
    }

    /// The field is less.
    pub fn lt(field: impl Into<String>, value: impl Into<Literal>) -> Self {
        Self::compare(field, Compare::Lt, value)
    }

    /// The field is less or equal.
    pub fn lte(field: impl Into<String>, value: impl Into<Literal>) -> Self {
        Self::compare(field, Compare::Lte, value)
    }

    /// The field has one of these values.
    pub fn is_in<T: Into<Literal>>(
        field: impl Into<String>,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        Self::field(
            field.into(),
            Test::In(values.into_iter().map(|value| value.into().0).collect()),
        )
    }

    /// The complement of [`Filter::is_in`], so a missing value matches.
    pub fn not_in<T: Into<Literal>>(
        field: impl Into<String>,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let values = values.into_iter().map(|value| value.into().0).collect();
        Self::field(field.into(), Test::Nin(values))
    }

    /// The field has a value.
    pub fn exists(field: impl Into<String>) -> Self {
        Self::field(field.into(), Test::Exists(true))
    }

    /// The field has no value.
    pub fn missing(field: impl Into<String>) -> Self {
        Self::field(field.into(), Test::Exists(false))
    }

    /// A list has this element, or a text this part.
    pub fn contains(field: impl Into<String>, value: impl Into<Literal>) -> Self {
        Self::field(field.into(), Test::Contains(value.into().0))
    }

    /// Both match.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.combine(other, |left, right| match left {
            // Long chains stay flat, so that they do not run into the limit of the depth.
            Node::And(mut parts) => {
                parts.push(right);
                Node::And(parts)
            }
            left => Node::And(vec![left, right]),
        })
    }

    /// At least one of the two matches.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.combine(other, |left, right| match left {
            Node::Or(mut parts) => {
                parts.push(right);
                Node::Or(parts)
            }
            left => Node::Or(vec![left, right]),
        })
    }

    fn compare(field: impl Into<String>, compare: Compare, value: impl Into<Literal>) -> Self {
        Self::field(field.into(), Test::Compare(compare, value.into().0))
    }

    fn field(name: String, test: Test) -> Self {
        if name.starts_with('$') {
            return Self(Err(Refusal::FieldName));
        }
        let values = match &test {
            Test::Compare(_, value) | Test::Contains(value) => std::slice::from_ref(value),
            Test::In(values) | Test::Nin(values) => values,
            Test::Exists(_) | Test::Not(_) => &[],
        };
        if !values.iter().all(is_finite) {
            return Self(Err(Refusal::NotFinite));
        }
        Self::within_limits(Node::Field { name, tests: vec![test] })
    }

    fn combine(self, other: Self, join: impl FnOnce(Node, Node) -> Node) -> Self {
        match (self.0, other.0) {
            (Ok(left), Ok(right)) => Self::within_limits(join(left, right)),
            (Err(refusal), _) | (_, Err(refusal)) => Self(Err(refusal)),
        }
    }

    /// Trees are bounded as they grow, because everything that walks one recurses.
    fn within_limits(node: Node) -> Self {
        let check = node.size().check();
        Self(check.map(|()| node).map_err(|limit: Limit| Refusal::Limit(limit)))
    }
}

impl ops::Not for Filter {
    type Output = Self;

    /// Every row that this filter does not match.
    fn not(self) -> Self {
        match self.0 {
            Ok(node) => Self::within_limits(Node::Not(Box::new(node))),
            Err(refusal) => Self(Err(refusal)),
        }
    }
}

fn is_finite(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_finite(),
        Value::Null | Value::Boolean(_) | Value::Text(_) => true,
    }
}
