//! Which Python runs the harness in `bench/`, and which of its tests that Python can run.
//!
//! `cargo xtask bench peers` makes an environment with the packages of `bench/requirements.txt`.
//! The tests run there when it exists. Elsewhere the plain `python3` runs every test that needs
//! none of those packages, and the others are named, so that nobody takes them for passed.

use std::fs;
use std::path::{Path, PathBuf, absolute};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::step::Steps;

/// Test modules of the harness, by whether this machine can run them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TestModules {
    pub runnable: Vec<String>,
    /// Each with the package that it needs.
    pub left_out: Vec<(String, String)>,
}

/// Where cargo puts what it builds: the environment may have moved it.
///
/// # Errors
/// If the path cannot be made absolute.
pub fn target_directory(root: &Path) -> Result<PathBuf> {
    let moved = std::env::var_os("CARGO_TARGET_DIR");
    let directory = moved.map_or_else(|| PathBuf::from("target"), PathBuf::from);
    absolute(root.join(directory)).context("the target directory")
}

/// The directory of the harness's own environment, which need not exist.
///
/// # Errors
/// If the path cannot be made absolute.
pub fn environment(root: &Path) -> Result<PathBuf> {
    Ok(target_directory(root)?.join("peers-venv"))
}

/// The Python of the environment if it was made, or else the machine's.
///
/// # Errors
/// If the path cannot be made absolute.
pub fn interpreter(root: &Path) -> Result<PathBuf> {
    let python = environment(root)?.join("bin/python");
    Ok(if python.is_file() { python } else { PathBuf::from("python3") })
}

/// The version that the pinned packages were tried with, if it is installed.
pub fn base_python() -> &'static str {
    let mut probe = Command::new("python3.11");
    probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    if probe.status().is_ok_and(|status| status.success()) { "python3.11" } else { "python3" }
}

/// The Python of an environment in the target directory, with the packages that a file names.
/// It is made when it is missing.
///
/// # Errors
/// The first step that fails, by name.
pub fn prepared(
    steps: &mut Steps,
    root: &Path,
    (name, requirements): (&str, &Path),
) -> Result<PathBuf> {
    let environment = target_directory(root)?.join(name);
    let python = environment.join("bin/python");
    if !python.is_file() {
        let mut command = Command::new(base_python());
        steps.command("environment", command.args(["-m", "venv"]).arg(&environment))?;
    }
    let mut install = pip_install(&python);
    steps.command("packages", install.arg("--requirement").arg(requirements))?;
    Ok(python)
}

/// `pip install` in the environment of a Python.
pub fn pip_install(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command
}

/// `python` in the directory of the harness.
pub fn harness(root: &Path, python: &Path) -> Command {
    let mut command = Command::new(python);
    command.current_dir(root.join("bench")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Sorts the test modules of the harness by importing each.
///
/// Only a missing package of `requirements.txt` excuses a module; one that fails to import for
/// any other reason is run, and fails.
///
/// # Errors
/// If the harness cannot be read or `python` cannot be started.
pub fn test_modules(root: &Path, python: &Path) -> Result<TestModules> {
    let packages = required_packages(root)?;
    let mut modules = TestModules::default();
    for module in test_module_names(root)? {
        let missing = missing_module(root, python, &module)?;
        match missing.filter(|package| packages.contains(package)) {
            Some(package) => modules.left_out.push((module, package)),
            None => modules.runnable.push(module),
        }
    }
    Ok(modules)
}

/// The names in front of the versions in `requirements.txt`.
fn required_packages(root: &Path) -> Result<Vec<String>> {
    let path = root.join("bench/requirements.txt");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.lines().filter_map(|line| Some(line.split_once("==")?.0.trim().to_owned())).collect())
}

/// `tests.test_x` for each `bench/tests/test_x.py`, in order.
fn test_module_names(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("bench/tests")).context("reading bench/tests")? {
        let file_name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(stem) = file_name.strip_suffix(".py").filter(|stem| stem.starts_with("test_")) {
            names.push(format!("tests.{stem}"));
        }
    }
    names.sort();
    Ok(names)
}

/// The module that importing `module` cannot find, if that is why the import fails.
fn missing_module(root: &Path, python: &Path, module: &str) -> Result<Option<String>> {
    let output = harness(root, python)
        .args(["-c", &format!("import {module}")])
        .stdout(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}: is it installed?", python.display()))?;
    let report = String::from_utf8_lossy(&output.stderr);
    Ok(if output.status.success() { None } else { named_in(&report) })
}

/// The name in `ModuleNotFoundError: No module named 'name'`, without its submodules.
fn named_in(report: &str) -> Option<String> {
    let (_, rest) = report.rsplit_once("ModuleNotFoundError: No module named '")?;
    let (name, _) = rest.split_once('\'')?;
    name.split('.').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_package_is_read_from_the_report() {
        let report = "Traceback ...\nModuleNotFoundError: No module named 'numpy.linalg'\n";
        assert_eq!(named_in(report).as_deref(), Some("numpy"));
        assert_eq!(named_in("ImportError: cannot import name 'a' from 'b'\n"), None);
    }

    #[test]
    fn only_a_missing_requirement_excuses_a_module() {
        let directory = tempfile::tempdir().unwrap();
        let tests = directory.path().join("bench/tests");
        fs::create_dir_all(&tests).unwrap();
        fs::write(tests.parent().unwrap().join("requirements.txt"), "absent==1.0\n").unwrap();
        for (name, text) in [
            ("__init__.py", ""),
            ("samples.py", "import absent\n"),
            ("test_plain.py", "import unittest\n"),
            ("test_needs.py", "from absent.part import thing\n"),
            ("test_slip.py", "import misspelled\n"),
            ("test_broken.py", "1 +\n"),
        ] {
            fs::write(tests.join(name), text).unwrap();
        }
        let modules = test_modules(directory.path(), Path::new("python3")).unwrap();
        assert_eq!(modules.runnable, ["tests.test_broken", "tests.test_plain", "tests.test_slip"]);
        assert_eq!(modules.left_out, [("tests.test_needs".to_owned(), "absent".to_owned())]);
    }
}
