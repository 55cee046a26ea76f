//! Operator by operator and type by type: which rows match, written down by hand.
//!
//! Each filter is asked of a collection without indexes and of one whose fields all are, so that
//! both ways of finding rows are held to the same list. Rows repeat, because few are not indexed.

use loomdb::{Batch, Collection, Database, ErrorKind, Filter, Ids, Schema};
use loomdb_graph::Vectors;

use crate::table::{Cell, Column, array, batch};

/// The values of each field; the last row has none in any.
const VALUES: usize = 6;

const REPEATS: usize = 10;

type Cases<'a> = &'a [(&'a str, &'a [u64])];

fn cells<T>(values: [T; VALUES - 1], cell: impl Fn(T) -> Cell) -> Vec<Cell> {
    values.into_iter().map(cell).chain([Cell::Null]).collect()
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// A moment in microseconds since 1970.
fn moment(micros: i64) -> Cell {
    Cell::Time(micros, 1_000)
}

fn fields() -> [(&'static str, Column, Vec<Cell>); 7] {
    let (t, f) = (Cell::Boolean(true), Cell::Boolean(false));
    let list = |texts: &[&str]| Cell::List(texts.iter().map(|one| text(one)).collect());
    let with_null = Cell::List(vec![text("a"), Cell::Null]);
    let leap_day = 1_709_200_800_000_000;
    let last = 253_402_300_799_000_000;
    [
        ("flag", Column::Boolean, cells([t.clone(), f.clone(), t.clone(), f, t], |cell| cell)),
        ("n", Column::Int64, cells([-1, 0, 1, 2, 9_007_199_254_740_993], Cell::Integer)),
        ("x", Column::Float64, cells([-2.5, -0.0, 0.1, 3.0, 1e300], Cell::Float)),
        ("s", Column::Text, cells(["", "B", "a", "ab", "\u{e9}"], text)),
        ("at", Column::Microsecond, cells([-1, 0, leap_day, leap_day + 1, last], moment)),
        ("a.b", Column::Int64, cells([10, 20, 30, 40, 50], Cell::Integer)),
        (
            "tags",
            Column::Texts,
            cells(
                [list(&["a", "b"]), list(&["b"]), list(&[]), list(&["", "c"]), with_null],
                |cell| cell,
            ),
        ),
    ]
}

/// The same points without indexes and with an index of every field.
fn collections() -> (Database, [Collection; 2]) {
    let db = Database::in_memory().unwrap();
    let columns = fields().map(|(name, column, cells)| {
        let cells: Vec<Cell> = (0..REPEATS).flat_map(|_| cells.clone()).collect();
        (name, array(column, &cells))
    });
    let points = Batch::without_ids(Vectors::from_flat(1, &[1.0; VALUES * REPEATS]).unwrap());
    let points = points.with_metadata(batch(columns.to_vec())).unwrap();
    let collections = ["plain", "indexed"].map(|name| {
        let docs = db.collection(name, Schema::new(1)).unwrap();
        docs.add(&points).unwrap();
        docs
    });
    for (name, ..) in fields() {
        collections[1].index_field(name).unwrap();
    }
    assert!(collections[1].info().field_index_bytes > 0);
    (db, collections)
}

fn check(cases: Cases<'_>) {
    let (_db, collections) = collections();
    for (filter, values) in cases {
        let rows = 0..(VALUES * REPEATS) as u64;
        let expected: Vec<u64> =
            rows.filter(|row| values.contains(&(row % VALUES as u64))).collect();
        for docs in &collections {
            let pages = docs.pages(1_000, Some(&filter.parse().unwrap())).unwrap();
            let found: Vec<Ids> = pages.map(|page| page.ids()).collect();
            let expected: Vec<Ids> =
                (!expected.is_empty()).then(|| expected.clone().into()).into_iter().collect();
            assert_eq!(found, expected, "{filter}, {}", docs.name());
        }
    }
}

#[test]
fn booleans() {
    check(&[
        (r#"{"flag": true}"#, &[0, 2, 4]),
        (r#"{"flag": {"$eq": false}}"#, &[1, 3]),
        (r#"{"flag": {"$ne": true}}"#, &[1, 3, 5]),
        (r#"{"flag": {"$in": [true]}}"#, &[0, 2, 4]),
        (r#"{"flag": {"$in": [false, null]}}"#, &[1, 3, 5]),
        (r#"{"flag": {"$nin": [true]}}"#, &[1, 3, 5]),
        (r#"{"flag": {"$exists": true}}"#, &[0, 1, 2, 3, 4]),
        (r#"{"flag": {"$not": {"$eq": true}}}"#, &[1, 3, 5]),
        (r#"{"flag": null}"#, &[5]),
    ]);
}

#[test]
fn integers() {
    check(&[
        (r#"{"n": 1}"#, &[2]),
        (r#"{"n": {"$eq": 1.0}}"#, &[2]),
        (r#"{"n": 1.5}"#, &[]),
        (r#"{"n": {"$ne": 1}}"#, &[0, 1, 3, 4, 5]),
        (r#"{"n": {"$gt": 0}}"#, &[2, 3, 4]),
        (r#"{"n": {"$gte": 0}}"#, &[1, 2, 3, 4]),
        (r#"{"n": {"$lt": 1}}"#, &[0, 1]),
        (r#"{"n": {"$lte": 1}}"#, &[0, 1, 2]),
        (r#"{"n": {"$gt": -0.5}}"#, &[1, 2, 3, 4]),
        (r#"{"n": {"$lt": 1.5}}"#, &[0, 1, 2]),
        (r#"{"n": {"$gt": 1e300}}"#, &[]),
        (r#"{"n": {"$lt": 1e300}}"#, &[0, 1, 2, 3, 4]),
        (r#"{"n": 9007199254740993}"#, &[4]),
        (r#"{"n": 9007199254740992.0}"#, &[]),
        (r#"{"n": {"$gt": 9007199254740992.0}}"#, &[4]),
        (r#"{"n": {"$in": [2, -1, 7]}}"#, &[0, 3]),
        (r#"{"n": {"$in": [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}}"#, &[3]),
        (r#"{"n": {"$in": [2, null]}}"#, &[3, 5]),
        (r#"{"n": {"$nin": [2, null]}}"#, &[0, 1, 2, 4]),
        (r#"{"n": {"$exists": false}}"#, &[5]),
        (r#"{"n": {"$not": {"$gt": 0}}}"#, &[0, 1, 5]),
        (r#"{"n": {"$gt": -1, "$lt": 2}}"#, &[1, 2]),
    ]);
}

#[test]
fn floats() {
    check(&[
        (r#"{"x": 0}"#, &[1]),
        (r#"{"x": 3}"#, &[3]),
        (r#"{"x": {"$eq": 0.1}}"#, &[2]),
        (r#"{"x": {"$ne": 0}}"#, &[0, 2, 3, 4, 5]),
        (r#"{"x": {"$gt": 0}}"#, &[2, 3, 4]),
        (r#"{"x": {"$gte": 0}}"#, &[1, 2, 3, 4]),
        (r#"{"x": {"$lt": 0}}"#, &[0]),
        (r#"{"x": {"$lte": -0.0}}"#, &[0, 1]),
        (r#"{"x": {"$lt": 18446744073709551615}}"#, &[0, 1, 2, 3]),
        (r#"{"x": {"$in": [3, 0.1]}}"#, &[2, 3]),
        (r#"{"x": {"$in": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}"#, &[1, 3]),
        (r#"{"x": {"$nin": [3, 0.1]}}"#, &[0, 1, 4, 5]),
        (r#"{"x": {"$exists": true}}"#, &[0, 1, 2, 3, 4]),
        (r#"{"x": {"$not": {"$lte": 0}}}"#, &[2, 3, 4, 5]),
    ]);
}

#[test]
fn strings() {
    check(&[
        (r#"{"s": "a"}"#, &[2]),
        (r#"{"s": ""}"#, &[0]),
        (r#"{"s": {"$ne": "a"}}"#, &[0, 1, 3, 4, 5]),
        (r#"{"s": {"$gt": "a"}}"#, &[3, 4]),
        (r#"{"s": {"$gte": "a"}}"#, &[2, 3, 4]),
        (r#"{"s": {"$lt": "a"}}"#, &[0, 1]),
        (r#"{"s": {"$lte": "a"}}"#, &[0, 1, 2]),
        (r#"{"s": {"$in": ["", "ab", "A"]}}"#, &[0, 3]),
        (r#"{"s": {"$in": ["a", "1", "2", "3", "4", "5", "6", "7", "8"]}}"#, &[2]),
        (r#"{"s": {"$nin": [""]}}"#, &[1, 2, 3, 4, 5]),
        (r#"{"s": {"$contains": "b"}}"#, &[3]),
        (r#"{"s": {"$contains": ""}}"#, &[0, 1, 2, 3, 4]),
        (r#"{"s": {"$not": {"$contains": "a"}}}"#, &[0, 1, 4, 5]),
        (r#"{"s": {"$exists": false}}"#, &[5]),
    ]);
}

#[test]
fn timestamps() {
    check(&[
        (r#"{"at": "1970-01-01T00:00:00Z"}"#, &[1]),
        (r#"{"at": {"$eq": "1970-01-01T01:00:00+01:00"}}"#, &[1]),
        (r#"{"at": {"$ne": "1970-01-01T00:00:00Z"}}"#, &[0, 2, 3, 4, 5]),
        (r#"{"at": {"$gt": "2024-02-29T10:00:00Z"}}"#, &[3, 4]),
        (r#"{"at": {"$gte": "2024-02-29T10:00:00Z"}}"#, &[2, 3, 4]),
        (r#"{"at": {"$gt": "2024-02-29T10:00:00.0000005Z"}}"#, &[3, 4]),
        (r#"{"at": "2024-02-29T10:00:00.0000005Z"}"#, &[]),
        (r#"{"at": {"$lt": "1970-01-01T00:00:00Z"}}"#, &[0]),
        (r#"{"at": {"$lte": "1970-01-01T00:00:00Z"}}"#, &[0, 1]),
        (r#"{"at": {"$in": ["9999-12-31T23:59:59Z", null]}}"#, &[4, 5]),
        (r#"{"at": {"$nin": ["9999-12-31T23:59:59Z", null]}}"#, &[0, 1, 2, 3]),
        (r#"{"at": {"$exists": true}}"#, &[0, 1, 2, 3, 4]),
        (r#"{"at": {"$not": {"$gt": "1970-01-01T00:00:00Z"}}}"#, &[0, 1, 5]),
    ]);
}

#[test]
fn lists() {
    check(&[
        (r#"{"tags": "a"}"#, &[0, 4]),
        (r#"{"tags": {"$ne": "a"}}"#, &[1, 2, 3, 5]),
        (r#"{"tags": {"$gt": "a"}}"#, &[0, 1, 3]),
        (r#"{"tags": {"$gte": "b"}}"#, &[0, 1, 3]),
        (r#"{"tags": {"$lt": "b"}}"#, &[0, 3, 4]),
        (r#"{"tags": {"$lte": ""}}"#, &[3]),
        (r#"{"tags": {"$gt": "a", "$lt": "b"}}"#, &[0, 3]),
        (r#"{"tags": {"$in": ["b", "c"]}}"#, &[0, 1, 3]),
        (r#"{"tags": {"$nin": ["b", "c"]}}"#, &[2, 4, 5]),
        (r#"{"tags": {"$contains": "b"}}"#, &[0, 1]),
        (r#"{"tags": {"$not": {"$contains": "a"}}}"#, &[1, 2, 3, 5]),
        (r#"{"tags": {"$exists": true}}"#, &[0, 1, 2, 3, 4]),
        (r#"{"tags": null}"#, &[5]),
    ]);
}

#[test]
fn names_with_dots_and_several_fields() {
    check(&[
        (r#"{"a.b": 20}"#, &[1]),
        (r#"{"a.b": {"$gte": 30}, "flag": true}"#, &[2, 4]),
        (r#"{"$or": [{"a.b": 10}, {"s": "ab"}]}"#, &[0, 3]),
        (r#"{"$and": [{"n": {"$gte": 0}}, {"x": {"$gt": 0}}]}"#, &[2, 3, 4]),
        (r#"{"$not": {"a.b": {"$lt": 40}, "flag": true}}"#, &[1, 3, 4, 5]),
        (r#"{"$not": {"$or": [{"flag": true}, {"a.b": 20}]}}"#, &[3, 5]),
        (r#"{"$and": []}"#, &[0, 1, 2, 3, 4, 5]),
        (r#"{"$or": []}"#, &[]),
        (r#"{"n": {"$nin": []}}"#, &[0, 1, 2, 3, 4, 5]),
        (r#"{"n": {"$in": []}}"#, &[]),
        ("{}", &[0, 1, 2, 3, 4, 5]),
    ]);
}

#[test]
fn values_of_another_type_are_refused() {
    let (_db, collections) = collections();
    for filter in [
        r#"{"flag": 1}"#,
        r#"{"flag": {"$gt": false}}"#,
        r#"{"flag": "true"}"#,
        r#"{"n": true}"#,
        r#"{"n": {"$in": [1, "2"]}}"#,
        r#"{"n": {"$contains": 1}}"#,
        r#"{"x": "0.1"}"#,
        r#"{"s": 1}"#,
        r#"{"s": {"$contains": null}}"#,
        r#"{"at": 0}"#,
        r#"{"at": "2024-02-29"}"#,
        r#"{"tags": {"$contains": 1}}"#,
        r#"{"a": 1}"#,
    ] {
        for docs in &collections {
            let found = docs.count_matching(&filter.parse::<Filter>().unwrap());
            assert_eq!(found.unwrap_err().kind(), ErrorKind::InvalidFilter, "{filter}");
        }
    }
}
