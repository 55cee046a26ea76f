//! A backup holds every write that had returned, is whole or not there, and never holds damage.
//!
//! The story: backups are made of the sample database, with the power going or a call failing at
//! every step, and beside a writer that goes on. What is there afterwards is a database like any
//! other, or nothing; the original is what it was.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use loomdb::storage::RealFs;
use loomdb::{
    BackupOptions, Batch, CheckOptions, Collection, Database, Durability, ErrorKind, Ids, Schema,
    check, check_on,
};
use loomdb_graph::Vectors;

use crate::damage::{files, sample};
use crate::model::{Model, NAME, Op, content, open, open_at, options};
use crate::sim::{Fault, FaultKind, SimFs};

const COPY: &str = "/copy";

fn backup(db: &Database) -> loomdb::Result<loomdb::BackupInfo> {
    db.backup(COPY, &BackupOptions::default())
}

/// Opens the copy, which must be sound and hold the model.
fn check_copy(fs: &SimFs, model: &Model) {
    let report = check_on(&(Arc::new(fs.clone()) as _), COPY, &CheckOptions::default()).unwrap();
    assert!(report.is_sound() && report.leftovers.is_empty(), "{report:?}");
    let (db, docs) = open_at(Arc::new(fs.clone()), Durability::Synced, Path::new(COPY)).unwrap();
    assert_eq!((content(&docs), db.warnings().len()), (model.clone(), 0));
    // It is a database of its own.
    Op::Upsert(vec![1]).run(&db, &docs, 99).unwrap();
}

#[test]
fn a_backup_is_the_database_and_goes_on_alone() {
    let (disk, mut model) = sample();
    let fs = SimFs::on(disk);
    let (db, docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
    let op = Op::Upsert(vec![2, 70]);
    op.run(&db, &docs, 50).unwrap();
    model = op.applied(&model, 50).unwrap();
    let info = backup(&db).unwrap();
    assert!(info.files >= 7 && info.bytes > 0 && info.warnings.is_empty(), "{info:?}");
    let error = backup(&db).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    check_copy(&fs, &model);
    assert_eq!(content(&docs), model, "the original changed with the copy");
    // What readers of other processes see can be copied too.
    let reader = options(Arc::new(fs.clone()), Durability::Synced).read_only();
    let reader = reader.open(crate::model::ROOT).unwrap();
    reader.backup("/second", &BackupOptions::default()).unwrap();
    let copy = open_at(Arc::new(fs), Durability::Synced, Path::new("/second")).unwrap().1;
    assert_eq!(content(&copy), model);
}

#[test]
fn what_was_not_committed_yet_is_in_the_backup() {
    for durability in [Durability::Buffered, Durability::OnCommit] {
        let fs = SimFs::new();
        let (db, docs) = open(Arc::new(fs.clone()), durability).unwrap();
        let op = Op::Add((0..30).collect());
        op.run(&db, &docs, 1).unwrap();
        backup(&db).unwrap();
        check_copy(&fs, &op.applied(&Model::new(), 1).unwrap());
    }
}

#[test]
fn a_backup_is_whole_or_not_there_when_the_power_goes_or_a_call_fails() {
    let (disk, model) = sample();
    let kinds = FaultKind::ERRORS.into_iter().chain([FaultKind::PowerOff]);
    let (mut runs, mut made) = (0, 0);
    for kind in kinds {
        for at in 0.. {
            let fs = SimFs::on(disk.clone());
            let (db, docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
            fs.set_fault(Some(Fault { kind, at, and_later: kind == FaultKind::PowerOff }));
            let result = backup(&db);
            let has_struck = fs.struck() > 0;
            fs.set_fault(None);
            let is_there = |fs: &SimFs| fs.disk().entry(Path::new(COPY)).is_some();
            let found = if kind == FaultKind::PowerOff {
                SimFs::on(fs.disk().crash(at as u64))
            } else {
                assert_eq!(is_there(&fs), result.is_ok(), "{kind:?} at {at}: {result:?}");
                assert_eq!(content(&docs), model, "{kind:?} at {at}");
                fs
            };
            drop((db, docs));
            if is_there(&found) {
                check_copy(&found, &model);
                made += 1;
            } else {
                assert!(has_struck);
            }
            let (_db, docs) = open(Arc::new(found), Durability::Synced).unwrap();
            assert_eq!(content(&docs), model, "{kind:?} at {at}: the original");
            runs += 1;
            if !has_struck {
                break;
            }
        }
    }
    println!("{runs} failing backups, of which {made} were complete");
    assert!(runs > 100 && made > 5, "{runs} {made}");
}

#[test]
fn damage_is_not_copied() {
    let (disk, model) = sample();
    for (path, bytes) in files(&disk) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("manifest-") || name.starts_with("log-") {
            continue;
        }
        let fs = SimFs::on(disk.clone());
        let (db, docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 4;
        fs.overwrite(&path, &flipped);
        match backup(&db) {
            Ok(info) => {
                assert!(name.starts_with("graph-") || name.starts_with("order-"), "{name}");
                assert_eq!(info.warnings.len(), 1, "{info:?}");
                check_copy(&fs, &model);
            }
            Err(error) => {
                assert_eq!((error.kind(), error.file()), (ErrorKind::Corrupted, Some(&*path)));
                assert!(fs.disk().entry(Path::new(COPY)).is_none());
            }
        }
        drop((db, docs));
    }
}

/// A batch of 64 points that all carry one number.
fn stamped(docs: &Collection, ids: &Ids, stamp: u64) {
    let vectors = Vectors::from_flat(2, &[stamp as f32, 1.0].repeat(ids.len())).unwrap();
    docs.upsert(&Batch::new(ids.clone(), vectors).unwrap()).unwrap();
}

#[test]
fn backups_beside_a_writer_are_states_after_some_write() {
    let parent = tempfile::tempdir().unwrap();
    let opened = options(Arc::new(RealFs), Durability::Buffered).open(parent.path().join("db"));
    let db = opened.unwrap();
    let docs = db.collection(NAME, Schema::new(2)).unwrap();
    let ids = Ids::from((0..64).collect::<Vec<u64>>());
    stamped(&docs, &ids, 0);
    let (begun, finished, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            for stamp in 1.. {
                if is_over.load(Ordering::Acquire) {
                    break;
                }
                begun.store(stamp, Ordering::Release);
                stamped(&docs, &ids, stamp);
                finished.store(stamp, Ordering::Release);
                if stamp % 10 == 0 {
                    db.commit().unwrap();
                }
                if stamp % 70 == 0 {
                    docs.compact().unwrap();
                }
            }
        });
        for number in 0..40 {
            let path = parent.path().join(format!("copy {number}"));
            let low = finished.load(Ordering::Acquire);
            db.backup(&path, &BackupOptions::default()).unwrap();
            let high = begun.load(Ordering::Acquire);
            assert!(check(&path, &CheckOptions::default()).unwrap().is_sound());
            let copy = options(Arc::new(RealFs), Durability::Synced).open(&path).unwrap();
            let points = copy.existing_collection(NAME).unwrap().get(&ids);
            let stamps: Vec<u64> =
                points.into_iter().map(|point| point.unwrap().vector[0] as u64).collect();
            assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "{stamps:?}");
            assert!((low..=high).contains(&stamps[0]), "{low} <= {} <= {high}", stamps[0]);
        }
        is_over.store(true, Ordering::Release);
    });
}

#[test]
fn a_database_in_memory_can_be_kept() {
    let parent = tempfile::tempdir().unwrap();
    let db = Database::in_memory().unwrap();
    let docs = db.collection(NAME, Schema::new(2)).unwrap();
    db.collection("empty", Schema::learned()).unwrap();
    let ids = Ids::from((0..3_000).collect::<Vec<u64>>());
    let values: Vec<f32> = (0..6_000).map(|value| 1.0 + (value % 97) as f32).collect();
    let vectors = Vectors::from_flat(2, &values).unwrap();
    docs.add(&Batch::new(ids.clone(), vectors).unwrap()).unwrap();
    docs.delete(&Ids::from(vec![7])).unwrap();
    let path = parent.path().join("kept");
    db.backup(&path, &BackupOptions::default()).unwrap();
    assert!(check(&path, &CheckOptions::default()).unwrap().is_sound());
    let kept = Database::open(&path).unwrap();
    assert_eq!(kept.collection_names(), ["docs", "empty"]);
    assert_eq!(kept.existing_collection(NAME).unwrap().get(&ids), docs.get(&ids));
}

#[test]
fn a_canceled_backup_leaves_nothing() {
    let (disk, _) = sample();
    let fs = SimFs::on(disk);
    let (db, _docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
    let options = BackupOptions { progress: &|done, _| done < 1_000 };
    let error = db.backup(COPY, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Canceled);
    let strangers = |path: &Path| !path.starts_with(crate::model::ROOT);
    assert!(!fs.disk().files().any(|(path, _)| strangers(path)));
}
