//! Tables of other programs: columns become ids and metadata, and filters find them.

mod common;

use std::path::Path;

use common::Sandbox;
use serde_json::{Value, json};

const COLUMNS: &str = "--id-column url --metric l2";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["articles.parquet", "articles.feather", "articles.arrow"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        sandbox.write(name, &std::fs::read(file).unwrap());
    }
    sandbox
}

fn article(number: usize) -> Value {
    let mut metadata = json!({
        "title": format!("Article number {number}"),
        "lang": if number.is_multiple_of(3) { "de" } else { "en" },
        "tags": if number > 9 { json!(["new"]) } else { json!(["old", format!("t{number}")]) },
        "published": format!("2024-01-{:02}T00:00:00Z", number + 1),
        "extra.a": number,
    });
    if number != 3 && number != 8 {
        metadata["year"] = json!(2015 + number);
    }
    let vector = [1.0, number as f64 / 4.0, (number % 3) as f64 / 2.0, -1.0];
    json!({"id": format!("https://example.org/{number}"), "vector": vector, "metadata": metadata})
}

#[test]
fn every_table_becomes_the_same_points() {
    let sandbox = sandbox();
    for name in ["articles.parquet", "articles.feather", "articles.arrow"] {
        let outcome = sandbox.run(&format!("import {name} {name}.loom {COLUMNS} --json"));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let report = outcome.json();
        assert_eq!((&report["rows"], &report["points"]), (&12.into(), &12.into()));
        assert_eq!(report["left_out"], json!([]), "a struct becomes fields: {report}");
        for number in [0, 3, 7, 11] {
            let line = format!("get {name}.loom https://example.org/{number}");
            assert_eq!(sandbox.json(&line)["points"], json!([article(number)]), "{line}");
        }
    }
}

#[test]
fn metadata_columns_are_chosen() {
    let sandbox = sandbox();
    sandbox.json(&format!("import articles.parquet a.loom {COLUMNS} --metadata-columns year,lang"));
    let point = &sandbox.json("get a.loom https://example.org/4")["points"][0];
    assert_eq!(point["metadata"], json!({"year": 2019, "lang": "en"}));
    sandbox.json(&format!("import articles.parquet b.loom {COLUMNS} --metadata-columns none"));
    let point = &sandbox.json("get b.loom https://example.org/4")["points"][0];
    assert_eq!(point["metadata"], json!({}));
    let line = format!("import articles.parquet c.loom {COLUMNS} --metadata-columns yaer");
    let message = sandbox.error(&line);
    assert!(message.contains("did you mean \"year\"?"), "{message}");
    assert!(!sandbox.names().contains(&"c.loom".to_owned()));
    sandbox.json(&format!("import articles.parquet c.loom {COLUMNS} --metadata-columns extra"));
    let point = &sandbox.json("get c.loom https://example.org/4")["points"][0];
    assert_eq!(point["metadata"], json!({"extra.a": 4}));
}

#[test]
fn filters_choose_what_is_searched_counted_and_listed() {
    let sandbox = sandbox();
    sandbox.json(&format!("import articles.parquet a.loom {COLUMNS}"));
    for (filter, matches) in [
        (r#"{"lang":"de"}"#, vec![0, 3, 6, 9]),
        (r#"{"year":{"$gte":2024}}"#, vec![9, 10, 11]),
        (r#"{"year":{"$exists":false}}"#, vec![3, 8]),
        (r#"{"tags":"t5"}"#, vec![5]),
        (r#"{"published":{"$lt":"2024-01-03T00:00:00Z"},"lang":"en"}"#, vec![1]),
        (r#"{"lang":"fr"}"#, vec![]),
    ] {
        let expected: Vec<String> =
            matches.iter().map(|number| format!("https://example.org/{number}")).collect();
        let ids = |points: &Value| {
            let ids = points.as_array().unwrap().iter().map(|point| point["id"].as_str().unwrap());
            ids.map(str::to_owned).collect::<Vec<_>>()
        };
        let line = format!("count a.loom --filter {filter}");
        assert_eq!(sandbox.json(&line)["count"], matches.len(), "{line}");
        let listed = sandbox.json(&format!("list a.loom --limit 100 --filter {filter}"));
        assert_eq!(ids(&listed["points"]), expected, "{filter}");
        // By distance from article 0 the numbers ascend, as far as the second value decides.
        let line = format!("search a.loom --vector 1,0,0,-1 --filter {filter} -k 12");
        let mut found = ids(&sandbox.json(&line)["hits"][0]);
        found.sort_by_key(|id| expected.iter().position(|other| other == id));
        assert_eq!(found, expected, "{filter}");
    }
    let message = sandbox.error(r#"count a.loom --filter {"yaer":1}"#);
    assert!(message.contains("did you mean \"year\"?"), "{message}");
}

#[test]
fn points_are_appended_upserted_and_replaced() {
    let sandbox = sandbox();
    let import = |rest: &str| format!("import articles.parquet a.loom {COLUMNS} {rest}");
    sandbox.json(&import("--limit 5"));
    let message = sandbox.error(&import(""));
    assert!(message.contains("has 5 points already; say --append, --upsert"), "{message}");
    let message = sandbox.error(&import("--append"));
    assert!(message.contains("https://example.org/0, "), "{message}");
    assert!(message.ends_with("; use --upsert to replace these points"), "{message}");
    assert_eq!(sandbox.json("count a.loom")["count"], 5);

    sandbox.json("update a.loom --ids https://example.org/1 --set {\"lang\":\"fr\"}");
    assert_eq!(sandbox.json(&import("--upsert"))["points"], 12);
    assert_eq!(sandbox.json("get a.loom https://example.org/1")["points"], json!([article(1)]));

    let report = sandbox.json(&import("--replace --limit 3 --metadata-columns none"));
    assert_eq!((&report["points"], &report["metric"]), (&3.into(), &"l2".into()));
    assert_eq!(report["fields"], json!([]));
    let message = sandbox.error("import articles.parquet a.loom --append --metric ip");
    assert!(message.contains("has the metric l2, not ip"), "{message}");
}
