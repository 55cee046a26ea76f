//! `cargo xtask bench`: measurements.
//!
//! `peers` compares loomdb with other libraries in one run on one machine, which is the only way
//! in which such numbers can be compared. The harness is Python, in `bench/`; this command gives
//! it what it needs: its packages, in an environment of their own, and a fresh release build.

use std::ffi::OsStr;
use std::path::{Path, PathBuf, absolute};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{CommandFactory, Subcommand};

use crate::python::{self, harness};
use crate::step::Steps;
use crate::test::cargo;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    measurement: Option<Measurement>,
}

#[derive(Subcommand)]
enum Measurement {
    /// Compares loomdb with other libraries and writes the table of docs/benchmarks.md
    Peers(PeersArguments),
}

#[derive(clap::Args)]
struct PeersArguments {
    /// Directory of the data sets
    #[arg(long)]
    data: PathBuf,
    /// Only the cases whose names match this shell pattern
    #[arg(long)]
    cases: Option<String>,
    /// How often each case is measured
    #[arg(long)]
    repeat: Option<u32>,
    /// Further arguments for `python -m peers run`, after `--`
    #[arg(last = true)]
    further: Vec<String>,
}

/// Runs the chosen measurement, or lists what can be measured.
///
/// # Errors
/// The first step that fails, by name.
pub fn run(root: &Path, arguments: Arguments) -> Result<()> {
    match arguments.measurement {
        Some(Measurement::Peers(arguments)) => peers(root, &arguments),
        None => {
            print!("{}", measurements().unwrap_or_default());
            Ok(())
        }
    }
}

fn measurements() -> Option<String> {
    let mut command = crate::Arguments::command();
    // Building first puts `cargo xtask` in front of `bench` in the usage line.
    command.build();
    Some(command.find_subcommand_mut("bench")?.render_help().to_string())
}

fn peers(root: &Path, arguments: &PeersArguments) -> Result<()> {
    // The harness runs in its own directory, where a relative path would mean something else.
    let data = absolute(&arguments.data).context("the directory of the data sets")?;
    if !data.is_dir() {
        bail!("{} is not a directory: give --data the data sets", data.display());
    }
    let environment = python::environment(root)?;
    let python = environment.join("bin/python");
    let program = python::target_directory(root)?.join("release/loomdb");
    let mut steps = Steps::new();
    if !python.is_file() {
        let mut command = Command::new(base_python());
        steps.command("environment", command.args(["-m", "venv"]).arg(&environment))?;
    }
    steps.command("packages", &mut install_packages(root, &python))?;
    steps.command("build", &mut cargo(root, "build --release --package loomdb-cli"))?;
    let mut measure = measure(root, &python, &data, &program, arguments);
    steps.command("measure", &mut measure)?;
    steps.command("report", &mut report(root, &python))?;
    println!("{}", steps.summary("bench peers"));
    Ok(())
}

/// The version that the pinned packages were tried with, if it is installed.
fn base_python() -> &'static str {
    let mut probe = Command::new("python3.11");
    probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    if probe.status().is_ok_and(|status| status.success()) { "python3.11" } else { "python3" }
}

fn install_packages(root: &Path, python: &Path) -> Command {
    let mut command = harness(root, python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command.args(["--requirement", "requirements.txt"]);
    command
}

fn measure(
    root: &Path,
    python: &Path,
    data: &Path,
    program: &Path,
    arguments: &PeersArguments,
) -> Command {
    let mut command = harness(root, python);
    command.args(["-m", "peers", "run"]);
    command.args([OsStr::new("--data"), data.as_os_str()]);
    command.args([OsStr::new("--loomdb"), program.as_os_str()]);
    if let Some(cases) = &arguments.cases {
        command.args(["--cases", cases]);
    }
    if let Some(repeat) = arguments.repeat {
        command.args(["--repeat", &repeat.to_string()]);
    }
    command.args(&arguments.further);
    command
}

fn report(root: &Path, python: &Path) -> Command {
    let mut command = harness(root, python);
    command.args(["-m", "peers", "report", "--out", "../docs/benchmarks.md"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn parse(line: &[&str]) -> PeersArguments {
        let words = ["xtask", "bench", "peers"].iter().chain(line);
        let parsed = crate::Arguments::try_parse_from(words).unwrap();
        let crate::Command::Bench(Arguments { measurement: Some(Measurement::Peers(arguments)) }) =
            parsed.command
        else {
            panic!("not the command that was given")
        };
        arguments
    }

    #[test]
    fn arguments_reach_the_harness_in_its_own_words() {
        let arguments =
            parse(&["--data", "d", "--cases", "sift*", "--repeat", "5", "--", "--note", "idle"]);
        let (root, python) = (Path::new("/root"), Path::new("/venv/bin/python"));
        let command = measure(root, python, Path::new("/d"), Path::new("/loomdb"), &arguments);
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        let expected = "-m peers run --data /d --loomdb /loomdb \
                        --cases sift* --repeat 5 --note idle";
        assert_eq!(words.join(" "), expected);
        assert_eq!(command.get_current_dir(), Some(Path::new("/root/bench")));
    }

    #[test]
    fn what_is_not_given_is_left_to_the_harness() {
        let arguments = parse(&["--data", "d"]);
        let path = Path::new("/p");
        let command = measure(path, path, path, path, &arguments);
        assert_eq!(command.get_args().count(), 7);
    }

    #[test]
    fn missing_data_is_told_before_anything_is_built() {
        let arguments = parse(&["--data", "/no/such/directory"]);
        let message = peers(Path::new("/root"), &arguments).unwrap_err().to_string();
        assert_eq!(message, "/no/such/directory is not a directory: give --data the data sets");
    }

    #[test]
    fn without_a_measurement_everything_is_listed() {
        let list = measurements().unwrap();
        assert!(list.contains("cargo xtask bench") && list.contains("peers"), "{list}");
    }
}
