//! Rules about Rust code that the compiler and clippy do not have.

use super::source::{SourceFile, Violation, words};

/// Every file of a crate opens by saying what it holds and why it stands alone.
pub fn missing_module_docs(file: &SourceFile) -> Vec<Violation> {
    let is_module = file.has_extension("rs") && is_in_crate_source(&file.path);
    if !is_module || file.text.starts_with("//!") {
        return Vec::new();
    }
    let fix = "open the file with what is here, why it is separate and what it keeps";
    vec![file.violation(1, "no //! at the top", fix)]
}

fn is_in_crate_source(path: &str) -> bool {
    let mut directories = path.split('/');
    match directories.next() {
        Some("xtask") => directories.next() == Some("src"),
        Some("crates" | "bench") => directories.nth(1) == Some("src"),
        _ => false,
    }
}

/// Macros that belong to work in progress.
pub fn leftover_macros(file: &SourceFile) -> Vec<Violation> {
    file.each_line(&file.code, "finish the work and remove it", |line| {
        let name = ["dbg", "todo", "unimplemented"].into_iter().find(|name| calls(line, name))?;
        Some(format!("a leftover {name}!"))
    })
}

/// Whether `line` invokes the macro `name`: the whole word, followed by an exclamation mark.
fn calls(line: &str, name: &str) -> bool {
    let parts: Vec<&str> = line.split('!').collect();
    let before_marks = &parts[..parts.len() - 1];
    before_marks.iter().any(|part| part.ends_with(name) && words(part).last() == Some(name))
}

/// Where `unsafe` may stand.
const UNSAFE: [&str; 2] = ["crates/graph/src/kernels/", "crates/loomdb/src/storage/fs/map.rs"];

/// `unsafe` is fenced into the kernels and the memory map, where every use has a stated reason and
/// a measurement.
pub fn unsafe_outside_kernels(file: &SourceFile) -> Vec<Violation> {
    if UNSAFE.iter().any(|place| file.path.starts_with(place)) {
        return Vec::new();
    }
    let fix = "write it in safe Rust, or move it into crates/graph/src/kernels/";
    file.each_line(&file.code, fix, |line| {
        words(line).any(|word| word == "unsafe").then(|| "unsafe outside the kernels".to_owned())
    })
}

/// The graph is the same on every run, so no map in it may order its keys by a random state.
///
/// These constructors exist for the random state only; `default()` with a named hasher is fine.
pub fn random_order(file: &SourceFile) -> Vec<Violation> {
    if !file.path.starts_with("crates/graph/src/") {
        return Vec::new();
    }
    let fix = "name a hasher and use default(), or use a sorted vector or a BTreeMap";
    file.each_line(&file.code, fix, |line| {
        let constructors = ["::new(", "::with_capacity(", "::from("];
        let makes_random = |tail: &str| constructors.iter().any(|name| tail.starts_with(name));
        let name = ["HashMap", "HashSet"]
            .into_iter()
            .find(|name| line.split(name).skip(1).any(makes_random))?;
        Some(format!("a {name} in random order"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile::new(path, text.as_bytes())
    }

    fn lines(violations: &[Violation]) -> Vec<usize> {
        violations.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn missing_module_docs_are_caught() {
        for path in [
            "crates/graph/src/lib.rs",
            "crates/a/src/b/mod.rs",
            "bench/a/src/main.rs",
            "xtask/src/main.rs",
        ] {
            assert_eq!(lines(&missing_module_docs(&file(path, "// a\n"))), [1], "{path}");
            assert_eq!(lines(&missing_module_docs(&file(path, "\n//! a\n"))), [1], "{path}");
            assert!(missing_module_docs(&file(path, "//! a\n")).is_empty(), "{path}");
        }
        for path in ["crates/graph/tests/a.rs", "crates/graph/src/a.txt", "fuzz/src/a.rs"] {
            assert!(missing_module_docs(&file(path, "")).is_empty(), "{path}");
        }
    }

    #[test]
    fn leftover_macros_are_caught() {
        let text = "fn f() {\n    dbg!(1);\n    todo!()\n    if a != b { unimplemented!() }\n}\n";
        assert_eq!(lines(&leftover_macros(&file("a.rs", text))), [2, 3, 4]);
        let clean = "// todo!()\nlet a = \"dbg!\";\nmytodo!();\nlet todo = !a;\ntodo != b;\n";
        assert!(leftover_macros(&file("a.rs", clean)).is_empty());
    }

    #[test]
    fn unsafe_outside_the_kernels_is_caught() {
        let text = "//! No unsafe here.\nfn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(lines(&unsafe_outside_kernels(&file("crates/graph/src/a.rs", text))), [3]);
        assert_eq!(lines(&unsafe_outside_kernels(&file("crates/graph/tests/a.rs", text))), [3]);
        assert!(unsafe_outside_kernels(&file("crates/graph/src/kernels/a.rs", text)).is_empty());
        assert!(
            unsafe_outside_kernels(&file("crates/loomdb/src/storage/fs/map.rs", text)).is_empty()
        );
    }

    #[test]
    fn lint_attributes_about_unsafe_are_not_unsafe() {
        let text = "#![forbid(unsafe_code)]\n#![deny(unsafe_op_in_unsafe_fn)]\n";
        assert!(unsafe_outside_kernels(&file("crates/loomdb/src/lib.rs", text)).is_empty());
    }

    #[test]
    fn random_order_in_the_graph_is_caught() {
        let text = "let a = HashMap::new();\nlet b = HashSet::with_capacity(9);\n";
        assert_eq!(lines(&random_order(&file("crates/graph/src/build/a.rs", text))), [1, 2]);
        assert!(random_order(&file("crates/loomdb/src/a.rs", text)).is_empty());
        let fixed = "let a: HashMap<u32, u32, Fixed> = HashMap::default();\n";
        assert!(random_order(&file("crates/graph/src/build/a.rs", fixed)).is_empty());
    }
}
