//! A killed writer loses nothing that it confirmed, leaves no lock, and never shows readers half
//! of a batch.
//!
//! The story: a child process writes to a real directory and reports each finished write through a
//! pipe. This process reads the database meanwhile, is refused as a second writer, kills the child
//! at any moment, and opens the database: it holds everything that was reported, and of the rest
//! at most the write that was under way. The next child goes on from there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use loomdb::storage::RealFs;
use loomdb::{Durability, ErrorKind};
use loomdb_testkit::Random;

use crate::model::{Model, NAME, Op, check, content, open_at, options};

const DIRECTORY: &str = "LOOMDB_TEST_DIRECTORY";
const FIRST: &str = "LOOMDB_TEST_FIRST";
const KILLS: usize = 60;

/// The write of a number, the same in both processes.
fn op(stamp: u64) -> Op {
    Op::draw(&mut Random::new(stamp))
}

fn after(model: &Model, stamp: u64) -> Model {
    op(stamp).applied(model, stamp).unwrap_or_else(|| model.clone())
}

/// What the child runs; without a directory it is no child.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let durability =
        if first.is_multiple_of(2) { Durability::Synced } else { Durability::Buffered };
    let (db, docs) = open_at(Arc::new(RealFs), durability, Path::new(&directory)).unwrap();
    let mut out = std::io::stdout().lock();
    for stamp in first.. {
        op(stamp).run(&db, &docs, stamp).ok();
        writeln!(out, "done {stamp}").unwrap();
        out.flush().unwrap();
    }
}

fn spawn(directory: &Path, first: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads the database while it is written to; what is found is a state after some write.
fn read_meanwhile(directory: &Path, start: &Model, first: u64, random: &mut Random) {
    let Ok(db) = options(Arc::new(RealFs), Durability::Synced).read_only().open(directory) else {
        // Not made yet.
        return;
    };
    let mut states = vec![start.clone()];
    let mut seen = 0;
    for _ in 0..random.below(4) {
        if let Ok(docs) = db.existing_collection(NAME) {
            let found = content(&docs);
            while states.len() < seen + 4_000 && !states[seen..].contains(&found) {
                let stamp = first + states.len() as u64 - 1;
                states.push(after(&states[states.len() - 1], stamp));
            }
            let at = states[seen..].iter().position(|state| *state == found);
            seen += at.expect("a reader sees what was at no time");
        }
        db.refresh().unwrap();
    }
}

#[test]
fn a_killed_writer_loses_nothing_and_leaves_no_lock() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a.loom");
    let mut random = Random::new(3);
    let (mut model, mut next) = (Model::new(), 0_u64);
    let (mut confirmed, mut locked) = (0, 0);
    for kill in 0..KILLS {
        let mut child = spawn(&directory, next);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reports = thread::spawn(move || {
            let numbers = lines.map_while(Result::ok).filter_map(|line| {
                line.rsplit_once("done ").and_then(|(_, number)| number.parse::<u64>().ok())
            });
            numbers.last()
        });
        thread::sleep(Duration::from_millis(random.below(60) as u64));
        if kill % 4 == 1 {
            read_meanwhile(&directory, &model, next, &mut random);
        }
        if kill % 4 == 2
            && let Err(error) = open_at(Arc::new(RealFs), Durability::Synced, &directory)
        {
            assert_eq!(error.kind(), ErrorKind::Locked, "{error:#}");
            // The very first child may hold the lock and not have left its number yet.
            let named = format!("process {}", child.id());
            assert!(error.to_string().contains(&named) || locked == 0, "{error}");
            locked += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let last = reports.join().unwrap();
        while last.is_some_and(|last| next <= last) {
            model = after(&model, next);
            next += 1;
            confirmed += 1;
        }
        let (db, docs) = open_at(Arc::new(RealFs), Durability::Synced, &directory).unwrap();
        let found = content(&docs);
        if found != model {
            model = after(&model, next);
            next += 1;
            assert_eq!(found, model, "kill {kill}: neither before nor after write {next}");
        }
        check(&docs, &model, kill as u64);
        drop((db, docs));
    }
    println!("{KILLS} kills, {confirmed} confirmed writes, {locked} times locked");
    assert!(confirmed > 50 && locked > 0, "{confirmed} {locked}");
}
