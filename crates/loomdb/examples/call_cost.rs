//! What one search and one large `add` cost in Rust, as JSON: the baseline of
//! `crates/python/bench/cost.py`, which does the same from Python.
//!
//! `cargo run --release --example call_cost -- vectors.npy queries.npy`

use std::path::Path;
use std::time::Instant;

use loomdb::import::{Options, read};
use loomdb::{Batch, Database, Schema};
use loomdb_graph::{Metric, Vectors};

/// How often everything is measured; the best counts, because others only slow it down.
const ROUNDS: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [rows, queries] = paths.as_slice() else {
        return Err("give the files of the rows and of the queries".into());
    };
    let rows = read(Path::new(rows), &Options::default())?.vectors;
    let queries = read(Path::new(queries), &Options::default())?.vectors;
    let mut search_us = f64::INFINITY;
    let mut add_s = f64::INFINITY;
    for _ in 0..ROUNDS {
        let docs =
            Database::in_memory()?.collection("docs", Schema::learned().metric(Metric::Cosine))?;
        let started = Instant::now();
        let ids: Vec<u64> = (0..rows.len() as u64).collect();
        docs.add(&Batch::new(ids, Vectors::from_flat(rows.dim(), rows.as_flat())?)?)?;
        add_s = add_s.min(started.elapsed().as_secs_f64());
        let started = Instant::now();
        for row in 0..queries.len() {
            docs.search(queries.row(row)).k(10).hits()?;
        }
        let each = started.elapsed().as_secs_f64() / queries.len() as f64;
        search_us = search_us.min(each * 1e6);
    }
    println!("{{\"search_us\": {search_us:.3}, \"add_s\": {add_s:.4}}}");
    Ok(())
}
