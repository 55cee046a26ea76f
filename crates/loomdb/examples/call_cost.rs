//! What one search and one large `add` cost in Rust, and how many times as many searches two
//! threads make as one, as JSON: the baseline of `crates/python/bench/cost.py`, which does the same
//! from Python.
//!
//! `cargo run --release --example call_cost -- vectors.npy queries.npy`

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::Path;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use loomdb::import::{Options, read};
use loomdb::{Batch, Collection, Database, Result, Schema};
use loomdb_graph::{Metric, Vectors};

/// How often everything is measured; the best counts, because others only slow it down.
const ROUNDS: usize = 3;

/// Threads that were just started share a core for some time.
const WARM_UP: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_millis(700);

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [rows, queries] = paths.as_slice() else {
        return Err("give the files of the rows and of the queries".into());
    };
    let rows = read(Path::new(rows), &Options::default())?.vectors;
    let queries = read(Path::new(queries), &Options::default())?.vectors;
    let (mut add_s, mut one_thread_qps, mut two_threads_qps) = (f64::INFINITY, 0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        let docs =
            Database::in_memory()?.collection("docs", Schema::learned().metric(Metric::Cosine))?;
        let started = Instant::now();
        let ids: Vec<u64> = (0..rows.len() as u64).collect();
        docs.add_owned(Batch::new(ids, Vectors::from_flat(rows.dim(), rows.as_flat())?)?, &())?;
        add_s = add_s.min(started.elapsed().as_secs_f64());
        let [one, two] = [1, 2].map(|threads| searches_per_second(&docs, &queries, threads));
        one_thread_qps = one_thread_qps.max(one?);
        two_threads_qps = two_threads_qps.max(two?);
    }
    let search_us = 1e6 / one_thread_qps;
    let two_threads = two_threads_qps / one_thread_qps;
    let figures = [("search_us", search_us), ("add_s", add_s), ("two_threads", two_threads)];
    println!("{}", serde_json::to_string_pretty(&BTreeMap::from(figures))?);
    Ok(())
}

/// What some threads do together, once the scheduler has given each of them a core.
fn searches_per_second(docs: &Collection, queries: &Vectors, threads: usize) -> Result<f64> {
    let search = || -> Result<f64> {
        search_for(docs, queries, WARM_UP)?;
        search_for(docs, queries, MEASURED)
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(search)).collect();
        let join = |thread: ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        running.into_iter().map(join).sum()
    })
}

/// Searches one query after the other for some time, and returns how many in a second.
fn search_for(docs: &Collection, queries: &Vectors, time: Duration) -> Result<f64> {
    let (started, mut searches) = (Instant::now(), 0);
    while started.elapsed() < time {
        for _ in 0..10 {
            docs.search(queries.row(searches % queries.len())).k(10).hits()?;
            searches += 1;
        }
    }
    Ok(searches as f64 / started.elapsed().as_secs_f64())
}
