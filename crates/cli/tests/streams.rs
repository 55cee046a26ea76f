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
        "info a.loom",
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
    assert_eq!(child.wait().unwrap().code(), Some(1));
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

#[test]
fn ctrl_c_stops_an_import_and_leaves_nothing() {
    // One by one this takes many seconds.
    let sandbox = sandbox(100_000);
    let mut command = sandbox.command("import rows.npy a.loom --strategy insert --json");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_handler(&child);
    sleep(Duration::from_millis(200));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let outcome = wait(child);
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    assert_eq!(outcome.json()["error"]["kind"], "canceled");
    assert!(outcome.stderr.ends_with("error: canceled\n"), "{}", outcome.stderr);
    assert_eq!(sandbox.names(), ["rows.npy"]);
}
