//! Whatever is written, the database is what a plain map would be, also when it is opened again.
//!
//! The story: random operations run on the database and on a `BTreeMap`. Refusals must agree,
//! contents must be equal to the bit, searches must find what exact search over the map finds, and
//! an older snapshot must stay as it was.

use std::sync::Arc;

use loomdb::{Durability, ErrorKind};
use loomdb_testkit::Random;
use proptest::prelude::*;

use crate::model::{Model, Op, check, content, open};
use crate::sim::SimFs;
use crate::tier::times;

fn run(seed: u64, ops: usize, durability: Durability) {
    let mut random = Random::new(seed);
    let fs = SimFs::new();
    let (mut db, mut docs) = open(Arc::new(fs.clone()), durability).unwrap();
    let mut model = Model::new();
    let mut committed = model.clone();
    let mut older = (docs.snapshot(), model.clone());
    for stamp in 0..ops as u64 {
        if random.below(12) == 0 {
            drop((docs, older.0));
            if random.below(2) == 0 {
                db.close().unwrap();
            } else {
                drop(db);
            }
            (db, docs) = open(Arc::new(fs.clone()), durability).unwrap();
            assert_eq!(db.warnings(), [""; 0]);
            if durability == Durability::OnCommit {
                model.clone_from(&committed);
            }
            older = (docs.snapshot(), model.clone());
        }
        let op = Op::draw(&mut random);
        match (op.applied(&model, stamp), op.run(&db, &docs, stamp)) {
            (Some(next), Ok(())) => model = next,
            (None, Err(error)) => {
                let expected = match op {
                    Op::Add(_) => ErrorKind::AlreadyExists,
                    _ => ErrorKind::NotFound,
                };
                assert_eq!(error.kind(), expected, "{error:#}");
            }
            (expected, found) => panic!("seed {seed}, {op:?}: {found:?}, {}", expected.is_some()),
        }
        if matches!(op, Op::Sync | Op::Commit) {
            committed.clone_from(&model);
        }
        check(&docs, &model, seed + stamp);
        let (snapshot, expected) = &older;
        assert_eq!(snapshot.len(), expected.len(), "an older snapshot has changed");
        for (id, point) in snapshot
            .get(&expected.keys().copied().collect::<Vec<_>>().into())
            .into_iter()
            .enumerate()
            .map(|(at, point)| (*expected.keys().nth(at).unwrap(), point))
        {
            let point = point.expect("an older snapshot has lost a point");
            assert_eq!((point.vector, point.metadata), expected[&id]);
        }
        if random.below(9) == 0 {
            older = (docs.snapshot(), model.clone());
        }
    }
    assert_eq!(content(&docs), model);
}

fn config() -> ProptestConfig {
    let cases = times(100, 10_000, 100_000) as u32;
    ProptestConfig { cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_database_is_a_map_with_search(seed in any::<u64>(), level in 0..3_usize) {
        let levels = [Durability::Synced, Durability::Buffered, Durability::OnCommit];
        run(seed % (1 << 40), 120, levels[level]);
    }
}
