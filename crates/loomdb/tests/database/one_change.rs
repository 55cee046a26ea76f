//! Under `OnCommit` everything up to a commit is one change: also the making, renaming and
//! dropping of collections. A compaction can be watched and stopped.
//!
//! The story: an import replaces a collection. Whenever the power goes, the database is the one
//! before the import or the one behind it, and never one without either collection. That a
//! collection is rewritten in the middle of it changes nothing of that.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use loomdb::{Batch, CheckOptions, Database, Durability, ErrorKind, Ids, Schema};
use loomdb_graph::{Metric, Observer, Phase, Vectors};

use crate::model::{ROOT, options};
use crate::sim::SimFs;

fn rows(count: usize) -> Vectors {
    let values: Vec<f32> = (0..count).flat_map(|row| [row as f32, 1.0]).collect();
    Vectors::from_flat(2, &values).unwrap()
}

/// The collections with their metrics and numbers of points.
fn listed(db: &Database) -> Vec<(String, String, usize)> {
    let one = |name: String| {
        let info = db.existing_collection(&name).unwrap().info();
        (name, info.metric, info.points)
    };
    db.collection_names().into_iter().map(one).collect()
}

fn expected(names: &[(&str, &str, usize)]) -> Vec<(String, String, usize)> {
    let owned = |(name, metric, points): &(&str, &str, usize)| {
        ((*name).to_owned(), (*metric).to_owned(), *points)
    };
    names.iter().map(owned).collect()
}

fn prepare(fs: &SimFs) {
    let db = options(Arc::new(fs.clone()), Durability::Synced).open(ROOT).unwrap();
    let docs = db.collection("docs", Schema::new(2).metric(Metric::L2)).unwrap();
    docs.add(&Batch::without_ids(rows(5))).unwrap();
    db.create_collection("notes", Schema::learned()).unwrap();
    db.close().unwrap();
}

/// Replaces `docs`, renames `notes` and makes `empty`, without a commit.
fn replace(fs: &SimFs) -> Database {
    let db = options(Arc::new(fs.clone()), Durability::OnCommit).open(ROOT).unwrap();
    db.drop_collection("docs").unwrap();
    let docs = db.create_collection("docs", Schema::learned().metric(Metric::Ip)).unwrap();
    docs.add(&Batch::without_ids(rows(40))).unwrap();
    db.rename_collection("notes", "papers").unwrap();
    db.create_collection("empty", Schema::new(7)).unwrap();
    db
}

fn open(fs: &SimFs) -> Database {
    options(Arc::new(fs.clone()), Durability::Synced).open(ROOT).unwrap()
}

fn before() -> Vec<(String, String, usize)> {
    expected(&[("docs", "l2", 5), ("notes", "cosine", 0)])
}

fn behind() -> Vec<(String, String, usize)> {
    expected(&[("docs", "ip", 40), ("empty", "cosine", 0), ("papers", "cosine", 0)])
}

#[test]
fn without_a_commit_nothing_has_happened() {
    let fs = SimFs::new();
    prepare(&fs);
    let db = replace(&fs);
    assert_eq!(listed(&db), behind());
    db.close().unwrap();
    assert_eq!(listed(&open(&fs)), before());
}

#[test]
fn a_commit_changes_all_collections_at_once() {
    let fs = SimFs::new();
    prepare(&fs);
    let db = replace(&fs);
    db.commit().unwrap();
    db.close().unwrap();
    assert_eq!(listed(&open(&fs)), behind());
}

/// [`replace`], with a collection that is rewritten in the middle of it: that is no commit.
fn replace_and_rewrite(fs: &SimFs) -> Database {
    let db = replace(fs);
    let docs = db.existing_collection("docs").unwrap();
    docs.add(&Batch::new(vec![100, 101], rows(2)).unwrap()).unwrap();
    docs.delete(&Ids::from(vec![100, 101])).unwrap();
    docs.compact().unwrap();
    assert_eq!(docs.info().deleted_rows, 0);
    db
}

#[test]
fn a_rewrite_commits_nothing() {
    let fs = SimFs::new();
    prepare(&fs);
    let files = |fs: &SimFs| fs.disk().files().map(|(path, _)| path.to_owned()).collect::<Vec<_>>();
    let older = files(&fs);
    let db = replace_and_rewrite(&fs);
    assert_eq!(listed(&db), behind());
    db.close().unwrap();
    assert_eq!(files(&fs), older, "what was not committed left files");
    assert_eq!(listed(&open(&fs)), before());
    let db = replace_and_rewrite(&fs);
    let docs = db.existing_collection("docs").unwrap();
    docs.delete(&Ids::from(vec![3])).unwrap();
    docs.add(&Batch::new(vec![200], rows(1)).unwrap()).unwrap();
    db.commit().unwrap();
    drop(docs);
    db.close().unwrap();
    let db = open(&fs);
    assert_eq!(listed(&db), behind());
    let docs = db.existing_collection("docs").unwrap();
    let is_there: Vec<bool> =
        docs.get(&vec![2, 3, 39, 100, 200].into()).iter().map(Option::is_some).collect();
    assert_eq!(is_there, [true, false, true, false, true]);
    let report = db.check(&CheckOptions::default()).unwrap();
    assert!(report.is_sound() && report.leftovers.is_empty(), "{report:?}");
}

/// A commit that rewrites collections because of their dead rows commits that as well.
#[test]
fn what_a_commit_rewrites_is_committed() {
    let fs = SimFs::new();
    prepare(&fs);
    let db = options(Arc::new(fs.clone()), Durability::OnCommit).open(ROOT).unwrap();
    let docs = db.existing_collection("docs").unwrap();
    docs.add(&Batch::new((100..400).collect::<Vec<u64>>(), rows(300)).unwrap()).unwrap();
    docs.delete(&Ids::from((100..390).collect::<Vec<u64>>())).unwrap();
    db.commit().unwrap();
    assert_eq!(docs.info().deleted_rows, 0, "it was due");
    drop(docs);
    db.close().unwrap();
    let db = open(&fs);
    let info = db.existing_collection("docs").unwrap().info();
    assert_eq!((info.points, info.deleted_rows), (15, 0));
    let report = db.check(&CheckOptions::default()).unwrap();
    assert!(report.is_sound() && report.leftovers.is_empty(), "{report:?}");
}

#[test]
fn a_crash_shows_all_of_the_change_or_nothing() {
    for change in [replace, replace_and_rewrite] {
        crash_everywhere(change);
    }
}

fn crash_everywhere(change: fn(&SimFs) -> Database) {
    let crashes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&crashes);
    let fs = SimFs::new();
    prepare(&fs);
    let fs = SimFs::on(fs.disk().clone()).watched(move |fs, call| {
        for luck in 0..4 {
            let disk = fs.disk().crash(call as u64 * 4 + luck);
            seen.lock().unwrap().push(listed(&open(&SimFs::on(disk))));
        }
    });
    change(&fs).commit().unwrap();
    let crashes = crashes.lock().unwrap();
    assert!(crashes.len() > 40 && crashes.contains(&before()), "{}", crashes.len());
    for found in crashes.iter() {
        assert!(*found == before() || *found == behind(), "{found:?}");
    }
    assert_eq!(listed(&open(&SimFs::on(fs.disk().crash(1)))), behind());
}

/// Counts what it is told, and stops a build at some count.
#[derive(Default)]
struct Watch {
    told: AtomicUsize,
    stop_at: Option<usize>,
}

impl Observer for Watch {
    fn progress(&self, _: Phase, _: usize, _: usize) {
        self.told.fetch_add(1, Ordering::Relaxed);
    }

    fn canceled(&self) -> bool {
        self.stop_at.is_some_and(|stop_at| self.told.load(Ordering::Relaxed) >= stop_at)
    }
}

#[test]
fn a_compaction_is_watched_and_stopped() {
    let fs = SimFs::new();
    prepare(&fs);
    let db = open(&fs);
    let docs = db.existing_collection("docs").unwrap();
    docs.add(&Batch::without_ids(rows(3_000))).unwrap();
    docs.delete(&Ids::from(vec![1])).unwrap();
    drop((docs, db));
    for stop_at in [Some(1), None] {
        let watch = Arc::new(Watch { stop_at, ..Watch::default() });
        let options = options(Arc::new(fs.clone()), Durability::Synced).observer(watch.clone());
        let db = options.open(ROOT).unwrap();
        let docs = db.existing_collection("docs").unwrap();
        let compacted = docs.compact();
        assert!(watch.told.load(Ordering::Relaxed) > 0, "the build is not watched");
        let canceled = compacted.err().map(|error| error.kind());
        assert_eq!(canceled, stop_at.map(|_| ErrorKind::Canceled));
        let info = docs.info();
        let rows_left = usize::from(stop_at.is_some());
        assert_eq!((info.points, info.deleted_rows), (3_004, rows_left));
    }
    assert_eq!(open(&fs).existing_collection("docs").unwrap().count(), 3_004);
}
