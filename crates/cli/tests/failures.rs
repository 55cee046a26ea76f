//! Whatever is wrong, the command says what, where and what to do, ends with the right code, and
//! leaves nothing behind.

mod common;

use common::Sandbox;
use loomdb_testkit::generate;
use serde_json::Value;

const DIM: usize = 4;

/// A directory with good rows, as a file and as a database.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.npy("rows.npy", DIM, &generate::uniform(1, 50, DIM));
    sandbox.json("import rows.npy good.loom");
    sandbox
}

/// Runs an import that must fail with a message that has these parts, and change nothing.
fn assert_import_fails(sandbox: &Sandbox, line: &str, parts: &[&str]) {
    let before = sandbox.names();
    let message = sandbox.error(&format!("import {line}"));
    for part in parts {
        assert!(message.contains(part), "{line}: {part:?} is not in {message:?}");
    }
    assert_eq!(sandbox.names(), before, "{line}: something was left behind");
}

#[test]
fn rows_that_cannot_be_used_are_named() {
    let sandbox = sandbox();
    let mut values = generate::uniform(2, 50, DIM);
    values[17 * DIM + 2] = f32::NAN;
    sandbox.npy("nan.npy", DIM, &values);
    assert_import_fails(&sandbox, "nan.npy new.loom", &["nan.npy", "row 17", "NaN", "position 2"]);
    values[17 * DIM..18 * DIM].fill(0.0);
    sandbox.npy("zero.npy", DIM, &values);
    assert_import_fails(&sandbox, "zero.npy new.loom", &["row 17", "zero", "cosine"]);
    sandbox.json("import zero.npy l2.loom --metric l2");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let sandbox = sandbox();
    let whole = std::fs::read(sandbox.path("rows.npy")).unwrap();
    sandbox.write("empty.npy", b"");
    sandbox.write("cut.npy", &whole[..whole.len() - 5]);
    sandbox.write("cut.fvecs", &[4, 0, 0, 0, 1, 2, 3]);
    sandbox.write("text.npy", b"vectors, but as a text");
    sandbox.write("rows.csv", b"1,2,3");
    for (file, what) in [
        ("empty.npy", "the file is empty"),
        ("cut.npy", "the file is cut off"),
        ("cut.fvecs", "cut off"),
        ("text.npy", "this is no .npy file"),
        ("rows.csv", "\"csv\" is not a format that can be imported; known are npy"),
        ("none.npy", "it does not exist"),
        ("good.loom", "\"loom\" is not a format"),
    ] {
        assert_import_fails(&sandbox, &format!("{file} new.loom"), &[file, what]);
    }
}

#[test]
fn files_that_do_not_fit_together_are_named() {
    let sandbox = sandbox();
    sandbox.npy("wide.npy", DIM + 1, &generate::uniform(3, 5, DIM + 1));
    let parts = ["wide.npy: its vectors have 5 dimensions, those of the first file 4"];
    assert_import_fails(&sandbox, "rows.npy wide.npy new.loom", &parts);
    let points = sandbox.stored("good.loom", "points.arrow");
    assert_import_fails(&sandbox, &format!("{points} new.loom"), &["no column holds lists"]);
}

#[test]
fn an_unknown_column_is_answered_with_the_nearest_name() {
    let sandbox = sandbox();
    let points = sandbox.stored("good.loom", "points.arrow");
    let line = format!("{points} new.loom --vector-column idd");
    let parts = ["there is no column \"idd\"", "did you mean \"id\"?"];
    assert_import_fails(&sandbox, &line, &parts);
    assert_import_fails(&sandbox, "rows.npy new.loom --id-column id", &["npy has no columns"]);
}

#[test]
fn the_place_of_a_database_is_checked_before_anything_is_read() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("papers")).unwrap();
    sandbox.write("papers/letter.txt", b"dear");
    // None of these has a file to read: the place alone is refused.
    for (line, part) in [
        ("none.npy good.loom", "has 50 points already; say --append, --upsert or --replace"),
        ("none.npy papers --replace", "not a database, and it is not empty"),
        ("none.npy rows.npy --replace", "this is no directory"),
        ("none.npy missing/new.loom", "there is no such directory"),
    ] {
        assert_import_fails(&sandbox, line, &[part]);
    }
    assert_eq!(sandbox.json("count good.loom")["count"], 50);
}

#[test]
fn databases_that_cannot_be_opened_are_named() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("papers")).unwrap();
    let damaged = sandbox.path(&sandbox.stored("good.loom", "vectors.npy"));
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[300] ^= 1;
    std::fs::write(damaged, bytes).unwrap();
    for (database, parts) in [
        ("none.loom", ["none.loom: there is no such database", "there are: good.loom"]),
        ("papers", ["papers: this is not a database", "there are: good.loom"]),
        ("good.loom", ["vectors.npy", "checksum"]),
    ] {
        for line in [format!("info {database}"), format!("search {database} --vector 1,2,3,4")] {
            let message = sandbox.error(&line);
            assert!(parts.iter().all(|part| message.contains(part)), "{line}: {message}");
        }
    }
}

#[test]
fn queries_that_do_not_fit_are_named() {
    let sandbox = sandbox();
    sandbox.npy("wide.npy", DIM + 1, &generate::uniform(3, 5, DIM + 1));
    for (query, parts) in [
        ("--vector 1,2,3", ["--vector", "4 dimensions, this one has 3"]),
        ("--vector nan,1,1,1", ["--vector", "NaN at position 0"]),
        ("--vector 0,0,0,0", ["--vector", "zero"]),
        ("--query-file wide.npy", ["wide.npy", "4 dimensions, this one has 5"]),
        ("--query-file wide.npy --exact", ["wide.npy", "4 dimensions, this one has 5"]),
        ("--query-file none.npy", ["none.npy", "it does not exist"]),
    ] {
        let message = sandbox.error(&format!("search good.loom {query}"));
        assert!(parts.iter().all(|part| message.contains(part)), "{query}: {message}");
    }
}

#[test]
fn errors_are_objects_for_programs() {
    let sandbox = sandbox();
    let mut values = generate::uniform(2, 50, DIM);
    values[7 * DIM] = f32::INFINITY;
    sandbox.npy("bad.npy", DIM, &values);
    for (line, code, kind) in [
        ("import bad.npy new.loom --json", 5, "invalid_input"),
        ("import rows.npy good.loom --json", 4, "already_exists"),
        ("info none.loom --json", 3, "not_found"),
        ("count good.loom --filter {\"a\":1} --json", 5, "invalid_filter"),
        ("--json info", 2, "usage"),
        ("search good.loom --json --vector one", 2, "usage"),
    ] {
        let outcome = sandbox.run(line);
        let error = &outcome.json()["error"];
        assert_eq!((outcome.code, &error["kind"]), (Some(code), &Value::from(kind)), "{line}");
        let message = error["message"].as_str().unwrap();
        assert!(outcome.stderr.contains(message), "{line}: {}", outcome.stderr);
    }
    let error = &sandbox.run("import bad.npy new.loom --json").json()["error"];
    assert_eq!((&error["row"], &error["file"]), (&7.into(), &"bad.npy".into()));
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    let sandbox = sandbox();
    for (line, part) in [
        ("", "Usage: loomdb"),
        ("serach good.loom", "search"),
        ("search good.loom", "--query-file"),
        ("search good.loom --vector 1 --query-file rows.npy", "cannot be used with"),
        ("search good.loom --vector 1,two", "\"two\" is not a number"),
        ("search good.loom --vector 1 -k 0", "1..=10000"),
        ("search good.loom --vector 1 --limit 5", "cannot be used with"),
        ("import rows.npy", "<DB>"),
        ("import rows.npy new.loom --metric euclid", "possible values: l2, cosine, ip"),
        ("import rows.npy new.loom --m 1", "2..=512"),
        ("import rows.npy new.loom --threads 1000000", "0..=1024"),
        ("import rows.npy new.loom --strategy fast", "expected auto, all_pairs"),
    ] {
        let outcome = sandbox.run(line);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{line}");
        assert!(outcome.stderr.contains(part), "{line}: {}", outcome.stderr);
    }
    for line in ["--help", "--version", "import --help", "help search"] {
        assert_eq!(sandbox.run(line).code, Some(0), "{line}");
    }
}

#[test]
fn one_process_writes_and_others_read() {
    let sandbox = sandbox();
    let db = loomdb::Database::open(sandbox.path("good.loom")).unwrap();
    let outcome = sandbox.run("delete good.loom --ids 1 --json");
    let error = &outcome.json()["error"];
    assert_eq!((outcome.code, &error["kind"]), (Some(7), &Value::from("locked")));
    assert_eq!(sandbox.json("count good.loom")["count"], 50);
    drop(db);
    assert_eq!(sandbox.json("delete good.loom --ids 1")["deleted"], 1);
}

#[test]
fn every_sort_of_failure_has_a_code() {
    let sandbox = sandbox();
    sandbox.json("create empty.loom");
    std::fs::create_dir(sandbox.path("damaged.loom")).unwrap();
    sandbox.write("damaged.loom/manifest-00000001", b"");
    for (line, code) in [
        ("count none.loom", 3),
        ("count good.loom -c none", 3),
        ("import none.npy new.loom", 3),
        ("create good.loom", 4),
        ("search good.loom --vector 1", 5),
        ("count good.loom --filter {\"none\":1}", 5),
        ("count damaged.loom", 6),
        ("list good.loom --limit none", 2),
    ] {
        let outcome = sandbox.run(line);
        assert_eq!(outcome.code, Some(code), "{line}: {}", outcome.stderr);
    }
    assert_eq!(sandbox.json("count empty.loom")["count"], 0);
    assert_eq!(
        sandbox.json("search empty.loom --vector 1,2")["hits"],
        Value::from(vec![Value::Array(vec![])])
    );
}
