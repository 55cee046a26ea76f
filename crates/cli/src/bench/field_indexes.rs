//! `loomdb bench filtered --indexes`: what filters cost by themselves, with indexes of their fields
//! and without.
//!
//! Points are counted, so that nothing but the filter is timed; vectors do not matter. Both counts
//! must be equal.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use loomdb::{Batch, Collection, Database, Filter, Schema};
use loomdb_graph::Vectors;
use serde::Serialize;

use super::check_interrupt;
use super::statistics::percentile;
use crate::output::Output;
use crate::quantity::{bytes, count};
use crate::table::{Align, Table};

/// How often each filter is evaluated.
const RUNS: usize = 51;

/// An odd number, by whose multiples values are spread over rows.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// 2023-11-14T22:13:20Z, the time of the first row; each has a second of its own.
const FIRST_SECOND: i64 = 1_700_000_000;

/// A quarter of an hour behind it.
const QUARTER: (&str, &str) = ("2023-11-15T00:00:00Z", "2023-11-15T00:15:00Z");

#[derive(Serialize)]
struct Report {
    rows: usize,
    fields: Vec<Indexed>,
    filters: Vec<Case>,
}

/// What the index of a field costs.
#[derive(Serialize)]
struct Indexed {
    field: &'static str,
    values: &'static str,
    make_ms: f64,
    bytes: usize,
}

/// What a filter costs, by the medians of its runs.
#[derive(Serialize)]
struct Case {
    filter: String,
    matches: usize,
    plain_us: f64,
    indexed_us: f64,
}

/// # Errors
/// When someone interrupts, or an index changes an answer.
pub fn run(rows: usize, output: &Output) -> Result<()> {
    let db = Database::in_memory()?;
    let docs = db.collection("docs", Schema::new(1))?;
    let vectors = Vectors::from_flat(1, &vec![1.0; rows])?;
    docs.add(&Batch::without_ids(vectors).with_metadata(metadata(rows)?)?)?;
    let filters = filters(rows);
    let plain = filters.iter().map(|filter| measure(&docs, filter)).collect::<Result<Vec<_>>>()?;
    let fields = FIELDS.map(|(field, values)| make(&docs, field, values));
    let fields = fields.into_iter().collect::<Result<Vec<_>>>()?;
    let mut cases = Vec::new();
    for (filter, (matches, plain_us)) in filters.iter().zip(plain) {
        let (same, indexed_us) = measure(&docs, filter)?;
        ensure!(same == matches, "{filter} matches {matches} points, {same} with an index");
        cases.push(Case { filter: filter.to_string(), matches, plain_us, indexed_us });
    }
    output.report(&Report { rows, fields, filters: cases })
}

const FIELDS: [(&str, &str); 6] = [
    ("topic", "45 texts"),
    ("url", "a text of its own"),
    ("year", "100 integers"),
    ("at", "a time of its own"),
    ("tags", "3 of 1,000 texts"),
    ("draft", "true for one of 20"),
];

/// A number for each row, by chance.
fn spread(row: usize, salt: u64) -> u64 {
    let mixed = (row as u64 + 1).wrapping_mul(SPREAD) ^ salt.wrapping_mul(SPREAD);
    (mixed ^ (mixed >> 29)).wrapping_mul(SPREAD) >> 32
}

fn metadata(rows: usize) -> Result<RecordBatch> {
    let topics = (0..rows).map(|row| Some(format!("topic {}", spread(row, 1) % 45)));
    let urls = (0..rows).map(|row| Some(format!("https://example.org/{:08x}", spread(row, 2))));
    let years = (0..rows).map(|row| Some(1926 + (spread(row, 3) % 100) as i64));
    let times = (0..rows).map(|row| (FIRST_SECOND + row as i64) * 1_000_000);
    let drafts = (0..rows).map(|row| Some(spread(row, 4).is_multiple_of(20)));
    let mut tags = ListBuilder::new(StringBuilder::new());
    for row in 0..rows {
        let tag = |salt| Some(format!("tag {}", spread(row, salt) % 1_000));
        tags.append_value([tag(5), tag(6), tag(7)]);
    }
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    Ok(RecordBatch::try_from_iter([
        ("topic", Arc::new(topics.collect::<StringArray>()) as _),
        ("url", Arc::new(urls.collect::<StringArray>()) as _),
        ("year", Arc::new(years.collect::<Int64Array>()) as _),
        ("at", Arc::new(times) as _),
        ("tags", Arc::new(tags.finish()) as _),
        ("draft", Arc::new(drafts.collect::<BooleanArray>()) as _),
    ])?)
}

fn filters(rows: usize) -> Vec<Filter> {
    let url = format!("https://example.org/{:08x}", spread(rows / 2, 2));
    vec![
        Filter::eq("topic", "topic 7"),
        Filter::ne("topic", "topic 7"),
        Filter::is_in("topic", (0..20).map(|topic| format!("topic {topic}"))),
        Filter::contains("topic", "4"),
        Filter::eq("url", url),
        Filter::eq("year", 2020),
        Filter::gte("year", 1976),
        Filter::gte("at", QUARTER.0).and(Filter::lt("at", QUARTER.1)),
        Filter::contains("tags", "tag 7"),
        Filter::eq("draft", true),
        Filter::eq("topic", "topic 7").and(Filter::gte("year", 2020)),
    ]
}

/// How many points match, and the median of the microseconds.
fn measure(docs: &Collection, filter: &Filter) -> Result<(usize, f64)> {
    check_interrupt()?;
    let mut micros = Vec::new();
    let mut matches = 0;
    for _ in 0..RUNS {
        let started = Instant::now();
        matches = docs.count_matching(filter)?;
        micros.push(started.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_unstable_by(f64::total_cmp);
    Ok((matches, percentile(&micros, 0.5)))
}

fn make(docs: &Collection, field: &'static str, values: &'static str) -> Result<Indexed> {
    let before = docs.info().field_index_bytes;
    let started = Instant::now();
    docs.index_field(field)?;
    let make_ms = started.elapsed().as_secs_f64() * 1e3;
    Ok(Indexed { field, values, make_ms, bytes: docs.info().field_index_bytes - before })
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Align::{Left, Right};
        writeln!(formatter, "{} points with made metadata\n", count(self.rows as u64))?;
        let mut table = Table::new(&[Left, Left, Right, Right]).with_head();
        table.row(["field", "values", "made in ms", "memory"].map(str::to_owned));
        for one in &self.fields {
            let (field, values) = (one.field.to_owned(), one.values.to_owned());
            table.row([field, values, format!("{:.1}", one.make_ms), bytes(one.bytes as u64)]);
        }
        writeln!(formatter, "{table}")?;
        let mut table = Table::new(&[Left, Right, Right, Right]).with_head();
        table.row(["filter", "matches", "plain us", "indexed us"].map(str::to_owned));
        for case in &self.filters {
            let (plain, indexed) = (case.plain_us, case.indexed_us);
            let filter = case.filter.chars().take(60).collect();
            let matches = count(case.matches as u64);
            table.row([filter, matches, format!("{plain:.1}"), format!("{indexed:.1}")]);
        }
        write!(formatter, "{table}")
    }
}
