//! What goes in comes out: files of vectors become a database whose answers are the exact ones.

mod common;

use common::{Sandbox, names_in};
use loomdb_testkit::{ExactNeighbor, Metric, Oracle, generate, recall_at};
use serde_json::Value;

const DIM: usize = 8;

/// Under the flat limit: such a database is scanned.
const FEW: usize = 300;

/// Over the flat limit: such a database has a graph.
const MANY: usize = 4_000;

/// The neighbors of one query in what `search --json` printed.
fn neighbors(report: &Value, query: usize) -> Vec<ExactNeighbor> {
    let neighbor = |hit: &Value| ExactNeighbor {
        row: hit["id"].as_u64().unwrap() as u32,
        distance: hit["distance"].as_f64().unwrap(),
    };
    report["hits"][query].as_array().unwrap().iter().map(neighbor).collect()
}

/// Whether two lists name the same rows at the same distances.
fn assert_same(found: &[ExactNeighbor], exact: &[ExactNeighbor]) {
    assert_eq!(found.len(), exact.len());
    for (found, exact) in found.iter().zip(exact) {
        assert_eq!(found.row, exact.row, "{found:?} for {exact:?}");
        assert!((found.distance - exact.distance).abs() < 1e-4, "{found:?} for {exact:?}");
    }
}

#[test]
fn every_format_and_metric_gives_the_exact_answers() {
    let sandbox = Sandbox::new();
    let (rows, queries) = (generate::mixture(1, FEW, DIM), generate::mixture(2, 20, DIM));
    sandbox.npy("rows.npy", DIM, &rows);
    sandbox.fvecs("rows.fvecs", DIM, &rows);
    sandbox.npy("queries.npy", DIM, &queries);
    sandbox.fvecs("queries.fvecs", DIM, &queries);
    for format in ["npy", "fvecs"] {
        for metric in ["cosine", "l2", "ip"] {
            let database = format!("{metric}-{format}.loom");
            let line = format!("import rows.{format} {database} --metric {metric}");
            let report = sandbox.json(&line);
            assert_eq!(report["rows"], FEW, "{line}");
            assert_eq!(report["metric"], metric);
            let line = format!("search {database} --query-file queries.{format} -k 5");
            let report = sandbox.json(&line);
            let oracle = Oracle::new(Metric::named(metric), DIM, &rows);
            for (query, vector) in queries.chunks(DIM).enumerate() {
                assert_same(&neighbors(&report, query), &oracle.exact_neighbors(vector, 5));
            }
        }
    }
}

#[test]
fn a_graph_answers_nearly_as_the_exact_search_does() {
    let sandbox = Sandbox::new();
    let (rows, queries) = (generate::mixture(3, MANY, DIM), generate::mixture(4, 20, DIM));
    sandbox.npy("rows.npy", DIM, &rows);
    sandbox.npy("queries.npy", DIM, &queries);
    let report = sandbox.json("import rows.npy a.loom --threads 1 --m 12 --ef-construction 100");
    assert_eq!(report["strategy"], "partition");
    let report = sandbox.json("search a.loom --query-file queries.npy --exact");
    let found = sandbox.json("search a.loom --query-file queries.npy");
    let oracle = Oracle::new(Metric::Cosine, DIM, &rows);
    let mut recall = 0.0;
    for (query, vector) in queries.chunks(DIM).enumerate() {
        let exact = oracle.exact_neighbors(vector, 10);
        assert_same(&neighbors(&report, query), &exact);
        recall += recall_at(10, &exact, &neighbors(&found, query)) / 20.0;
    }
    assert!(recall > 0.95, "recall {recall}");
}

#[test]
fn what_graphs_are_built_with_stays_with_the_collection() {
    let sandbox = Sandbox::new();
    sandbox.npy("rows.npy", DIM, &generate::mixture(3, MANY, DIM));
    let built_with = |collection: &Value| {
        let graph = &collection["index"]["m"];
        (collection["m"].clone(), collection["ef_construction"].clone(), graph.clone())
    };
    let info = |line: &str| built_with(&sandbox.json(line)["collections"][0]);
    let made = sandbox.json("create a.loom docs --m 12 --ef-construction 90");
    assert_eq!((&made["m"], &made["ef_construction"]), (&12.into(), &90.into()));
    assert!(sandbox.run("info a.loom").stdout.contains("m 12, ef_construction 90"));
    sandbox.json("import rows.npy a.loom");
    assert_eq!(info("info a.loom"), (12.into(), 90.into(), 12.into()));
    let outcome = sandbox.run("import rows.npy a.loom --append --m 16");
    assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("has m 12, not 16"), "{}", outcome.stderr);
    sandbox.json("import rows.npy a.loom --replace --metric l2");
    sandbox.json("compact a.loom");
    assert_eq!(info("info a.loom"), (12.into(), 90.into(), 12.into()));
    sandbox.json("import rows.npy a.loom --replace --m 8");
    assert_eq!(info("info a.loom"), (8.into(), 90.into(), 8.into()));
}

#[test]
fn several_files_are_one_import() {
    let sandbox = Sandbox::new();
    let rows = generate::mixture(5, FEW, DIM);
    let (first, second) = rows.split_at(100 * DIM);
    sandbox.npy("a.npy", DIM, first);
    sandbox.fvecs("b.fvecs", DIM, second);
    assert_eq!(sandbox.json("import a.npy b.fvecs ab.loom --metric l2")["rows"], FEW);
    assert_eq!(sandbox.json("import a.npy b.fvecs 150.loom --limit 150")["rows"], 150);
    assert_eq!(sandbox.json("import a.npy b.fvecs 100.loom --limit 100")["rows"], 100);
    sandbox.npy("query.npy", DIM, &rows[250 * DIM..][..DIM]);
    let report = sandbox.json("search ab.loom --query-file query.npy -k 1");
    assert_eq!(neighbors(&report, 0)[0].row, 250, "rows are numbered through all files");
}

#[test]
fn one_query_can_be_typed() {
    let sandbox = Sandbox::new();
    sandbox.npy("rows.npy", 2, &[1.0, 0.0, -1.0, 0.25, 0.0, 2.0]);
    sandbox.json("import rows.npy a.loom --metric l2");
    for query in ["-1,0.25", "[-1,0.25]", "-1,,.25"] {
        let report = sandbox.json(&format!("search a.loom --vector {query} -k 2"));
        let found = neighbors(&report, 0);
        assert_eq!((found.len(), found[0].row), (2, 1), "{query}");
    }
    let outcome = sandbox.run("search a.loom --vector 0,2 -k 2");
    let expected = "  rank  id  distance\n     1  2   0.000000\n";
    assert!(outcome.stdout.starts_with(expected), "{}", outcome.stdout);
}

#[test]
fn a_database_is_replaced_only_on_request() {
    let sandbox = Sandbox::new();
    sandbox.npy("a.npy", DIM, &generate::uniform(6, 10, DIM));
    sandbox.npy("b.npy", DIM, &generate::uniform(7, 20, DIM));
    sandbox.json("import a.npy x.loom");
    sandbox.json("import b.npy x.loom --replace");
    assert_eq!(sandbox.json("count x.loom")["count"], 20);
    assert_eq!(sandbox.names(), ["a.npy", "b.npy", "x.loom"]);
}

#[test]
fn info_tells_what_is_there() {
    let sandbox = Sandbox::new();
    sandbox.npy("rows.npy", DIM, &generate::uniform(8, MANY, DIM));
    let made = sandbox.json("import rows.npy a.loom --metric ip");
    let info = sandbox.json("info a.loom");
    let collection = &info["collections"][0];
    let index = &collection["index"];
    assert_eq!((&collection["name"], &collection["points"]), (&"default".into(), &MANY.into()));
    assert_eq!((&index["graph_rows"], &index["tail_rows"]), (&MANY.into(), &0.into()));
    assert_eq!((&collection["metric"], &collection["id_type"]), (&"ip".into(), &"integer".into()));
    assert_eq!(index["unreachable_nodes"], 0);
    assert_eq!(info["bytes"], made["bytes"]);
    let files = info["files"].as_array().unwrap();
    let sum: u64 = files.iter().map(|file| file["bytes"].as_u64().unwrap()).sum();
    assert_eq!(info["bytes"], sum);
    let text = sandbox.run("info a.loom --files").stdout;
    assert!(text.starts_with("a.loom: 1 collection, "), "{text}");
    assert!(text.contains("default: 4,000 x 8, ip, integer ids\n"), "{text}");
    assert!(text.contains("vectors.npy"), "{text}");
}

/// The rows of an import that is larger than a piece, which is written before the next is read.
#[test]
fn an_import_in_pieces_is_one_change() {
    const WIDE: usize = 2_048;
    const ROWS: usize = 9_000;
    let sandbox = Sandbox::new();
    let values = generate::uniform(5, ROWS, WIDE);
    sandbox.npy("rows.npy", WIDE, &values);
    let some = [0, 8_191, 8_192, ROWS - 1];
    let queries: Vec<f32> =
        some.iter().flat_map(|row| values[row * WIDE..][..WIDE].to_vec()).collect();
    sandbox.npy("queries.npy", WIDE, &queries);
    sandbox.npy("others.npy", WIDE, &generate::uniform(6, FEW, WIDE));
    let cut = std::fs::read(sandbox.path("others.npy")).unwrap();
    sandbox.write("cut.npy", &cut[..cut.len() - 7]);
    sandbox.json("import others.npy a.loom --metric l2");
    let before = sandbox.json("info a.loom");
    let is_directory = |name: &String| name.starts_with("collection-");
    let directory = names_in(&sandbox.path("a.loom")).into_iter().find(is_directory).unwrap();
    let directory = sandbox.path("a.loom").join(directory);
    let names = names_in(&directory);
    // The first file is written when the second turns out to be cut.
    let message = sandbox.error("import rows.npy cut.npy a.loom --append");
    assert!(message.contains("cut.npy") && message.contains("cut off"), "{message}");
    assert_eq!(sandbox.json("info a.loom")["files"], before["files"]);
    assert_eq!(names_in(&directory), names);
    sandbox.error("import rows.npy cut.npy new.loom");
    assert!(!sandbox.path("new.loom").exists());
    let report = sandbox.json("import rows.npy a.loom --append");
    assert_eq!((&report["rows"], &report["points"]), (&ROWS.into(), &(ROWS + FEW).into()));
    let report = sandbox.json("search a.loom --query-file queries.npy -k 1 --ef-search 100");
    for (query, row) in some.iter().enumerate() {
        let found = neighbors(&report, query).remove(0);
        assert_eq!((found.row as usize, found.distance), (FEW + row, 0.0));
    }
}
