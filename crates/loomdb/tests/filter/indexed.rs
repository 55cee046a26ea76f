//! An index of a field changes no answer, whatever is written before and behind it.
//!
//! The story: the same points go into a collection whose fields are indexed and given up at
//! random, and into one without indexes; points are replaced and deleted, collections are
//! compacted, the database is opened again. Filters find the same ids in both, and those that a
//! naive evaluation of each point finds.

use std::collections::BTreeMap;

use arrow_array::ArrayRef;
use loomdb::{Batch, Collection, Database, Durability, Filter, Ids, OpenOptions, Schema};
use loomdb_graph::Vectors;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value as Json;

use crate::arguments::{cell, stored_filter};
use crate::oracle::{self, Row};
use crate::table::{Cell, Column, array, batch};

/// The types of the fields, one of each sort that a collection keeps; `late` comes up late.
const FIELDS: [(&str, Column); 8] = [
    ("flag", Column::Boolean),
    ("n", Column::Int64),
    ("x", Column::Float64),
    ("s", Column::Text),
    ("a.b", Column::Text),
    ("at", Column::Microsecond),
    ("tags", Column::Texts),
    ("late", Column::Int64),
];

/// Ids are few, so that points are replaced.
const IDS: u64 = 300;

#[derive(Clone, Debug)]
enum Step {
    /// Points of consecutive ids, with a cell for each field of each.
    Put(u64, Vec<[Cell; 8]>),
    Delete(u64, u64),
    Index(&'static str),
    Unindex(&'static str),
    Compact,
    Reopen,
}

fn finite(column: Column) -> BoxedStrategy<Cell> {
    let is_finite = |cell: &Cell| !matches!(cell, Cell::Float(value) if !value.is_finite());
    cell(column).prop_filter("collections keep finite floats", is_finite).boxed()
}

fn put() -> impl Strategy<Value = Step> {
    let rows = prop::collection::vec(FIELDS.map(|(_, column)| finite(column)), 1..80);
    (0..IDS, rows).prop_map(|(first, rows)| Step::Put(first, rows))
}

fn step() -> impl Strategy<Value = Step> {
    let names = FIELDS.map(|(name, _)| name).to_vec();
    prop_oneof![
        6 => put(),
        2 => (0..IDS, 1..40_u64).prop_map(|(first, count)| Step::Delete(first, count)),
        6 => select(names.clone()).prop_map(Step::Index),
        1 => select(names).prop_map(Step::Unindex),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

/// A database with an indexed collection and a plain one, and what both hold.
struct Pair {
    directory: tempfile::TempDir,
    open: Option<(Database, [Collection; 2])>,
    points: BTreeMap<u64, Row>,
    /// The numbers of the writes by id, which is the order of the rows.
    written: BTreeMap<u64, usize>,
}

impl Pair {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (points, written) = (BTreeMap::new(), BTreeMap::new());
        let mut pair = Self { directory, open: None, points, written };
        pair.reopen();
        pair
    }

    fn reopen(&mut self) {
        if let Some((db, collections)) = self.open.take() {
            drop(collections);
            db.close().unwrap();
        }
        let options = OpenOptions::new().durability(Durability::Buffered);
        let db = options.open(self.directory.path().join("db")).unwrap();
        let collections =
            ["indexed", "plain"].map(|name| db.collection(name, Schema::new(1)).unwrap());
        self.open = Some((db, collections));
    }

    fn collections(&self) -> &[Collection; 2] {
        &self.open.as_ref().unwrap().1
    }

    fn run(&mut self, step: &Step, number: usize) {
        let [indexed, plain] = self.collections();
        match step {
            Step::Put(first, rows) => self.put(*first, rows, number),
            Step::Delete(first, count) => {
                let ids = Ids::from((*first..first + count).collect::<Vec<_>>());
                assert_eq!(indexed.delete(&ids).unwrap(), plain.delete(&ids).unwrap());
                self.points.retain(|id, _| !(*first..first + count).contains(id));
            }
            Step::Index(name) => indexed.index_field(name).unwrap(),
            Step::Unindex(name) => {
                let is_indexed = indexed.info().indexed_fields.iter().any(|own| own == name);
                assert_eq!(indexed.unindex_field(name).is_ok(), is_indexed);
            }
            Step::Compact => indexed.compact().unwrap(),
            Step::Reopen => self.reopen(),
        }
    }

    fn put(&mut self, first: u64, rows: &[[Cell; 8]], number: usize) {
        // The last field is in every third batch only.
        let fields = if number.is_multiple_of(3) { &FIELDS[..] } else { &FIELDS[..7] };
        let column = |(at, (name, column)): (usize, &(&'static str, Column))| {
            let cells: Vec<Cell> = rows.iter().map(|row| row[at].clone()).collect();
            (*name, array(*column, &cells))
        };
        let columns: Vec<(&str, ArrayRef)> = fields.iter().enumerate().map(column).collect();
        let ids: Vec<u64> = (first..first + rows.len() as u64).collect();
        let vectors = Vectors::from_flat(1, &vec![1.0; rows.len()]).unwrap();
        let points = Batch::new(ids, vectors).unwrap().with_metadata(batch(columns)).unwrap();
        self.collections().iter().for_each(|docs| drop(docs.upsert(&points).unwrap()));
        for (id, row) in (first..).zip(rows) {
            let row = fields.iter().zip(row);
            let row = row.map(|((name, _), cell)| ((*name).to_owned(), cell.clone()));
            self.points.insert(id, row.collect());
            self.written.insert(id, number);
        }
    }

    fn check(&self, json: &Json) {
        let filter = Filter::from_json(json).unwrap();
        let [indexed, plain] = self.collections().each_ref().map(|docs| found(docs, &filter));
        assert_eq!(indexed, plain, "{json}");
        let matching = self.points.iter().filter(|(_, row)| oracle::matches(json, row));
        let mut expected: Vec<u64> = matching.map(|(id, _)| *id).collect();
        expected.sort_by_key(|id| (self.written[id], *id));
        assert_eq!(indexed, expected, "{json}");
    }
}

fn found(docs: &Collection, filter: &Filter) -> Vec<u64> {
    let pages = docs.pages(1_000, Some(filter)).unwrap();
    let ids = pages.flat_map(|page| match page.ids() {
        Ids::Integer(ids) => ids,
        Ids::Text(ids) => panic!("{ids:?}"),
    });
    ids.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn an_index_changes_no_answer(
        first in put(),
        steps in prop::collection::vec(step(), 1..24),
        filters in prop::collection::vec(stored_filter(), 30),
    ) {
        let mut pair = Pair::new();
        for (number, step) in [first].iter().chain(&steps).enumerate() {
            pair.run(step, number);
            filters.iter().skip(number % 3).step_by(3).for_each(|filter| pair.check(filter));
        }
    }
}
