//! Under `OnCommit` large pieces of a stream are files before they count, and go when they never
//! do.
//!
//! The story: a stream replaces points of one collection and fills another one that is new, in
//! pieces that are segments at once. Whenever the power goes or a call fails, the database is the
//! one before the stream or the one behind its commit, and no file of it is left over. Without a
//! commit, or when the collection is dropped, the files go as well.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use loomdb::index::IndexParams;
use loomdb::{Batch, CheckOptions, Collection, Database, Durability, Result, Schema};
use loomdb_graph::{Metric, Vectors};

use crate::model::{ROOT, options};
use crate::sim::{Disk, Fault, FaultKind, SimFs};
use crate::tier::times;

const DIM: usize = 8_192;

/// Rows of a piece, whose vectors are as many bytes as make a batch a large one.
const PIECE: u64 = 256;

fn batch(ids: std::ops::Range<u64>, stamp: u64) -> Batch {
    let row = |id: u64| (0..DIM as u64).map(move |at| ((id * 31 + at * stamp) % 97) as f32);
    let values: Vec<f32> = ids.clone().flat_map(row).collect();
    Batch::new(ids.collect::<Vec<_>>(), Vectors::from_flat(DIM, &values).unwrap()).unwrap()
}

fn open(fs: &SimFs, durability: Durability) -> Result<Database> {
    // Nothing is linked while disks are looked at.
    let index = IndexParams { flat_limit: Some(700), threads: 1, ..IndexParams::default() };
    options(Arc::new(fs.clone()), durability).index(index).open(ROOT)
}

fn prepared() -> Disk {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Synced).unwrap();
    let docs = db.collection("docs", Schema::new(DIM).metric(Metric::L2)).unwrap();
    docs.add(&batch(0..10, 1)).unwrap();
    drop(docs);
    db.close().unwrap();
    fs.disk()
}

fn stream(docs: &Collection, first: u64) -> Result<()> {
    let mut writer = docs.writer().upsert().piece_bytes(8 << 20);
    for piece in 0..3 {
        let start = first + piece * PIECE;
        writer.write(&batch(start..start + PIECE, 2))?;
    }
    writer.write(&batch(first + 3 * PIECE..first + 3 * PIECE + 5, 2))?;
    writer.finish().map(drop)
}

/// Replaces some points of `docs` and makes `more`, without a commit.
fn write(fs: &SimFs) -> Result<Database> {
    let db = open(fs, Durability::OnCommit)?;
    stream(&db.existing_collection("docs")?, 5)?;
    stream(&db.create_collection("more", Schema::new(DIM).metric(Metric::L2))?, 0)?;
    Ok(db)
}

/// The collections, their numbers of points, and a value of the seventh of each.
fn content(db: &Database) -> Vec<(String, usize, f32)> {
    let one = |name: String| {
        let docs = db.existing_collection(&name).unwrap();
        let point = docs.get(&vec![7].into()).remove(0).unwrap();
        assert_eq!(docs.search(&point.vector).k(1).run().unwrap()[0].distance, 0.0);
        (name, docs.count(), point.vector[1])
    };
    db.collection_names().into_iter().map(one).collect()
}

fn before() -> Vec<(String, usize, f32)> {
    vec![("docs".to_owned(), 10, ((7 * 31 + 1) % 97) as f32)]
}

fn behind() -> Vec<(String, usize, f32)> {
    let value = ((7 * 31 + 2) % 97) as f32;
    let rows = 3 * PIECE as usize + 5;
    vec![("docs".to_owned(), rows + 5, value), ("more".to_owned(), rows, value)]
}

/// The files but manifests, whose numbers go on.
fn files(disk: &Disk) -> BTreeSet<PathBuf> {
    let names = disk.files().map(|(path, _)| path.to_owned());
    names.filter(|path| !path.to_str().unwrap().contains("manifest-")).collect()
}

/// What is there on a disk; nothing is left over.
fn found(disk: Disk) -> Vec<(String, usize, f32)> {
    let fs = SimFs::on(disk);
    let db = open(&fs, Durability::Synced).unwrap();
    let report = db.check(&CheckOptions::default()).unwrap();
    assert!(report.is_sound() && report.leftovers.is_empty(), "{report:?}");
    content(&db)
}

#[test]
fn pieces_are_files_at_once_and_go_without_a_commit() {
    let fs = SimFs::on(prepared());
    let older = files(&fs.disk());
    let db = write(&fs).unwrap();
    assert_eq!(content(&db), behind());
    let newer = files(&fs.disk());
    let is_vectors = |path: &&PathBuf| path.ends_with("vectors.npy");
    assert_eq!(newer.difference(&older).filter(is_vectors).count(), 6, "{newer:?}");
    let deletes = newer.iter().filter(|path| path.to_str().unwrap().contains("deletes-"));
    assert_eq!(deletes.count(), 1, "only the last deletions stay");
    db.close().unwrap();
    assert_eq!(files(&fs.disk()), older);
    assert_eq!(found(fs.disk()), before());
}

#[test]
fn a_commit_names_the_pieces_where_they_lie() {
    let fs = SimFs::on(prepared());
    let db = write(&fs).unwrap();
    let vectors = || files(&fs.disk()).into_iter().filter(|path| path.ends_with("vectors.npy"));
    let pieces: BTreeSet<PathBuf> = vectors().collect();
    db.commit().unwrap();
    assert!(vectors().collect::<BTreeSet<_>>().is_superset(&pieces), "none is written again");
    db.close().unwrap();
    assert_eq!(found(fs.disk()), behind());
}

#[test]
fn a_collection_that_is_dropped_or_rewritten_leaves_no_files() {
    let fs = SimFs::on(prepared());
    let older = files(&fs.disk());
    let db = write(&fs).unwrap();
    db.drop_collection("more").unwrap();
    db.existing_collection("docs").unwrap().compact().unwrap();
    let vectors = files(&fs.disk()).into_iter().filter(|path| path.ends_with("vectors.npy"));
    assert_eq!(vectors.count(), 1, "{older:?}");
    db.commit().unwrap();
    db.close().unwrap();
    let mut expected = behind();
    expected.truncate(1);
    assert_eq!(found(fs.disk()), expected);
}

#[test]
fn a_crash_shows_all_of_a_stream_or_nothing() {
    let crashes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&crashes);
    let step = times(3, 1, 1);
    let fs = SimFs::on(prepared()).watched(move |fs, call| {
        if call % step == 0 {
            seen.lock().unwrap().push(found(fs.disk().crash(call as u64)));
        }
    });
    let db = write(&fs).unwrap();
    db.commit().unwrap();
    db.close().unwrap();
    let crashes = crashes.lock().unwrap();
    println!("{} crashes", crashes.len());
    assert!(crashes.len() > 20 && crashes.contains(&before()), "{}", crashes.len());
    for found in crashes.iter() {
        assert!(*found == before() || *found == behind(), "{found:?}");
    }
    assert_eq!(found(fs.disk().crash(1)), behind());
}

#[test]
fn a_failing_call_leaves_all_of_a_stream_or_nothing() {
    let disk = prepared();
    let mut runs = 0;
    for kind in [FaultKind::NoSpace, FaultKind::Io, FaultKind::Sync] {
        for at in (0..).step_by(times(7, 1, 1)) {
            let fs = SimFs::on(disk.clone()).with_fault(Fault { kind, at, and_later: false });
            let written = write(&fs).and_then(|db| db.commit().map(|()| db));
            let is_struck = fs.struck() > 0;
            let is_written = written.is_ok();
            drop(written);
            fs.set_fault(None);
            let found = found(fs.disk());
            assert!(found == behind() || !is_written && found == before(), "{kind:?} at {at}");
            runs += 1;
            if !is_struck {
                break;
            }
        }
    }
    println!("{runs} runs");
}

#[test]
fn an_id_that_comes_twice_is_refused_wherever_it_is() {
    let db = Database::in_memory().unwrap();
    let docs = db.create_collection("docs", Schema::new(2)).unwrap();
    let rows = |ids: std::ops::Range<u64>| {
        let values: Vec<f32> = ids.clone().flat_map(|id| [1.0, id as f32]).collect();
        Batch::new(ids.collect::<Vec<_>>(), Vectors::from_flat(2, &values).unwrap()).unwrap()
    };
    docs.add(&rows(0..10)).unwrap();
    for piece_bytes in [1, 1 << 20] {
        for is_upsert in [false, true] {
            let writer = docs.writer().distinct().piece_bytes(piece_bytes);
            let mut writer = if is_upsert { writer.upsert() } else { writer };
            let first = 100 + 1_000 * u64::from(is_upsert) + piece_bytes as u64 * 10_000;
            writer.write(&rows(first..first + 20)).unwrap();
            let again = writer.write(&rows(first + 15..first + 30));
            let error = again.and_then(|()| writer.finish().map(drop)).unwrap_err();
            assert_eq!(error.row(), Some(20), "{error}");
            let expected = format!("row 15 has the same id: {}", first + 15);
            assert!(error.to_string().contains(&expected), "{error}");
        }
    }
    let mut writer = docs.writer().distinct().upsert();
    writer.write(&rows(0..10)).unwrap();
    assert_eq!(writer.finish().unwrap(), 10, "points that were there before are replaced");
}
