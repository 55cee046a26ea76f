//! Every byte is checked: a flip, a cut or a missing file is an error, or does no harm.
//!
//! The story: a small closed database with every sort of file is damaged in every byte, cut at
//! every length, robbed of each file, and opened. What opens must hold exactly what was written;
//! only the graph may be left out, with a warning, and then searches are exact.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use loomdb::{CheckOptions, Durability, ErrorKind, Finding, Severity, check_on};

use crate::model::{Model, Op, ROOT, check, content, open};
use crate::sim::{Disk, SimFs};
use crate::tier::times;

/// What the sample was made by; the number of each is its stamp.
pub fn sample_ops() -> [Op; 6] {
    [
        Op::Add((0..40).collect()),
        Op::Delete(vec![3, 4, 5]),
        Op::Commit,
        Op::Upsert(vec![7, 8, 60]),
        Op::Delete(vec![9]),
        Op::Update(vec![60]),
    ]
}

/// A closed database with a segment, a graph, its order, deletions, and a log.
pub fn sample() -> (Disk, Model) {
    let fs = SimFs::new();
    let (db, docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
    let mut model = Model::new();
    for (stamp, op) in sample_ops().iter().enumerate() {
        op.run(&db, &docs, stamp as u64).unwrap();
        model = op.applied(&model, stamp as u64).unwrap();
    }
    drop(docs);
    db.close().unwrap();
    let disk = fs.disk();
    let names: Vec<String> =
        disk.files().map(|(path, _)| path.file_name().unwrap().to_str().unwrap().into()).collect();
    for sort in ["manifest-", "log-", "vectors.npy", "points.arrow", "graph-", "order-", "deletes-"]
    {
        assert!(names.iter().any(|name| name.starts_with(sort)), "{sort} is not in {names:?}");
    }
    (disk, model)
}

pub fn files(disk: &Disk) -> Vec<(PathBuf, Vec<u8>)> {
    let files = disk.files().map(|(path, bytes)| (path.to_owned(), bytes.to_vec()));
    files.filter(|(path, _)| path.file_name().unwrap() != "LOCK").collect()
}

fn is_expendable(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.starts_with("graph-") || name.starts_with("order-")
}

/// A check names the file and how bad it is, and changes nothing.
fn check_reports(disk: &Disk, path: &Path, what: &str) {
    let fs = SimFs::on(disk.clone());
    let report = check_on(&(Arc::new(fs.clone()) as _), ROOT, &CheckOptions::default()).unwrap();
    let severity = if is_expendable(path) { Severity::Graph } else { Severity::Damage };
    assert_eq!(report.worst(), Some(severity), "{what}: {report:?}");
    // Behind a foreign manifest it is the other files that do not fit.
    let is_manifest = path.file_name().unwrap().to_str().unwrap().starts_with("manifest-");
    let names_it = |finding: &Finding| finding.file.as_deref() == Some(path);
    assert!(is_manifest || report.findings.iter().any(names_it), "{what}: {report:?}");
    assert!(report.findings.iter().all(|one| one.advice.is_some()), "{what}: {report:?}");
    assert!(fs.disk().files().eq(disk.files()), "{what}: a check wrote");
}

/// Opens a damaged disk; whether that was refused.
fn is_refused(disk: Disk, model: &Model, path: &Path, what: &str) -> bool {
    let what = format!("{what} in {}", path.display());
    check_reports(&disk, path, &what);
    match open(Arc::new(SimFs::on(disk)), Durability::Synced) {
        Err(error) => {
            let kinds = [ErrorKind::Corrupted, ErrorKind::Unsupported];
            assert!(kinds.contains(&error.kind()), "{what}: {error:#}");
            assert!(!is_expendable(path), "{what}: {error:#}");
            true
        }
        Ok((db, docs)) => {
            assert_eq!(content(&docs), *model, "{what}");
            assert!(is_expendable(path) && !db.warnings().is_empty(), "{what}");
            false
        }
    }
}

#[test]
fn no_flip_in_any_byte_is_believed() {
    let (disk, model) = sample();
    let (mut flips, mut refused) = (0, 0);
    for (path, bytes) in files(&disk) {
        for index in 0..bytes.len() {
            for bit in (0..times(2, 8, 8)).map(|turn| (index + 3 * turn) % 8) {
                let mut damaged = bytes.clone();
                damaged[index] ^= 1 << bit;
                let damaged = disk.with(&path, Some(&damaged));
                let what = format!("flip of bit {bit} of byte {index}");
                refused += usize::from(is_refused(damaged, &model, &path, &what));
                flips += 1;
            }
        }
    }
    println!("{flips} flips, {refused} refused, the others in the graph and reported");
    assert!(flips > 5_000);
}

#[test]
fn no_cut_and_no_zeroed_block_is_believed() {
    let (disk, model) = sample();
    for (path, bytes) in files(&disk) {
        for len in 0..bytes.len() {
            let damaged = disk.with(&path, Some(&bytes[..len]));
            is_refused(damaged, &model, &path, &format!("cut at {len}"));
        }
        let zeroed = vec![0; bytes.len()];
        is_refused(disk.with(&path, Some(&zeroed)), &model, &path, "zeros");
        let extended = [&bytes[..], &[0; 100]].concat();
        let extended = disk.with(&path, Some(&extended));
        if path.file_name().unwrap().to_str().unwrap().starts_with("log-") {
            // A torn write of a batch that was never confirmed looks like this.
            let (db, docs) = open(Arc::new(SimFs::on(extended)), Durability::Synced).unwrap();
            assert_eq!((content(&docs), db.warnings().len()), (model.clone(), 1));
        } else {
            is_refused(extended, &model, &path, "100 zeros more");
        }
    }
}

#[test]
fn missing_foreign_and_copied_files_are_found_out() {
    let (disk, model) = sample();
    let other = {
        let fs = SimFs::new();
        let (db, docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
        for (stamp, op) in
            [Op::Add((0..40).collect()), Op::Commit, Op::Add(vec![50])].iter().enumerate()
        {
            op.run(&db, &docs, 77 + stamp as u64).unwrap();
        }
        drop((db, docs));
        fs.disk()
    };
    for (path, bytes) in files(&disk) {
        is_refused(disk.with(&path, None), &model, &path, "removal");
        for (foreign, content) in files(&other) {
            let is_same_sort = foreign.file_name().unwrap().to_str().unwrap()[..3]
                == path.file_name().unwrap().to_str().unwrap()[..3];
            if is_same_sort && content != bytes {
                is_refused(disk.with(&path, Some(&content)), &model, &path, "a foreign file");
            }
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("manifest-") {
            let copy = path.with_file_name("manifest-00000099");
            assert!(is_refused(disk.with(&copy, Some(&bytes)), &model, &copy, "a copy"));
        }
    }
}

/// A database whose graph is lost, and what it holds.
fn without_its_graph() -> (SimFs, Model) {
    let (disk, model) = sample();
    let (graph, _) = files(&disk).into_iter().find(|(path, _)| is_expendable(path)).unwrap();
    (SimFs::on(disk.with(&graph, None)), model)
}

#[test]
fn without_its_graph_a_database_searches_exactly_and_builds_another() {
    let (fs, model) = without_its_graph();
    let (db, docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
    let warnings = db.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("exact and slower"), "{warnings:?}");
    check(&docs, &model, 1);
    while docs.info().index.unwrap().graph_rows == 0 {
        std::thread::yield_now();
    }
    db.commit().unwrap();
    drop((db, docs));
    let (db, docs) = open(Arc::new(fs), Durability::Synced).unwrap();
    assert_eq!(db.warnings(), [""; 0]);
    check(&docs, &model, 2);
}

/// Nobody has to keep it open until the graph is there.
#[test]
fn a_short_visit_builds_a_lost_graph_too() {
    let (fs, model) = without_its_graph();
    let (db, docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
    assert_eq!(db.warnings().len(), 1);
    drop((docs, db));
    let (db, docs) = open(Arc::new(fs), Durability::Synced).unwrap();
    assert_eq!(db.warnings(), [""; 0]);
    check(&docs, &model, 3);
}
