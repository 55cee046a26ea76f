//! One test for each meaning that the documentation of the filters defines.

use std::sync::Arc;

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, NullArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use loomdb::{ErrorKind, Filter};

use crate::table::{Cell, Column, array, batch, matching};

fn one(column: Column, cells: &[Cell]) -> RecordBatch {
    batch(vec![("f", array(column, cells))])
}

fn integers(values: &[i128]) -> Vec<Cell> {
    values.iter().map(|value| Cell::Integer(*value)).collect()
}

fn floats(values: &[f64]) -> Vec<Cell> {
    values.iter().map(|value| Cell::Float(*value)).collect()
}

fn texts(values: &[&str]) -> Vec<Cell> {
    values.iter().map(|value| Cell::Text((*value).to_owned())).collect()
}

/// Every filter with the rows that it matches.
fn check(batch: &RecordBatch, cases: &[(&str, &[usize])]) {
    for (filter, rows) in cases {
        assert_eq!(matching(filter, batch), *rows, "{filter}");
    }
}

#[test]
fn nulls_match_null_and_negations_and_nothing_else() {
    let cells = [Cell::Integer(1), Cell::Null, Cell::Integer(2)];
    let cases: [(&str, &[usize]); 16] = [
        (r#"{"f": null}"#, &[1]),
        (r#"{"f": {"$eq": null}}"#, &[1]),
        (r#"{"f": {"$ne": null}}"#, &[0, 2]),
        (r#"{"f": {"$exists": false}}"#, &[1]),
        (r#"{"f": {"$exists": true}}"#, &[0, 2]),
        (r#"{"f": 1}"#, &[0]),
        (r#"{"f": {"$ne": 1}}"#, &[1, 2]),
        (r#"{"f": {"$in": [1, 2]}}"#, &[0, 2]),
        (r#"{"f": {"$in": [1, null]}}"#, &[0, 1]),
        (r#"{"f": {"$nin": [1]}}"#, &[1, 2]),
        (r#"{"f": {"$nin": [1, null]}}"#, &[2]),
        (r#"{"f": {"$gte": -1e300}}"#, &[0, 2]),
        (r#"{"f": {"$lt": 2}}"#, &[0]),
        (r#"{"f": {"$not": {"$lt": 2}}}"#, &[1, 2]),
        (r#"{"$not": {"f": {"$gt": 0}}}"#, &[1]),
        (r#"{"$not": {"$not": {"f": {"$gt": 0}}}}"#, &[0, 2]),
    ];
    check(&one(Column::Int64, &cells), &cases);
}

/// A field can come up after a batch was written; its values are missing there.
#[test]
fn a_column_that_a_batch_lacks_is_missing_in_every_row() {
    let batch = one(Column::Int64, &integers(&[1, 2]));
    let nulls = self::batch(vec![("late", Arc::new(NullArray::new(2)) as ArrayRef)]);
    let schema = Schema::new(vec![Field::new("late", DataType::Utf8, true)]);
    for (filter, rows) in
        [(r#"{"late": "x"}"#, 0), (r#"{"late": null}"#, 2), (r#"{"late": {"$ne": "x"}}"#, 2)]
    {
        let bound = filter.parse::<Filter>().unwrap().bind(&schema).unwrap();
        assert_eq!(bound.evaluate(&batch).unwrap().count_set_bits(), rows, "{filter}");
        assert_eq!(bound.evaluate(&nulls).unwrap().count_set_bits(), rows, "{filter}");
    }
}

/// Batches may be narrower than the schema, but not of another kind.
#[test]
fn a_batch_may_have_narrower_columns_than_the_schema() {
    let schema = Schema::new(vec![Field::new("f", DataType::Float64, true)]);
    let filter = r#"{"f": {"$in": [1, 2.5, 3, 4, 5, 6, 7, 8, 9]}}"#;
    let bound = filter.parse::<Filter>().unwrap().bind(&schema).unwrap();
    let found = bound.evaluate(&one(Column::Int8, &integers(&[0, 1, 2, 3]))).unwrap();
    assert_eq!(found.set_indices().collect::<Vec<_>>(), [1, 3]);
    let error = bound.evaluate(&one(Column::Text, &texts(&["x"]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let expected = "the column \"f\" holds Utf8, but the filter was bound to a float; \
        bind the filter to the schema of the batch";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn booleans_equal_booleans() {
    let cells = [Cell::Boolean(true), Cell::Boolean(false), Cell::Null];
    let cases: [(&str, &[usize]); 5] = [
        (r#"{"f": true}"#, &[0]),
        (r#"{"f": false}"#, &[1]),
        (r#"{"f": {"$ne": true}}"#, &[1, 2]),
        (r#"{"f": {"$in": [true, false]}}"#, &[0, 1]),
        (r#"{"f": {"$in": [true, true, true, true, true, true, true, true, true]}}"#, &[0]),
    ];
    check(&one(Column::Boolean, &cells), &cases);
}

/// 2^53 + 1 is the first integer that a float cannot express.
#[test]
fn integers_and_floats_are_compared_exactly() {
    let power = 1_i128 << 53;
    let cells = integers(&[power - 1, power, power + 1, power + 2]);
    let cases: [(&str, &[usize]); 6] = [
        (r#"{"f": 9007199254740993}"#, &[2]),
        (r#"{"f": 9007199254740992.0}"#, &[1]),
        (r#"{"f": {"$gt": 9007199254740992.0}}"#, &[2, 3]),
        (r#"{"f": {"$lte": 9007199254740992.0}}"#, &[0, 1]),
        (r#"{"f": {"$gte": 9007199254740993}}"#, &[2, 3]),
        (r#"{"f": {"$in": [9007199254740992.0, 0,0,0,0,0,0,0,0,0]}}"#, &[1]),
    ];
    check(&one(Column::Int64, &cells), &cases);
    // The nearest float to 2^53 + 3 is above it, and must not be left out.
    let batch = one(Column::Float64, &floats(&[(power + 2) as f64, (power + 4) as f64]));
    check(&batch, &[(r#"{"f": {"$gte": 9007199254740995}}"#, &[1])]);
    let cells = floats(&[(power - 1) as f64, power as f64, (power + 2) as f64]);
    let cases: [(&str, &[usize]); 5] = [
        (r#"{"f": 9007199254740993}"#, &[]),
        (r#"{"f": {"$gt": 9007199254740993}}"#, &[2]),
        (r#"{"f": {"$lt": 9007199254740993}}"#, &[0, 1]),
        (r#"{"f": {"$ne": 9007199254740993}}"#, &[0, 1, 2]),
        (r#"{"f": {"$in": [9007199254740993, 0,0,0,0,0,0,0,0,0]}}"#, &[]),
    ];
    check(&one(Column::Float64, &cells), &cases);
}

#[test]
fn fractions_lie_between_integers() {
    let cases: [(&str, &[usize]); 6] = [
        (r#"{"f": 3.5}"#, &[]),
        (r#"{"f": {"$gt": 3.5}}"#, &[2]),
        (r#"{"f": {"$gte": 3.5}}"#, &[2]),
        (r#"{"f": {"$lt": 3.5}}"#, &[0, 1]),
        (r#"{"f": {"$lte": -3.5}}"#, &[0]),
        (r#"{"f": 3.0}"#, &[1]),
    ];
    check(&one(Column::Int32, &integers(&[-4, 3, 4])), &cases);
}

#[test]
fn literals_out_of_range_equal_nothing_and_are_ordered() {
    let cases: [(&str, &[usize]); 8] = [
        (r#"{"f": 18446744073709551615}"#, &[2]),
        (r#"{"f": {"$gt": 9223372036854775807}}"#, &[1, 2]),
        (r#"{"f": {"$gte": -1}}"#, &[0, 1, 2]),
        (r#"{"f": {"$lt": -1}}"#, &[]),
        (r#"{"f": {"$lt": 1e300}}"#, &[0, 1, 2]),
        (r#"{"f": {"$gt": 18446744073709551616}}"#, &[]),
        (r#"{"f": 18446744073709551616}"#, &[]),
        (r#"{"f": {"$ne": -1}}"#, &[0, 1, 2]),
    ];
    let cells = integers(&[0, i128::from(i64::MAX) + 1, u64::MAX.into()]);
    check(&one(Column::UInt64, &cells), &cases);
    let cases: [(&str, &[usize]); 4] = [
        (r#"{"f": 300}"#, &[]),
        (r#"{"f": {"$lt": 300}}"#, &[0, 1]),
        (r#"{"f": {"$gt": -300}}"#, &[0, 1]),
        (r#"{"f": {"$gt": 18446744073709551615}}"#, &[]),
    ];
    check(&one(Column::Int8, &integers(&[-128, 127])), &cases);
}

#[test]
fn nan_is_a_value_that_no_comparison_matches() {
    let cells = floats(&[f64::NAN, -f64::NAN, 1.0, f64::INFINITY, f64::NEG_INFINITY]);
    let cases: [(&str, &[usize]); 7] = [
        (r#"{"f": {"$exists": true}}"#, &[0, 1, 2, 3, 4]),
        (r#"{"f": null}"#, &[]),
        (r#"{"f": {"$gt": 0}}"#, &[2, 3]),
        (r#"{"f": {"$lte": 1}}"#, &[2, 4]),
        (r#"{"f": {"$gt": 1.7976931348623157e308}}"#, &[3]),
        (r#"{"f": {"$ne": 1}}"#, &[0, 1, 3, 4]),
        (r#"{"f": {"$in": [0,1,2,3,4,5,6,7,8,9]}}"#, &[2]),
    ];
    check(&one(Column::Float64, &cells), &cases);
}

#[test]
fn both_zeros_are_one_number() {
    let cells = floats(&[-0.0, 0.0, f64::from_bits(1)]);
    for column in [Column::Float64, Column::Float32] {
        let third: &[usize] = if column == Column::Float64 { &[0, 1] } else { &[0, 1, 2] };
        let cases: [(&str, &[usize]); 6] = [
            (r#"{"f": 0}"#, third),
            (r#"{"f": -0.0}"#, third),
            (r#"{"f": {"$gte": 0.0}}"#, &[0, 1, 2]),
            (r#"{"f": {"$lt": 0}}"#, &[]),
            (r#"{"f": {"$lte": -0.0}}"#, third),
            (r#"{"f": {"$in": [-0.0,1,2,3,4,5,6,7,8,9]}}"#, third),
        ];
        check(&one(column, &cells), &cases);
    }
}

#[test]
fn a_narrow_float_is_the_number_that_it_is() {
    let cases: [(&str, &[usize]); 4] = [
        (r#"{"f": 0.1}"#, &[]),
        (r#"{"f": 0.10000000149011612}"#, &[0]),
        (r#"{"f": {"$gt": 0.1}}"#, &[0, 1]),
        (r#"{"f": {"$lt": 1e39}}"#, &[0, 1]),
    ];
    check(&one(Column::Float32, &floats(&[0.1, 0.5])), &cases);
}

/// Without exact reading of floats this literal is off by the last bit.
#[test]
fn a_float_in_text_is_the_nearest_one() {
    let value = 51.248_178_375_505_4_f64;
    for value in [value, value.next_up(), value.next_down(), 1.0e23, 8.41e21, 9.5e-323] {
        let batch = one(Column::Float64, &floats(&[value]));
        assert_eq!(matching(&format!("{{\"f\": {value:?}}}"), &batch), [0]);
    }
}

#[test]
fn strings_are_ordered_by_code_points() {
    let cells = texts(&["", "B", "a", "\u{e9}", "e\u{301}", "\u{ffff}", "\u{1f600}", "it's \"q\""]);
    for column in [Column::Text, Column::LargeText, Column::TextView] {
        let cases: [(&str, &[usize]); 8] = [
            (r#"{"f": ""}"#, &[0]),
            (r#"{"f": {"$lt": "a"}}"#, &[0, 1]),
            (r#"{"f": "\u00e9"}"#, &[3]),
            (r#"{"f": {"$gt": "\uffff"}}"#, &[6]),
            (r#"{"f": "\ud83d\ude00"}"#, &[6]),
            (r#"{"f": "it's \"q\""}"#, &[7]),
            (r#"{"f": {"$gte": "a", "$lte": "b"}}"#, &[2]),
            (r#"{"f": {"$in": ["B", "", "1", "2", "3", "4", "5", "6", "7"]}}"#, &[0, 1]),
        ];
        check(&one(column, &cells), &cases);
    }
}

#[test]
fn a_string_contains_its_parts() {
    let mut cells = texts(&["", "needle", "hayneedlehay", "Needle"]);
    cells.push(Cell::Null);
    let cases: [(&str, &[usize]); 3] = [
        (r#"{"f": {"$contains": "needle"}}"#, &[1, 2]),
        (r#"{"f": {"$contains": ""}}"#, &[0, 1, 2, 3]),
        (r#"{"f": {"$not": {"$contains": "needle"}}}"#, &[0, 3, 4]),
    ];
    check(&one(Column::Text, &cells), &cases);
}

#[test]
fn timestamps_are_compared_with_rfc_3339_text() {
    let micros: Vec<Cell> = [-1, 0, 1, 1_709_200_800_000_000].map(|t| Cell::Time(t, 1000)).into();
    let cases: [(&str, &[usize]); 8] = [
        (r#"{"f": "1970-01-01T00:00:00Z"}"#, &[1]),
        (r#"{"f": "1970-01-01T01:00:00+01:00"}"#, &[1]),
        (r#"{"f": "2024-02-29T10:00:00.000000000Z"}"#, &[3]),
        (r#"{"f": {"$lt": "1970-01-01T00:00:00Z"}}"#, &[0]),
        (r#"{"f": {"$gt": "1969-12-31T23:59:59.9999995Z"}}"#, &[1, 2, 3]),
        (r#"{"f": "1970-01-01T00:00:00.0000005Z"}"#, &[]),
        (r#"{"f": {"$lte": "0001-01-01T00:00:00Z"}}"#, &[]),
        (r#"{"f": {"$in": ["1970-01-01T00:00:00Z", null]}}"#, &[1]),
    ];
    check(&one(Column::Microsecond, &micros), &cases);
    // Longer lists are looked up; half a microsecond is none of the column's values there either.
    let halves = |last: &str| format!("{}{last}", "\"1970-01-01T00:00:00.0000005Z\", ".repeat(9));
    for (last, rows) in [("null", &[][..]), ("\"1970-01-01T00:00:00.000001Z\"", &[2])] {
        let filter = format!("{{\"f\": {{\"$in\": [{}]}}}}", halves(last));
        assert_eq!(matching(&filter, &one(Column::Microsecond, &micros)), rows, "{filter}");
    }
    for (column, unit) in [
        (Column::Second, 1_000_000_000),
        (Column::Millisecond, 1_000_000),
        (Column::Microsecond, 1_000),
        (Column::Nanosecond, 1),
    ] {
        let noon = (1_709_200_800_000_000_000_i128 / unit) as i64;
        let cells = [noon - 1, noon, noon + 1].map(|ticks| Cell::Time(ticks, unit));
        let batch = one(column, &cells);
        assert_eq!(matching(r#"{"f": {"$gte": "2024-02-29T12:00:00+02:00"}}"#, &batch), [1, 2]);
    }
}

#[test]
fn a_list_matches_when_an_element_does() {
    let list = |elements: &[&str]| Cell::List(texts(elements));
    let with_null = Cell::List(vec![Cell::Null, Cell::Text("c".to_owned())]);
    let cells = [list(&["a", "b"]), list(&["b"]), list(&[]), Cell::Null, with_null];
    for column in [Column::Texts, Column::LargeTexts] {
        let cases: [(&str, &[usize]); 13] = [
            (r#"{"f": "a"}"#, &[0]),
            (r#"{"f": {"$eq": "b"}}"#, &[0, 1]),
            (r#"{"f": {"$contains": "b"}}"#, &[0, 1]),
            (r#"{"f": {"$ne": "a"}}"#, &[1, 2, 3, 4]),
            (r#"{"f": {"$in": ["a", "c"]}}"#, &[0, 4]),
            (r#"{"f": {"$nin": ["a", "c"]}}"#, &[1, 2, 3]),
            (r#"{"f": {"$gt": "a"}}"#, &[0, 1, 4]),
            (r#"{"f": {"$gt": "a", "$lt": "b"}}"#, &[0]),
            (r#"{"f": {"$gte": "b", "$lte": "a"}}"#, &[0]),
            (r#"{"f": {"$exists": true}}"#, &[0, 1, 2, 4]),
            (r#"{"f": null}"#, &[3]),
            (r#"{"f": "en"}"#, &[]),
            (r#"{"f": {"$not": {"$contains": "a"}}}"#, &[1, 2, 3, 4]),
        ];
        let batch = one(column, &cells);
        check(&batch, &cases);
        assert_eq!(matching(r#"{"f": "b"}"#, &batch.slice(1, 3)), [0]);
    }
    // Of the first list 9 is above and 1 below: different elements may meet the conditions.
    let numbers = [&[1, 9][..], &[5], &[7, 8]].map(|values| Cell::List(integers(values)));
    check(&one(Column::Integers, &numbers), &[(r#"{"f": {"$gt": 4, "$lt": 6}}"#, &[0, 1])]);
}

#[test]
fn names_with_dots_are_plain_names() {
    let columns = vec![
        ("a.b", array(Column::Int64, &integers(&[1, 2]))),
        ("a", array(Column::Int64, &integers(&[2, 1]))),
        ("", array(Column::Int64, &integers(&[7, 8]))),
    ];
    let cases: [(&str, &[usize]); 3] =
        [(r#"{"a.b": 1}"#, &[0]), (r#"{"a": 1}"#, &[1]), (r#"{"": 8}"#, &[1])];
    check(&batch(columns), &cases);
}

#[test]
fn empty_filters_and_lists_match_all_or_nothing() {
    let cases: [(&str, &[usize]); 9] = [
        ("{}", &[0, 1]),
        (r#"{"$and": []}"#, &[0, 1]),
        (r#"{"$or": []}"#, &[]),
        (r#"{"$not": {}}"#, &[]),
        (r#"{"f": {"$in": []}}"#, &[]),
        (r#"{"f": {"$nin": []}}"#, &[0, 1]),
        (r#"{"$and": [{}, {"f": 1}]}"#, &[0]),
        (r#"{"$or": [{"f": 1}, {"f": 2}]}"#, &[0, 1]),
        (r#"{"f": {"$gt": 0}, "$not": {"f": 1}, "$or": [{"f": 2}]}"#, &[1]),
    ];
    check(&one(Column::Int64, &integers(&[1, 2])), &cases);
    check(&one(Column::Int64, &[]), &[("{}", &[]), (r#"{"f": {"$ne": 1}}"#, &[])]);
}

/// A dictionary is a way to store a column that no importer hands on; it is refused by name.
#[test]
fn other_types_are_refused_by_name() {
    let mut builder = StringDictionaryBuilder::<Int8Type>::new();
    builder.append_value("x");
    let batch = batch(vec![("f", Arc::new(builder.finish()) as ArrayRef)]);
    let error = Filter::eq("f", "x").bind(batch.schema_ref()).unwrap_err();
    assert!(error.to_string().contains("which filters cannot read"), "{error}");
}
