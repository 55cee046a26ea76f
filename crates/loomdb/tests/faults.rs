//! A save is complete or did not happen, whichever call fails and wherever the process dies.
//!
//! The story: a file system that counts its calls lets one of them fail, for every call in turn.
//! Afterwards the directory holds the older database or the newer one, and nothing lies beside it.
//! When all later calls fail too, as after a kill, the directory may be missing at one moment: then
//! the older database lies complete beside it, and `open` says where. What no test can see without
//! cutting the power, that everything is synced before the rename, is read from the order of calls.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Collection, Event, Fault, FaultyFs, names, text_ids};
use loomdb::ErrorKind;
use loomdb::storage::{Existing, open, open_on};
use loomdb_graph::Metric;

fn older() -> Collection {
    Collection::new(Metric::L2, 2, (0, 4), text_ids(4))
}

#[test]
fn a_full_disk_leaves_the_older_database_and_nothing_else() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a.loom");
    let newer = Collection::small();
    let unlimited = FaultyFs::new(Fault::FullAfter(usize::MAX));
    newer.save_on(&unlimited, &parent.path().join("measured"), Existing::Refuse).unwrap();
    std::fs::remove_dir_all(parent.path().join("measured")).unwrap();
    let needed = unlimited.bytes();
    for existing in [Existing::Refuse, Existing::Replace] {
        if existing == Existing::Replace {
            older().save(&directory).unwrap();
        }
        for room in (0..needed).step_by(97).chain([needed - 1]) {
            let full = FaultyFs::new(Fault::FullAfter(room));
            let error = newer.save_on(&full, &directory, existing).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull, "room for {room}: {error:#}");
            if existing == Existing::Replace {
                older().assert_is_at(&directory);
                assert_eq!(names(parent.path()), ["a.loom"], "room for {room}");
            } else {
                assert_eq!(names(parent.path()), [""; 0], "room for {room}");
            }
        }
    }
    newer.save_on(&FaultyFs::new(Fault::FullAfter(needed)), &directory, Existing::Replace).unwrap();
    newer.assert_is_at(&directory);
}

/// Saves once for each call that can fail, until none does; returns how many there are.
fn for_each_call(fault: fn(usize) -> Fault, mut check: impl FnMut(&Path, bool)) -> usize {
    let newer = Collection::small();
    for call in 0.. {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a.loom");
        older().save(&directory).unwrap();
        let fs = FaultyFs::new(fault(call));
        let saved = newer.save_on(&fs, &directory, Existing::Replace);
        if let Err(error) = &saved {
            assert_eq!(error.kind(), ErrorKind::Io, "call {call}: {error:#}");
        }
        check(&directory, saved.is_ok());
        if fs.calls() <= call {
            return call;
        }
    }
    unreachable!("the number of calls is finite")
}

#[test]
fn one_failing_call_leaves_one_database_complete() {
    let calls = for_each_call(Fault::AtCall, |directory, is_saved| {
        if is_saved { Collection::small() } else { older() }.assert_is_at(directory);
        let beside = names(directory.parent().unwrap());
        // Only when the last call, which removes the older database, fails, it stays.
        let is_leftover = |name: &String| name.starts_with(".a.loom.old-");
        let others: Vec<&String> = beside.iter().filter(|name| *name != "a.loom").collect();
        assert!(others.len() <= usize::from(is_saved), "{others:?}");
        assert!(others.into_iter().all(is_leftover), "{beside:?}");
    });
    assert!(calls > 25, "{calls} calls: the faults are not reached");
}

#[test]
fn a_kill_at_any_call_leaves_a_complete_database() {
    let mut interrupted = 0;
    for_each_call(Fault::FromCall, |directory, is_saved| {
        if let Ok(opened) = open(directory) {
            if opened.dim == older().tail.dim() {
                assert!(!is_saved);
                older().assert_is(&opened);
            } else {
                Collection::small().assert_is(&opened);
            }
            return;
        }
        interrupted += 1;
        let error = open(directory).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:#}");
        let parent = directory.parent().unwrap();
        let beside = names(parent).into_iter().find(|name| name.starts_with(".a.loom.old-"));
        let beside = beside.expect("the older database is gone");
        assert!(error.to_string().contains(&beside), "{error}");
        older().assert_is_at(&parent.join(beside));
    });
    assert!(interrupted > 0, "the moment between the renames was not reached");
}

#[test]
fn no_failing_call_opens_half_a_database() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a.loom");
    let collection = Collection::small();
    collection.save(&directory).unwrap();
    for call in 0.. {
        let fs = FaultyFs::new(Fault::AtCall(call));
        match open_on(&fs, &directory) {
            // Only a graph that cannot be read is left out.
            Ok(opened) if fs.calls() > call => {
                assert_eq!(opened.warnings.len(), 1, "call {call}");
                assert!(opened.graph.is_none());
                collection.assert_rows_are(&opened);
            }
            Ok(opened) => {
                collection.assert_is(&opened);
                assert!(call > 10, "{call} calls: the faults are not reached");
                break;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "call {call}: {error:#}"),
        }
    }
}

#[test]
fn everything_is_synced_before_the_rename_and_the_rename_before_the_removal() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a.loom");
    older().save(&directory).unwrap();
    let fs = FaultyFs::new(Fault::FullAfter(usize::MAX));
    Collection::small().save_on(&fs, &directory, Existing::Replace).unwrap();
    let events = fs.events();
    let last = |event: &Event| events.iter().rposition(|found| found == event);
    let is_install = |event: &Event| matches!(event, Event::Rename(_, to) if *to == directory);
    let installed = events.iter().position(is_install).unwrap();
    let (mut files, mut directories) = (0, 0);
    for event in &events {
        match event {
            Event::Create(path) => {
                let appended = last(&Event::Append(path.clone())).unwrap();
                let synced = last(&Event::SyncData(path.clone())).unwrap();
                assert!(appended < synced && synced < installed, "{}", path.display());
                let created = last(event).unwrap();
                let named = last(&Event::SyncDirectory(path.parent().unwrap().to_owned())).unwrap();
                assert!(created < named && named < installed, "{}", path.display());
                files += 1;
            }
            Event::CreateDirectory(path) if path.parent() != Some(parent.path()) => {
                let named = last(&Event::SyncDirectory(path.parent().unwrap().to_owned())).unwrap();
                assert!(last(event).unwrap() < named && named < installed, "{}", path.display());
                directories += 1;
            }
            _ => {}
        }
    }
    assert_eq!((files, directories), (4, 2));
    let synced = last(&Event::SyncDirectory(parent.path().to_owned())).unwrap();
    let removed = events.iter().position(|event| matches!(event, Event::Remove(_))).unwrap();
    assert!(installed < synced && synced < removed, "{events:?}");
}

#[test]
fn what_another_process_saves_meanwhile_is_not_replaced() {
    let mut met = 0;
    for call in 0.. {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a.loom");
        let is_first = Arc::new(AtomicBool::new(false));
        let (target, won) = (directory.clone(), Arc::clone(&is_first));
        let intruder = Arc::new(move |now| {
            if now == call {
                won.store(older().save(&target).is_ok(), Ordering::Relaxed);
            }
        });
        let fs = FaultyFs::with_intruder(Fault::FullAfter(usize::MAX), intruder);
        let saved = Collection::small().save_on(&fs, &directory, Existing::Refuse);
        if is_first.load(Ordering::Relaxed) {
            let error = saved.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "call {call}: {error:#}");
            older().assert_is_at(&directory);
            met += 1;
        } else {
            saved.unwrap();
            Collection::small().assert_is_at(&directory);
        }
        assert_eq!(names(parent.path()), ["a.loom"], "call {call}");
        if fs.calls() <= call {
            break;
        }
    }
    assert!(met > 20, "{met} calls: the other process came too late");
}

#[test]
fn of_many_threads_that_save_one_wins() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a.loom");
    let save = || match older().save(&directory) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:#}");
            false
        }
    };
    let wins = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(save)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(wins, 1);
    assert_eq!(names(parent.path()), ["a.loom"]);
    older().assert_is_at(&directory);
}
