//! `cargo xtask bench peers`: loomdb and other libraries in one run on one machine, which is the
//! only way in which such numbers can be compared.
//!
//! The harness is Python, in `bench/`; this command gives it what it needs: its packages, in an
//! environment of their own, and a release build.

use std::ffi::OsStr;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::python::{self, base_python, harness};
use crate::step::Steps;
use crate::test::cargo;

#[derive(clap::Args)]
pub struct Arguments {
    /// Directory of the data sets
    #[arg(long)]
    data: PathBuf,
    /// Only the cases whose names match this shell pattern
    #[arg(long)]
    cases: Option<String>,
    /// Only the peers whose names match one of these shell patterns; `loomdb` is one of them
    #[arg(long)]
    peers: Option<String>,
    /// How often each case is measured [default: three times, the largest once]
    #[arg(long)]
    repeat: Option<u32>,
    /// The program to measure, in place of a fresh release build
    #[arg(long, value_name = "PROGRAM")]
    loomdb: Option<PathBuf>,
    /// Only make the environment and install the packages
    #[arg(long, conflicts_with_all = ["cases", "peers", "repeat", "loomdb"])]
    install_only: bool,
    /// Further arguments for `python -m peers run`, after `--`
    #[arg(last = true)]
    further: Vec<String>,
}

/// Measures what was chosen, adds it to the result files, and writes tables and plots anew.
///
/// # Errors
/// The first step that fails, by name.
pub fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    // The harness runs in its own directory, where a relative path would mean something else.
    let data = absolute(&arguments.data).context("the directory of the data sets")?;
    if !data.is_dir() {
        bail!("{} is not a directory: give --data the data sets", data.display());
    }
    let environment = python::environment(root)?;
    let python = environment.join("bin/python");
    let mut steps = Steps::new();
    if !python.is_file() {
        let mut command = Command::new(base_python());
        steps.command("environment", command.args(["-m", "venv"]).arg(&environment))?;
    }
    steps.command("packages", &mut install_packages(root, &python))?;
    if !arguments.install_only {
        let program = program(&mut steps, root, arguments)?;
        let mut measure = measure(root, &python, &data, &program, arguments);
        // A peer that failed is no reason to keep the others out of the report.
        let measured = steps.command("measure", &mut measure);
        steps.command("report", &mut report(root, &python))?;
        steps.command("plots", &mut plots(root, &python))?;
        measured?;
    }
    println!("{}", steps.summary("bench peers"));
    Ok(())
}

/// The program that was given, or a fresh release build.
fn program(steps: &mut Steps, root: &Path, arguments: &Arguments) -> Result<PathBuf> {
    if let Some(program) = &arguments.loomdb {
        return absolute(program).context("the program to measure");
    }
    steps.command("build", &mut cargo(root, "build --release --package loomdb-cli"))?;
    Ok(python::target_directory(root)?.join("release/loomdb"))
}

fn install_packages(root: &Path, python: &Path) -> Command {
    let mut command = harness(root, python);
    command.args(["-m", "peers.install"]);
    command
}

fn measure(
    root: &Path,
    python: &Path,
    data: &Path,
    program: &Path,
    arguments: &Arguments,
) -> Command {
    let mut command = harness(root, python);
    command.args(["-m", "peers", "run"]);
    command.args([OsStr::new("--data"), data.as_os_str()]);
    command.args([OsStr::new("--loomdb"), program.as_os_str()]);
    if let Some(cases) = &arguments.cases {
        command.args(["--cases", cases]);
    }
    if let Some(peers) = &arguments.peers {
        command.args(["--peers", peers]);
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

fn plots(root: &Path, python: &Path) -> Command {
    let mut command = harness(root, python);
    command.args(["-m", "peers", "plot", "--out", "../docs/images"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &[&str]) -> Arguments {
        Line::try_parse_from(["peers"].iter().chain(line)).unwrap().arguments
    }

    #[test]
    fn arguments_reach_the_harness_in_its_own_words() {
        let arguments = parse(&[
            "--data", "d", "--cases", "sift*", "--peers", "faiss-*", "--repeat", "5", "--",
            "--note", "idle",
        ]);
        let (root, python) = (Path::new("/root"), Path::new("/venv/bin/python"));
        let command = measure(root, python, Path::new("/d"), Path::new("/loomdb"), &arguments);
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        let expected = "-m peers run --data /d --loomdb /loomdb \
                        --cases sift* --peers faiss-* --repeat 5 --note idle";
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
        let message = run(Path::new("/root"), &arguments).unwrap_err().to_string();
        assert_eq!(message, "/no/such/directory is not a directory: give --data the data sets");
    }
}
