//! Every command does what it says, and `--json` has the shape that `docs/shell.md` shows.

mod common;

use common::Sandbox;
use loomdb_testkit::generate;
use serde_json::{Value, json};

const DIM: usize = 4;

/// A database of 20 points with ids from 0 on and metadata.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.npy("rows.npy", DIM, &generate::uniform(1, 20, DIM));
    sandbox.json("import rows.npy a.loom --metric l2");
    sandbox.json(&format!("update a.loom --filter {{}} --set {}", r#"{"lang":"en"}"#));
    sandbox.json(&format!("update a.loom --ids 3 5 7 --set {}", r#"{"lang":"de","year":2020}"#));
    sandbox
}

fn ids(points: &Value) -> Vec<u64> {
    points.as_array().unwrap().iter().map(|point| point["id"].as_u64().unwrap()).collect()
}

#[test]
fn a_collection_is_made_and_refused_the_second_time() {
    let sandbox = Sandbox::new();
    let made = sandbox.json("create a.loom docs --dim 4 --metric ip");
    let path = json!("a.loom");
    let expected = json!({
        "path": path, "collection": "docs", "dim": 4, "metric": "ip", "m": 16,
        "ef_construction": 200,
    });
    assert_eq!(made, expected);
    sandbox.json("create a.loom");
    let outcome = sandbox.run("create a.loom docs");
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    let listed = sandbox.json("collections a.loom");
    let names: Vec<&Value> =
        listed["collections"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["default", "docs"]);
    let message = sandbox.error("create missing/a.loom");
    assert!(message.contains("there is no such directory"), "{message}");
    sandbox.npy("wide.npy", DIM + 1, &generate::uniform(1, 2, DIM + 1));
    let message = sandbox.error("import wide.npy a.loom --collection docs");
    assert!(message.contains("4 dimensions") && message.contains('5'), "{message}");
}

#[test]
fn points_are_got_listed_and_counted() {
    let sandbox = sandbox();
    let got = sandbox.json("get a.loom 5 6");
    assert_eq!(got["points"][0]["metadata"], json!({"lang": "de", "year": 2020}));
    assert_eq!(got["points"][1]["vector"].as_array().unwrap().len(), DIM);
    let outcome = sandbox.run("get a.loom 5 99 --json");
    assert_eq!((outcome.code, outcome.json()["missing"].clone()), (Some(3), json!([99])));
    assert!(outcome.stderr.contains("no point with the id 99"), "{}", outcome.stderr);
    let message = sandbox.error("get a.loom five");
    assert!(message.contains("are integers, and \"five\" is none"), "{message}");

    let listed = sandbox.json("list a.loom --skip 15 --limit 3");
    assert_eq!((&listed["matches"], &listed["skip"]), (&20.into(), &15.into()));
    assert_eq!(listed["points"].as_array().unwrap().len(), 3);
    let listed = sandbox.json(r#"scan a.loom --filter {"lang":"de"} --vectors --skip 1"#);
    assert_eq!(ids(&listed["points"]), [5, 7]);
    assert_eq!(listed["points"][0]["vector"].as_array().unwrap().len(), DIM);
    assert_eq!(sandbox.run("count a.loom").stdout, "20\n");
}

#[test]
fn fields_are_indexed_listed_and_given_up() {
    let sandbox = sandbox();
    let indexed = sandbox.json("index a.loom year lang");
    assert_eq!(indexed, json!({"collection": "default", "indexed_fields": ["lang", "year"]}));
    assert_eq!(sandbox.json("index a.loom"), indexed);
    let info = &sandbox.json("info a.loom")["collections"][0];
    assert_eq!(info["indexed_fields"], indexed["indexed_fields"]);
    assert!(sandbox.run("info a.loom").stdout.contains("indexed"));
    let counted = sandbox.json(r#"count a.loom --filter {"lang":"de","year":{"$gte":2020}}"#);
    assert_eq!(counted["count"], 3);
    sandbox.json("import rows.npy a.loom --replace");
    assert_eq!(sandbox.json("index a.loom"), indexed, "the collection keeps its indexes");
    sandbox.json("index a.loom lang --remove");
    assert_eq!(sandbox.run("index a.loom").stdout, "default: indexed are year\n");
    let message = sandbox.error("index a.loom lang --remove");
    assert!(message.contains("not indexed; there are: year"), "{message}");
    sandbox.json("index a.loom year --remove");
    assert_eq!(sandbox.run("index a.loom").stdout, "default: no field is indexed\n");
    assert_eq!(sandbox.run("index a.loom --remove").code, Some(2));
}

#[test]
fn searches_know_filters_points_and_distances() {
    let sandbox = sandbox();
    let report = sandbox.json("search a.loom --id 5 -k 19");
    let mut found = ids(&report["hits"][0]);
    found.sort_unstable();
    assert_eq!(found, (0..20).filter(|id| *id != 5).collect::<Vec<_>>());
    let distances: Vec<f64> = report["hits"][0]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["distance"].as_f64().unwrap())
        .collect();
    assert!(distances.is_sorted());
    let radius = f64::midpoint(distances[6], distances[7]);
    let within = sandbox.json(&format!("search a.loom --id 5 --radius {radius}"));
    assert_eq!(within["hits"][0].as_array().unwrap(), &report["hits"][0].as_array().unwrap()[..7]);
    let within = sandbox.json(&format!("search a.loom --id 5 --radius {radius} -k 2 --exact"));
    assert_eq!(within["hits"][0].as_array().unwrap().len(), 2);

    let line = r#"search a.loom --id 5 --filter {"lang":"de"} --explain --vectors"#;
    let report = sandbox.json(line);
    let mut found = ids(&report["hits"][0]);
    found.sort_unstable();
    assert_eq!(found, [3, 7]);
    assert_eq!(report["hits"][0][0]["vector"].as_array().unwrap().len(), DIM);
    let explanation = &report["explanations"][0];
    assert_eq!((&explanation["strategy"], &explanation["matches"]), (&"scan".into(), &3.into()));
    let text = sandbox.run(line).stdout;
    assert!(text.contains("looked at every match: 3 points match (15.0 %)"), "{text}");
    let outcome = sandbox.run("search a.loom --id 99");
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    let text = sandbox.run(r#"search a.loom --id 5 --filter {"lang":"fr"}"#).stdout;
    assert!(text.contains("no point matches"), "{text}");
}

#[test]
fn metadata_are_updated_and_taken_away() {
    let sandbox = sandbox();
    let report = sandbox.json(r#"update a.loom --filter {"lang":"de"} --set {"lang":null}"#);
    assert_eq!(report, json!({"collection": "default", "updated": 3}));
    let point = &sandbox.json("get a.loom 5")["points"][0];
    assert_eq!(point["metadata"], json!({"year": 2020}));
    let outcome = sandbox.run(r#"update a.loom --ids 5 99 --set {"year":1}"#);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    let message = sandbox.error(r#"update a.loom --ids 5 --set {"year":"soon"}"#);
    assert!(message.contains("\"year\" holds integer, and this is text"), "{message}");
    assert_eq!(sandbox.json("get a.loom 5")["points"][0]["metadata"], json!({"year": 2020}));
}

#[test]
fn points_are_deleted_and_their_space_given_back() {
    let sandbox = sandbox();
    let report = sandbox.json(r#"delete a.loom --filter {"lang":"en"} --dry-run"#);
    let expected = json!({"collection": "default", "deleted": 17, "points": 3, "dry_run": true});
    assert_eq!(report, expected);
    assert_eq!(sandbox.json("delete a.loom --ids 0 1 99 1 --dry-run")["deleted"], 2);
    assert_eq!(sandbox.json("count a.loom")["count"], 20, "a dry run deletes");
    assert_eq!(sandbox.json("delete a.loom --ids 0 1 99 1")["deleted"], 2);
    // Nobody is asked where nobody can answer.
    let report = sandbox.json(r#"delete a.loom --filter {"lang":"en"}"#);
    assert_eq!((&report["deleted"], &report["points"]), (&15.into(), &3.into()));
    assert_eq!(ids(&sandbox.json("list a.loom")["points"]), [3, 5, 7]);
    // 20 rows were written, 20 were replaced by the first update and 3 by the second.
    let report = sandbox.json("compact a.loom");
    assert_eq!(report["collections"][0]["removed_rows"], 40);
    assert_eq!(sandbox.json("info a.loom")["collections"][0]["deleted_rows"], 0);
    assert!(report["bytes"].as_u64() < report["bytes_before"].as_u64(), "{report}");
    assert_eq!(ids(&sandbox.json("list a.loom")["points"]), [3, 5, 7]);
}

#[test]
fn collections_are_listed_renamed_and_dropped() {
    let sandbox = sandbox();
    sandbox.json("import rows.npy a.loom --collection other");
    let message = sandbox.error("count a.loom");
    assert!(message.contains("several collections: default, other; name one"), "{message}");
    let message = sandbox.error("count a.loom -c othre");
    assert!(message.contains("did you mean \"other\"?"), "{message}");
    let listed = sandbox.json("collections list a.loom");
    let other = &listed["collections"][1];
    assert_eq!((&other["name"], &other["points"]), (&"other".into(), &20.into()));
    let report = sandbox.json("collections rename a.loom other papers");
    assert_eq!(report, json!({"path": "a.loom", "collection": "papers", "was": "other"}));
    assert_eq!(sandbox.json("count a.loom -c papers")["count"], 20);
    let outcome = sandbox.run("collections rename a.loom papers default");
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    let report = sandbox.json("collections drop a.loom papers");
    assert_eq!(report, json!({"path": "a.loom", "dropped": "papers", "points": 20}));
    assert_eq!(sandbox.json("count a.loom")["count"], 20);
}

#[test]
fn a_saved_index_is_opened_and_written_to() {
    use loomdb::index::{Index, IndexParams};
    use loomdb::storage::SaveOptions;
    use loomdb_graph::{Metric, Vectors};
    let sandbox = Sandbox::new();
    let rows = generate::mixture(3, 3_000, DIM);
    sandbox.npy("rows.npy", DIM, &rows);
    let vectors = Vectors::from_flat(DIM, &rows).unwrap();
    let index = Index::build(vectors, Metric::L2, IndexParams::default(), &()).unwrap();
    index.save(&sandbox.path("old.loom"), None, &SaveOptions::default()).unwrap();
    let found = sandbox.json("search old.loom --query-file rows.npy -k 1 --limit 50 --exact");
    for (row, hits) in found["hits"].as_array().unwrap().iter().enumerate() {
        assert_eq!((&hits[0]["id"], &hits[0]["distance"]), (&row.into(), &0.0.into()));
    }
    let info = sandbox.json("info old.loom");
    assert_eq!(info["collections"][0]["index"]["graph_rows"], 3_000);
    assert_eq!(sandbox.json("delete old.loom --ids 7")["points"], 2_999);
    assert_eq!(sandbox.json("import rows.npy old.loom --append --limit 10")["points"], 3_009);
    assert_eq!(ids(&sandbox.json("list old.loom --skip 3008")["points"]), [3_009]);
}

#[test]
fn completions_know_the_commands() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = sandbox.run(&format!("completions {shell}")).stdout;
        assert!(script.contains("ef-search") && script.contains("collections"), "{shell}");
    }
}

#[test]
fn a_database_is_checked_and_damage_is_found() {
    let sandbox = sandbox();
    let report = sandbox.json("check a.loom --recall");
    assert_eq!((&report["is_sound"], &report["findings"]), (&true.into(), &json!([])));
    let sample = &report["collections"][0]["recall"];
    assert_eq!((&sample["recall"], &sample["queries"]), (&1.0.into(), &20.into()));
    sandbox.json("compact a.loom");
    let vectors = sandbox.path(&sandbox.stored("a.loom", "vectors.npy"));
    let mut bytes = std::fs::read(&vectors).unwrap();
    bytes[300] ^= 1;
    std::fs::write(vectors, bytes).unwrap();
    let outcome = sandbox.run("check a.loom --json");
    let report = outcome.json();
    assert_eq!((outcome.code, &report["is_sound"]), (Some(6), &false.into()), "{report}");
    let finding = &report["findings"][0];
    assert_eq!(finding["severity"], "damage");
    assert!(finding["file"].as_str().unwrap().ends_with("vectors.npy"), "{finding}");
    assert!(sandbox.run("check a.loom").stdout.contains("DAMAGED"));
    assert_eq!(sandbox.run("backup a.loom b.loom").code, Some(6));
    assert!(!sandbox.names().contains(&"b.loom".to_owned()));
}

#[test]
fn a_backup_is_a_database_of_its_own() {
    let sandbox = sandbox();
    let made = sandbox.json("backup a.loom b.loom");
    assert_eq!(made["copy"], "b.loom");
    sandbox.json("delete a.loom --ids 1");
    assert_eq!(sandbox.json("count b.loom")["count"], 20);
    assert_eq!(sandbox.run("backup a.loom b.loom").code, Some(4));
    sandbox.json("delete b.loom --ids 1 2");
    assert_eq!(sandbox.json("count a.loom")["count"], 19);
}

#[test]
fn what_is_exported_can_be_imported() {
    let sandbox = sandbox();
    let all = "list --limit 100 --vectors";
    let expected = sandbox.json(&format!("{all} a.loom"))["points"].clone();
    for file in ["a.parquet", "a.arrow", "a.feather"] {
        let report = sandbox.json(&format!("export a.loom {file}"));
        assert_eq!((&report["points"], &report["files"]), (&20.into(), &json!([file])));
        sandbox.json(&format!("import {file} {file}.loom --metric l2"));
        let points = sandbox.json(&format!("{all} {file}.loom"))["points"].clone();
        assert_eq!(points, expected, "{file}");
        assert_eq!(sandbox.run(&format!("export a.loom {file}")).code, Some(4));
        sandbox.json(&format!("export a.loom {file} --replace"));
    }
    let report = sandbox.json("export a.loom a.npy");
    assert_eq!(report["files"].as_array().unwrap().len(), 2);
    sandbox.json("import a.npy npy.loom --metric l2");
    assert_eq!(sandbox.json("count npy.loom")["count"], 20);
}
