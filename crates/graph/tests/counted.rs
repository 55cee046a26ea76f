//! Promise: what a build does, and not only how well, changes on purpose alone.
//!
//! Distances computed, degrees, the very links, recall and the cost of a search are pinned in
//! `baselines/`, for a real set and a made one and every strategy. A change of speed that comes
//! from doing less, or a change of the graph that no other test minds, shows here first.
//!
//! Wide sums round in an order of their own, so there is a baseline for each instruction set; on
//! a machine that has none the comparison is left out, with a note. `LOOMDB_BLESS=1 cargo test`
//! writes what it finds.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::ways::{Made, Way};
use common::{WORKERS, nodes_of, oracle};
use loomdb_graph::{BuildParams, GraphParts, Metric, Scratch, Strategy, instruction_set};
use loomdb_testkit::{DataSet, Fnv, generate, recall_at, wordnet};
use serde_json::{Map, Value, json};

const WAYS: [Way; 6] = [
    Way::Build(Strategy::AllPairs),
    Way::Build(Strategy::Partition),
    Way::Build(Strategy::Insert { chunk: 1 }),
    Way::Build(Strategy::Insert { chunk: 100 }),
    Way::Build(Strategy::Insert { chunk: 500 }),
    Way::Grow { half: Strategy::AllPairs, step: 100 },
];

const K: usize = 10;
const EF_SEARCH: usize = 64;

#[test]
fn real_texts() {
    let wordnet = wordnet();
    compare("wordnet", &measure(&wordnet.rows, &wordnet.queries, Metric::Cosine));
}

#[test]
fn a_mixture() {
    let set = DataSet::new("mixture", 24, generate::mixture(1, 5_100, 24));
    let (rows, queries) = set.hold_out(100);
    compare("mixture", &measure(&rows, &queries, Metric::L2));
}

/// The figures of every way, by its name.
fn measure(rows: &DataSet, queries: &DataSet, metric: Metric) -> Map<String, Value> {
    let figures = |way: Way| {
        let params = BuildParams { ef_construction: 200, ..way.params(16) };
        let versions = way.versions(rows, metric, &params, &WORKERS);
        (way.to_string(), figures(&versions, rows, queries))
    };
    WAYS.into_iter().map(figures).collect()
}

fn figures(versions: &[Made], rows: &DataSet, queries: &DataSet) -> Value {
    let Made { graph, order, .. } = &versions[versions.len() - 1];
    let build: u64 = versions.iter().map(|made| made.stats.distance_computations).sum();
    let oracle = oracle(graph.metric(), rows);
    let mut scratch = Scratch::new();
    let recall = |query| {
        let found = nodes_of(&graph.search(query, K, EF_SEARCH, &mut scratch).unwrap());
        let found = found.into_iter().map(|node| order[node as usize]);
        recall_at(K, &oracle.exact_neighbors(query, K), &oracle.measure(query, found))
    };
    let recall = queries.rows().map(recall).sum::<f64>() / queries.len() as f64;
    json!({
        "build_distances": build,
        "mean_degree": rounded(graph.degrees().mean),
        "graph_hash": format!("{:016x}", hash(&graph.to_parts())),
        "recall_at_10": rounded(recall),
        "search_distances": scratch.distance_computations(),
    })
}

/// Four digits behind the point: they are the same whatever the order of a sum.
fn rounded(value: f64) -> f64 {
    (value * 1.0e4).round() / 1.0e4
}

fn hash(parts: &GraphParts) -> u64 {
    let mut hash = Fnv::default();
    hash.add([parts.m as u64, parts.seed, parts.entry_point.map_or(u64::MAX, u64::from)]);
    hash.add(parts.levels.iter().copied().map(u64::from));
    hash.add(parts.degrees.iter().copied().map(u64::from));
    hash.add(parts.links.iter().copied().map(u64::from));
    hash.value()
}

/// Holds the figures against the baseline of this instruction set, or writes it when asked to.
fn compare(name: &str, found: &Map<String, Value>) {
    let path = baseline_path(name);
    let mut baseline = read(&path);
    let instructions = instruction_set();
    if std::env::var_os("LOOMDB_BLESS").is_some() {
        baseline.insert(instructions.to_owned(), Value::Object(found.clone()));
        write(&path, baseline);
        return;
    }
    let Some(expected) = baseline.get(instructions) else {
        println!("not compared: {} has no figures for {instructions}", path.display());
        return;
    };
    let changes = changes(expected, found);
    assert!(
        changes.is_empty(),
        "{} has other figures for {instructions}:\n{}\nIf that is on purpose, write them with \
         LOOMDB_BLESS=1 and say in the commit why they moved",
        path.display(),
        changes.join("\n")
    );
}

/// A line for each figure that is not as expected, or that is on one side only.
fn changes(expected: &Value, found: &Map<String, Value>) -> Vec<String> {
    let none = Map::new();
    let expected = expected.as_object().unwrap_or(&none);
    let mut changes = Vec::new();
    for way in expected.keys().chain(found.keys().filter(|way| !expected.contains_key(*way))) {
        let sides = [expected.get(way), found.get(way)].map(|side| side.and_then(Value::as_object));
        let [old, new] = sides.map(|side| side.unwrap_or(&none));
        for figure in old.keys().chain(new.keys().filter(|figure| !old.contains_key(*figure))) {
            let [old, new] = [old, new].map(|side| side.get(figure).unwrap_or(&Value::Null));
            if old != new {
                changes.push(format!("  {way} {figure}: was {old}, is {new}"));
            }
        }
    }
    changes
}

fn baseline_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/baselines").join(format!("{name}.json"))
}

/// The baselines of all instruction sets; none when there is no file yet.
fn read(path: &Path) -> Map<String, Value> {
    let Ok(text) = fs::read_to_string(path) else { return Map::new() };
    let parsed = serde_json::from_str(&text);
    parsed.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(path: &Path, baseline: Map<String, Value>) {
    let text = serde_json::to_string_pretty(&Value::Object(baseline)).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text + "\n").unwrap();
}

#[test]
fn every_kind_of_change_is_named() {
    let expected = json!({"a": {"x": 1, "y": 2.5}, "gone": {"x": 1}});
    let found = json!({"a": {"x": 2, "y": 2.5, "z": "n"}, "came": {"x": 3}});
    let found = found.as_object().unwrap();
    let named = [
        "  a x: was 1, is 2",
        "  a z: was null, is \"n\"",
        "  gone x: was 1, is null",
        "  came x: was null, is 3",
    ];
    assert_eq!(changes(&expected, found), named);
    assert!(changes(&Value::Object(found.clone()), found).is_empty());
}
