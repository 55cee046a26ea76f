//! A collection that is saved and opened is the same, bit for bit; what may not be saved is not.

mod common;

use std::fs;

use common::{Collection, files, integer_ids, names, random_rows, text_ids};
use loomdb::storage::{Contents, Existing, RealFs, SaveOptions, open, save};
use loomdb::{ErrorKind, Ids};
use loomdb_graph::{Metric, Scratch};

#[test]
fn every_shape_comes_back() {
    let parent = tempfile::tempdir().unwrap();
    for (number, (metric, dim, nodes, tail)) in [
        (Metric::L2, 3, 0, 0),
        (Metric::Ip, 1, 0, 1),
        (Metric::Cosine, 7, 100, 0),
        (Metric::L2, 16, 300, 41),
        (Metric::Cosine, 65_536, 0, 3),
        // Rows that straddle blocks and chunks of the file, and several batches of ids.
        (Metric::L2, 5, 0, 140_001),
        (Metric::Ip, 1_025, 600, 500),
    ]
    .into_iter()
    .enumerate()
    {
        let rows = nodes + tail;
        for (kind, ids) in [integer_ids(rows), text_ids(rows)].into_iter().enumerate() {
            let collection = Collection::new(metric, dim, (nodes, tail), ids);
            let directory = parent.path().join(format!("{number}-{kind}.loom"));
            collection.save(&directory).unwrap();
            collection.assert_is_at(&directory);
        }
    }
    assert_eq!(names(parent.path()).len(), 14, "nothing else is left behind");
}

#[test]
fn the_layout_is_the_documented_one() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a.loom");
    Collection::small().save(&directory).unwrap();
    let found: Vec<String> =
        files(&directory).iter().map(|path| path.display().to_string()).collect();
    let expected = [
        "default/graph-00000001",
        "default/seg-00000001/points.arrow",
        "default/seg-00000001/vectors.npy",
        "manifest-00000001",
    ];
    assert_eq!(found, expected);
    let vectors = fs::read(directory.join(expected[2])).unwrap();
    assert!(vectors.starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', "));
    assert_eq!(vectors.len(), 128 + 23 * 5 * 4);
    assert!(fs::read(directory.join(expected[1])).unwrap().starts_with(b"ARROW1"));
    assert!(fs::read(directory.join(expected[0])).unwrap().starts_with(b"\x93LOOM\r\n\x1a"));
}

#[test]
fn the_same_collection_is_the_same_bytes() {
    let parent = tempfile::tempdir().unwrap();
    let (first, second) = (parent.path().join("first"), parent.path().join("second"));
    Collection::small().save(&first).unwrap();
    Collection::small().save(&second).unwrap();
    for file in files(&first) {
        let same = fs::read(first.join(&file)).unwrap() == fs::read(second.join(&file)).unwrap();
        assert!(same, "{}", file.display());
    }
}

#[test]
fn an_opened_graph_answers_as_before() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a.loom");
    let collection = Collection::new(Metric::L2, 8, (400, 0), integer_ids(400));
    collection.save(&directory).unwrap();
    let opened = open(&directory).unwrap().graph.unwrap();
    let built = collection.graph.as_ref().unwrap();
    let queries = random_rows(20, 8, 3);
    for query in 0..queries.len() {
        let ask = |graph: &loomdb_graph::Graph| {
            graph.search(queries.row(query), 10, 30, &mut Scratch::new()).unwrap()
        };
        assert_eq!(ask(&opened), ask(built));
    }
}

#[test]
fn what_is_there_stays_unless_it_is_a_database_and_asked_for() {
    let parent = tempfile::tempdir().unwrap();
    let place = |name: &str| parent.path().join(name);
    let (old, new) = (Collection::small(), Collection::new(Metric::L2, 2, (0, 4), text_ids(4)));
    old.save(&place("database")).unwrap();
    fs::create_dir(place("empty")).unwrap();
    fs::create_dir(place("pictures")).unwrap();
    fs::write(place("pictures/cat.png"), "cat").unwrap();
    fs::write(place("file"), "text").unwrap();

    for name in ["database", "empty", "pictures", "file"] {
        let error = new.save(&place(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}");
        assert_eq!(error.file(), Some(place(name).as_path()));
    }
    for name in ["pictures", "file"] {
        let error = new.save_on(&RealFs, &place(name), Existing::Replace).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}");
    }
    assert_eq!(fs::read_to_string(place("pictures/cat.png")).unwrap(), "cat");
    assert_eq!(fs::read_to_string(place("file")).unwrap(), "text");
    old.assert_is_at(&place("database"));

    for name in ["database", "empty", "nothing"] {
        new.save_on(&RealFs, &place(name), Existing::Replace).unwrap();
        new.assert_is_at(&place(name));
    }
    let expected = ["database", "empty", "file", "nothing", "pictures"];
    assert_eq!(names(parent.path()), expected);
}

#[cfg(unix)]
#[test]
fn links_are_opened_but_not_replaced() {
    let parent = tempfile::tempdir().unwrap();
    let (directory, link) = (parent.path().join("a.loom"), parent.path().join("link"));
    let collection = Collection::small();
    collection.save(&directory).unwrap();
    std::os::unix::fs::symlink(&directory, &link).unwrap();
    collection.assert_is_at(&link);
    let error = collection.save_on(&RealFs, &link, Existing::Replace).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("name the directory itself"), "{error}");
}

#[test]
fn contradictory_contents_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a.loom");
    let other = Collection::new(Metric::L2, 2, (30, 0), integer_ids(30));
    let (good, short, nan) = ([1.0, 2.0], [1.0], [1.0, f32::NAN]);
    let ids = Ids::from(vec![4, 5, 6]);
    let refusal = |dim, ids: &Ids, graph, third: &'static [f32]| {
        let row = |row: usize| if row == 2 { third } else { &[1.0, 2.0][..] };
        let contents = Contents { metric: Metric::L2, dim, ids, graph, row: &row };
        let saved = save(&directory, &contents, &SaveOptions::default());
        let error = saved.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        error.to_string()
    };
    let leak = |values: &[f32]| -> &'static [f32] { Box::leak(values.to_vec().into()) };
    let (good, short, nan) = (leak(&good), leak(&short), leak(&nan));
    assert!(refusal(2, &ids, None, short).contains("row 2: it has 1 values instead of 2"));
    assert!(refusal(2, &ids, None, nan).contains("row 2: it holds NaN"));
    assert!(refusal(0, &ids, None, good).contains("dim 0 is out of range"));
    let twice = Ids::from(vec![4, 5, 4]);
    assert!(refusal(2, &twice, None, good).contains("row 2: row 0 has the same id: 4"));
    let graph = other.graph.as_ref();
    assert!(refusal(2, &ids, graph, good).contains("the graph is not of these rows"));
    assert_eq!(names(parent.path()), [""; 0]);
}

#[test]
fn a_canceled_save_leaves_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a.loom");
    let rows = random_rows(3_000, 500, 5);
    let ids = integer_ids(3_000);
    let row = |row: usize| rows.row(row);
    let contents = Contents { metric: Metric::L2, dim: 500, ids: &ids, graph: None, row: &row };
    for stop_at in [0, 2_500, 3_000] {
        let progress = |done: usize, total: usize| {
            assert_eq!(total, 3_000);
            done < stop_at
        };
        let options = SaveOptions { progress: &progress, ..SaveOptions::default() };
        let error = save(&directory, &contents, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Canceled);
        assert_eq!(names(parent.path()), [""; 0]);
    }
}

#[test]
fn what_is_no_database_is_not_found() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("manifest-1"), "a name that is almost right").unwrap();
    for directory in [parent.path().to_owned(), parent.path().join("missing")] {
        let error = open(&directory).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert_eq!(error.file(), Some(directory.as_path()));
    }
}
