//! The graph of DiskANN over vectors that are kept as f32, by the crate's public interface.
//!
//! Rows are inserted one by one on every thread. `multi_insert` builds no faster with one or two
//! threads (batches of 100 to 4,000 of 10,000 rows of SIFT, 2026-11-26), and neither does the
//! provider of `diskann-inmem`, which has no `multi_insert`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use diskann::graph::config::{self, Config};
use diskann::graph::search::Knn;
use diskann::graph::{IdDistance, StartPointStrategy};
use diskann::provider::DefaultContext;
use diskann::utils::ONE;
use diskann_providers::index::diskann_async::{MemoryIndex, new_index};
use diskann_providers::model::graph::provider::async_::common::{FullPrecision, NoDeletes};
use diskann_providers::model::graph::provider::async_::inmem::{
    DefaultProviderParameters, SetStartPoints,
};
use diskann_utils::views::rowmajor::Matrix;
use diskann_vector::distance;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::rows::{Rows, to_units};

/// Neighbors that every query asks for.
pub const K: usize = 10;

/// A link is dropped if another neighbor is nearer to its end by this factor.
const ALPHA: f32 = 1.2;

#[derive(Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    L2,
    Cosine,
}

impl Metric {
    /// Rows as they are stored and asked for: DiskANN answers sooner if it need not divide by
    /// lengths.
    pub fn prepare(self, rows: &mut Rows) {
        if matches!(self, Self::Cosine) {
            to_units(rows);
        }
    }

    /// The distance between prepared rows.
    fn distance(self) -> distance::Metric {
        match self {
            Self::L2 => distance::Metric::L2,
            Self::Cosine => distance::Metric::CosineNormalized,
        }
    }
}

pub struct Parameters {
    pub metric: Metric,
    pub threads: usize,
    /// Links of a row after pruning; backlinks may make them 1.3 times as many.
    pub degree: usize,
    /// Beam width of the searches for neighbors.
    pub window: usize,
}

impl Parameters {
    fn config(&self) -> Result<Config> {
        let slack = config::MaxDegree::default_slack();
        let kind = self.metric.distance().into();
        let mut builder = config::Builder::new(self.degree, slack, self.window, kind);
        builder.alpha(ALPHA);
        Ok(builder.build()?)
    }

    fn provider(&self, rows: &Rows, config: &Config) -> DefaultProviderParameters {
        DefaultProviderParameters {
            max_points: rows.nrows(),
            frozen_points: ONE,
            dim: rows.ncols(),
            metric: self.metric.distance(),
            prefetch_lookahead: None,
            prefetch_cache_line_level: None,
            max_degree: config.max_degree_u32().get(),
        }
    }
}

pub struct Index {
    graph: MemoryIndex<f32>,
    runtime: Runtime,
}

impl Index {
    /// # Errors
    /// When DiskANN refuses the parameters or a row.
    pub fn build(rows: &mut Rows, parameters: &Parameters) -> Result<Self> {
        parameters.metric.prepare(rows);
        let config = parameters.config()?;
        let provider = parameters.provider(rows, &config);
        let graph = new_index::<f32, _>(config, provider, NoDeletes)?;
        let medoid = StartPointStrategy::Medoid.compute(rows.as_view())?;
        graph.provider().set_start_points(medoid.rows())?;
        insert_all(&graph, rows, parameters.threads)?;
        Ok(Self { graph, runtime: runtime()? })
    }

    /// The rows found for each query, on the calling thread.
    ///
    /// # Errors
    /// When DiskANN refuses a query or the beam width.
    pub fn search_all(&self, queries: &Rows, ef_search: usize) -> Result<Vec<[u32; K]>> {
        let search = Knn::new_default(ef_search)?;
        self.runtime.block_on(async {
            let mut answers = vec![[u32::MAX; K]; queries.nrows()];
            let mut distances = [0.0; K];
            for (query, answer) in queries.rows().zip(&mut answers) {
                let mut found = IdDistance::new(answer, &mut distances);
                self.graph
                    .search(search, &FullPrecision, &DefaultContext, query, &mut found)
                    .await?;
            }
            Ok(answers)
        })
    }
}

/// Every thread takes the next row that nobody has taken.
fn insert_all(graph: &MemoryIndex<f32>, rows: &Rows, threads: usize) -> Result<()> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let insert = || scope.spawn(|| insert_some(graph, rows, &next));
        let threads: Vec<_> = (0..threads).map(|_| insert()).collect();
        let panicked = |_| anyhow!("a thread that inserts has panicked");
        threads.into_iter().try_for_each(|thread| thread.join().map_err(panicked)?)
    })
}

fn insert_some(graph: &MemoryIndex<f32>, rows: &Rows, next: &AtomicUsize) -> Result<()> {
    runtime()?.block_on(async {
        loop {
            let row = next.fetch_add(1, Ordering::Relaxed);
            if row >= rows.nrows() {
                return Ok(());
            }
            let id = u32::try_from(row)?;
            graph.insert(&FullPrecision, &DefaultContext, &id, rows.row(row)).await?;
        }
    })
}

/// One thread: no future of an insert or a search ever waits.
fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().build()?)
}
