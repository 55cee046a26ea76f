//! `loomdb bench filtered`: recall and time of searches with filters, beside scans of the matches.
//!
//! Matches lie anywhere, around the queries, or far from them: rows are ranked by their distance
//! from the first query, and the queries are those nearest to it. Both ways of answering are timed
//! in turn, so that a plan that costs more than a scan shows.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use arrow_array::{Int64Array, RecordBatch};
use loomdb::{Batch, Collection, Database, Filter, Schema, SearchStrategy};
use loomdb_graph::{Flat, MAX_ROWS, Metric, Vectors};
use serde::Serialize;

use super::inputs::Sample;
use super::queries::K;
use super::statistics::percentile;
use super::{check_interrupt, field_indexes};
use crate::arguments;
use crate::output::Output;
use crate::quantity::count;
use crate::table::{Align, Table};

/// Queries that are asked of each filter.
const QUERIES: usize = 50;

/// The share of the points that match, in percent.
const PERCENTS: [f64; 7] = [50.0, 20.0, 10.0, 5.0, 1.0, 0.1, 0.01];

/// An odd number, by whose multiples rows are spread.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(clap::Args)]
pub struct Arguments {
    /// Rows to search, in any format that can be imported; made rows without it
    #[arg(long, requires = "metric")]
    base: Option<PathBuf>,
    /// Queries, in any format that can be imported; held out of the base without it
    #[arg(long, requires = "base")]
    queries: Option<PathBuf>,
    /// How distances are measured
    #[arg(long, value_parser = arguments::metric())]
    metric: Option<Metric>,
    /// The most rows to search
    #[arg(long, default_value_t = 50_000, value_parser = arguments::up_to(MAX_ROWS))]
    rows: usize,
    /// Dimension of made rows
    #[arg(long, default_value_t = 384)]
    dim: usize,
    /// Time only the filters, with indexes of their fields and without
    #[arg(long, conflicts_with_all = ["base", "dim"])]
    indexes: bool,
}

#[derive(Serialize)]
struct Report {
    dataset: String,
    rows: usize,
    dim: usize,
    metric: &'static str,
    cases: Vec<Case>,
}

/// What searches with one filter did.
#[derive(Serialize)]
struct Case {
    percent: f64,
    matches: &'static str,
    recall_at_10: f64,
    /// The share of the queries that were answered by walks.
    walks: f64,
    p50_us: f64,
    exact_p50_us: f64,
}

/// # Errors
/// When an input cannot be used.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    if arguments.indexes {
        return field_indexes::run(arguments.rows, output);
    }
    let sample = match (&arguments.base, arguments.metric) {
        (Some(base), Some(metric)) => {
            Sample::read(base, arguments.queries.as_deref(), metric, arguments.rows)?
        }
        (_, metric) => {
            Sample::made(arguments.dim, arguments.rows, metric.unwrap_or(Metric::L2), 1)?
        }
    };
    let db = Database::in_memory()?;
    let schema = Schema::new(sample.base.dim()).metric(sample.metric);
    let docs = db.collection("docs", schema)?;
    let (rows, queries) = (sample.base.len(), queries_around_first(&sample)?);
    docs.add(&ranked(&sample)?)?;
    let mut cases = Vec::new();
    for percent in PERCENTS {
        let matching = ((rows as f64 * percent / 100.0) as usize).max(1);
        let filters = [
            ("anywhere", Filter::lt("any", matching as i64)),
            ("around the queries", Filter::lt("near", matching as i64)),
            ("far from the queries", Filter::gte("near", (rows - matching) as i64)),
        ];
        for (matches, filter) in filters {
            check_interrupt()?;
            cases.push(measure(&docs, &queries, (percent, matches), &filter)?);
        }
    }
    let (dim, metric) = (sample.base.dim(), sample.metric.name());
    output.report(&Report { dataset: sample.dataset, rows, dim, metric, cases })
}

/// Rows in the order of their exact distance from the first query.
fn nearest_first(rows: &Vectors, sample: &Sample) -> Result<Vec<u32>> {
    let flat = Flat::from_vectors(sample.metric, rows.clone())?;
    let mut near = flat.within(sample.queries.row(0), f32::INFINITY, None)?;
    near.sort_by(|left, right| left.distance.total_cmp(&right.distance));
    Ok(near.into_iter().map(|near| near.node).collect())
}

fn queries_around_first(sample: &Sample) -> Result<Vectors> {
    let mut queries = Vectors::new(sample.base.dim())?;
    for row in nearest_first(&sample.queries, sample)?.into_iter().take(QUERIES) {
        queries.push_rows(sample.queries.row(row as usize))?;
    }
    Ok(queries)
}

/// All rows, each with its rank by distance and its rank by chance.
fn ranked(sample: &Sample) -> Result<Batch> {
    let by_distance = nearest_first(&sample.base, sample)?;
    let mut by_chance = by_distance.clone();
    by_chance.sort_unstable_by_key(|row| u64::from(row + 1).wrapping_mul(SPREAD));
    let ranks = |order: &[u32]| {
        let mut ranks = vec![0; order.len()];
        for (rank, row) in (0..).zip(order) {
            ranks[*row as usize] = rank;
        }
        Arc::new(Int64Array::from(ranks)) as _
    };
    let columns = [("near", ranks(&by_distance)), ("any", ranks(&by_chance))];
    let columns = RecordBatch::try_from_iter(columns)?;
    Ok(Batch::without_ids(sample.base.clone()).with_metadata(columns)?)
}

fn measure(
    docs: &Collection,
    queries: &Vectors,
    (percent, matches): (f64, &'static str),
    filter: &Filter,
) -> Result<Case> {
    let (mut found, mut wanted, mut walks) = (0, 0, 0);
    let (mut micros, mut exact_micros) = (Vec::new(), Vec::new());
    for query in (0..queries.len()).map(|row| queries.row(row)) {
        let search = docs.search(query).k(K).filter(filter.clone());
        let started = Instant::now();
        let exact = search.clone().exact().hits()?.ids();
        exact_micros.push(started.elapsed().as_secs_f64() * 1e6);
        let started = Instant::now();
        let answer = search.clone().hits()?.ids();
        micros.push(started.elapsed().as_secs_f64() * 1e6);
        walks += usize::from(search.explain()?.strategy != SearchStrategy::Scan);
        wanted += exact.len();
        found += (0..exact.len())
            .filter(|row| (0..answer.len()).any(|other| answer.get(other) == exact.get(*row)))
            .count();
    }
    let p50 = |mut micros: Vec<f64>| {
        micros.sort_unstable_by(f64::total_cmp);
        percentile(&micros, 0.5)
    };
    Ok(Case {
        percent,
        matches,
        recall_at_10: found as f64 / wanted.max(1) as f64,
        walks: walks as f64 / queries.len() as f64,
        p50_us: p50(micros),
        exact_p50_us: p50(exact_micros),
    })
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dataset, rows, dim, metric, cases } = self;
        let rows = count(*rows as u64);
        writeln!(formatter, "{dataset}, {rows} rows, dim {dim}, {metric}\n")?;
        let aligns =
            [Align::Right, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right];
        let mut table = Table::new(&aligns);
        let titles = ["% match", "where", "recall@10", "walks", "p50 us", "exact p50 us"];
        table.row(titles.map(str::to_owned));
        for case in cases {
            table.row([
                case.percent.to_string(),
                case.matches.to_owned(),
                format!("{:.4}", case.recall_at_10),
                format!("{:.0} %", case.walks * 100.0),
                format!("{:.0}", case.p50_us),
                format!("{:.0}", case.exact_p50_us),
            ]);
        }
        write!(formatter, "{table}")
    }
}
