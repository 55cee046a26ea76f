//! A loss of power at any call loses nothing that was confirmed, and shows no half of a batch.
//!
//! The story: a workload of writes, commits and compactions, with writes between the steps of a
//! compaction, runs on the simulated disk. Before
//! each call the power goes: a copy of the disk is crashed, several times with different luck, and
//! opened. What is found must be what the model was after some write between the last one that was
//! promised and the one that had begun. Then the power goes again, during recovery, up to three
//! times in a row. Or only the process dies, and the power goes while the next one opens what may
//! not be on the disk yet. A database that was opened takes writes again.

use std::sync::{Arc, Mutex};

use loomdb::{Collection, Compaction, Database, Durability, Schema};
use loomdb_graph::Metric;
use loomdb_testkit::Random;

use crate::model::{DIM, Model, NAME, Op, ROOT, check, compact_beside, content, open, options};
use crate::sim::{Disk, Fault, FaultKind, SimFs};
use crate::tier::{seed, times};

/// The models after each write, and how far the workload has come.
#[derive(Debug, Default)]
struct Progress {
    models: Vec<Model>,
    /// The first model that a crash may leave, and the last.
    promised: usize,
    begun: usize,
}

/// The operations of a workload, which are never refused.
fn workload(seed: u64, count: usize) -> Vec<(Op, Model)> {
    let mut random = Random::new(seed);
    let mut model = Model::new();
    let mut ops = Vec::new();
    while ops.len() < count {
        let op = Op::draw(&mut random);
        if let Some(next) = op.applied(&model, ops.len() as u64) {
            model.clone_from(&next);
            ops.push((op, next));
        }
    }
    ops
}

/// What the models allow, of the disk behind a crash.
fn verify(disk: Disk, progress: &Progress, durability: Durability, seed: u64) {
    let fs = Arc::new(SimFs::on(disk));
    let (db, docs) = open(fs.clone(), durability).unwrap_or_else(|error| {
        let files: Vec<_> =
            fs.disk().files().map(|(path, bytes)| (path.to_owned(), bytes.len())).collect();
        panic!("crash {seed}: {error:#}\n{files:?}");
    });
    let found = content(&docs);
    let allowed = &progress.models[progress.promised..=progress.begun];
    let Some(at) = allowed.iter().rposition(|model| *model == found) else {
        let ids = |model: &Model| model.keys().copied().collect::<Vec<_>>();
        panic!(
            "crash {seed}: found {:?}, allowed {:?}",
            ids(&found),
            allowed.iter().map(ids).collect::<Vec<_>>()
        );
    };
    if seed.is_multiple_of(16) {
        check(&docs, &found, seed);
        let stamp = 1_000 + seed;
        let next = Op::Upsert(vec![1, 2, 61]);
        next.run(&db, &docs, stamp).unwrap();
        let expected = next.applied(&allowed[at], stamp).unwrap();
        db.commit().unwrap();
        drop((db, docs));
        let (_db, docs) = open(Arc::new(SimFs::on(fs.disk().crash(seed))), durability).unwrap();
        check(&docs, &expected, seed);
    }
}

/// Crashes again and again while the database is being opened; the disk that is left.
fn crash_in_recovery(mut disk: Disk, seed: u64, durability: Durability) -> Disk {
    let mut random = Random::new(seed);
    for _ in 0..=random.below(3) {
        let fault = Fault { kind: FaultKind::PowerOff, at: random.below(40), and_later: true };
        let fs = SimFs::on(disk).with_fault(fault);
        drop(open(Arc::new(fs.clone()), durability));
        disk = fs.disk().crash(random.next_word());
    }
    disk
}

/// The process dies, another one opens the database, and then the power goes: what the first one
/// had not synced is still pending.
fn crash_behind_kill(disk: Disk, seed: u64, durability: Durability) -> Disk {
    let fs = SimFs::on(disk);
    let fault = Fault { kind: FaultKind::PowerOff, at: (seed % 60) as usize, and_later: true };
    fs.set_fault(Some(fault));
    drop(open(Arc::new(fs.clone()), durability));
    fs.disk().crash(seed)
}

/// Runs a workload, with `luck` crashes before each call; returns how many there were.
fn crash_everywhere(
    (seed, ops): (u64, usize),
    luck: u64,
    durability: Durability,
    compaction: Compaction,
) -> usize {
    let progress = Arc::new(Mutex::new(Progress::default()));
    let watched = Arc::clone(&progress);
    let crashes = Arc::new(Mutex::new(0));
    let count = Arc::clone(&crashes);
    let fs = SimFs::new().watched(move |fs, call| {
        let progress = watched.lock().unwrap();
        if progress.models.is_empty() {
            return;
        }
        for turn in 0..luck {
            let seed = seed + call as u64 * luck + turn;
            let disk = fs.disk().crash(seed);
            verify(disk.clone(), &progress, durability, seed);
            if seed.is_multiple_of(3) {
                verify(crash_in_recovery(disk, seed, durability), &progress, durability, seed);
            } else if seed.is_multiple_of(2) {
                let disk = crash_behind_kill(fs.disk(), seed, durability);
                verify(disk, &progress, durability, seed);
            }
            *count.lock().unwrap() += 1;
        }
    });
    let options = options(Arc::new(fs), durability).compaction(compaction);
    let db = options.open(ROOT).unwrap();
    let docs = db.collection(NAME, Schema::new(DIM).metric(Metric::L2)).unwrap();
    progress.lock().unwrap().models.push(Model::new());
    let ops = Mutex::new(workload(seed, ops).into_iter().enumerate());
    let run = Run { db: &db, docs: &docs, durability, progress: &progress, ops: &ops };
    while run.step(false) {}
    drop((db, docs));
    *crashes.lock().unwrap()
}

/// A workload that runs.
struct Run<'a, I> {
    db: &'a Database,
    docs: &'a Collection,
    durability: Durability,
    progress: &'a Mutex<Progress>,
    ops: &'a Mutex<I>,
}

impl<I: Iterator<Item = (usize, (Op, Model))> + Send> Run<'_, I> {
    /// Runs the next operation, and the ones behind a compaction beside it, between its steps;
    /// whether there was one.
    fn step(&self, is_beside: bool) -> bool {
        let Some((stamp, (op, model))) = self.ops.lock().unwrap().next() else { return false };
        {
            let mut progress = self.progress.lock().unwrap();
            progress.models.push(model);
            progress.begun += 1;
        }
        let is_shared = self.durability != Durability::OnCommit && stamp % 3 != 0;
        match op {
            Op::Compact if is_beside => {}
            Op::Compact if is_shared => {
                let write = || {
                    self.step(true);
                };
                compact_beside(self.docs, &write).unwrap();
            }
            _ => op.run(self.db, self.docs, stamp as u64).unwrap(),
        }
        let mut progress = self.progress.lock().unwrap();
        let is_promised = match self.durability {
            Durability::Synced => true,
            _ => matches!(op, Op::Sync | Op::Commit),
        };
        if is_promised {
            progress.promised = progress.begun;
        }
        true
    }
}

/// Some workloads, each crashed everywhere; how many crashes there were.
fn workloads(first: u64, durability: Durability) -> usize {
    let first = first + 1_000 * (seed() - 1);
    let seeds = first..first + times(2, 30, 300) as u64;
    let luck = times(4, 8, 8) as u64;
    let crash = |seed| crash_everywhere((seed, 100), luck, durability, Compaction::BehindWrites);
    seeds.map(crash).sum()
}

#[test]
fn synced_writes_survive_a_crash_at_every_call() {
    let crashes = workloads(1, Durability::Synced);
    println!("{crashes} crashes");
    assert!(crashes > 2_000, "{crashes}");
}

/// The same with a thread that rewrites, whose calls come between the others as they happen to.
#[test]
fn writes_beside_a_rewriting_thread_survive_a_crash_at_every_call() {
    let mut crashes = 0;
    for seed in 51..51 + times(2, 30, 300) as u64 {
        let seed = seed + 1_000 * (crate::tier::seed() - 1);
        let durability =
            if seed.is_multiple_of(2) { Durability::Synced } else { Durability::Buffered };
        crashes += crash_everywhere((seed, 100), 2, durability, Compaction::InBackground);
    }
    println!("{crashes} crashes");
    assert!(crashes > 500, "{crashes}");
}

#[test]
fn buffered_writes_survive_up_to_the_last_sync() {
    let crashes = workloads(11, Durability::Buffered);
    println!("{crashes} crashes");
    assert!(crashes > 1_000, "{crashes}");
}

#[test]
fn loading_on_commit_survives_up_to_the_last_commit() {
    let crashes = workloads(21, Durability::OnCommit);
    println!("{crashes} crashes");
    assert!(crashes > 500, "{crashes}");
}

#[test]
fn a_database_appears_whole_or_not_at_all() {
    let crashes = Arc::new(Mutex::new(0));
    let count = Arc::clone(&crashes);
    let fs = SimFs::new().watched(move |fs, call| {
        for turn in 0..20 {
            let disk = fs.disk().crash(call as u64 * 20 + turn);
            let (_db, docs) = open(Arc::new(SimFs::on(disk)), Durability::Synced).unwrap();
            assert_eq!(docs.count(), 0);
            *count.lock().unwrap() += 1;
        }
    });
    open(Arc::new(fs), Durability::Synced).unwrap();
    assert!(*crashes.lock().unwrap() > 200);
}

#[test]
fn buffered_writes_survive_the_death_of_the_process_at_every_call() {
    let progress = Arc::new(Mutex::new((Model::new(), Model::new())));
    let watched = Arc::clone(&progress);
    let fs = SimFs::new().watched(move |fs, _| {
        let (before, begun) = &*watched.lock().unwrap();
        let (_db, docs) =
            open(Arc::new(SimFs::on(fs.disk().killed())), Durability::Buffered).unwrap();
        let found = content(&docs);
        assert!(found == *before || found == *begun);
    });
    let (db, docs) = open(Arc::new(fs), Durability::Buffered).unwrap();
    for (stamp, (op, model)) in workload(31, 80).into_iter().enumerate() {
        progress.lock().unwrap().1.clone_from(&model);
        op.run(&db, &docs, stamp as u64).unwrap();
        progress.lock().unwrap().0 = model;
    }
}
