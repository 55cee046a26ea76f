//! A filter meets a schema: names become columns, and every comparison is checked against the
//! type of its column.
//!
//! The bound tree knows fewer things than the syntax tree. Negations (`$ne`, `$nin`,
//! `$exists: false`, `$not`) are complements of positive checks, and a positive check never holds
//! for a missing value, so the meaning of nulls is decided here once and not in the kernels.

use std::collections::HashSet;

use arrow_schema::Schema;
use chrono::DateTime;

use super::field_type::{FieldType, Kind};
use super::literal::{Value, described, quoted};
use super::number::Number;
use super::path::{Path, advice};
use super::tree::{Compare, Node, Test};
use crate::{Error, Result};

/// A tree that says how to evaluate a filter on batches of one schema.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    /// The intersection; of nothing, every row.
    Every(Vec<Bound>),
    /// The union; of nothing, no row.
    Any(Vec<Bound>),
    Not(Box<Bound>),
    Column(Box<Column>),
}

/// A check of one column. It does not hold for missing values; for a list it holds if it does for
/// any element.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    pub field_type: FieldType,
    pub check: Check,
}

#[derive(Clone, Debug)]
pub(super) enum Check {
    /// There is a value, of whatever kind.
    Present,
    Boolean(bool),
    Number(Compare, Number),
    /// In nanoseconds since 1970, UTC.
    Instant(Compare, i128),
    Text(Compare, String),
    Part(String),
    /// Both in ascending order, so that columns of either kind can be looked up; the floats that
    /// are no integers are missing among the integers, and the other way around.
    AmongNumbers {
        integers: Vec<i128>,
        floats: Vec<f64>,
    },
    /// In nanoseconds, in ascending order.
    AmongInstants(Vec<i128>),
    AmongTexts(HashSet<String>),
}

/// Up to so many values of `$in` are compared one after the other, which Arrow's kernels do
/// faster than a search for every row.
const MAX_COMPARED_VALUES: usize = 8;

pub(super) fn bind(node: &Node, schema: &Schema) -> Result<Bound> {
    Binder { schema }.node(node, Path::ROOT)
}

struct Binder<'a> {
    schema: &'a Schema,
}

impl Binder<'_> {
    fn node(&self, node: &Node, path: Path<'_>) -> Result<Bound> {
        match node {
            Node::Object(parts) => {
                let parts = parts.iter().map(|part| self.node(part, path));
                Ok(Bound::Every(parts.collect::<Result<_>>()?))
            }
            Node::And(parts) => Ok(Bound::Every(self.nodes(parts, path.key("$and"))?)),
            Node::Or(parts) => Ok(Bound::Any(self.nodes(parts, path.key("$or"))?)),
            Node::Not(inner) => Ok(not(self.node(inner, path.key("$not"))?)),
            Node::Field { name, tests } => self.field(name, tests, path.key(name)),
        }
    }

    fn nodes(&self, nodes: &[Node], path: Path<'_>) -> Result<Vec<Bound>> {
        let nodes = nodes.iter().enumerate();
        nodes.map(|(index, node)| self.node(node, path.index(index))).collect()
    }

    fn field(&self, name: &str, tests: &[Test], path: Path<'_>) -> Result<Bound> {
        let Some((_, field)) = self.schema.column_with_name(name) else {
            let names: Vec<&str> =
                self.schema.fields().iter().map(|field| field.name().as_str()).collect();
            let what = format!("there is no field {}", quoted(name));
            return Err(path.error(what).advise(advice(name, &names, "fields")));
        };
        let Some(field_type) = FieldType::of(field.data_type()) else {
            let what = format!(
                "field {} has the type {}, which filters cannot read",
                quoted(name),
                field.data_type()
            );
            return Err(path.error(what));
        };
        let field = Field { name, field_type };
        match tests {
            // Written without an operator, so the place has none either.
            [Test::Compare(Compare::Eq, value)] => field.equal("$eq", value, path),
            _ => field.tests(tests, path),
        }
    }
}

#[derive(Clone, Copy)]
struct Field<'a> {
    name: &'a str,
    field_type: FieldType,
}

impl Field<'_> {
    fn tests(self, tests: &[Test], path: Path<'_>) -> Result<Bound> {
        let tests = tests.iter().map(|test| self.test(test, path.key(test.operator())));
        let mut tests: Vec<Bound> = tests.collect::<Result<_>>()?;
        Ok(match tests.pop() {
            Some(only) if tests.is_empty() => only,
            last => Bound::Every(tests.into_iter().chain(last).collect()),
        })
    }

    fn test(self, test: &Test, path: Path<'_>) -> Result<Bound> {
        let operator = test.operator();
        match test {
            Test::Compare(Compare::Eq, value) => self.equal(operator, value, path),
            Test::Compare(Compare::Ne, value) => Ok(not(self.equal(operator, value, path)?)),
            Test::Compare(compare, value) => self.ordered(*compare, value, path),
            Test::In(values) => self.among(operator, values, path),
            Test::Nin(values) => Ok(not(self.among(operator, values, path)?)),
            Test::Exists(true) => Ok(self.column(Check::Present)),
            Test::Exists(false) => Ok(self.missing()),
            Test::Contains(value) => self.contains(value, path),
            Test::Not(tests) => Ok(not(self.tests(tests, path)?)),
        }
    }

    fn equal(self, operator: &str, value: &Value, path: Path<'_>) -> Result<Bound> {
        if *value == Value::Null {
            return Ok(self.missing());
        }
        Ok(self.column(self.check(operator, Compare::Eq, value, path)?))
    }

    fn ordered(self, compare: Compare, value: &Value, path: Path<'_>) -> Result<Bound> {
        let operator = compare.operator();
        if self.field_type.kind == Kind::Boolean || matches!(value, Value::Boolean(_)) {
            let hint = "compare booleans with \"$eq\" or \"$ne\"";
            return Err(self.mismatch(operator, value, path).advise(hint));
        }
        Ok(self.column(self.check(operator, compare, value, path)?))
    }

    fn contains(self, value: &Value, path: Path<'_>) -> Result<Bound> {
        let check = match (self.field_type, value) {
            (FieldType { is_list: true, .. }, _) => {
                self.check("$contains", Compare::Eq, value, path)?
            }
            (FieldType { kind: Kind::Text, .. }, Value::Text(part)) => Check::Part(part.clone()),
            (FieldType { kind: Kind::Text, .. }, _) => {
                return Err(self.mismatch("$contains", value, path));
            }
            (field_type, _) => {
                let name = quoted(self.name);
                let what = format!("field {name} is {field_type}, which contains nothing");
                return Err(path.error(what).advise("\"$contains\" reads lists and strings"));
            }
        };
        Ok(self.column(check))
    }

    fn among(self, operator: &str, values: &[Value], path: Path<'_>) -> Result<Bound> {
        let mut parts = Vec::new();
        let mut checks = Vec::new();
        for (index, value) in values.iter().enumerate() {
            if *value == Value::Null {
                parts.push(self.missing());
            } else {
                checks.push(self.check(operator, Compare::Eq, value, path.index(index))?);
            }
        }
        parts.truncate(1);
        if checks.len() > MAX_COMPARED_VALUES {
            checks = gathered(checks);
        }
        parts.extend(checks.into_iter().map(|check| self.column(check)));
        Ok(Bound::Any(parts))
    }

    /// The comparison with a value of the field's type.
    fn check(
        self,
        operator: &str,
        compare: Compare,
        value: &Value,
        path: Path<'_>,
    ) -> Result<Check> {
        match (self.field_type.kind, value) {
            (Kind::Boolean, Value::Boolean(value)) => Ok(Check::Boolean(*value)),
            (Kind::Integer | Kind::Float, Value::Number(number)) => {
                Ok(Check::Number(compare, *number))
            }
            (Kind::Text, Value::Text(text)) => Ok(Check::Text(compare, text.clone())),
            (Kind::Timestamp, Value::Text(text)) => match instant_ns(text) {
                Some(instant) => Ok(Check::Instant(compare, instant)),
                None => Err(self.mismatch(operator, value, path).advise(TIMESTAMP_ADVICE)),
            },
            (Kind::Timestamp, Value::Number(_)) => {
                Err(self.mismatch(operator, value, path).advise(TIMESTAMP_ADVICE))
            }
            _ => Err(self.mismatch(operator, value, path)),
        }
    }

    fn mismatch(self, operator: &str, value: &Value, path: Path<'_>) -> Error {
        path.error(format!(
            "field {} is {}; {operator:?} was given {}",
            quoted(self.name),
            self.field_type,
            described(&value.to_json())
        ))
    }

    fn column(self, check: Check) -> Bound {
        let Self { name, field_type } = self;
        Bound::Column(Box::new(Column { name: name.to_owned(), field_type, check }))
    }

    fn missing(self) -> Bound {
        not(self.column(Check::Present))
    }
}

const TIMESTAMP_ADVICE: &str = "write a date, a time and an offset, such as \
    \"2024-05-01T12:00:00Z\"; numbers are refused because seconds, milliseconds and microseconds \
    look alike";

/// Nanoseconds since 1970 of RFC 3339 text; digits behind the ninth of a second are dropped.
fn instant_ns(text: &str) -> Option<i128> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos()))
}

/// Many checks for equality, all of one kind, as few that look values up.
fn gathered(checks: Vec<Check>) -> Vec<Check> {
    let (mut integers, mut floats) = (Vec::new(), Vec::new());
    let (mut instants, mut texts) = (Vec::new(), HashSet::new());
    let (mut has_true, mut has_false) = (false, false);
    for check in checks {
        match check {
            Check::Number(_, number) => {
                let (integer, float) = (number.floor(), number.floor_f64());
                integers.extend(integer.is_exact.then_some(integer.value));
                // Adding zero makes the two zeros one.
                floats.extend(float.is_exact.then_some(float.value + 0.0));
            }
            Check::Instant(_, instant) => instants.push(instant),
            Check::Text(_, text) => drop(texts.insert(text)),
            Check::Boolean(value) => *(if value { &mut has_true } else { &mut has_false }) = true,
            // Equality makes no others.
            _ => {}
        }
    }
    integers.sort_unstable();
    floats.sort_unstable_by(f64::total_cmp);
    instants.sort_unstable();
    let has_numbers = !(integers.is_empty() && floats.is_empty());
    let gathered = [
        has_numbers.then_some(Check::AmongNumbers { integers, floats }),
        (!instants.is_empty()).then_some(Check::AmongInstants(instants)),
        (!texts.is_empty()).then_some(Check::AmongTexts(texts)),
        has_true.then_some(Check::Boolean(true)),
        has_false.then_some(Check::Boolean(false)),
    ];
    gathered.into_iter().flatten().collect()
}

fn not(bound: Bound) -> Bound {
    match bound {
        Bound::Not(inner) => *inner,
        bound => Bound::Not(Box::new(bound)),
    }
}
