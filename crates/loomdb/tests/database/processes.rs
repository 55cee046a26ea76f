//! A killed writer loses nothing that it confirmed, leaves no lock, and never shows readers half
//! of a batch; a killed reader is noticed by nobody.
//!
//! The story: one child writes to a real directory and reports each finished write through a pipe.
//! Four others read it all the while, refresh, and stop with an error if what they see is not the
//! state after some write, or older than what they saw before. This process is refused as a second
//! writer, kills the children at any moment, readers too, and opens the database: it holds
//! everything that was reported, and of the rest at most the write that was under way. The next
//! writer goes on from there.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use loomdb::storage::RealFs;
use loomdb::{Compaction, Durability, ErrorKind, Schema};
use loomdb_graph::Metric;
use loomdb_testkit::Random;

use crate::model::{DIM, Model, NAME, Op, check, content, open_at, options};
use crate::tier::{seed, times};

const DIRECTORY: &str = "LOOMDB_TEST_DIRECTORY";
const FIRST: &str = "LOOMDB_TEST_FIRST";
const READERS: usize = 4;

/// The longest that a reader looks for the write whose state it sees.
const MAX_AHEAD: usize = 20_000;

/// The write of a number, the same in all processes.
fn op(stamp: u64) -> Op {
    Op::draw(&mut Random::new(stamp))
}

fn after(model: &Model, stamp: u64) -> Model {
    op(stamp).applied(model, stamp).unwrap_or_else(|| model.clone())
}

/// What the writing child runs; without a directory it is no child.
#[test]
fn writing_child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let durability =
        if first.is_multiple_of(2) { Durability::Synced } else { Durability::Buffered };
    // Readers take no lock, but the process that spawned this one may be trying to.
    let open = || {
        let options = options(Arc::new(RealFs), durability).compaction(Compaction::InBackground);
        let db = options.open(&directory)?;
        let docs = db.collection(NAME, Schema::new(DIM).metric(Metric::L2))?;
        loomdb::Result::Ok((db, docs))
    };
    let opened = std::iter::repeat_with(open);
    let mut opened = opened.filter(|opened| match opened {
        Err(error) => error.kind() != ErrorKind::Locked,
        Ok(_) => true,
    });
    let (db, docs) = opened.next().unwrap().unwrap();
    let mut out = std::io::stdout().lock();
    for stamp in first.. {
        op(stamp).run(&db, &docs, stamp).ok();
        writeln!(out, "done {stamp}").unwrap();
        out.flush().unwrap();
    }
}

/// What a reading child runs: it ends only if it is killed or sees what it must not.
#[test]
fn reading_child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let db = loop {
        match options(Arc::new(RealFs), Durability::Synced).read_only().open(&directory) {
            Ok(db) => break db,
            // Not made yet.
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error:#}"),
        }
    };
    let (mut model, mut stamp) = (Model::new(), 0);
    let mut out = std::io::stdout().lock();
    loop {
        if let Ok(docs) = db.existing_collection(NAME) {
            let found = content(&docs);
            let first = stamp;
            while model != found {
                assert!(stamp < first + MAX_AHEAD as u64, "a reader sees what was at no time");
                model = after(&model, stamp);
                stamp += 1;
            }
            check(&docs, &found, stamp);
            writeln!(out, "seen {stamp}").unwrap();
            out.flush().unwrap();
        }
        thread::sleep(Duration::from_millis(2));
        db.refresh().unwrap();
    }
}

fn spawn(directory: &Path, name: &str, first: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("processes::{name}"), "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A child whose numbers are read as they come.
struct Reporter {
    child: Child,
    numbers: thread::JoinHandle<Vec<u64>>,
}

impl Reporter {
    fn start(directory: &Path, name: &str, first: u64) -> Self {
        let mut child = spawn(directory, name, first);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let numbers = thread::spawn(move || {
            let numbers = lines.map_while(Result::ok).filter_map(|line| {
                let (_, number) =
                    line.rsplit_once("done ").or_else(|| line.rsplit_once("seen "))?;
                number.parse::<u64>().ok()
            });
            numbers.collect()
        });
        Self { child, numbers }
    }

    /// Kills the child, which must be alive; what it reported.
    fn kill(mut self) -> Vec<u64> {
        if let Some(status) = self.child.try_wait().unwrap() {
            let mut errors = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("a child ended by itself: {status}\n{errors}");
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.numbers.join().unwrap()
    }
}

/// Tries to be a second writer; whether that was refused.
fn is_locked(directory: &Path, writer: u32, has_been: bool) -> bool {
    let Err(error) = open_at(Arc::new(RealFs), Durability::Synced, directory) else { return false };
    assert_eq!(error.kind(), ErrorKind::Locked, "{error:#}");
    // The very first child may hold the lock and not have left its number yet.
    let named = format!("process {writer}");
    assert!(error.to_string().contains(&named) || !has_been, "{error}");
    true
}

#[test]
fn killed_writers_and_readers_lose_nothing_and_leave_no_lock() {
    let kills = times(100, 10_000, 100_000);
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a.loom");
    let mut random = Random::new(3 * seed());
    let (mut model, mut next) = (Model::new(), 0_u64);
    let (mut confirmed, mut locked, mut seen, mut readers_killed) = (0, 0, 0, 0);
    let mut readers: Vec<Reporter> =
        (0..READERS).map(|_| Reporter::start(&directory, "reading_child", 0)).collect();
    let mut kill = 0;
    // On a slow machine the children may be killed before they have written anything.
    while kill < kills || ((confirmed < 50 || locked == 0 || seen == 0) && kill < 20 * kills) {
        let writer = Reporter::start(&directory, "writing_child", next);
        thread::sleep(Duration::from_millis(random.below(60) as u64));
        if kill % 4 == 2 {
            locked += usize::from(is_locked(&directory, writer.child.id(), locked > 0));
        }
        let last = writer.kill().last().copied();
        while last.is_some_and(|last| next <= last) {
            model = after(&model, next);
            next += 1;
            confirmed += 1;
        }
        if kill % 8 == 5 {
            let reader = readers.swap_remove(random.below(READERS));
            seen += reader.kill().len();
            readers_killed += 1;
            readers.push(Reporter::start(&directory, "reading_child", 0));
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
        kill += 1;
    }
    seen += readers.into_iter().map(|reader| reader.kill().len()).sum::<usize>();
    println!(
        "{kill} writers and {readers_killed} readers killed, {confirmed} confirmed writes, \
         {locked} times locked, {seen} states read by {READERS} processes"
    );
    assert!(confirmed >= 50 && locked > 0 && seen > 0, "{confirmed} {locked} {seen}");
}
