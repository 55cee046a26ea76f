//! A repair saves what is sound, tells what is not, and destroys nothing.
//!
//! The story: the sample database is damaged in every way that `damage` knows, and repaired. What
//! comes out is sound, holds nothing that was never written, misses nothing without saying so, and
//! stands beside the damaged files, which are what they were. The power may go at any call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loomdb::{
    Batch, CheckOptions, Collection, Database, Durability, ErrorKind, Id, RepairOptions,
    RepairReport, Schema, check_on, repair_on,
};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::Random;

use crate::damage::{files, sample, sample_ops};
use crate::model::{Model, ROOT, content, open, options};
use crate::sim::{Disk, Fault, FaultKind, SimFs};
use crate::tier::times;

const OPTIONS: RepairOptions<'static> = RepairOptions { to: None, metric: Some(Metric::L2) };

fn repair(fs: &SimFs) -> loomdb::Result<RepairReport> {
    repair_on(&(Arc::new(fs.clone()) as _), ROOT, &OPTIONS)
}

/// Every point that was there after some operation.
fn history() -> BTreeMap<u64, Vec<Model>> {
    let mut all: BTreeMap<u64, Vec<Model>> = BTreeMap::new();
    let mut model = Model::new();
    for (stamp, op) in (0..).zip(sample_ops()) {
        model = op.applied(&model, stamp).unwrap();
        for (id, point) in &model {
            all.entry(*id).or_default().push(Model::from([(*id, point.clone())]));
        }
    }
    all
}

/// Opens what a repair made: a sound database of one collection.
fn repaired(fs: &SimFs, root: &Path) -> Model {
    let fs = Arc::new(fs.clone());
    let report = check_on(&(fs.clone() as _), root, &CheckOptions::default()).unwrap();
    assert!(report.is_sound() && report.findings.is_empty(), "{report:?}");
    let db = options(fs, Durability::Synced).open(root).unwrap();
    let names = db.collection_names();
    content(&db.existing_collection(&names[0]).unwrap())
}

fn files_in(disk: &Disk, root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let inside = files(disk).into_iter();
    inside.filter_map(|(path, bytes)| Some((path.strip_prefix(root).ok()?.into(), bytes))).collect()
}

/// Repairs a damaged disk; the model that was saved, and what was lost.
fn check_repair(disk: &Disk, model: &Model, what: &str) -> (Model, RepairReport) {
    let fs = SimFs::on(disk.clone());
    let report = repair(&fs).unwrap_or_else(|error| panic!("{what}: {error:#}"));
    assert!(report.is_changed, "{what}");
    let kept = files_in(&fs.disk(), &report.damaged);
    assert_eq!(kept, files_in(disk, Path::new(ROOT)), "{what}: the damaged files changed");
    let found = repaired(&fs, &report.database);
    let is_told = |id: &u64| {
        let named = report.losses.iter().any(|loss| loss.ids.contains(&Id::from(*id)));
        let counted: usize = report.losses.iter().map(|loss| loss.points - loss.ids.len()).sum();
        // A batch of the log is told by its number.
        let is_logged = report.losses.iter().any(|loss| loss.file.starts_with("log-"));
        named || counted > 0 || is_logged
    };
    assert!(model.keys().filter(|id| !found.contains_key(id)).all(is_told), "{what}: {report:?}");
    if found != *model {
        assert!(!report.losses.is_empty(), "{what}");
    }
    (found, report)
}

#[test]
fn a_flip_anywhere_costs_no_more_than_its_block() {
    let (disk, model) = sample();
    let history = history();
    // Of so many flips one is tried.
    let sampled = times(7, 1, 1);
    let (mut flips, mut whole) = (0, 0);
    for (path, bytes) in files(&disk) {
        let name = path.file_name().unwrap().to_str().unwrap();
        for index in (name.len() % sampled..bytes.len()).step_by(sampled) {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << (index % 8);
            let what = format!("flip {index} in {name}");
            let damaged = disk.with(&path, Some(&damaged));
            let (found, report) = check_repair(&damaged, &model, &what);
            for (id, point) in &found {
                let one = Model::from([(*id, point.clone())]);
                assert!(history[id].contains(&one), "{what}: {id} was never like this");
            }
            if name.starts_with("graph-") || name.starts_with("order-") {
                assert_eq!(report.losses, [], "{what}");
            }
            if !["vectors", "points", "log-"].iter().any(|sort| name.starts_with(sort)) {
                let is_all = model.iter().all(|(id, point)| found.get(id) == Some(point));
                assert!(is_all, "{what}: {report:?}");
            }
            flips += 1;
            whole += usize::from(found == model);
        }
    }
    println!("{flips} flips repaired, {whole} of them without any loss");
    assert!(flips > 900 && whole > 200, "{flips} {whole}");
}

#[test]
fn missing_cut_and_zeroed_files_cost_no_more_than_themselves() {
    let (disk, model) = sample();
    let mut random = Random::new(8);
    for (path, bytes) in files(&disk) {
        let name = path.file_name().unwrap().to_str().unwrap();
        check_repair(&disk.with(&path, None), &model, &format!("{name} is gone"));
        let zeros = vec![0; bytes.len()];
        check_repair(&disk.with(&path, Some(&zeros)), &model, &format!("zeros in {name}"));
        for _ in 0..20 {
            let len = random.below(bytes.len());
            let cut = disk.with(&path, Some(&bytes[..len]));
            check_repair(&cut, &model, &format!("{name} cut at {len}"));
        }
    }
}

/// A closed database of one segment of many blocks.
fn large() -> (Disk, Collection, Database) {
    let fs = SimFs::new();
    let (db, _) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
    db.drop_collection("docs").unwrap();
    let docs = db.collection("docs", Schema::new(16).metric(Metric::L2)).unwrap();
    let values: Vec<f32> = (0..200_000 * 16).map(|value| (value % 9_973) as f32).collect();
    let vectors = Vectors::from_flat(16, &values).unwrap();
    docs.add(&Batch::without_ids(vectors)).unwrap();
    db.commit().unwrap();
    (fs.disk(), docs, db)
}

#[test]
fn rows_in_damaged_blocks_are_told_by_their_ids_and_the_others_are_saved() {
    const HEADER: usize = 128;
    const ROW: usize = 64;
    let (disk, docs, _db) = large();
    let (vectors, mut bytes) =
        files(&disk).into_iter().find(|(path, _)| path.ends_with("vectors.npy")).unwrap();
    let (start, end) = (20 * 65_536, 21 * 65_536);
    bytes[start + 5] ^= 1;
    let fs = SimFs::on(disk.with(&vectors, Some(&bytes)));
    let report = repair(&fs).unwrap();
    let lost: Vec<u64> =
        (((start - HEADER) / ROW) as u64..=((end - 1 - HEADER) / ROW) as u64).collect();
    let told: Vec<Id> = lost.iter().map(|id| Id::from(*id)).collect();
    let loss = report.losses.iter().find(|loss| loss.points > 0).unwrap();
    assert_eq!((&loss.ids, loss.collection.as_deref()), (&told, Some("docs")));
    assert_eq!(report.collections[0].points, 200_000 - lost.len());
    let db = options(Arc::new(fs), Durability::Synced).open(ROOT).unwrap();
    let saved = db.existing_collection("docs").unwrap();
    let ids = (0..200_000).step_by(997).chain([lost[0] - 1, lost[lost.len() - 1] + 1]);
    let ids: Vec<u64> = ids.filter(|id| !lost.contains(id)).collect();
    assert_eq!(saved.get(&ids.clone().into()), docs.get(&ids.into()));
    // Ids of lost points are not given out again.
    let one = Vectors::from_flat(16, &[1.0; 16]).unwrap();
    assert_eq!(saved.add(&Batch::without_ids(one)).unwrap().get(0), Id::from(200_000));
}

#[test]
fn batches_of_points_around_a_damaged_one_are_saved() {
    let (disk, _docs, _db) = large();
    let (points, bytes) =
        files(&disk).into_iter().find(|(path, _)| path.ends_with("points.arrow")).unwrap();
    // Ids are eight bytes and the batches as they were joined in memory.
    for at in [bytes.len() / 2, 2_000, bytes.len() - 9] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let fs = SimFs::on(disk.with(&points, Some(&damaged)));
        let report = repair(&fs).unwrap();
        let lost: usize = report.losses.iter().map(|loss| loss.points).sum();
        assert!(lost > 0 && report.losses.iter().all(|loss| loss.ids.is_empty()), "{report:?}");
        assert_eq!(report.collections[0].points, 200_000 - lost, "{at}");
    }
}

#[test]
fn only_a_repair_goes_back_to_an_older_manifest_and_says_so() {
    let (disk, model) = sample();
    let (path, bytes) = files(&disk)
        .into_iter()
        .find(|(path, _)| path.file_name().unwrap().to_str().unwrap().starts_with("manifest-"))
        .unwrap();
    let newer = path.with_file_name("manifest-00000077");
    let damaged = disk.with(&newer, Some(&bytes[..bytes.len() / 2]));
    let error = open(Arc::new(SimFs::on(damaged.clone())), Durability::Synced).unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Corrupted, Some(&*newer)));
    let (found, report) = check_repair(&damaged, &model, "an unreadable newer manifest");
    assert_eq!(found, model);
    assert!(report.losses[0].what.contains("rolled back to manifest"), "{report:?}");
}

#[test]
fn what_needs_no_repair_is_left_alone() {
    let (disk, model) = sample();
    let fs = SimFs::on(disk.clone());
    let report = repair(&fs).unwrap();
    assert!(!report.is_changed && report.losses.is_empty());
    assert_eq!(report.collections[0].points, model.len());
    assert_eq!(files(&fs.disk()), files(&disk));
    let db = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
    fs.overwrite(&files(&disk)[0].0, b"?");
    let error = repair(&fs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    drop(db);
    let error = repair_on(&(Arc::new(fs) as _), "/none", &OPTIONS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn a_lost_manifest_needs_a_metric_and_a_place_beside_is_never_overwritten() {
    let (disk, model) = sample();
    let (manifest, _) = files(&disk)
        .into_iter()
        .find(|(path, _)| path.file_name().unwrap().to_str().unwrap().starts_with("manifest-"))
        .unwrap();
    let fs = SimFs::on(disk.with(&manifest, None));
    let shared = Arc::new(fs.clone()) as _;
    let error = repair_on(&shared, ROOT, &RepairOptions::default()).unwrap_err();
    assert!(error.to_string().contains("give the metric"), "{error}");
    let to = Path::new("/saved");
    let beside = RepairOptions { to: Some(to), ..OPTIONS };
    let report = repair_on(&shared, ROOT, &beside).unwrap();
    assert_eq!((report.database.as_path(), report.damaged.as_path()), (to, Path::new(ROOT)));
    assert_eq!(report.collections[0].name, "collection-3");
    let found = repaired(&fs, to);
    assert!(model.iter().all(|(id, point)| found.get(id) == Some(point)));
    let error = repair_on(&shared, ROOT, &beside).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
}

#[test]
fn a_failing_call_or_a_loss_of_power_destroys_nothing() {
    let (disk, model) = sample();
    let (path, bytes) =
        files(&disk).into_iter().find(|(path, _)| path.ends_with("points.arrow")).unwrap();
    let mut damaged = bytes;
    damaged[40] ^= 1;
    let disk = disk.with(&path, Some(&damaged));
    let original = files_in(&disk, Path::new(ROOT));
    let (mut runs, mut interrupted) = (0, 0);
    for kind in FaultKind::ERRORS.into_iter().chain([FaultKind::PowerOff]) {
        for at in 0.. {
            let fs = SimFs::on(disk.clone());
            fs.set_fault(Some(Fault { kind, at, and_later: kind == FaultKind::PowerOff }));
            let result = repair(&fs);
            let has_struck = fs.struck() > 0;
            let disk = match kind {
                FaultKind::PowerOff => fs.disk().crash(at as u64),
                _ => fs.disk(),
            };
            let aside = Path::new("/db.damaged-1");
            let is_aside = files_in(&disk, aside) == original;
            let is_in_place = files_in(&disk, Path::new(ROOT)) == original;
            assert!(is_aside || is_in_place, "{kind:?} at {at}: {result:?}");
            assert!(result.is_err() || is_aside, "{kind:?} at {at}");
            if is_aside && disk.entry(Path::new(ROOT)).is_some() {
                let found = repaired(&SimFs::on(disk), Path::new(ROOT));
                assert!(found.keys().all(|id| model.contains_key(id) || *id < 6), "{found:?}");
            } else if is_aside {
                names_what_was_moved_aside(&disk, aside);
                interrupted += 1;
            }
            runs += 1;
            if !has_struck {
                break;
            }
        }
    }
    println!("{runs} failing repairs, {interrupted} of them between two renames");
    assert!(runs > 300 && interrupted > 0, "{runs}, {interrupted}");
}

/// Opening the empty place makes no database there, and says where the data are.
fn names_what_was_moved_aside(disk: &Disk, aside: &Path) {
    for is_read_only in [false, true] {
        let fs = SimFs::on(disk.clone());
        let options = options(Arc::new(fs.clone()), Durability::Synced);
        let options = if is_read_only { options.read_only() } else { options };
        let error = options.open(ROOT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        let names = [aside.to_str().unwrap(), "`mv ", "repair it again"];
        assert!(names.iter().all(|name| error.to_string().contains(name)), "{error}");
        assert!(fs.disk().files().eq(disk.files()), "opening wrote");
    }
}
