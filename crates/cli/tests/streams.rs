//! Standard output may close or fill up, and someone may press Ctrl-C: the command ends in order
//! and leaves nothing behind.

#![cfg(target_os = "linux")]

mod common;

use std::fs::{File, read_to_string};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Outcome, Sandbox};
use loomdb_testkit::generate;

const DIM: usize = 32;

fn sandbox(rows: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.npy("rows.npy", DIM, &generate::uniform(1, rows, DIM));
    sandbox
}

fn wait(child: Child) -> Outcome {
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let sandbox = sandbox(1_000);
    sandbox.json("import rows.npy a.loom");
    // Far more than a pipe holds.
    for line in [
        "search a.loom --query-file rows.npy -k 50",
        "search a.loom --query-file rows.npy -k 50 --json",
        "list a.loom --limit 1000",
    ] {
        let mut command = sandbox.command(line);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let outcome = wait(child);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{line}");
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let sandbox = sandbox(10);
    sandbox.json("import rows.npy a.loom");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = sandbox.command("info a.loom");
    let outcome = wait(command.stdout(full).stderr(Stdio::piped()).spawn().unwrap());
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.starts_with("error: cannot write to standard output"));
}

#[test]
fn errors_without_a_reader_do_no_harm() {
    let sandbox = sandbox(10);
    let mut command = sandbox.command("info none.loom");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

/// Waits until the process has asked to be told of Ctrl-C.
fn wait_for_handler(child: &Child) {
    const INTERRUPT: u64 = 1 << (2 - 1);
    let deadline = Instant::now() + Duration::from_secs(30);
    let status = format!("/proc/{}/status", child.id());
    let is_caught = || {
        let status = read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & INTERRUPT != 0
    };
    while !is_caught() {
        assert!(Instant::now() < deadline, "no handler was installed");
        sleep(Duration::from_millis(5));
    }
}

/// Starts an import of many seconds, and stops it as Ctrl-C does.
fn interrupted(sandbox: &Sandbox) -> Outcome {
    let mut command = sandbox.command("import rows.npy a.loom --strategy insert --replace --json");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_handler(&child);
    sleep(Duration::from_millis(200));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    wait(child)
}

#[test]
fn ctrl_c_stops_an_import_and_leaves_nothing() {
    let sandbox = sandbox(100_000);
    let outcome = interrupted(&sandbox);
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    assert_eq!(outcome.json()["error"]["kind"], "canceled");
    assert!(outcome.stderr.ends_with("error: canceled\n"), "{}", outcome.stderr);
    assert_eq!(sandbox.names(), ["rows.npy"]);
}

#[test]
fn ctrl_c_leaves_a_database_as_it_was() {
    let sandbox = sandbox(100_000);
    sandbox.json("import rows.npy a.loom --limit 20");
    let before = sandbox.json("list a.loom --limit 100 --vectors");
    assert_eq!(interrupted(&sandbox).code, Some(130));
    assert_eq!(sandbox.json("list a.loom --limit 100 --vectors"), before);
}

/// Whenever an import dies, the points of before are there or those behind it.
#[test]
fn a_killed_import_happened_or_did_not() {
    let sandbox = sandbox(20_000);
    sandbox.json("import rows.npy a.loom --limit 20");
    let started = Instant::now();
    sandbox.json("import rows.npy b.loom --threads 1");
    let whole = started.elapsed();
    for turn in 0..12 {
        let line = "import rows.npy a.loom --replace --threads 1 --json";
        let mut command = sandbox.command(line);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(whole * turn / 10);
        child.kill().unwrap();
        child.wait().unwrap();
        let count = sandbox.json("count a.loom")["count"].as_u64().unwrap();
        assert!(count == 20 || count == 20_000, "turn {turn}: {count} points");
        let found = sandbox.json("search a.loom --query-file rows.npy --limit 3 -k 1");
        for (row, hits) in found["hits"].as_array().unwrap().iter().enumerate() {
            assert_eq!(hits[0]["id"], row, "turn {turn}");
        }
        if count == 20_000 {
            sandbox.json("import rows.npy a.loom --limit 20 --replace");
        }
    }
    for turn in 0..4 {
        let mut command = sandbox.command("import rows.npy new.loom --threads 1");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(whole * turn / 4);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // Whatever they left, the next one goes on with it, unless one of them was quick enough.
    let outcome = sandbox.run("import rows.npy new.loom --replace --json");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(sandbox.json("count new.loom")["count"], 20_000);
}
