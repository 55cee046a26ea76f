//! Graphs keep their invariants through deletions and compactions, whatever the rows are.
//!
//! The graph crate tests every way of building. Here a database does what a user does with it: it
//! builds, loses three points of ten, and compacts, and each time the check of everything in the
//! files is clean: links, degrees, levels, and every node reached.

use std::sync::Arc;

use loomdb::index::IndexParams;
use loomdb::{Batch, CheckOptions, Collection, Database, Ids, OpenOptions, Schema};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::{DataSet, Random, generate};

use crate::model::{NAME, ROOT};
use crate::sim::SimFs;
use crate::tier::{seed, times};

const M: usize = 8;

fn sets(seed: u64) -> Vec<DataSet> {
    let uniform = |rows, dim| generate::uniform(seed, rows, dim);
    let mut sets = vec![
        DataSet::new("random", 12, uniform(1_500, 12)),
        DataSet::new("clustered", 8, generate::clusters(seed, 1_500, 8)),
        DataSet::new("all equal", 4, generate::all_equal(1_100, 4)),
        DataSet::new("duplicates", 6, generate::duplicates(seed, 3_000, 6)),
        DataSet::new("line", 3, generate::line(1_200, 3)),
        DataSet::new("sorted", 8, generate::sorted(seed, 1_200, 8)),
        DataSet::new("dim 1", 1, uniform(1_200, 1)),
        DataSet::new("dim 4,096", 4_096, uniform(130, 4_096)),
    ];
    sets.extend([0, 1, 2, M, M + 1].map(|rows| DataSet::new("few", 6, uniform(rows, 6))));
    sets
}

/// The files as they are now, and the graph in memory, hold together.
fn assert_sound(db: &Database, docs: &Collection, what: &str) {
    db.commit().unwrap();
    let report = db.check(&CheckOptions::default()).unwrap();
    assert!(report.is_sound() && report.findings.is_empty(), "{what}: {report:?}");
    assert_eq!(report.collections[0].points, docs.count(), "{what}");
}

fn run(set: &DataSet, metric: Metric, random: &mut Random) {
    let what = format!("{} rows of {} under {metric}", set.len(), set.name);
    let index = IndexParams { m: M, flat_limit: Some(0), threads: 1, ..IndexParams::default() };
    let options = OpenOptions::new().index(index).file_system(Arc::new(SimFs::new()));
    let db = options.open(ROOT).unwrap();
    let docs = db.collection(NAME, Schema::new(set.dim).metric(metric)).unwrap();
    let vectors = Vectors::from_flat(set.dim, &set.values).unwrap();
    docs.add(&Batch::without_ids(vectors)).unwrap();
    assert_sound(&db, &docs, &what);
    let mut ids: Vec<u64> = (0..set.len() as u64).collect();
    random.shuffle(&mut ids);
    ids.truncate(set.len() * 3 / 10);
    docs.delete(&Ids::from(ids)).unwrap();
    assert_sound(&db, &docs, &format!("{what}, after deletions"));
    docs.compact().unwrap();
    assert_sound(&db, &docs, &format!("{what}, after a compaction"));
    if docs.count() > 0 {
        let info = docs.info();
        let index = info.index.unwrap();
        assert_eq!((index.graph_rows, info.deleted_rows), (docs.count(), 0), "{what}");
        let k = docs.count().min(10);
        assert_eq!(docs.search(set.row(0)).k(k).run().unwrap().len(), k, "{what}");
    }
}

#[test]
fn graphs_hold_together_after_deletions_and_compactions() {
    let first = seed();
    let mut count = 0;
    for seed in first..first + times(1, 50, 500) as u64 {
        let mut random = Random::new(seed);
        for set in sets(seed) {
            for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
                run(&set, metric, &mut random);
                count += 3;
            }
        }
    }
    println!("{count} graphs checked");
}
