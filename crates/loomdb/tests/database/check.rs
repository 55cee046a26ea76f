//! A check finds everything that is wrong, not only the first, and disturbs nobody.
//!
//! That every damaged byte is found is told by the story of `damage`; here are the reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use loomdb::storage::RealFs;
use loomdb::{
    Batch, CheckOptions, Collection, Database, Durability, ErrorKind, Schema, Severity, check,
    check_on,
};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::generate;

use crate::damage::{files, sample};
use crate::model::{NAME, Op, ROOT, open, options};
use crate::sim::SimFs;

fn filled(db: &Database, rows: usize, dim: usize) -> Collection {
    let docs = db.collection(NAME, Schema::new(dim).metric(Metric::L2)).unwrap();
    let vectors = Vectors::from_flat(dim, &generate::mixture(5, rows, dim)).unwrap();
    docs.add(&Batch::without_ids(vectors)).unwrap();
    docs
}

#[test]
fn a_sound_database_is_told_file_by_file() {
    let (disk, model) = sample();
    let fs = SimFs::on(disk.clone());
    let report = check_on(&(Arc::new(fs.clone()) as _), ROOT, &CheckOptions::default()).unwrap();
    assert!(report.is_sound() && report.findings.is_empty(), "{report:?}");
    // All but the manifest and the lock.
    assert_eq!(report.files.len(), files(&disk).len() - 1);
    let bytes = |path: &str| files(&disk).iter().find(|(own, _)| own.ends_with(path)).cloned();
    for file in &report.files {
        assert_eq!(bytes(&file.name).unwrap().1.len() as u64, file.len_bytes);
    }
    assert_eq!((report.log_batches, report.leftovers.len()), (3, 0));
    let docs = &report.collections[0];
    assert_eq!((docs.name.as_str(), docs.points, docs.unreachable_nodes), (NAME, model.len(), 0));
    assert!(docs.graph_rows > 0 && docs.deleted_rows > 0 && docs.recall.is_none());
    let (db, docs) = open(Arc::new(fs), Durability::Synced).unwrap();
    Op::Upsert(vec![1, 2]).run(&db, &docs, 40).unwrap();
    let live = db.check(&CheckOptions::default()).unwrap();
    assert!(live.is_sound() && live.collections[0].points == docs.count(), "{live:?}");
}

#[test]
fn every_damaged_block_is_told_and_what_no_manifest_names() {
    let fs = SimFs::new();
    let (db, _docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
    db.drop_collection(NAME).unwrap();
    let docs = filled(&db, 10_000, 8);
    db.commit().unwrap();
    drop(docs);
    db.close().unwrap();
    let disk = fs.disk();
    let (path, mut bytes) =
        files(&disk).into_iter().find(|(path, _)| path.ends_with("vectors.npy")).unwrap();
    for at in [70_000, 140_000, 270_000] {
        bytes[at] ^= 1;
    }
    let points = path.with_file_name("points.arrow");
    let disk = disk.with(&path, Some(&bytes)).with(&points, None);
    let stray = path.parent().unwrap().with_file_name("seg-00009999");
    let disk = disk.with(&stray, Some(b"?"));
    let fs = Arc::new(SimFs::on(disk));
    let report = check_on(&(fs as _), ROOT, &CheckOptions::default()).unwrap();
    let found: Vec<_> =
        report.findings.iter().map(|one| (one.file.clone().unwrap(), one.offset)).collect();
    // Blocks of 64 KiB; neighbors are told together.
    let expected = [(path.clone(), Some(65_536)), (path.clone(), Some(4 * 65_536)), (points, None)];
    assert_eq!(found, expected, "{report:?}");
    assert!(report.findings[0].what.contains("65536 to 196608"), "{:?}", report.findings[0]);
    assert_eq!(report.files.iter().filter(|file| !file.is_sound).count(), 2);
    assert!(report.leftovers[0].ends_with("seg-00009999"), "{:?}", report.leftovers);
    assert!(report.collections.is_empty());
    assert!(report.findings[2].to_string().contains("missing"), "{}", report.findings[2]);
}

#[test]
fn recall_is_sampled_and_told() {
    let db = Database::in_memory().unwrap();
    let docs = filled(&db, 6_000, 16);
    let options = CheckOptions { recall_queries: 100, ..CheckOptions::default() };
    let report = db.check(&options).unwrap();
    let recall = report.collections[0].recall.unwrap();
    assert_eq!((recall.queries, recall.k, recall.ef_search), (100, 10, 64));
    assert!(recall.recall > 0.9 && recall.recall <= 1.0, "{recall:?}");
    let narrow = CheckOptions { recall_queries: 100, ef_search: 1, ..CheckOptions::default() };
    let narrow = db.check(&narrow).unwrap().collections[0].recall.unwrap();
    assert!(narrow.recall < recall.recall, "{narrow:?} {recall:?}");
    drop(docs);
    let db = Database::in_memory().unwrap();
    filled(&db, 2, 3);
    let few = db.check(&options).unwrap().collections[0].recall.unwrap();
    assert_eq!((few.queries, few.k, few.recall), (2, 1, 1.0));
}

#[test]
fn a_check_beside_a_writer_finds_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a.loom");
    let db = options(Arc::new(RealFs), Durability::Buffered).open(&path).unwrap();
    let docs = db.collection(NAME, Schema::learned().metric(Metric::L2)).unwrap();
    Op::Add((0..60).collect()).run(&db, &docs, 0).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for stamp in 1.. {
                if is_over.load(Ordering::Acquire) {
                    break;
                }
                Op::Upsert((0..40).collect()).run(&db, &docs, stamp).unwrap();
                match stamp % 20 {
                    0 => docs.compact().unwrap(),
                    7 => db.commit().unwrap(),
                    _ => {}
                }
            }
        });
        for _ in 0..60 {
            for report in
                [db.check(&CheckOptions::default()), check(&path, &CheckOptions::default())]
            {
                let report = report.unwrap();
                assert!(report.is_sound(), "{report:?}");
                assert_eq!(report.collections[0].points, 60);
            }
        }
        is_over.store(true, Ordering::Release);
    });
}

#[test]
fn what_is_no_database_is_an_error_and_a_check_can_be_stopped() {
    let parent = tempfile::tempdir().unwrap();
    for path in [parent.path().to_owned(), parent.path().join("none")] {
        let error = check(&path, &CheckOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    let (disk, _) = sample();
    let stop = CheckOptions { progress: &|_, _| false, ..CheckOptions::default() };
    let error = check_on(&(Arc::new(SimFs::on(disk)) as _), ROOT, &stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Canceled);
    assert!(Severity::Note < Severity::Graph && Severity::Graph < Severity::Damage);
}
