//! A log brings back what was there, however its batches follow each other.
//!
//! The story: batches of the log that follow each other in one collection are joined when a
//! database is opened. So writes of several collections come in turns, on the same ids, with
//! deletions and new fields in between; collections are dropped and made again under the same name.
//! Nothing is committed, so all of it is in the log, and what is opened is what was closed: the
//! same points, in the same order of their rows.

use std::sync::Arc;

use loomdb::{Batch, Collection, Database, Durability, Id, Ids, Metadata, Schema};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::Random;
use serde_json::json;

use crate::model::{ROOT, options};
use crate::sim::SimFs;
use crate::tier::{seed, times};

const DIM: usize = 2;

/// A point by the two numbers that were written: its id and the stamp of its last write.
type Stamps = Vec<(u64, u64)>;

fn open(fs: &SimFs) -> Database {
    options(Arc::new(fs.clone()), Durability::Buffered).open(ROOT).unwrap()
}

fn make(db: &Database, name: &str) -> Collection {
    db.create_collection(name, Schema::new(DIM).metric(Metric::L2)).unwrap()
}

/// Points that hold their stamp as a value; some with metadata, whose fields differ.
fn batch(ids: &[u64], stamp: u64) -> Batch {
    let values: Vec<f32> = ids.iter().flat_map(|id| [*id as f32, stamp as f32]).collect();
    let batch = Batch::new(ids.to_vec(), Vectors::from_flat(DIM, &values).unwrap()).unwrap();
    let record = match stamp % 3 {
        0 => return batch,
        1 => json!({"stamp": stamp}),
        _ => json!({"stamp": stamp, "name": format!("point {stamp}")}),
    };
    let record: Metadata = serde_json::from_value(record).unwrap();
    batch.with_records(&vec![record; ids.len()]).unwrap()
}

fn put(docs: &Collection, ids: &[u64], stamp: u64) {
    docs.upsert(&batch(ids, stamp)).unwrap();
}

fn delete(docs: &Collection, ids: &[u64]) {
    docs.delete(&Ids::from(ids.to_vec())).unwrap();
}

/// The points in the order of their rows.
fn stamps(docs: &Collection) -> Stamps {
    let mut found = Stamps::new();
    let mut from = Some(0);
    while let Some(at) = from {
        let page = docs.snapshot().scan(at, 1_000);
        for point in page.points {
            let Id::Integer(id) = point.id else { panic!("the id {} is a text", point.id) };
            assert_eq!(point.vector[0], id as f32);
            let stamp = point.vector[1] as u64;
            let noted = point.metadata.get("stamp").and_then(serde_json::Value::as_u64);
            assert_eq!(noted, (!stamp.is_multiple_of(3)).then_some(stamp), "the metadata of {id}");
            found.push((id, stamp));
        }
        from = page.next;
    }
    found
}

fn content(db: &Database) -> Vec<(String, Stamps)> {
    let names = db.collection_names();
    let one = |name: String| {
        let points = stamps(&db.existing_collection(&name).unwrap());
        (name, points)
    };
    names.into_iter().map(one).collect()
}

/// Opens what a process left that died; it holds what was there.
fn replayed(fs: &SimFs, expected: &[(String, Stamps)]) -> Database {
    let db = open(&SimFs::on(fs.disk().killed()));
    assert_eq!(content(&db), expected);
    db
}

#[test]
fn collections_take_turns() {
    let fs = SimFs::new();
    let db = open(&fs);
    let (first, second) = (make(&db, "first"), make(&db, "second"));
    // Each begins a run, is in the middle of one, and is alone.
    for (stamp, turn) in [1, 1, 2, 2, 1, 2, 1, 1, 1, 2].into_iter().enumerate() {
        let stamp = 3 * stamp as u64;
        put(if turn == 1 { &first } else { &second }, &[stamp, stamp + 1], stamp);
    }
    put(&first, &[90], 33);
    put(&second, &[90], 36);
    let expected = content(&db);
    assert_eq!(expected[0].1.len() + expected[1].1.len(), 22);
    let again = replayed(&fs, &expected);
    assert_eq!(again.existing_collection("first").unwrap().get(&vec![90].into()).len(), 1);
}

#[test]
fn deletions_come_between_what_they_came_between() {
    let fs = SimFs::new();
    let db = open(&fs);
    let docs = make(&db, "docs");
    put(&docs, &[1, 2, 3], 3);
    put(&docs, &[4], 6);
    delete(&docs, &[1, 4]);
    put(&docs, &[1], 9);
    put(&docs, &[5], 12);
    delete(&docs, &[2]);
    delete(&docs, &[5]);
    put(&docs, &[2], 15);
    put(&docs, &[6], 18);
    delete(&docs, &[6]);
    let expected = vec![("docs".to_owned(), vec![(3, 3), (1, 9), (2, 15)])];
    assert_eq!(content(&db), expected);
    replayed(&fs, &expected);
}

#[test]
fn the_last_write_of_an_id_stays_and_rows_keep_their_order() {
    let fs = SimFs::new();
    let db = open(&fs);
    let docs = make(&db, "docs");
    for stamp in 0..40_u64 {
        put(&docs, &[stamp % 7, 100 + stamp], 3 * stamp);
    }
    let expected = content(&db);
    let last = |id: u64| (0..40).rev().find(|stamp| stamp % 7 == id).unwrap() * 3;
    assert!((0..7).all(|id| expected[0].1.contains(&(id, last(id)))));
    replayed(&fs, &expected);
}

#[test]
fn a_collection_of_the_same_name_has_none_of_the_older_points() {
    let fs = SimFs::new();
    let db = open(&fs);
    let (other, docs) = (make(&db, "other"), make(&db, "docs"));
    put(&other, &[1], 3);
    put(&docs, &[1, 2], 6);
    delete(&other, &[1]);
    put(&docs, &[3], 9);
    delete(&docs, &[1]);
    db.drop_collection("docs").unwrap();
    put(&other, &[2], 12);
    let docs = make(&db, "docs");
    put(&docs, &[2], 15);
    put(&other, &[3], 18);
    db.rename_collection("docs", "papers").unwrap();
    put(&docs, &[4], 21);
    let expected = vec![
        ("other".to_owned(), vec![(2, 12), (3, 18)]),
        ("papers".to_owned(), vec![(2, 15), (4, 21)]),
    ];
    assert_eq!(content(&db), expected);
    replayed(&fs, &expected);
}

/// More records than are decoded together, and more rows than are joined.
#[test]
fn long_logs_are_replayed_to_their_ends() {
    let fs = SimFs::new();
    let db = open(&fs);
    let (docs, more) = (make(&db, "docs"), make(&db, "more"));
    for stamp in 0..4_200_u64 {
        put(&docs, &[stamp], 3 * stamp);
    }
    let ids: Vec<u64> = (0..1_200).collect();
    put(&more, &ids, 0);
    put(&more, &ids[..900], 3);
    put(&more, &ids[800..], 6);
    let expected = content(&db);
    assert_eq!((expected[0].1.len(), expected[1].1.len()), (4_200, 1_200));
    let db = replayed(&fs, &expected);
    db.existing_collection("docs")
        .unwrap()
        .add(&Batch::without_ids(Vectors::from_flat(DIM, &[4_200.0, 0.0]).unwrap()))
        .unwrap();
    assert_eq!(content(&db)[0].1.last(), Some(&(4_200, 0)), "ids are given out behind the last");
}

#[test]
fn any_sequence_is_what_it_was() {
    let mut opened = 0;
    for seed in seed()..seed() + times(60, 1_000, 10_000) as u64 {
        let mut random = Random::new(seed);
        let fs = SimFs::new();
        let db = open(&fs);
        let names = ["first", "second", "third"];
        for name in names {
            make(&db, name);
        }
        for step in 0..60_u64 {
            let name = names[random.below(3)];
            let docs = db.existing_collection(name).unwrap();
            let count = 1 + random.below(4);
            let mut ids: Vec<u64> = (0..count).map(|_| random.below(25) as u64).collect();
            ids.sort_unstable();
            ids.dedup();
            match random.below(10) {
                0..7 => put(&docs, &ids, step + random.below(2) as u64),
                7 | 8 => delete(&docs, &ids),
                _ => {
                    db.drop_collection(name).unwrap();
                    make(&db, name);
                }
            }
        }
        let expected = content(&db);
        let again = replayed(&fs, &expected);
        again.commit().unwrap();
        assert_eq!(content(&again), expected, "seed {seed}");
        opened += 1;
    }
    println!("{opened} logs");
}
