//! A damaged database is found by `check`, and what is sound of it is saved by `repair`.

mod common;

use std::fs;

use common::Sandbox;
use loomdb_testkit::generate;
use serde_json::{Value, json};

const DIM: usize = 64;

/// Rows whose vectors fill several blocks, each of which has its own checksum.
const ROWS: usize = 3_000;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.npy("rows.npy", DIM, &generate::uniform(1, ROWS, DIM));
    sandbox.json("import rows.npy a.loom --metric l2 --collection docs");
    sandbox
}

/// Changes a byte of the vectors, and returns the name of the file.
fn damage(sandbox: &Sandbox) -> String {
    let name = sandbox.stored("a.loom", "vectors.npy");
    let path = sandbox.path(&name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[300_000] ^= 1;
    fs::write(path, bytes).unwrap();
    name
}

fn remove_manifests(sandbox: &Sandbox) {
    for name in common::names_in(&sandbox.path("a.loom")) {
        if name.starts_with("manifest-") {
            fs::remove_file(sandbox.path("a.loom").join(name)).unwrap();
        }
    }
}

/// All points, by id.
fn points(sandbox: &Sandbox, database: &str) -> Vec<Value> {
    let listed = sandbox.json(&format!("list {database} --vectors --limit {ROWS}"));
    listed["points"].as_array().unwrap().clone()
}

#[test]
fn damage_is_found_and_the_sound_points_are_saved() {
    let sandbox = sandbox();
    let before = points(&sandbox, "a.loom");
    let file = damage(&sandbox);
    let outcome = sandbox.run("check a.loom");
    assert_eq!(outcome.code, Some(6), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("loomdb repair a.loom"), "{}", outcome.stdout);

    let report = sandbox.json("repair a.loom");
    assert_eq!((&report["is_changed"], &report["database"]), (&true.into(), &"a.loom".into()));
    let losses = report["losses"].as_array().unwrap();
    assert!(
        losses
            .iter()
            .any(|loss| loss["collection"] == "docs"
                && file.ends_with(loss["file"].as_str().unwrap()))
    );
    let lost: Vec<&Value> =
        losses.iter().flat_map(|loss| loss["ids"].as_array().unwrap()).collect();
    // A block holds 256 rows, and the damage lies in one.
    assert!((1..=257).contains(&lost.len()), "{} are lost", lost.len());
    let sound: Vec<Value> =
        before.into_iter().filter(|point| !lost.contains(&&point["id"])).collect();
    assert_eq!(points(&sandbox, "a.loom"), sound);
    assert_eq!(report["collections"], json!([{"name": "docs", "points": sound.len()}]));

    assert_eq!(sandbox.run("check a.loom").code, Some(0));
    let damaged = report["damaged"].as_str().unwrap();
    assert_eq!(sandbox.run(&format!("check {damaged}")).code, Some(6));
    assert_eq!(sandbox.json("repair a.loom")["is_changed"], false);
    assert_eq!(sandbox.run("repair a.loom").stdout, "a.loom: sound, left alone\n");
}

#[test]
fn the_result_may_go_to_another_place() {
    let sandbox = sandbox();
    damage(&sandbox);
    let message = sandbox.error("repair a.loom --to rows.npy");
    assert!(message.contains("rows.npy"), "{message}");
    let outcome = sandbox.run("repair a.loom --to saved.loom");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let first = outcome.stdout.lines().next().unwrap();
    assert_eq!(first, "saved.loom: repaired; the damaged files: a.loom");
    assert!(outcome.stdout.contains("; ids "), "{}", outcome.stdout);
    assert_eq!(sandbox.names(), ["a.loom", "rows.npy", "saved.loom"]);
    assert_eq!(sandbox.run("check a.loom").code, Some(6));
    assert_eq!(sandbox.run("check saved.loom").code, Some(0));
}

#[test]
fn without_a_manifest_the_metric_must_be_told() {
    let sandbox = sandbox();
    let before = points(&sandbox, "a.loom");
    remove_manifests(&sandbox);
    for line in ["check a.loom", "count a.loom"] {
        let outcome = sandbox.run(line);
        assert_eq!(outcome.code, Some(6), "{line}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("`loomdb repair`"), "{line}: {}", outcome.stderr);
    }
    let message = sandbox.error("repair a.loom");
    assert!(message.contains("the manifest is lost") && message.contains("--metric"), "{message}");
    let report = sandbox.json("repair a.loom --metric l2");
    assert_eq!(report["collections"][0]["points"], ROWS);
    assert_eq!(sandbox.json("info a.loom")["collections"][0]["metric"], "l2");
    assert_eq!(points(&sandbox, "a.loom"), before);
}

#[test]
fn what_is_no_database_is_not_repaired() {
    let sandbox = sandbox();
    fs::create_dir(sandbox.path("papers")).unwrap();
    for path in ["none.loom", "papers", "rows.npy"] {
        let outcome = sandbox.run(&format!("repair {path} --json"));
        assert_eq!(outcome.code, Some(3), "{path}: {}", outcome.stderr);
        assert_eq!(outcome.json()["error"]["kind"], "not_found", "{path}");
    }
}

#[test]
fn losing_all_points_is_no_success() {
    let sandbox = sandbox();
    let path = sandbox.path(&sandbox.stored("a.loom", "points.arrow"));
    fs::write(&path, vec![7; fs::read(&path).unwrap().len()]).unwrap();
    let outcome = sandbox.run("repair a.loom --json");
    assert_eq!(outcome.code, Some(6), "{}", outcome.stderr);
    assert_eq!(outcome.json()["collections"], json!([{"name": "docs", "points": 0}]));
    assert_eq!(sandbox.run("check a.loom").code, Some(0));
}
