//! `cargo xtask tidy`: the rules of this repository that no compiler knows.
//!
//! Every file that git tracks, or would track, is read once and shown to every rule. A rule is a
//! function from a file to its violations, so each has a test that plants one; the rule about
//! dependencies compares several files. A violation says where it is, what is wrong and what to
//! do.

mod dependencies;
mod layers;
mod rust;
mod source;
mod text;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use source::{SourceFile, Violation};

type Rule = fn(&SourceFile) -> Vec<Violation>;

const RULES: [Rule; 12] = [
    text::long_lines,
    text::long_files,
    text::foreign_characters,
    text::tabs,
    text::trailing_space,
    text::markers,
    text::large_blobs,
    rust::missing_module_docs,
    rust::leftover_macros,
    rust::unsafe_outside_kernels,
    rust::random_order,
    layers::forbidden_paths,
];

/// Checks the whole repository and prints every violation.
///
/// # Errors
/// If there is a violation, or the files cannot be listed or read.
pub fn run(root: &Path) -> Result<()> {
    let violations = check(root)?;
    for violation in &violations {
        eprintln!("{violation}");
    }
    if !violations.is_empty() {
        bail!("{} violations of the rules in CONTRIBUTING.md", violations.len());
    }
    println!("tidy: all {} rules hold", RULES.len() + 1);
    Ok(())
}

/// All violations, in the order of the files; those between files come last.
fn check(root: &Path) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    let mut about_dependencies = Vec::new();
    for path in listed_files(root)? {
        let full_path = root.join(&path);
        // A file that was deleted but not yet committed is still listed; links have no content.
        if !fs::symlink_metadata(&full_path).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let bytes = fs::read(&full_path).with_context(|| format!("reading {path}"))?;
        let file = SourceFile::new(&path, &bytes);
        violations.extend(RULES.iter().flat_map(|rule| rule(&file)));
        if dependencies::is_read(&file) {
            about_dependencies.push(file);
        }
    }
    violations.extend(dependencies::contradictions(&about_dependencies));
    Ok(violations)
}

/// The paths of all files that are tracked or are neither tracked nor ignored.
fn listed_files(root: &Path) -> Result<Vec<String>> {
    let output = git(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("cannot start git, which lists the files to check")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let listing = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(listing.split_terminator('\0').map(str::to_owned).collect())
}

/// Git in the repository at `root`, also where a hook has pointed git at another one.
fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(root);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let violations = check(&crate::repository_root()).unwrap();
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }

    #[test]
    fn tracked_and_new_files_are_checked_and_ignored_and_deleted_ones_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        assert!(git(root).args(["init", "--quiet"]).status().unwrap().success());
        fs::write(root.join(".gitignore"), "ignored.md\n").unwrap();
        for name in ["deleted.md", "ignored.md", "new.md", "tracked.md"] {
            fs::write(root.join(name), "a\tb\n").unwrap();
        }
        assert!(git(root).args(["add", "deleted.md", "tracked.md"]).status().unwrap().success());
        fs::remove_file(root.join("deleted.md")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("nowhere", root.join("link.md")).unwrap();
        let mut paths: Vec<String> = check(root).unwrap().into_iter().map(|v| v.path).collect();
        paths.sort();
        assert_eq!(paths, ["new.md", "tracked.md"]);
        assert!(run(root).is_err());
    }

    #[test]
    fn a_directory_without_git_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(check(directory.path()).is_err());
    }
}
