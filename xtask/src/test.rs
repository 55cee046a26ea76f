//! `cargo xtask test`: everything that must hold before a change is merged.
//!
//! Cheap steps come first, so that a slip in formatting costs seconds and not a whole test run.
//! All compile with one profile, so that macros and build scripts are compiled once.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::step::Steps;
use crate::{docs, integrations, python, tidy, wheel};

/// Runs every check and prints one summary line at the end.
///
/// # Errors
/// The first step that fails, by name.
pub fn run(root: &Path) -> Result<()> {
    let mut steps = Steps::new();
    steps.command("format", &mut cargo(root, "fmt --all --check"))?;
    steps.measure("tidy", "the rules of this repository", || tidy::run(root))?;
    let lints = "clippy --workspace --all-targets --profile checked -- -D warnings";
    steps.command("lints", &mut cargo(root, lints))?;
    steps.tests("tests", &mut cargo(root, "test --workspace --profile checked"))?;
    steps.command("documentation", &mut documentation(root))?;
    python_tests(&mut steps, root)?;
    let wheel = wheel::run(&mut steps, root)?;
    integrations::run(&mut steps, root, &wheel)?;
    docs::build(&mut steps, root)?;
    println!("{}", steps.summary("test"));
    Ok(())
}

/// The cargo that runs this program, in the root of the repository.
pub fn cargo(root: &Path, arguments: &str) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root).args(arguments.split(' '));
    command
}

/// Libraries only: the `loomdb` program and the `loomdb` library would write to the same page.
fn documentation(root: &Path) -> Command {
    let mut command = cargo(root, "doc --workspace --lib --no-deps --profile checked");
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

/// Runs the tests of the harness in `bench/` as far as the packages at hand allow.
fn python_tests(steps: &mut Steps, root: &Path) -> Result<()> {
    let python = python::interpreter(root)?;
    let modules = python::test_modules(root, &python)?;
    for (module, package) in &modules.left_out {
        println!("    left out: {module} needs {package}, which `xtask bench peers` installs");
    }
    let mut command = python::harness(root, &python);
    steps.command("python", command.args(["-m", "unittest"]).args(&modules.runnable))
}
