//! Everything in Python around the package: adapters, examples, and the code in the documentation.
//!
//! The adapters are tested with the suites of the libraries that they serve, which are large. So
//! they are installed in an environment of their own, beside the wheel that was built before.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::python;
use crate::step::Steps;

/// The modules of the package that need libraries of others.
const ADAPTERS: [&str; 4] = ["langchain", "haystack", "_haystack_filters", "llama_index"];

/// Installs a wheel beside the other libraries and runs all tests that use both.
///
/// # Errors
/// The first step that fails, by name.
pub fn run(steps: &mut Steps, root: &Path, wheel: &Path) -> Result<()> {
    let requirements = root.join("integrations/requirements.txt");
    let python = python::prepared(steps, root, ("integrations-venv", &requirements))?;
    let mut install = python::pip_install(&python);
    install.args(["--force-reinstall", "--no-deps"]).arg(wheel);
    steps.command("install for integrations", &mut install)?;
    check_types(steps, root, &python)?;
    let suites = [("integrations", "integrations/tests"), ("examples", "examples/python")];
    for (name, directory) in suites {
        steps.command(name, &mut pytest(root, &python, directory))?;
    }
    Ok(())
}

/// Two checkers read the adapters, beside the types of the libraries that they serve.
fn check_types(steps: &mut Steps, root: &Path, python: &Path) -> Result<()> {
    let package = root.join("crates/python");
    let adapters = ADAPTERS.map(|name| format!("python/loomdb/{name}.py"));
    let mut mypy = Command::new(python);
    mypy.current_dir(&package).args(["-m", "mypy"]).args(&adapters);
    mypy.arg("--cache-dir").arg(python::target_directory(root)?.join("mypy-adapters"));
    steps.command("types of adapters", &mut mypy)?;
    let mut pyright = Command::new(python);
    pyright.current_dir(&package).args(["-m", "pyright", "--warnings", "--pythonpath"]);
    steps.command("pyright of adapters", pyright.arg(python).args(&adapters))
}

fn pytest(root: &Path, python: &Path, directory: &str) -> Command {
    let mut command = Command::new(python);
    command.current_dir(root).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider", directory]);
    command
}
