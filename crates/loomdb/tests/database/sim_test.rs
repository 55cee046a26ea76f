//! The simulated disk forgets what a real one may forget, and keeps what a real one must keep.
//!
//! The story: every proof of durability rests on this model, so it is tested first and by itself.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use loomdb::storage::{FileHandle, FileSystem, Locking};

use crate::sim::{Disk, Fault, FaultKind, SimFs};

fn made(fs: &SimFs, path: &str) -> Box<dyn FileHandle> {
    fs.create_new(Path::new(path)).unwrap()
}

fn content(disk: &Disk, path: &str) -> Option<Vec<u8>> {
    disk.files().find(|(name, _)| *name == Path::new(path)).map(|(_, bytes)| bytes.to_vec())
}

/// What a file may hold behind a crash.
fn outcomes(disk: &Disk, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    (0..400).map(|seed| content(&disk.crash(seed), path)).collect()
}

#[test]
fn what_was_synced_survives_and_what_was_not_may() {
    let fs = SimFs::new();
    let mut file = made(&fs, "/a");
    file.append(b"one").unwrap();
    assert_eq!(outcomes(&fs.disk(), "/a").first(), Some(&None), "the name is not synced");
    file.sync_data().unwrap();
    fs.sync_directory(Path::new("/")).unwrap();
    assert_eq!(outcomes(&fs.disk(), "/a"), BTreeSet::from([Some(b"one".to_vec())]));
    file.append(b"two").unwrap();
    file.append(b"six").unwrap();
    let found = outcomes(&fs.disk(), "/a");
    for expected in [&b"one"[..], b"onetwo", b"onetwosix", b"one\0\0\0six"] {
        assert!(found.contains(&Some(expected.to_vec())), "{expected:?} never happens");
    }
    assert!(found.len() > 4, "no write is torn with garbage");
    assert!(found.iter().all(|bytes| bytes.as_ref().unwrap().starts_with(b"one")));
    assert_eq!(content(&fs.disk().killed(), "/a").unwrap(), b"onetwosix");
}

#[test]
fn names_are_pending_until_their_directory_is_synced() {
    let fs = SimFs::new();
    let root = Path::new("/");
    let mut file = made(&fs, "/tmp");
    file.append(b"x").unwrap();
    file.sync_data().unwrap();
    fs.sync_directory(root).unwrap();
    fs.rename(Path::new("/tmp"), Path::new("/new")).unwrap();
    let one = Some(b"x".to_vec());
    assert_eq!(outcomes(&fs.disk(), "/new"), BTreeSet::from([None, one.clone()]));
    for seed in 0..50 {
        let disk = fs.disk().crash(seed);
        assert_ne!(content(&disk, "/new").is_some(), content(&disk, "/tmp").is_some());
    }
    fs.sync_directory(root).unwrap();
    fs.remove_file(Path::new("/new")).unwrap();
    assert_eq!(outcomes(&fs.disk(), "/new"), BTreeSet::from([None, one]));
    fs.create_directory(Path::new("/d")).unwrap();
    made(&fs, "/d/f");
    fs.sync_directory(Path::new("/d")).unwrap();
    let found = outcomes(&fs.disk(), "/d/f");
    assert_eq!(found, BTreeSet::from([None, Some(Vec::new())]), "its directory may be gone");
}

#[test]
fn large_writes_are_torn_by_sectors() {
    let fs = SimFs::new();
    let mut file = made(&fs, "/a");
    fs.sync_directory(Path::new("/")).unwrap();
    let written = vec![7; 20_000];
    file.append(&written).unwrap();
    let mut torn = BTreeSet::new();
    for seed in 0..400 {
        let bytes = content(&fs.disk().crash(seed), "/a").unwrap();
        if !bytes.is_empty() && bytes != written {
            let bad = bytes.iter().position(|byte| *byte != 7).unwrap_or(bytes.len());
            // Garbage may begin with the right byte.
            torn.insert(if bad % 512 < 4 { bad / 512 * 512 } else { bad });
        }
    }
    assert!(torn.iter().all(|bad| bad % 512 == 0 || *bad == 20_000), "{torn:?}");
    assert!(torn.len() > 3, "{torn:?}");
}

#[test]
fn cuts_are_pending_too() {
    let fs = SimFs::new();
    let mut file = made(&fs, "/a");
    file.append(b"abcdef").unwrap();
    file.sync_data().unwrap();
    fs.sync_directory(Path::new("/")).unwrap();
    file.set_len(2).unwrap();
    file.append(b"X").unwrap();
    let found = outcomes(&fs.disk(), "/a");
    for expected in [&b"abcdef"[..], b"ab", b"abX", b"abXdef"] {
        assert!(found.contains(&Some(expected.to_vec())), "{expected:?} never happens");
    }
}

#[test]
fn a_failed_sync_is_not_made_good_by_the_next() {
    let fs = SimFs::new();
    let mut file = made(&fs, "/a");
    fs.sync_directory(Path::new("/")).unwrap();
    file.append(b"lost").unwrap();
    fs.set_fault(Some(Fault { kind: FaultKind::Sync, at: 0, and_later: false }));
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(outcomes(&fs.disk(), "/a"), BTreeSet::from([Some(Vec::new())]));
    assert_eq!(content(&fs.disk(), "/a").unwrap(), b"lost", "it is still in the cache");
}

#[test]
fn faults_strike_the_calls_of_their_sort_and_are_counted() {
    let fault = |kind, at, and_later| SimFs::new().with_fault(Fault { kind, at, and_later });
    let fs = fault(FaultKind::NoSpace, 1, false);
    let mut file = made(&fs, "/a");
    assert_eq!(file.append(b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.append(b"y").unwrap();
    assert_eq!((content(&fs.disk(), "/a").unwrap(), fs.struck()), (b"y".to_vec(), 1));

    let fs = fault(FaultKind::ShortWrite, 0, false);
    let mut file = made(&fs, "/a");
    file.append(b"1234").unwrap_err();
    assert_eq!(content(&fs.disk(), "/a").unwrap(), b"12");

    let fs = fault(FaultKind::Io, 1, true);
    let mut file = made(&fs, "/a");
    assert!(file.len_bytes().is_err() && file.read_at(0, &mut []).is_err());
    assert_eq!((fs.struck(), fs.calls()), (2, 3));

    let fs = fault(FaultKind::Rename, 0, false);
    made(&fs, "/a");
    assert!(fs.rename(Path::new("/a"), Path::new("/b")).is_err());
    fs.rename(Path::new("/a"), Path::new("/b")).unwrap();
}

#[test]
fn one_lock_at_a_time_and_none_behind_a_crash() {
    let fs = SimFs::new();
    let path = Path::new("/LOCK");
    let held = fs.lock(path).unwrap();
    assert!(matches!(fs.lock(path).unwrap(), Locking::Taken { by: Some(_) }));
    assert!(matches!(SimFs::on(fs.disk().crash(1)).lock(path).unwrap(), Locking::Held(_)));
    drop(held);
    assert!(matches!(fs.lock(path).unwrap(), Locking::Held(_)));
}
