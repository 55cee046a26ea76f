//! The demo runs from anywhere, finds what it should, and cleans up unless it is told not to.

mod common;

use common::{Sandbox, names_in};
use serde_json::Value;

fn assert_sane(report: &Value) {
    assert_eq!(report["import"]["rows"], 5_000);
    assert_eq!(report["import"]["strategy"], "partition");
    let examples = report["examples"].as_array().unwrap();
    assert_eq!(examples.len(), 4);
    let nearest = examples[0]["neighbors"][0]["text"].as_str().unwrap();
    assert!(nearest.starts_with("Spanish rice"), "{nearest}");
    let filtered = report["filtered"].as_array().unwrap();
    let matches: Vec<_> = filtered.iter().map(|one| one["matches"].as_u64().unwrap()).collect();
    assert_eq!(matches[..2], [5_000, 253]);
    assert!(matches[2] < 253 && filtered[2]["neighbors"].as_array().unwrap().len() == 3);

    let comparison = &report["comparison"];
    assert_eq!((&comparison["threads"], &comparison["queries"]), (&1.into(), &50.into()));
    let sizes = comparison["sizes"].as_array().unwrap();
    let rows: Vec<_> = sizes.iter().map(|size| size["rows"].as_u64().unwrap()).collect();
    assert_eq!(rows, [1_500, 5_000]);
    for size in sizes {
        assert_eq!(size["one_by_one"]["strategy"], "insert");
        assert_eq!(size["batch"]["strategy"], "partition");
        for way in ["one_by_one", "batch"] {
            let recall = size[way]["recall_at_10"].as_f64().unwrap();
            assert!((0.95..=1.0).contains(&recall), "{way}: recall {recall}");
            assert!(size[way]["distance_computations"].as_u64().unwrap() > 0);
            assert!(size[way]["queries_per_second"].as_f64().unwrap() > 0.0);
        }
        assert!(size["build_ratio"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn the_demo_finds_what_it_should_and_cleans_up() {
    let sandbox = Sandbox::new();
    let report = sandbox.json("demo --runs 1");
    assert_sane(&report);
    assert_eq!(report["dir"], Value::Null);
    assert_eq!(sandbox.names(), Vec::<String>::new());
}

#[test]
fn the_files_of_the_demo_can_be_kept_and_searched() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run("demo --runs 1 --dir here");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let is_short = |line: &str| line.chars().count() <= 100;
    assert!(outcome.stdout.lines().all(is_short), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("one by one") && outcome.stdout.contains("The files are in"));
    assert_eq!(names_in(&sandbox.path("here")), ["queries.npy", "vectors.npy", "wordnet.loom"]);
    let line = "search here/wordnet.loom --query-file here/queries.npy -k 1 --limit 2";
    assert_eq!(sandbox.json(line)["hits"].as_array().unwrap().len(), 2);
    let line = "count here/wordnet.loom --filter {\"subject\":\"noun.food\"}";
    assert_eq!(sandbox.json(line)["count"], 116);
}
