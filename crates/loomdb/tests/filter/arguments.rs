//! Random batches and random filters on them, full of values at which comparisons go wrong.

use arrow_array::{ArrayRef, RecordBatch};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value as Json, json};

use crate::oracle::{Row, TIMES};
use crate::table::{Cell, Column, array, batch};

/// The fields of every batch; `late` is in the schema, but in no batch.
pub const FIELDS: [&str; 8] = ["flag", "n", "x", "s", "a.b", "at", "tags", "scores"];

/// A batch that is a slice of a longer one, and its rows once more for the oracle.
#[derive(Clone, Debug)]
pub struct Table {
    pub batch: RecordBatch,
    pub rows: Vec<Row>,
}

/// The types that the columns of a batch may have, in the order of `FIELDS`.
const TYPES: [&[Column]; 8] = [
    &[Column::Boolean],
    &[Column::Int8, Column::Int32, Column::Int64, Column::UInt16, Column::UInt64],
    &[Column::Float32, Column::Float64],
    &[Column::Text, Column::LargeText, Column::TextView],
    &[Column::Text],
    &[Column::Second, Column::Millisecond, Column::Microsecond, Column::Nanosecond],
    &[Column::Texts, Column::LargeTexts],
    &[Column::Integers],
];

const TEXTS: [&str; 12] =
    ["", "a", "ab", "b", "B", "\"q\"", "\\", "\u{e9}", "e\u{301}", "\u{1f600}", "\u{ffff}", "en"];

pub fn table() -> impl Strategy<Value = Table> {
    let types = TYPES.map(|types| select(types.to_vec()));
    (types, 0..24_usize, 0..9_usize).prop_flat_map(|(types, rows, before)| {
        let columns = types.map(|column| prop::collection::vec(cell(column), rows + before + 3));
        columns.prop_map(move |columns| {
            let arrays: Vec<(&str, ArrayRef)> = FIELDS
                .iter()
                .zip(types.iter().zip(&columns))
                .map(|(name, (column, cells))| (*name, array(*column, cells)))
                .collect();
            let row = |row: usize| {
                FIELDS
                    .iter()
                    .zip(&columns)
                    .map(move |(name, cells)| (name.to_string(), cells[row].clone()))
            };
            let slice = (before..before + rows).map(|index| row(index).collect()).collect();
            Table { batch: batch(arrays).slice(before, rows), rows: slice }
        })
    })
}

pub fn cell(column: Column) -> BoxedStrategy<Cell> {
    let value = match column {
        Column::Boolean => any::<bool>().prop_map(Cell::Boolean).boxed(),
        Column::Int8 => integer_cell(i8::MIN.into(), i8::MAX.into()),
        Column::Int32 => integer_cell(i32::MIN.into(), i32::MAX.into()),
        Column::Int64 => integer_cell(i64::MIN.into(), i64::MAX.into()),
        Column::UInt16 => integer_cell(0, u16::MAX.into()),
        Column::UInt64 => integer_cell(0, u64::MAX.into()),
        Column::Float32 => float().prop_map(|value| Cell::Float(f64::from(value as f32))).boxed(),
        Column::Float64 => float().prop_map(Cell::Float).boxed(),
        Column::Text | Column::LargeText | Column::TextView => text().prop_map(Cell::Text).boxed(),
        Column::Second => time_cell(1_000_000_000),
        Column::Millisecond => time_cell(1_000_000),
        Column::Microsecond => time_cell(1_000),
        Column::Nanosecond => time_cell(1),
        Column::Texts | Column::LargeTexts => list_cell(text().prop_map(Cell::Text).boxed()),
        Column::Integers => list_cell(integer_cell(i64::MIN.into(), i64::MAX.into())),
    };
    prop_oneof![1 => Just(Cell::Null), 4 => value].boxed()
}

fn list_cell(element: BoxedStrategy<Cell>) -> BoxedStrategy<Cell> {
    let element = prop_oneof![1 => Just(Cell::Null), 5 => element];
    prop::collection::vec(element, 0..4).prop_map(Cell::List).boxed()
}

fn integer_cell(low: i128, high: i128) -> BoxedStrategy<Cell> {
    integer().prop_map(move |value| Cell::Integer(value.clamp(low, high))).boxed()
}

fn time_cell(unit: i128) -> BoxedStrategy<Cell> {
    (select(TIMES.to_vec()), -1..=1_i128)
        .prop_map(move |((_, time), step)| {
            let ticks = time.div_euclid(unit) + step;
            let ticks = ticks.clamp(i64::MIN.into(), i64::MAX.into());
            Cell::Time(ticks as i64, unit)
        })
        .boxed()
}

/// Integers of 64 bits with or without a sign, mostly near to where something ends.
fn integer() -> impl Strategy<Value = i128> {
    let ends = [0, 3, 127, 1 << 16, 1 << 24, 1 << 31, 1 << 53, 1 << 63, 1 << 64];
    let near_end = (select(ends.to_vec()), -2..=2_i128, any::<bool>())
        .prop_map(|(end, step, is_negative)| if is_negative { step - end } else { end + step });
    near_end.prop_map(|value: i128| value.clamp(i64::MIN.into(), u64::MAX.into()))
}

fn float() -> impl Strategy<Value = f64> {
    let special = select(vec![
        0.0,
        -0.0,
        f64::NAN,
        -f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::from_bits(1),
        -f64::from_bits(1),
        f64::from(f32::MAX),
        1e39,
        f64::MAX,
        f64::MIN,
        0.1,
        f64::from(0.1_f32),
        3.5,
        -2.5,
    ]);
    let near_integer = (integer(), -1..=1_i32).prop_map(|(value, step)| match step {
        -1 => (value as f64).next_down(),
        1 => (value as f64).next_up(),
        _ => value as f64,
    });
    prop_oneof![3 => special, 3 => near_integer, 1 => any::<f64>()]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(TEXTS.to_vec()).prop_map(str::to_owned), 1 => "[ab\"e]{0,4}"]
}

/// Filters that can be bound to the batches above.
pub fn filter() -> impl Strategy<Value = Json> {
    let number = number().boxed();
    let elements = conditions("scores", number, &ORDER_AND_CONTAINS);
    filter_on(prop_oneof![8 => stored_field(), 1 => elements].boxed())
}

/// Filters on the fields that a collection can have.
pub fn stored_filter() -> impl Strategy<Value = Json> {
    filter_on(stored_field().boxed())
}

fn filter_on(field: BoxedStrategy<(String, Json)>) -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![1 => Just(json!({})), 12 => object(vec![field.clone(); 2])];
    leaf.prop_recursive(4, 24, 3, move |inner| {
        let some = || prop::collection::vec(inner.clone(), 0..4);
        let and = some().prop_map(|parts| ("$and".to_owned(), Json::from(parts)));
        let or = some().prop_map(|parts| ("$or".to_owned(), Json::from(parts)));
        let not = inner.clone().prop_map(|inner| ("$not".to_owned(), inner));
        object(vec![and.boxed(), or.boxed(), not.boxed(), field.clone()])
    })
}

/// An object of one or several of these entries.
fn object(entries: Vec<BoxedStrategy<(String, Json)>>) -> impl Strategy<Value = Json> {
    let most = entries.len();
    let entry = prop::strategy::Union::new(entries);
    prop::collection::vec(entry, 1..=most)
        .prop_map(|entries| Json::Object(entries.into_iter().collect::<Map<_, _>>()))
}

fn stored_field() -> impl Strategy<Value = (String, Json)> {
    let number = || number().boxed();
    let string = || text().prop_map(Json::from).boxed();
    let time = || select(TIMES.to_vec()).prop_map(|(text, _)| Json::from(text)).boxed();
    let boolean = || any::<bool>().prop_map(Json::from).boxed();
    prop_oneof![
        conditions("flag", boolean(), &[]),
        conditions("n", number(), &ORDER),
        conditions("x", number(), &ORDER),
        conditions("s", string(), &ORDER_AND_CONTAINS),
        conditions("a.b", string(), &ORDER_AND_CONTAINS),
        conditions("at", time(), &ORDER),
        conditions("tags", string(), &ORDER_AND_CONTAINS),
        conditions("late", number(), &ORDER),
    ]
}

const ORDER: [&str; 4] = ["$gt", "$gte", "$lt", "$lte"];
const ORDER_AND_CONTAINS: [&str; 5] = ["$gt", "$gte", "$lt", "$lte", "$contains"];

fn number() -> impl Strategy<Value = Json> {
    let integer = integer().prop_map(|value| match u64::try_from(value) {
        Ok(value) => Json::from(value),
        Err(_) => Json::from(value as i64),
    });
    let finite = float().prop_filter("finite", |value| value.is_finite());
    prop_oneof![integer, finite.prop_map(Json::from)]
}

/// One field with one plain value or with several conditions on values.
fn conditions(
    name: &'static str,
    value: BoxedStrategy<Json>,
    operators: &'static [&'static str],
) -> BoxedStrategy<(String, Json)> {
    let nullable = prop_oneof![1 => Just(Json::Null), 6 => value.clone()].boxed();
    let list = prop::collection::vec(nullable.clone(), 0..14).prop_map(Json::from);
    let equal = (select(vec!["$eq", "$ne"]), nullable.clone());
    let among = (select(vec!["$in", "$nin"]), list);
    let exists = (Just("$exists"), any::<bool>().prop_map(Json::from));
    let mut tests = vec![equal.boxed(), among.boxed(), exists.boxed()];
    if !operators.is_empty() {
        let compare = (select(operators.to_vec()), value).boxed();
        tests.extend([compare.clone(), compare]);
    }
    let tests = prop::strategy::Union::new(tests).prop_map(|(key, json)| (key.to_owned(), json));
    let plain = object(vec![tests.clone().boxed(); 3]).boxed();
    let negated = plain.clone().prop_map(|tests| ("$not".to_owned(), tests));
    let some = object(vec![tests.boxed(), negated.boxed()]);
    prop_oneof![2 => nullable, 3 => plain, 1 => some]
        .prop_map(|json| (name.to_owned(), json))
        .boxed()
}
