//! The one way to run anything in this repository: `cargo xtask <command>`.
//!
//! One file per command. A command is a list of named steps; each step prints what it runs and
//! how long it took, and the first failure stops the command with the name of its step.

mod bench;
mod docs;
mod integrations;
mod prove;
mod python;
mod step;
mod test;
mod tidy;
mod wheel;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    about = "The one way to run anything in this repository"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs every check: format, lints, tidy, tests, documentation, Python tests
    Test,
    /// The same as `test`, under the name that build servers look for
    Ci,
    /// Builds the Python package and runs all checks of it
    Wheel,
    /// Checks the rules of this repository that no compiler knows
    Tidy,
    /// Builds the documentation as a site, in target/site
    Docs,
    /// Takes away the power, kills processes and makes calls fail, at every place
    Crash(prove::Arguments),
    /// Changes, cuts, swaps and removes files, and repairs what is damaged
    Flips(prove::Arguments),
    /// A day of use in an hour: memory, files, disk, slowest searches and recall
    Soak(prove::Arguments),
    /// Measures; without a subcommand, holds what a few builds count against baselines
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let root = repository_root();
    let outcome = match Arguments::parse().command {
        Command::Test | Command::Ci => test::run(&root),
        Command::Wheel => wheel::run_alone(&root),
        Command::Tidy => tidy::run(&root),
        Command::Docs => docs::run(&root),
        Command::Crash(arguments) => prove::run(&root, prove::CRASH, &arguments),
        Command::Flips(arguments) => prove::run(&root, prove::FLIPS, &arguments),
        Command::Soak(arguments) => prove::run(&root, prove::SOAK, &arguments),
        Command::Bench(arguments) => bench::run(&root, arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The directory above this crate, so that every command works from any working directory.
///
/// Cargo names the crate it runs; the path from the build serves a program started by hand.
fn repository_root() -> PathBuf {
    let built_in = || env!("CARGO_MANIFEST_DIR").into();
    let crate_dir = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(built_in));
    crate_dir.parent().unwrap_or(&crate_dir).to_path_buf()
}
