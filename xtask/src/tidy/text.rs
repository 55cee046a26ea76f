//! Rules about text and size, for every file or by extension.

use super::source::{SourceFile, Violation, words};

const MAX_LINE_CHARS: usize = 100;
const MAX_FILE_LINES: usize = 600;
const MAX_BLOB_BYTES: usize = 100 * 1024;

/// Spelled in two parts, so that this file does not break its own rule.
const MARKERS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// Lines of programs and manifests; an address cannot be broken, so its line may be long.
pub fn long_lines(file: &SourceFile) -> Vec<Violation> {
    if !file.is_source() && !file.has_extension("toml") {
        return Vec::new();
    }
    file.each_line(&file.text, "break the line", |line| {
        let len = line.chars().count();
        let is_long = len > MAX_LINE_CHARS && !line.contains("://");
        is_long.then(|| format!("{len} characters, more than {MAX_LINE_CHARS}"))
    })
}

pub fn long_files(file: &SourceFile) -> Vec<Violation> {
    let line_count = file.text.lines().count();
    if !file.is_source() || line_count <= MAX_FILE_LINES {
        return Vec::new();
    }
    let what = format!("{line_count} lines, more than {MAX_FILE_LINES}");
    vec![file.violation(MAX_FILE_LINES + 1, what, "split the file by idea")]
}

pub fn foreign_characters(file: &SourceFile) -> Vec<Violation> {
    let fix = "write it in ASCII, or as an escape in a string";
    file.each_line(&file.text, fix, |line| {
        let character = line.chars().find(|character| !character.is_ascii())?;
        Some(format!("the character {}", character.escape_unicode()))
    })
}

pub fn tabs(file: &SourceFile) -> Vec<Violation> {
    file.each_line(&file.text, "use spaces, or an escape in a string", |line| {
        line.contains('\t').then(|| "a tab".to_owned())
    })
}

/// A carriage return counts as white space, so files keep Unix line ends.
pub fn trailing_space(file: &SourceFile) -> Vec<Violation> {
    file.each_line(&file.text, "remove it", |line| {
        line.ends_with(char::is_whitespace).then(|| "white space at the end of the line".to_owned())
    })
}

pub fn markers(file: &SourceFile) -> Vec<Violation> {
    let fix = "do it, or write down what holds today";
    file.each_line(&file.text, fix, |line| {
        let marker = words(line).find(|word| MARKERS.contains(word))?;
        Some(format!("the marker {marker}"))
    })
}

/// Whoever clones the repository pays for every blob, in every version, forever.
pub fn large_blobs(file: &SourceFile) -> Vec<Violation> {
    let is_picture_of_the_docs = file.path.starts_with("docs/") && file.is_image();
    let is_exempt = file.is_in_data() || is_picture_of_the_docs || file.path == "Cargo.lock";
    if file.len_bytes <= MAX_BLOB_BYTES || is_exempt {
        return Vec::new();
    }
    let what = format!("{} bytes, more than {MAX_BLOB_BYTES}", file.len_bytes);
    vec![file.violation(1, what, "make it smaller, generate it, or move it under data/")]
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
    fn long_lines_are_caught() {
        let fits = "x".repeat(MAX_LINE_CHARS);
        let text = format!("{fits}\n{fits}x\n{fits} https://example.org/\n");
        for path in ["a.rs", "a.py", "a.toml"] {
            assert_eq!(lines(&long_lines(&file(path, &text))), [2], "{path}");
        }
        assert!(long_lines(&file("a.md", &text)).is_empty());
    }

    #[test]
    fn long_files_are_caught() {
        let fits = "x\n".repeat(MAX_FILE_LINES);
        assert!(long_files(&file("a.rs", &fits)).is_empty());
        assert_eq!(lines(&long_files(&file("a.py", &(fits.clone() + "x\n")))), [601]);
        assert!(long_files(&file("a.md", &(fits + "x\n"))).is_empty());
    }

    #[test]
    fn foreign_characters_are_caught() {
        let found = foreign_characters(&file("a.md", "a\nb \u{2014} c\n"));
        assert_eq!(lines(&found), [2]);
        assert_eq!(found[0].what, r"the character \u{2014}");
        assert_eq!(lines(&foreign_characters(&SourceFile::new("a.md", b"\xff"))), [1]);
        assert!(foreign_characters(&file("data/texts.txt", "\u{e9}")).is_empty());
    }

    #[test]
    fn tabs_are_caught() {
        assert_eq!(lines(&tabs(&file(".ci/run", "a\n\tb\n"))), [2]);
    }

    #[test]
    fn trailing_space_is_caught() {
        assert_eq!(lines(&trailing_space(&file("a.md", "a \nb\nc\r\n \n"))), [1, 3, 4]);
    }

    #[test]
    fn markers_are_caught() {
        for marker in MARKERS {
            assert_eq!(lines(&markers(&file("a.py", &format!("a\n# {marker}: b\n")))), [2]);
            assert!(
                markers(&file("a.py", &format!("A{marker}B {}", marker.to_lowercase()))).is_empty()
            );
        }
    }

    #[test]
    fn large_blobs_are_caught() {
        let large = "x".repeat(MAX_BLOB_BYTES + 1);
        assert_eq!(lines(&large_blobs(&file("docs/table.md", &large))), [1]);
        assert!(large_blobs(&file("docs/table.md", &large[1..])).is_empty());
        for path in ["data/a.npy", "crates/a/data/b.npy", "docs/images/a.png", "Cargo.lock"] {
            assert!(large_blobs(&file(path, &large)).is_empty(), "{path}");
        }
    }
}
