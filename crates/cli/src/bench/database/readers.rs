//! Readers alone, and the same readers beside a writer.
//!
//! A writer takes processor time from its readers, which is no fault of the database. So queries
//! are counted for each second that the readers had a processor, where the system tells it.

use std::fmt::{self, Display};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use loomdb::{Batch, Collection, Durability, OpenOptions};
use loomdb_graph::Vectors;
use serde::Serialize;

use super::super::inputs::Sample;
use super::super::statistics::percentile;
use super::FURTHER_ROWS;
use super::writes::{batch, collection};
use crate::quantity::count;
use crate::table::{Align, Table};

const READERS: usize = 8;

/// Readers without and with a writer.
#[derive(Serialize)]
pub struct Readers {
    threads: usize,
    alone: Reading,
    beside_writer: Reading,
    rows_written_per_second: f64,
}

/// What readers did together.
#[derive(Serialize)]
struct Reading {
    queries_per_second: f64,
    /// Queries for each second of processor time of the readers.
    queries_per_cpu_second: Option<f64>,
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
}

pub fn measure(sample: &Sample, rows: usize, path: &Path, seconds: f64) -> Result<Readers> {
    let db = OpenOptions::new().durability(Durability::Buffered).open(path)?;
    let docs = collection(&db, sample)?;
    docs.add(&batch(sample, rows)?)?;
    let first_query = rows + FURTHER_ROWS / 2;
    let alone = read(&docs, (sample, first_query), seconds)?;
    let is_done = AtomicBool::new(false);
    let (beside_writer, rows_written_per_second) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&docs, (sample, rows), &is_done));
        let reading = read(&docs, (sample, first_query), seconds);
        is_done.store(true, Ordering::Relaxed);
        let written = writer.join().expect("the writer panicked")?;
        loomdb::Result::Ok((reading?, written))
    })?;
    Ok(Readers { threads: READERS, alone, beside_writer, rows_written_per_second })
}

/// Adds row after row, from `first` on, until it is told to stop; returns rows each second.
fn write(
    docs: &Collection,
    (sample, first): (&Sample, usize),
    is_done: &AtomicBool,
) -> loomdb::Result<f64> {
    let started = Instant::now();
    let mut written = 0_usize;
    while !is_done.load(Ordering::Relaxed) {
        let row = sample.base.row((first + written) % sample.base.len());
        docs.add(&Batch::without_ids(Vectors::from_flat(sample.base.dim(), row)?))?;
        written += 1;
    }
    Ok(written as f64 / started.elapsed().as_secs_f64())
}

/// Asks with rows of the sample, from `first` on, each reader with others.
fn read(
    docs: &Collection,
    (sample, first): (&Sample, usize),
    seconds: f64,
) -> loomdb::Result<Reading> {
    let started = Instant::now();
    let search = |reader: usize| {
        let before = cpu_seconds();
        let mut micros = Vec::new();
        while started.elapsed() < Duration::from_secs_f64(seconds) {
            let asked = (reader * FURTHER_ROWS / 2 / READERS + micros.len()) % (FURTHER_ROWS / 2);
            let query = sample.base.row((first + asked) % sample.base.len());
            let asked = Instant::now();
            docs.search(query).hits()?;
            micros.push(asked.elapsed().as_secs_f64() * 1e6);
        }
        let cpu = before.zip(cpu_seconds()).map(|(before, after)| after - before);
        loomdb::Result::Ok((micros, cpu))
    };
    let answers = std::thread::scope(|scope| {
        let search = &search;
        let readers: Vec<_> =
            (0..READERS).map(|reader| scope.spawn(move || search(reader))).collect();
        let joined = readers.into_iter().map(|reader| reader.join().expect("a reader panicked"));
        joined.collect::<loomdb::Result<Vec<_>>>()
    })?;
    let elapsed = started.elapsed().as_secs_f64();
    let cpu: Option<f64> = answers.iter().map(|(_, cpu)| *cpu).sum();
    let mut micros: Vec<f64> = answers.into_iter().flat_map(|(micros, _)| micros).collect();
    micros.sort_unstable_by(f64::total_cmp);
    let queries = micros.len() as f64;
    Ok(Reading {
        queries_per_second: queries / elapsed,
        queries_per_cpu_second: cpu.filter(|cpu| *cpu > 0.0).map(|cpu| queries / cpu),
        p50_us: percentile(&micros, 0.5),
        p99_us: percentile(&micros, 0.99),
        max_us: percentile(&micros, 1.0),
    })
}

/// How long this thread has had a processor; only Linux tells.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos: u64 = text.split(' ').next()?.parse().ok()?;
    Some(nanos as f64 * 1e-9)
}

impl Display for Readers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table =
            Table::new(&[Align::Left, Align::Right, Align::Right, Align::Right, Align::Right]);
        let title = format!("{} readers", self.threads);
        table
            .row([&title, "queries/s", "queries per CPU s", "p50 us", "p99 us"].map(str::to_owned));
        let writer =
            format!("beside a writer of {} rows/s", count(self.rows_written_per_second as u64));
        for (name, reading) in [("alone", &self.alone), (&writer, &self.beside_writer)] {
            let per_cpu = reading.queries_per_cpu_second;
            table.row([
                name.to_owned(),
                count(reading.queries_per_second as u64),
                per_cpu.map_or_else(|| "unknown".to_owned(), |rate| count(rate as u64)),
                format!("{:.0}", reading.p50_us),
                format!("{:.0}", reading.p99_us),
            ]);
        }
        write!(formatter, "{table}")?;
        let rates = [&self.alone, &self.beside_writer].map(|one| one.queries_per_cpu_second);
        let [Some(alone), Some(beside)] = rates else { return Ok(()) };
        let lost = (1.0 - beside / alone) * 100.0;
        writeln!(formatter, "lost beyond the writer's share of the processor: {lost:.0} %")
    }
}
