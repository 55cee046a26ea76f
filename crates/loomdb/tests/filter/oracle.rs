//! What a filter means, told by reading its JSON anew for every row.
//!
//! Nothing here is shared with the library, and nothing is fast: numbers are compared by their
//! integer parts and then their fractions, times are looked up in a table written by hand.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::table::Cell;

/// Timestamps as filters write them, and the nanoseconds since 1970 that they stand for.
pub const TIMES: [(&str, i128); 9] = [
    ("1970-01-01T00:00:00Z", 0),
    ("1969-12-31T19:00:00-05:00", 0),
    ("1969-12-31T23:59:59.999999999Z", -1),
    ("1969-12-31t23:59:58.5z", -1_500_000_000),
    ("2024-02-29T10:00:00Z", 1_709_200_800_000_000_000),
    ("2024-02-29T12:00:00.000001+02:00", 1_709_200_800_000_001_000),
    ("2024-02-29T10:00:00.0000005Z", 1_709_200_800_000_000_500),
    ("0001-01-01T00:00:00Z", -62_135_596_800_000_000_000),
    ("9999-12-31T23:59:59Z", 253_402_300_799_000_000_000),
];

pub type Row = BTreeMap<String, Cell>;

pub fn matches(filter: &Json, row: &Row) -> bool {
    filter.as_object().unwrap().iter().all(|(key, value)| match key.as_str() {
        "$and" => value.as_array().unwrap().iter().all(|part| matches(part, row)),
        "$or" => value.as_array().unwrap().iter().any(|part| matches(part, row)),
        "$not" => !matches(value, row),
        field => field_matches(row.get(field).unwrap_or(&Cell::Null), value),
    })
}

fn field_matches(cell: &Cell, condition: &Json) -> bool {
    match condition {
        Json::Object(tests) => tests.iter().all(|(operator, value)| test(cell, operator, value)),
        value => equals(cell, value),
    }
}

fn test(cell: &Cell, operator: &str, value: &Json) -> bool {
    let among = || value.as_array().unwrap().iter().any(|value| equals(cell, value));
    match operator {
        "$eq" => equals(cell, value),
        "$ne" => !equals(cell, value),
        "$in" => among(),
        "$nin" => !among(),
        "$gt" => any(cell, |cell| order(cell, value) == Some(Ordering::Greater)),
        "$lt" => any(cell, |cell| order(cell, value) == Some(Ordering::Less)),
        "$gte" => any(cell, |cell| order(cell, value).is_some_and(|order| order != Ordering::Less)),
        "$lte" => {
            any(cell, |cell| order(cell, value).is_some_and(|order| order != Ordering::Greater))
        }
        "$exists" => value.as_bool().unwrap() != (*cell == Cell::Null),
        "$contains" => match cell {
            Cell::Text(text) => text.find(value.as_str().unwrap()).is_some(),
            cell => equals(cell, value),
        },
        "$not" => !field_matches(cell, value),
        other => panic!("{other}"),
    }
}

fn equals(cell: &Cell, value: &Json) -> bool {
    if value.is_null() {
        return *cell == Cell::Null;
    }
    any(cell, |cell| order(cell, value) == Some(Ordering::Equal))
}

/// For a list, whether it holds for an element.
fn any(cell: &Cell, holds: impl Fn(&Cell) -> bool) -> bool {
    match cell {
        Cell::List(elements) => elements.iter().any(holds),
        cell => holds(cell),
    }
}

/// How a single value compares with a literal; not at all if one of them is missing or NaN.
fn order(cell: &Cell, value: &Json) -> Option<Ordering> {
    match (cell, value) {
        (Cell::Boolean(cell), Json::Bool(value)) => Some(cell.cmp(value)),
        (Cell::Text(cell), Json::String(value)) => Some(cell.chars().cmp(value.chars())),
        (Cell::Time(ticks, unit), Json::String(value)) => {
            let (_, time) = TIMES.iter().find(|(text, _)| text == value).unwrap();
            Some((i128::from(*ticks) * unit).cmp(time))
        }
        (Cell::Integer(cell), Json::Number(value)) => match value.as_i128() {
            Some(value) => Some(cell.cmp(&value)),
            None => exact_order(*cell, value.as_f64().unwrap()),
        },
        (Cell::Float(cell), Json::Number(value)) => match value.as_i128() {
            Some(value) => exact_order(value, *cell).map(Ordering::reverse),
            None => cell.partial_cmp(&value.as_f64().unwrap()),
        },
        _ => None,
    }
}

fn exact_order(integer: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float.abs() > 1e30 {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = float.trunc();
    let fraction = float - whole;
    Some(integer.cmp(&(whole as i128)).then(0.0.partial_cmp(&fraction)?))
}
