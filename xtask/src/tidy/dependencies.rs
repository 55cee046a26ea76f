//! The table in `docs/dependencies.md` and the manifests say the same.
//!
//! Three places name a dependency: the workspace table with its version, the manifests of the
//! crates that use it, and the table in the docs with the reason. The rule reads the lines of
//! manifests as this repository writes them; it is no parser of TOML.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{SourceFile, Violation};

const ROOT_MANIFEST: &str = "Cargo.toml";
const TABLE: &str = "docs/dependencies.md";

/// A dependency of another repository, as the workspace table has it.
struct Dependency<'a> {
    name: &'a str,
    version: &'a str,
    line: usize,
    /// The crates whose manifests name it.
    users: BTreeSet<&'a str>,
}

/// A row of the table in the docs.
struct Row<'a> {
    name: &'a str,
    version: &'a str,
    users: BTreeSet<&'a str>,
    line: usize,
}

/// Whether this rule reads a file: manifests of other workspaces it leaves alone.
pub fn is_read(file: &SourceFile) -> bool {
    let is_member = || {
        file.path.ends_with("/Cargo.toml") && !file.text.lines().any(|line| line == "[workspace]")
    };
    file.path == TABLE || file.path == ROOT_MANIFEST || is_member()
}

/// Contradictions among the manifests and the table.
pub fn contradictions(files: &[SourceFile]) -> Vec<Violation> {
    let Some(root) = files.iter().find(|file| file.path == ROOT_MANIFEST) else {
        return Vec::new();
    };
    let members: Vec<&SourceFile> =
        files.iter().filter(|file| file.path.ends_with("/Cargo.toml")).collect();
    let mut dependencies = workspace_dependencies(root);
    let mut violations = Vec::new();
    for member in &members {
        violations.extend(own_versions(member));
        for (_, name, _) in entries(&member.text, |section| section.ends_with("dependencies")) {
            if let Some(dependency) = dependencies.get_mut(name) {
                dependency.users.insert(package_name(member));
            }
        }
    }
    violations.extend(unused(root, &dependencies));
    let names: BTreeSet<&str> = members.iter().map(|member| package_name(member)).collect();
    let table = files.iter().find(|file| file.path == TABLE);
    let rows = table.map_or_else(Vec::new, |table| rows(table, &names));
    violations.extend(rows_without(root, &dependencies, &rows));
    violations.extend(table.into_iter().flat_map(|table| wrong_rows(table, &dependencies, &rows)));
    violations
}

/// Dependencies whose version a member names itself.
fn own_versions(member: &SourceFile) -> Vec<Violation> {
    let fix = "name the version in [workspace.dependencies], and `workspace = true` here";
    let named = entries(&member.text, |section| section.ends_with("dependencies"));
    let own = named.filter(|(_, _, value)| !value.contains("workspace = true"));
    own.map(|(line, name, _)| {
        member.violation(line, format!("{name} has a version of its own"), fix)
    })
    .collect()
}

fn unused(root: &SourceFile, dependencies: &BTreeMap<&str, Dependency>) -> Vec<Violation> {
    let unused = dependencies.values().filter(|dependency| dependency.users.is_empty());
    unused
        .map(|Dependency { name, line, .. }| {
            root.violation(*line, format!("no crate uses {name}"), "remove it")
        })
        .collect()
}

/// Dependencies that have no row.
fn rows_without(
    root: &SourceFile,
    dependencies: &BTreeMap<&str, Dependency>,
    rows: &[Row],
) -> Vec<Violation> {
    let has_row = |name: &str| rows.iter().any(|row| row.name == name);
    let missing = dependencies.values().filter(|dependency| !has_row(dependency.name));
    missing
        .map(|Dependency { name, line, .. }| {
            let what = format!("{name} has no row in {TABLE}");
            root.violation(*line, what, "add one with the reason")
        })
        .collect()
}

/// Rows that do not say what the manifests say.
fn wrong_rows(
    table: &SourceFile,
    dependencies: &BTreeMap<&str, Dependency>,
    rows: &[Row],
) -> Vec<Violation> {
    let wrong = |row: &Row| {
        let Row { name, version, .. } = row;
        let Some(dependency) = dependencies.get(name) else {
            let what = format!("no manifest names {name}");
            return Some(table.violation(row.line, what, "remove the row"));
        };
        if *version != dependency.version {
            let what = format!("{name} {version} is {} in the manifest", dependency.version);
            return Some(table.violation(row.line, what, "write that version"));
        }
        if row.users != dependency.users {
            let users: Vec<&str> = dependency.users.iter().copied().collect();
            let what = format!("{name} is used by {}", users.join(", "));
            return Some(table.violation(row.line, what, "name these crates, and no others"));
        }
        None
    };
    rows.iter().filter_map(wrong).collect()
}

/// The workspace table, without the crates of this repository.
fn workspace_dependencies(root: &SourceFile) -> BTreeMap<&str, Dependency<'_>> {
    let named = entries(&root.text, |section| section == "workspace.dependencies");
    let foreign = named.filter(|(_, _, value)| !value.contains("path = "));
    foreign
        .map(|(line, name, value)| {
            let version = value.split('"').nth(1).unwrap_or_default();
            (name, Dependency { name, version, line, users: BTreeSet::new() })
        })
        .collect()
}

/// Line, name and rest of the line of every entry of these sections.
fn entries(
    text: &str,
    is_meant: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut inside = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if let Some(section) = line.strip_prefix('[') {
            inside = is_meant(section.trim_end_matches(']'));
            return None;
        }
        // An entry begins its line with its name; the lines of a long value do not.
        let is_entry = inside && line.starts_with(|first: char| first.is_ascii_alphanumeric());
        let end = line.find(['.', ' ', '='])?;
        let (name, value) = line.split_at(end);
        is_entry.then_some((index + 1, name, value))
    })
}

fn package_name(manifest: &SourceFile) -> &str {
    let mut named = entries(&manifest.text, |section| section == "package");
    let name = named.find(|(_, key, _)| *key == "name");
    name.and_then(|(_, _, value)| value.split('"').nth(1)).unwrap_or_default()
}

/// The rows of the table: a name, a version, and the members among the words of the third cell.
fn rows<'a>(table: &'a SourceFile, members: &BTreeSet<&str>) -> Vec<Row<'a>> {
    let lines = table.text.lines().enumerate().filter(|(_, line)| line.starts_with('|'));
    let row = |(index, line): (usize, &'a str)| {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let (name, version, used_by) = (cells.next()?, cells.next()?, cells.next()?);
        let is_in_name = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        let words = used_by.split(|letter| !is_in_name(letter));
        let users = words.filter(|word| members.contains(word)).collect();
        Some(Row { name, version, users, line: index + 1 })
    };
    // The first two lines are the heading.
    lines.skip(2).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "[workspace.dependencies]\nown = { path = \"crates/own\" }\n\
                        one = \"1.2\"\ntwo = { version = \"2.0\", features = [\n    \"a\",\n] }\n";
    const OWN: &str = "[package]\nname = \"own\"\n\n[dependencies]\none.workspace = true\n";
    const TOOL: &str = "[package]\nname = \"own-tool\"\n\n[dependencies]\nown.workspace = true\n\
                        two = { workspace = true }\n\n[target.'cfg(unix)'.dev-dependencies]\n\
                        one.workspace = true\n";
    const DOCS: &str = "# Title\n\n| crate | version | used by | reason |\n|---|---|---|---|\n\
                        | one | 1.2 | own, tests of own-tool | r |\n| two | 2.0 | own-tool | r |\n";

    fn found(root: &str, own: &str, tool: &str, docs: &str) -> Vec<String> {
        let files = [
            ("Cargo.toml", root),
            ("crates/own/Cargo.toml", own),
            ("crates/tool/Cargo.toml", tool),
            ("docs/dependencies.md", docs),
        ];
        let files = files.map(|(path, text)| SourceFile::new(path, text.as_bytes()));
        assert!(files.iter().all(is_read));
        let violations = contradictions(&files);
        violations
            .iter()
            .map(|found| format!("{}:{} {}", found.path, found.line, found.what))
            .collect()
    }

    #[test]
    fn what_agrees_passes() {
        assert!(found(ROOT, OWN, TOOL, DOCS).is_empty());
        assert!(contradictions(&[]).is_empty());
    }

    #[test]
    fn a_workspace_of_its_own_is_not_read() {
        let text = "[workspace]\n\n[package]\nname = \"peer\"\n\n[dependencies]\none = \"1.3\"\n";
        assert!(!is_read(&SourceFile::new("bench/peer/Cargo.toml", text.as_bytes())));
        assert!(is_read(&SourceFile::new("Cargo.toml", text.as_bytes())));
    }

    #[test]
    fn every_contradiction_is_named() {
        let with_own_version = OWN.replace("one.workspace = true", "one = \"1.3\"");
        let expected = ["crates/own/Cargo.toml:5 one has a version of its own"];
        assert_eq!(found(ROOT, &with_own_version, TOOL, DOCS), expected);
        let more = format!("{ROOT}three = \"3.0\"\n");
        let expected = [
            "Cargo.toml:7 no crate uses three",
            "Cargo.toml:7 three has no row in docs/dependencies.md",
        ];
        assert_eq!(found(&more, OWN, TOOL, DOCS), expected);
        let more = format!("{DOCS}| three | 3.0 | own | r |\n");
        assert_eq!(
            found(ROOT, OWN, TOOL, &more),
            ["docs/dependencies.md:7 no manifest names three"]
        );
        let other = DOCS.replace("1.2", "1.1");
        let expected = ["docs/dependencies.md:5 one 1.1 is 1.2 in the manifest"];
        assert_eq!(found(ROOT, OWN, TOOL, &other), expected);
        for users in ["own", "own-tool", "own, own-tools"] {
            let other = DOCS.replace("own, tests of own-tool", users);
            let expected = ["docs/dependencies.md:5 one is used by own, own-tool"];
            assert_eq!(found(ROOT, OWN, TOOL, &other), expected);
        }
    }
}
