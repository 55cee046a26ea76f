//! The Python package: built as a wheel, installed, and tested as users have it.
//!
//! Tests run against what `pip` installed in an environment of its own, never against the source
//! tree, so that a file that is missing in the wheel is missed. The wheel is built by `pip`, as
//! theirs is, but with the profile `checked`, which is faster to link.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::python::{self, pip_install};
use crate::step::Steps;

/// [`run`] as a command of its own.
///
/// # Errors
/// The first step that fails, by name.
pub fn run_alone(root: &Path) -> Result<()> {
    let mut steps = Steps::new();
    run(&mut steps, root)?;
    println!("{}", steps.summary("wheel"));
    Ok(())
}

/// Builds the wheel, installs it, runs all checks of it, and says where it is.
///
/// # Errors
/// The first step that fails, by name.
pub fn run(steps: &mut Steps, root: &Path) -> Result<PathBuf> {
    let package = root.join("crates/python");
    let target = python::target_directory(root)?;
    let requirements = package.join("requirements.txt");
    let python = python::prepared(steps, root, ("wheel-venv", &requirements))?;

    let wheel = build(steps, (&package, &target), &python)?;
    let mut install = pip_install(&python);
    install.args(["--force-reinstall", "--no-deps"]).arg(&wheel);
    steps.command("install", &mut install)?;

    check_types(steps, &package, &python)?;
    let mut tests = module(&package, &python, "pytest");
    steps.command("python tests", tests.arg("tests").env("LOOMDB_WHEEL", &wheel))?;
    let mut examples = module(&package.join("tests"), &python, "pytest");
    examples.args(["--doctest-modules", "--pyargs", "loomdb", "-c", "../pyproject.toml"]);
    for adapter in ["langchain", "haystack", "_haystack_filters", "llama_index"] {
        // They need packages of others, and are tested with these in `integrations.rs`.
        examples.arg(format!("--ignore-glob=/*/loomdb/{adapter}.py"));
    }
    steps.command("python examples", &mut examples)?;
    Ok(wheel)
}

/// Builds the wheel as `pip install ./crates/python` does, except for the profile.
fn build(steps: &mut Steps, (package, target): (&Path, &Path), python: &Path) -> Result<PathBuf> {
    let wheels = target.join("wheels");
    // An older wheel must not be taken for the one that is built now.
    fs::remove_dir_all(&wheels).or_else(ignore_missing).context("removing older wheels")?;
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.arg("--wheel-dir").arg(&wheels).arg(package);
    pip.env("MATURIN_PEP517_ARGS", "--profile checked").env("CARGO_TARGET_DIR", target);
    steps.command("wheel", &mut pip)?;
    only_file(&wheels)
}

/// Two checkers read the annotations, and a third compares them with the extension.
fn check_types(steps: &mut Steps, package: &Path, python: &Path) -> Result<()> {
    let mut mypy = module(package, python, "mypy");
    steps.command("python types", mypy.args(["python/loomdb", "tests"]))?;
    let mut pyright = module(package, python, "pyright");
    pyright.args(["--warnings", "--pythonpath"]).arg(python);
    steps.command("pyright", &mut pyright)?;
    let mut stubs = module(package, python, "mypy.stubtest");
    stubs.args(["loomdb._native", "--mypy-config-file", "pyproject.toml"]);
    steps.command("stubs", &mut stubs)
}

/// `python -m NAME`, in a directory.
fn module(directory: &Path, python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.current_dir(directory).args(["-m", name]).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// The wheel that was built.
fn only_file(directory: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(directory).context("reading the directory of the wheel")?;
    let paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    match paths.as_slice() {
        [wheel] if wheel.extension() == Some(OsStr::new("whl")) => Ok(wheel.clone()),
        _ => bail!("{} does not hold exactly one wheel", directory.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_wheel_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        assert!(only_file(directory.path()).is_err());
        let wheel = directory.path().join("loomdb-1.whl");
        fs::write(&wheel, "").unwrap();
        assert_eq!(only_file(directory.path()).unwrap(), wheel);
        fs::write(directory.path().join("loomdb-2.whl"), "").unwrap();
        assert!(only_file(directory.path()).is_err());
    }

    #[test]
    fn a_directory_that_is_not_there_is_removed_already() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert!(ignore_missing(missing).is_ok());
        let other = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert!(ignore_missing(other).is_err());
    }
}
