//! The oracle: collections as plain maps, and exact search over them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use loomdb::index::IndexParams;
use loomdb::storage::FileSystem;
use loomdb::{
    Batch, Collection, Compaction, Database, Durability, ErrorKind, Id, Ids, Metadata, OpenOptions,
    Point, Result, Schema, Search,
};
use loomdb_graph::{Metric, Observer, Vectors};
use loomdb_testkit::{Metric as OracleMetric, Oracle, Random};
use serde_json::json;

use crate::condition::Condition;

pub const DIM: usize = 3;
pub const NAME: &str = "docs";
pub const ROOT: &str = "/db";

/// What a collection is expected to hold.
pub type Model = BTreeMap<u64, (Vec<f32>, Metadata)>;

/// The ids of all points, in their order.
pub fn ids(docs: &Collection) -> Vec<u64> {
    let pages = docs.pages(1_000, None).unwrap();
    let ids = pages.flat_map(|page| match page.ids() {
        Ids::Integer(ids) => ids,
        Ids::Text(ids) => panic!("{ids:?}"),
    });
    ids.collect()
}

/// A write.
#[derive(Clone, Debug)]
pub enum Op {
    Add(Vec<u64>),
    Upsert(Vec<u64>),
    Update(Vec<u64>),
    Delete(Vec<u64>),
    /// Every point that was written by the operations from the first number up to the second.
    DeleteWritten(u64, u64),
    /// A field is indexed; or, when it is, no more.
    Index(&'static str),
    Sync,
    Commit,
    Compact,
}

/// The vector that an id has after some write.
fn vector(id: u64, stamp: u64) -> Vec<f32> {
    let mut random = Random::new(id * 1_000_003 + stamp);
    (0..DIM).map(|_| random.signed()).collect()
}

fn metadata(id: u64, stamp: u64) -> Metadata {
    let value = match stamp % 3 {
        0 => json!({"stamp": stamp, "name": format!("point {id}")}),
        1 => json!({"stamp": stamp, "tags": ["a", format!("{id}")], "even": id.is_multiple_of(2)}),
        _ => json!({"stamp": stamp, "ratio": id as f64 / 8.0}),
    };
    serde_json::from_value(value).unwrap()
}

impl Op {
    /// An operation that may be refused, on few ids so that they meet.
    pub fn draw(random: &mut Random) -> Self {
        let count = [1, 1, 2, 5, 20, 60][random.below(6)];
        let mut ids: Vec<u64> = (0..count).map(|_| random.below(60) as u64).collect();
        ids.sort_unstable();
        ids.dedup();
        match random.below(21) {
            0..6 => Self::Add(ids),
            6..11 => Self::Upsert(ids),
            11..13 => Self::Update(ids),
            13..16 => Self::Delete(ids),
            16 => {
                let from = random.below(120) as u64;
                Self::DeleteWritten(from, from + 1 + random.below(9) as u64)
            }
            17 => Self::Sync,
            18 => Self::Commit,
            19 => Self::Index(["stamp", "name", "tags", "even", "ratio"][random.below(5)]),
            _ => Self::Compact,
        }
    }

    /// What the model becomes; nothing when the write is to be refused.
    pub fn applied(&self, model: &Model, stamp: u64) -> Option<Model> {
        let mut next = model.clone();
        match self {
            Self::Add(ids) if ids.iter().any(|id| model.contains_key(id)) => return None,
            Self::Add(ids) | Self::Upsert(ids) => {
                for id in ids {
                    next.insert(*id, (vector(*id, stamp), metadata(*id, stamp)));
                }
            }
            Self::Update(ids) if ids.iter().any(|id| !model.contains_key(id)) => return None,
            Self::Update(ids) => {
                for id in ids {
                    let (_, own) = next.get_mut(id).unwrap();
                    own.extend(metadata(*id, stamp));
                }
            }
            Self::Delete(ids) => ids.iter().for_each(|id| {
                next.remove(id);
            }),
            Self::DeleteWritten(from, to) => {
                let condition = Condition::Stamp(*from, *to);
                next.retain(|_, (_, metadata)| !condition.matches(metadata));
            }
            Self::Index(_) | Self::Sync | Self::Commit | Self::Compact => {}
        }
        Some(next)
    }

    pub fn run(&self, db: &Database, docs: &Collection, stamp: u64) -> Result<()> {
        let batch = |ids: &[u64]| {
            let values: Vec<f32> = ids.iter().flat_map(|id| vector(*id, stamp)).collect();
            let vectors = Vectors::from_flat(DIM, &values).unwrap();
            let records: Vec<Metadata> = ids.iter().map(|id| metadata(*id, stamp)).collect();
            Batch::new(ids.to_vec(), vectors).unwrap().with_records(&records).unwrap()
        };
        match self {
            Self::Add(ids) => docs.add(&batch(ids)).map(drop),
            Self::Upsert(ids) => docs.upsert(&batch(ids)).map(drop),
            Self::Update(ids) => {
                let records: Vec<Metadata> = ids.iter().map(|id| metadata(*id, stamp)).collect();
                docs.update_records(&Ids::from(ids.clone()), &records)
            }
            Self::Delete(ids) => docs.delete(&Ids::from(ids.clone())).map(drop),
            Self::DeleteWritten(from, to) => {
                docs.delete_matching(&Condition::Stamp(*from, *to).filter()).map(drop)
            }
            Self::Index(name) if docs.info().indexed_fields.iter().any(|own| own == name) => {
                docs.unindex_field(name)
            }
            // Before the field has come up it is unknown, unless there was no point at all.
            Self::Index(name) => match docs.index_field(name) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                other => other,
            },
            Self::Sync => db.sync(),
            Self::Commit => db.commit(),
            Self::Compact => docs.compact(),
        }
    }
}

/// Options for a small database that has a graph early.
pub fn options(fs: Arc<dyn FileSystem>, durability: Durability) -> OpenOptions {
    let index = IndexParams { flat_limit: Some(24), threads: 1, m: 4, ..IndexParams::default() };
    let options = OpenOptions::new().file_system(fs).durability(durability).index(index);
    // So that a seed makes the same calls each time.
    options.compaction(Compaction::BehindWrites)
}

/// Compacts, and calls `write` between the steps of it, when nobody else is at work.
pub fn compact_beside(docs: &Collection, write: &(dyn Fn() + Sync)) -> Result<()> {
    docs.compact_watched(&Beside { thread: thread::current().id(), write })
}

struct Beside<'a> {
    thread: ThreadId,
    write: &'a (dyn Fn() + Sync),
}

impl Observer for Beside<'_> {
    fn canceled(&self) -> bool {
        // Threads of a build ask too, at any time.
        if thread::current().id() == self.thread {
            (self.write)();
        }
        false
    }
}

pub fn open(fs: Arc<dyn FileSystem>, durability: Durability) -> Result<(Database, Collection)> {
    open_at(fs, durability, Path::new(ROOT))
}

pub fn open_at(
    fs: Arc<dyn FileSystem>,
    durability: Durability,
    path: &Path,
) -> Result<(Database, Collection)> {
    let db = options(fs, durability).open(path)?;
    let docs = db.collection(NAME, Schema::new(DIM).metric(Metric::L2))?;
    Ok((db, docs))
}

/// All points of a collection, by scanning.
pub fn content(docs: &Collection) -> Model {
    let snapshot = docs.snapshot();
    let mut found = Model::new();
    let mut from = Some(0);
    while let Some(at) = from {
        let page = snapshot.scan(at, 7);
        for Point { id, vector, metadata } in page.points {
            let Id::Integer(id) = id else { panic!("the id {id} is a text") };
            assert!(found.insert(id, (vector, metadata)).is_none(), "the id {id} comes twice");
        }
        from = page.next;
    }
    assert_eq!(found.len(), docs.count());
    found
}

/// Whether `get`, `contains`, `count` and `search` agree with the model.
pub fn check(docs: &Collection, model: &Model, seed: u64) {
    assert_eq!(&content(docs), model);
    let ids: Vec<u64> = (0..70).collect();
    let points = docs.get(&Ids::from(ids.clone()));
    for (id, point) in ids.iter().zip(points) {
        assert_eq!(docs.contains(&Id::Integer(*id)), point.is_some());
        let found = point.map(|point| (point.vector, point.metadata));
        assert_eq!(found.as_ref(), model.get(id), "the id {id}");
    }
    let found = docs.find(&Ids::from(ids)).map(|found| (found.points.ids(), found.missing));
    let (there, missing): (Vec<u64>, Vec<u64>) = (0..70).partition(|id| model.contains_key(id));
    assert_eq!(found.unwrap(), (there.into(), missing.into()));
    check_search(docs, model, seed);
    check_within(docs, model, seed);
    check_filtered(docs, model, seed);
}

fn check_search(docs: &Collection, model: &Model, seed: u64) {
    let mut random = Random::new(seed);
    let query: Vec<f32> = (0..DIM).map(|_| random.signed()).collect();
    let k = 1 + random.below(12);
    check_hits(&docs.search(&query).k(k), (&query, k), model);
}

/// Whether many queries at once find what each finds, and a radius what is within it.
fn check_within(docs: &Collection, model: &Model, seed: u64) {
    let mut random = Random::new(seed ^ 0x0004_AD15);
    let queries: Vec<f32> = (0..5 * DIM).map(|_| random.signed()).collect();
    let many = Vectors::from_flat(DIM, &queries).unwrap();
    let hits = docs.search_many(&many).k(4).ef_search(100).run().unwrap();
    for (row, query) in queries.chunks(DIM).enumerate() {
        let alone = docs.search(query).k(4).ef_search(100).run().unwrap();
        assert_eq!(hits.to_hits(row), alone);
        let radius = random.signed().abs();
        let within = docs.within(query, radius).run().unwrap();
        let distance = |vector: &[f32]| OracleMetric::L2.distance(query, vector);
        let distances = model.values().map(|(vector, _)| distance(vector));
        let near = distances.clone().filter(|own| *own < f64::from(radius) - 1e-4).count();
        let far = distances.filter(|own| *own > f64::from(radius) + 1e-4).count();
        assert!((near..=model.len() - far).contains(&within.len()), "{} within", within.len());
    }
}

/// Whether counts and searches with a filter agree with the points of the model that match.
fn check_filtered(docs: &Collection, model: &Model, seed: u64) {
    let mut random = Random::new(seed ^ 0x00F1_17E5);
    let condition = Condition::draw(&mut random);
    let filter = condition.filter();
    let matching = |(_, (_, metadata)): &(&u64, &(Vec<f32>, Metadata))| condition.matches(metadata);
    let matching: Model =
        model.iter().filter(matching).map(|(id, point)| (*id, point.clone())).collect();
    let count = match docs.count_matching(&filter) {
        Ok(count) => count,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidFilter, "{error}");
            let has = |name: &&str| model.values().any(|(_, own)| own.contains_key(*name));
            assert!(!condition.fields().iter().all(has), "all fields are there: {error}");
            return;
        }
    };
    // A collection that never had a field knows none, so nothing matches.
    let expected = if model.is_empty() { 0 } else { matching.len() };
    assert_eq!(count, expected, "{condition:?}");
    let query: Vec<f32> = (0..DIM).map(|_| random.signed()).collect();
    let k = 1 + random.below(12);
    check_hits(&docs.search(&query).k(k).filter(filter), (&query, k), &matching);
}

/// Checks a search whose answer is to come from the points of `model`.
fn check_hits(search: &Search<'_>, (query, k): (&[f32], usize), model: &Model) {
    let values: Vec<f32> = model.values().flat_map(|(vector, _)| vector.clone()).collect();
    let exact = Oracle::new(OracleMetric::L2, DIM, &values).exact_neighbors(query, k);
    for is_exact in [true, false] {
        let search = search.clone().ef_search(100).with_vectors();
        let hits = if is_exact { search.exact() } else { search }.run().unwrap();
        assert_eq!(hits.len(), k.min(model.len()), "k results when there are k");
        for (hit, near) in hits.iter().zip(&exact) {
            let Id::Integer(id) = hit.id else { panic!("the id {} is a text", hit.id) };
            let (vector, metadata) = &model[&id];
            assert_eq!((hit.vector.as_ref(), &hit.metadata), (Some(vector), metadata));
            let true_distance = OracleMetric::L2.distance(query, vector);
            assert!((f64::from(hit.distance) - true_distance).abs() < 1e-4);
            // The graph of so few rows, with so wide a beam, finds all.
            assert!((f64::from(hit.distance) - near.distance).abs() < 1e-4, "{hit:?} {near:?}");
        }
    }
}
