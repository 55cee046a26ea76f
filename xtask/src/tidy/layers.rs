//! Which part of the code may name which module: the arrows of `ARCHITECTURE.md`, checked.
//!
//! Paths are read from use declarations, also nested ones, and from expressions, so
//! `use std::{fs, io}` and `std::fs::read` are both seen. A rename through another module is not;
//! the rule keeps honest people straight, it is no sandbox.

use super::source::{SourceFile, Violation, is_word};

/// Code under `within` must not name `path`, except under one of `except`.
struct Layer {
    within: &'static str,
    except: &'static [&'static str],
    path: &'static str,
    fix: &'static str,
}

const LAYERS: [Layer; 4] = [
    Layer {
        within: "crates/graph/src/",
        except: &[],
        path: "std::fs",
        fix: "the graph crate knows no files: take slices, and leave files to the loomdb crate",
    },
    Layer {
        within: "crates/graph/src/",
        except: &[],
        path: "std::time",
        fix: "the graph crate knows no clock: let the caller measure",
    },
    Layer {
        within: "crates/loomdb/src/",
        except: &[
            "crates/loomdb/src/storage/fs.rs",
            "crates/loomdb/src/storage/fs/",
            "crates/loomdb/src/import.rs",
            "crates/loomdb/src/import/",
        ],
        path: "std::fs",
        fix: "go through storage/fs.rs, so that a test can make the call fail",
    },
    Layer {
        within: "crates/loomdb/src/storage/",
        except: &[],
        path: "crate::collection",
        fix: "storage does not know collections: pass what it needs as an argument",
    },
];

/// Names that a layer must not use.
pub fn forbidden_paths(file: &SourceFile) -> Vec<Violation> {
    let layers: Vec<&Layer> = LAYERS.iter().filter(|layer| layer.covers(&file.path)).collect();
    if layers.is_empty() {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for (line, path) in named_paths(&file.code) {
        for layer in layers.iter().filter(|layer| layer.forbids(&path)) {
            violations.push(file.violation(line, format!("{} here", layer.path), layer.fix));
        }
    }
    violations
}

impl Layer {
    fn covers(&self, file: &str) -> bool {
        file.starts_with(self.within) && !self.except.iter().any(|except| file.starts_with(except))
    }

    fn forbids(&self, path: &str) -> bool {
        path.strip_prefix(self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

/// A token and the line it stands on.
type Token<'a> = (usize, &'a str);

/// Every path that begins with `std` or `crate`, with nested imports written out.
fn named_paths(code: &str) -> Vec<(usize, String)> {
    let tokens = tokens(code);
    let mut paths = Vec::new();
    for at in 0..tokens.len() {
        let is_inside_path = at >= 2 && tokens[at - 1].1 == "::" && is_name(tokens[at - 2].1);
        if matches!(tokens[at].1, "std" | "crate") && !is_inside_path {
            expand(&tokens, at, "", &mut paths);
        }
    }
    paths
}

/// Reads the path at `at`, adds it behind `prefix`, and returns the index behind it.
fn expand(
    tokens: &[Token],
    mut at: usize,
    prefix: &str,
    paths: &mut Vec<(usize, String)>,
) -> usize {
    let mut path = prefix.to_owned();
    while let Some(&(line, token)) = tokens.get(at) {
        if token == "{" {
            return expand_group(tokens, at + 1, &path, paths);
        }
        if !is_name(token) && token != "*" {
            return at;
        }
        path += token;
        if tokens.get(at + 1).map(|next| next.1) != Some("::") {
            paths.push((line, path));
            return at + 1;
        }
        path += "::";
        at += 2;
    }
    at
}

/// Reads `a, b::c}` behind an opening brace, and returns the index behind the closing one.
fn expand_group(
    tokens: &[Token],
    mut at: usize,
    prefix: &str,
    paths: &mut Vec<(usize, String)>,
) -> usize {
    while let Some(&(_, token)) = tokens.get(at) {
        match token {
            "}" => return at + 1,
            "," => at += 1,
            _ => {
                at = expand(tokens, at, prefix, paths);
                // Skips what may follow a path in a group: a rename.
                while tokens.get(at).is_some_and(|next| next.1 != "," && next.1 != "}") {
                    at += 1;
                }
            }
        }
    }
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(is_word)
}

/// Names, `::` and single marks; white space separates and is dropped.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while !rest.is_empty() {
            let (token, tail) = rest.split_at(token_len(rest));
            tokens.push((index + 1, token));
            rest = tail.trim_start();
        }
    }
    tokens
}

fn token_len(text: &str) -> usize {
    let word_len = text.find(|character| !is_word(character)).unwrap_or(text.len());
    if word_len > 0 {
        return word_len;
    }
    if text.starts_with("::") { 2 } else { text.chars().next().map_or(0, char::len_utf8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let violations = forbidden_paths(&SourceFile::new(path, text.as_bytes()));
        violations.into_iter().map(|violation| (violation.line, violation.what)).collect()
    }

    #[test]
    fn files_and_clocks_in_the_graph_crate_are_caught() {
        let path = "crates/graph/src/search.rs";
        let text = "use std::fs::File;\nfn f() {\n    let t = std::time::Instant::now();\n}\n";
        assert_eq!(found(path, text), [(1, "std::fs here".into()), (3, "std::time here".into())]);
        assert!(found("crates/graph/benches/search.rs", text).is_empty());
        assert!(found(path, "//! No std::fs.\nuse std::fsx;\nuse crate::std;\n").is_empty());
    }

    #[test]
    fn nested_imports_are_written_out() {
        let text =
            "use std::{\n    collections::{BTreeMap, HashMap as Map},\n    fs::{self, File},\n};\n";
        let paths: Vec<String> = named_paths(text).into_iter().map(|(_, path)| path).collect();
        let expected = [
            "std::collections::BTreeMap",
            "std::collections::HashMap",
            "std::fs::self",
            "std::fs::File",
        ];
        assert_eq!(paths, expected);
        let in_graph = found("crates/graph/src/build/plan.rs", text);
        assert_eq!(in_graph, [(3, "std::fs here".into()), (3, "std::fs here".into())]);
    }

    #[test]
    fn files_outside_the_storage_seam_are_caught() {
        let text = "use std::{fs, io};\n";
        assert_eq!(found("crates/loomdb/src/storage/log.rs", text).len(), 1);
        assert_eq!(found("crates/loomdb/src/storage/fsck.rs", text).len(), 1);
        assert!(found("crates/loomdb/src/storage/fs.rs", text).is_empty());
        assert!(found("crates/loomdb/src/import/parquet.rs", text).is_empty());
        assert!(found("crates/cli/src/main.rs", text).is_empty());
    }

    #[test]
    fn storage_that_knows_collections_is_caught() {
        let text = "use crate::{collection::Schema, error::Error};\n";
        assert_eq!(found("crates/loomdb/src/storage/log.rs", text).len(), 1);
        assert!(found("crates/loomdb/src/database.rs", text).is_empty());
    }

    #[test]
    fn unfinished_groups_end_with_the_file() {
        for text in ["use std::{fs", "use std::{", "use std::", "std", "use std::{a as"] {
            named_paths(text);
        }
    }
}
