//! The `loomdb` command: one file for each of its commands.
//!
//! A command is a clap type `Command` and a function `run(command, output)`. What it prints goes
//! through `output`, why it fails through `failure`; everything that it does is a call of the
//! library.

mod backup;
mod bench;
mod check;
mod collections;
mod compact;
mod completions;
mod count;
mod create;
mod delete;
mod demo;
mod export;
mod get;
mod import;
mod index;
mod info;
mod list;
mod repair;
mod search;
mod update;

mod arguments;
mod consent;
mod database;
mod failure;
mod interrupt;
mod output;
mod point;
mod progress;
mod quantity;
mod table;
mod wordnet;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use output::{Format, Output};

/// Vectors in, neighbors out: an embedded vector database that builds its graph in batches.
#[derive(Parser)]
#[command(name = "loomdb", version, after_help = EXIT_CODES)]
struct Arguments {
    /// Print one JSON object: the result, or {"error": {"kind": ..., "message": ...}}
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Results go to standard output; progress, warnings and errors to standard error.
With --json standard output holds exactly one object, also when the command fails.

Exit codes:
  0  done             3  not found         6  damaged
  1  failed           4  exists already    7  locked by another process
  2  wrong usage      5  unusable input    8  disk full        130  stopped by Ctrl-C

Start with `loomdb demo`.";

#[derive(clap::Subcommand)]
enum Command {
    Demo(demo::Command),
    Create(create::Command),
    Import(import::Command),
    Search(search::Command),
    Get(get::Command),
    #[command(visible_alias = "scan")]
    List(list::Command),
    Count(count::Command),
    Update(update::Command),
    Delete(delete::Command),
    Collections(collections::Command),
    Index(index::Command),
    Info(info::Command),
    Check(check::Command),
    Repair(repair::Command),
    Compact(compact::Command),
    Backup(backup::Command),
    Export(export::Command),
    #[command(subcommand)]
    Bench(bench::Command),
    Completions(completions::Command),
}

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => {
            let output = Output::new(if arguments.json { Format::Json } else { Format::Text });
            let done = run(arguments.command, &output);
            done.map_or_else(|error| failure::of_command(&error, &output), |()| ExitCode::SUCCESS)
        }
        Err(error) => failure::of_usage(&error, &Output::new(format_of_rejected_line())),
    }
}

fn run(command: Command, output: &Output) -> Result<()> {
    match command {
        Command::Demo(command) => demo::run(command, output),
        Command::Create(command) => create::run(&command, output),
        Command::Import(command) => import::run(command, output),
        Command::Search(command) => search::run(&command, output),
        Command::Get(command) => get::run(&command, output),
        Command::List(command) => list::run(&command, output),
        Command::Count(command) => count::run(&command, output),
        Command::Update(command) => update::run(&command, output),
        Command::Delete(command) => delete::run(&command, output),
        Command::Collections(command) => collections::run(command, output),
        Command::Index(command) => index::run(&command, output),
        Command::Info(command) => info::run(&command, output),
        Command::Check(command) => check::run(&command, output),
        Command::Repair(command) => repair::run(&command, output),
        Command::Backup(command) => backup::run(&command, output),
        Command::Export(command) => export::run(&command, output),
        Command::Compact(command) => compact::run(&command, output),
        Command::Bench(command) => bench::run(command, output),
        Command::Completions(command) => completions::run(&command, output),
    }
}

/// Whether a command line that could not be parsed asks for JSON.
fn format_of_rejected_line() -> Format {
    let mut words = std::env::args_os().skip(1).take_while(|word| word != "--");
    if words.any(|word| word == "--json") { Format::Json } else { Format::Text }
}
