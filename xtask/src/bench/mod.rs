//! `cargo xtask bench`: measurements.
//!
//! Alone it builds graphs from data that is at hand and holds what was counted against baselines;
//! `peers` compares loomdb with other libraries.

mod counted;
mod peers;

use std::path::Path;

use anyhow::Result;
use clap::Subcommand;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    measurement: Option<Measurement>,
    /// Write what is counted as the baseline of this machine's instruction set
    #[arg(long)]
    bless: bool,
}

#[derive(Subcommand)]
enum Measurement {
    /// Compares loomdb with other libraries and writes the tables of docs/benchmarks.md
    Peers(peers::Arguments),
}

/// Runs the chosen measurement.
///
/// # Errors
/// The first step that fails, by name.
pub fn run(root: &Path, arguments: Arguments) -> Result<()> {
    match arguments.measurement {
        Some(Measurement::Peers(arguments)) => peers::run(root, &arguments),
        None if arguments.bless => counted::run(root, counted::Baseline::Write),
        None => counted::run(root, counted::Baseline::Compare),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Arguments;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &str) -> Option<Arguments> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        Some(Line::try_parse_from(words).ok()?.arguments)
    }

    #[test]
    fn alone_it_compares_and_writes_only_when_asked() {
        assert!(parse("").is_some_and(|line| line.measurement.is_none() && !line.bless));
        assert!(parse("--bless").is_some_and(|line| line.bless));
        assert!(parse("peers --data d").is_some_and(|line| line.measurement.is_some()));
        assert!(parse("--bless peers --data d").is_none());
        assert!(parse("peers").is_none());
    }
}
