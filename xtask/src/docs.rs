//! The documentation as a site: built from `docs/` by mkdocs, every warning an error.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::python;
use crate::step::Steps;

/// Builds the site into `target/site`, by itself.
///
/// # Errors
/// The first step that fails, by name.
pub fn run(root: &Path) -> Result<()> {
    let mut steps = Steps::new();
    build(&mut steps, root)?;
    println!("{}", steps.summary("docs"));
    println!("open {}", root.join("target/site/index.html").display());
    Ok(())
}

/// The steps that build it.
///
/// # Errors
/// The first step that fails, by name.
pub fn build(steps: &mut Steps, root: &Path) -> Result<()> {
    let requirements = root.join("docs/site/requirements.txt");
    let python = python::prepared(steps, root, ("docs-venv", &requirements))?;
    let mut command = Command::new(&python);
    command.current_dir(root).args(["-m", "mkdocs", "build", "--quiet", "--strict"]);
    steps.command("site", command.env("NO_MKDOCS_2_WARNING", "1"))
}
