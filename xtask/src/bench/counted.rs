//! `cargo xtask bench` alone: a few builds whose counts must not move, with their timings.
//!
//! The rows are those of `data/wordnet` and made ones, so no other data is needed. Distances
//! computed, links and recall are compared with `bench/baselines`, a file for each instruction
//! set, because sums round in another order in each. They are larger builds than the counted tests
//! of the graph crate pin, and come from the command that people run. Timings are only printed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::python::target_directory;
use crate::step::Steps;
use crate::test::cargo;

/// What to do with the figures that were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    Compare,
    Write,
}

/// One build, in the words of `loomdb bench build`.
struct Case {
    name: &'static str,
    rows: Rows,
    arguments: &'static str,
}

enum Rows {
    Wordnet,
    /// So many made rows of 128 dimensions.
    Made(u32),
}

const CASES: [Case; 4] = [
    Case { name: "wordnet-5000", rows: Rows::Wordnet, arguments: "--metric cosine" },
    Case { name: "made-10000", rows: Rows::Made(10_000), arguments: "--metric l2" },
    Case { name: "made-50000", rows: Rows::Made(50_000), arguments: "--metric l2" },
    Case {
        name: "made-10000-by-100",
        rows: Rows::Made(10_000),
        arguments: "--metric l2 --strategy insert --chunk 100",
    },
];

const EF_SEARCH: &str = "10,64,200";

/// The figures of a report that are counted, and so the same in every run.
const COUNTED: [&str; 6] = [
    "strategy",
    "distance_computations",
    "mean_degree",
    "max_degree",
    "unreachable_nodes",
    "reconnected",
];

/// The counted figures of all cases, by their names.
type Figures = BTreeMap<String, Map<String, Value>>;

/// Builds, measures, and compares with the baseline or writes it.
///
/// # Errors
/// The first step that fails, by name; the comparison names every figure that moved.
pub fn run(root: &Path, baseline: Baseline) -> Result<()> {
    let target = target_directory(root)?;
    let (program, made) = (target.join("release/loomdb"), target.join("bench"));
    let mut steps = Steps::new();
    steps.command("build", &mut cargo(root, "build --release --package loomdb-cli"))?;
    let (mut figures, mut instructions) = (Figures::new(), String::new());
    for case in &CASES {
        steps.measure(case.name, "loomdb bench build", || {
            let report = measure(root, &program, &made, case)?;
            text(&report, "instruction_set").clone_into(&mut instructions);
            println!("    {}", timings(&report));
            figures.insert(case.name.to_owned(), counted(&report));
            Ok(())
        })?;
    }
    let path = root.join("bench/baselines").join(format!("{instructions}.json"));
    match baseline {
        Baseline::Write => steps.measure("bless", "writes the baseline", || write(&path, &figures)),
        Baseline::Compare => {
            steps.measure("compare", "with the baseline", || compare(&path, &figures))
        }
    }?;
    println!("{}", steps.summary("bench"));
    Ok(())
}

/// What `loomdb bench build --json` printed.
fn measure(root: &Path, program: &Path, made: &Path, case: &Case) -> Result<Value> {
    let (base, queries) = match case.rows {
        Rows::Wordnet => {
            let data = root.join("data/wordnet");
            (data.join("vectors.npy"), data.join("queries.npy"))
        }
        Rows::Made(rows) => make(program, made, rows)?,
    };
    let mut command = Command::new(program);
    command.args(["bench", "build", "--json", "--ef-search", EF_SEARCH, "--base"]).arg(base);
    command.arg("--queries").arg(queries).args(case.arguments.split(' '));
    serde_json::from_str(&output(&mut command)?).context("what `loomdb bench build` printed")
}

/// The files of so many made rows and of their queries, written anew.
fn make(program: &Path, directory: &Path, rows: u32) -> Result<(PathBuf, PathBuf)> {
    fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    let (base, queries) = (directory.join("made.npy"), directory.join("made_queries.npy"));
    let mut command = Command::new(program);
    command.args(["bench", "make", "--rows", &rows.to_string(), "--base"]).arg(&base);
    output(command.arg("--queries").arg(&queries))?;
    Ok((base, queries))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().context("cannot start the program that was just built")?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("what the program printed is no text")
}

fn text<'a>(report: &'a Value, field: &str) -> &'a str {
    report.get(field).and_then(Value::as_str).unwrap_or("unknown")
}

fn timings(report: &Value) -> String {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64).unwrap_or_default();
    let speed = number(report.get("vectors_per_second"));
    let searches = report.get("searches").and_then(Value::as_array);
    let search = |search: &Value| {
        let (ef_search, speed) = (&search["ef_search"], number(search.get("queries_per_second")));
        format!(", {speed:.0} queries/s at ef_search {ef_search}")
    };
    let searches = searches.into_iter().flatten().map(search).collect::<String>();
    format!("{speed:.0} vectors/s{searches}")
}

fn counted(report: &Value) -> Map<String, Value> {
    let figure = |name: &str| Some((name.to_owned(), report.get(name)?.clone()));
    let mut figures: Map<_, _> = COUNTED.into_iter().filter_map(figure).collect();
    for search in report.get("searches").and_then(Value::as_array).into_iter().flatten() {
        for name in ["recall_at_10", "distances_per_query"] {
            figures.insert(format!("{name} of {}", search["ef_search"]), search[name].clone());
        }
    }
    figures
}

fn write(path: &Path, figures: &Figures) -> Result<()> {
    let text = serde_json::to_string_pretty(figures)?;
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    println!("    {}", path.display());
    Ok(())
}

/// A machine with other instructions has nothing to compare with, and says so.
fn compare(path: &Path, figures: &Figures) -> Result<()> {
    if !path.is_file() {
        println!("    not compared: there is no {}", path.display());
        return Ok(());
    }
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let baseline: Figures =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let changes = changes(&baseline, figures);
    if changes.is_empty() {
        return Ok(());
    }
    bail!(
        "{} has other figures:\n{}\nIf that is on purpose, write them with `cargo xtask bench \
         --bless` and say in the commit why they moved",
        path.display(),
        changes.join("\n")
    )
}

/// A line for each figure that moved, or that is on one side only.
fn changes(baseline: &Figures, found: &Figures) -> Vec<String> {
    let none = Map::new();
    let mut changes = Vec::new();
    let added = found.keys().filter(|name| !baseline.contains_key(*name));
    for name in baseline.keys().chain(added) {
        let [old, new] = [baseline, found].map(|figures| figures.get(name).unwrap_or(&none));
        for figure in old.keys().chain(new.keys().filter(|figure| !old.contains_key(*figure))) {
            let [old, new] = [old, new].map(|side| side.get(figure).unwrap_or(&Value::Null));
            if old != new {
                changes.push(format!("  {name} {figure}: was {old}, is {new}"));
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(distances: u64) -> Value {
        json!({
            "strategy": "all_pairs", "distance_computations": distances, "mean_degree": 17.25,
            "vectors_per_second": 123_456.7, "instruction_set": "avx2",
            "searches": [{"ef_search": 64, "recall_at_10": 0.998, "distances_per_query": 700.5,
                          "queries_per_second": 5_000.4}],
        })
    }

    fn figures(distances: u64) -> Figures {
        Figures::from([("case".to_owned(), counted(&report(distances)))])
    }

    #[test]
    fn counts_are_kept_and_timings_are_not() {
        let counted = counted(&report(7));
        let names: Vec<_> = counted.keys().map(String::as_str).collect();
        let expected = [
            "distance_computations",
            "distances_per_query of 64",
            "mean_degree",
            "recall_at_10 of 64",
            "strategy",
        ];
        assert_eq!(names, expected);
        assert_eq!(timings(&report(7)), "123457 vectors/s, 5000 queries/s at ef_search 64");
    }

    #[test]
    fn what_moved_came_or_went_is_named() {
        assert!(changes(&figures(7), &figures(7)).is_empty());
        let moved = changes(&figures(7), &figures(8));
        assert_eq!(moved, ["  case distance_computations: was 7, is 8"]);
        let gone = changes(&figures(7), &Figures::new());
        assert_eq!(gone.len(), 5);
        assert!(gone.contains(&"  case mean_degree: was 17.25, is null".to_owned()), "{gone:?}");
        assert_eq!(changes(&Figures::new(), &figures(7)).len(), 5);
    }

    #[test]
    fn a_written_baseline_compares_equal_and_a_moved_figure_fails() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("baselines/avx2.json");
        compare(&path, &figures(7)).unwrap();
        write(&path, &figures(7)).unwrap();
        compare(&path, &figures(7)).unwrap();
        let message = compare(&path, &figures(8)).unwrap_err().to_string();
        assert!(message.contains("was 7, is 8") && message.contains("--bless"), "{message}");
    }
}
