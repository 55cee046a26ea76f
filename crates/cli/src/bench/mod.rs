//! `loomdb bench`: measurements on the machine at hand, with every answer checked against exact
//! ones.
//!
//! Each command makes its report in full before it prints anything, so that nothing is printed
//! while something is timed. Times are wall-clock times; the machine should have nothing else
//! to do.

mod adaptive;
mod build;
mod database;
mod field_indexes;
mod filtered;
mod flat;
mod ladder;
mod make;
mod open;
mod single;

mod floor;
mod inputs;
mod made;
mod memory;
mod phases;
mod queries;
mod statistics;

use anyhow::Result;

use crate::interrupt;
use crate::output::Output;

/// Measure builds and searches on this machine
#[derive(clap::Subcommand)]
pub enum Command {
    /// Build one graph and search it at several beam widths
    Build(build::Arguments),
    /// Compare the ways to link rows, from one by one up to whole batches
    Ladder(ladder::Arguments),
    /// Watch single calls while an index grows past its flat limit
    Adaptive(adaptive::Arguments),
    /// Add rows to a database one by one, not synced, and ask for them at once
    Single(single::Arguments),
    /// Write made rows to a file, for measurements that need no data set
    Make(make::Arguments),
    /// Write in bulk, one by one and synced, and read beside a writer
    Database(database::Arguments),
    /// Search with filters that match many and few rows, near the queries and far from them
    Filtered(filtered::Arguments),
    /// Find the number of rows from which a graph answers sooner than a scan
    Flat(flat::Arguments),
    /// Open a database, with every byte verified
    Open(open::Arguments),
}

/// # Errors
/// When an input cannot be used.
pub fn run(command: Command, output: &Output) -> Result<()> {
    interrupt::listen()?;
    match command {
        Command::Build(arguments) => build::run(&arguments, output),
        Command::Ladder(arguments) => ladder::run(&arguments, output),
        Command::Adaptive(arguments) => adaptive::run(&arguments, output),
        Command::Single(arguments) => single::run(&arguments, output),
        Command::Make(arguments) => make::run(&arguments, output),
        Command::Database(arguments) => database::run(&arguments, output),
        Command::Filtered(arguments) => filtered::run(&arguments, output),
        Command::Flat(arguments) => flat::run(&arguments, output),
        Command::Open(arguments) => open::run(&arguments, output),
    }
}

/// Stops work that nothing else watches, when someone has asked for it.
fn check_interrupt() -> loomdb::Result<()> {
    if interrupt::is_requested() { Err(loomdb_graph::Error::Canceled.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Command;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn parse(line: &str) -> Result<Command, String> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        let parsed = Line::try_parse_from(words);
        parsed.map(|line| line.command).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_needed_is_enough() {
        for line in [
            "build --base b.npy --queries q.npy --metric l2",
            "ladder",
            "ladder --base b.npy --metric cosine --rows 100,200",
            "adaptive --dim 96",
            "flat --dims 32,64",
            "single --base b.npy --metric l2 --rows 10000 --threads 1 --repeat 3",
            "make --base b.npy --queries q.npy --rows 100",
            "database",
            "database --base b.npy --metric cosine --rows 100 --seconds 0.5",
            "filtered",
            "filtered --base b.npy --queries q.npy --metric cosine --rows 20000",
            "filtered --indexes --rows 1000",
            "open --rows 500 --repeat 2 --cold",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
        }
    }

    #[test]
    fn the_words_of_the_comparison_with_other_libraries_are_understood() {
        let line = "build --base b.npy --queries q.npy --truth t.npy --metric cosine --rows 1500 \
                    --threads 1 --m 16 --ef-construction 200 --ef-search 10,16,24,400 --repeat 9 \
                    --chunk 100 --strategy insert";
        assert!(matches!(parse(line), Ok(Command::Build(_))));
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        for (line, reason) in [
            ("build --base b.npy --queries q.npy", "--metric"),
            ("build --base b.npy --queries q.npy --metric dot", "l2, cosine, ip"),
            ("build --base b.npy --queries q.npy --metric l2 --rows 0", "0 is not in 1.."),
            ("build --base b.npy --queries q.npy --metric l2 --ef-search 10,0", "0 is not in 1.."),
            ("build --base b.npy --queries q.npy --metric l2 --strategy best", "all_pairs"),
            ("ladder --base b.npy", "--metric"),
            ("ladder --queries q.npy", "--base"),
            ("adaptive --base b.npy --metric l2 --dim 3", "--base"),
            ("flat --rows 0", "0 is not in 1.."),
            ("database --base b.npy", "--metric"),
            ("filtered --queries q.npy", "--base"),
            ("filtered --indexes --base b.npy --metric l2", "--indexes"),
        ] {
            let message = parse(line).err().unwrap_or_default();
            assert!(message.contains(reason), "{line}: {message}");
        }
    }
}
