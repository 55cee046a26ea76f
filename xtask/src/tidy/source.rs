//! A file as the rules see it: its path, its text, and its text without comments and literals.
//!
//! The last is what rules about code read, so that a sentence about a forbidden word is not taken
//! for a use of it. Blanking keeps every line break, so line numbers stay true.

use std::fmt;

/// One file of the repository.
pub struct SourceFile {
    /// Path from the root of the repository, with forward slashes.
    pub path: String,
    pub len_bytes: usize,
    /// The text; empty for binary files, images and data, which no rule about text reads.
    pub text: String,
    /// Rust code with comments and the contents of literals blanked; empty for other files.
    pub code: String,
}

/// A place where a rule is broken.
#[derive(Debug)]
pub struct Violation {
    pub path: String,
    pub line: usize,
    pub what: String,
    pub fix: &'static str,
}

impl SourceFile {
    pub fn new(path: &str, bytes: &[u8]) -> Self {
        let mut file = Self {
            path: path.to_owned(),
            len_bytes: bytes.len(),
            text: String::new(),
            code: String::new(),
        };
        if !bytes.contains(&0) && !file.is_image() && !file.is_plain_data() {
            file.text = String::from_utf8_lossy(bytes).into_owned();
        }
        if file.has_extension("rs") {
            file.code = code_only(&file.text);
        }
        file
    }

    pub fn has_extension(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, last)| last == extension)
    }

    pub fn is_source(&self) -> bool {
        self.has_extension("rs") || self.has_extension("py")
    }

    pub fn is_image(&self) -> bool {
        ["png", "svg", "jpg", "gif", "webp"].iter().any(|extension| self.has_extension(extension))
    }

    /// Whether the file lies in a directory named `data`, at any depth.
    pub fn is_in_data(&self) -> bool {
        self.path.split('/').rev().skip(1).any(|directory| directory == "data")
    }

    /// Data that people and compilers do not read as a document or a program.
    fn is_plain_data(&self) -> bool {
        self.is_in_data() && !self.is_source() && !self.has_extension("md")
    }

    pub fn violation(&self, line: usize, what: impl Into<String>, fix: &'static str) -> Violation {
        Violation { path: self.path.clone(), line, what: what.into(), fix }
    }

    /// A violation for each numbered line of `text` for which `what` has something to say.
    pub fn each_line(
        &self,
        text: &str,
        fix: &'static str,
        what: impl Fn(&str) -> Option<String>,
    ) -> Vec<Violation> {
        let lines = text.split('\n').enumerate();
        lines
            .filter_map(|(index, line)| Some(self.violation(index + 1, what(line)?, fix)))
            .collect()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}: {}", self.path, self.line, self.what, self.fix)
    }
}

/// Splits a line into its identifiers and keywords.
pub fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !is_word(character)).filter(|word| !word.is_empty())
}

pub fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Replaces comments and literals by spaces.
///
/// This is not a parser: it knows comments, strings, raw strings and characters, which is all
/// that can hide a word from the rules, or show them one that is not code.
fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        if let Some(end) = opaque_end(&chars, at) {
            let end = end.min(chars.len());
            code.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            code.push(chars[at]);
            at += 1;
        }
    }
    code
}

/// Where the comment or literal ends that starts at `at`, if one does.
fn opaque_end(chars: &[char], at: usize) -> Option<usize> {
    match (chars[at], chars.get(at + 1)) {
        ('/', Some('/')) => Some(find(chars, at, &['\n'])),
        ('/', Some('*')) => Some(block_comment_end(chars, at)),
        ('"', _) => Some(quoted_end(chars, at)),
        ('\'', _) => character_end(chars, at),
        ('r', Some('"' | '#')) => raw_string_end(chars, at),
        _ => None,
    }
}

/// The index of the first `pattern` at or after `from`, or the length.
fn find(chars: &[char], from: usize, pattern: &[char]) -> usize {
    let tail = &chars[from.min(chars.len())..];
    tail.windows(pattern.len())
        .position(|window| window == pattern)
        .map_or(chars.len(), |i| from + i)
}

/// Block comments nest.
fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], start: usize) -> usize {
    let quote = chars[start];
    let mut at = start + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// A quote that does not close after one character or one escape begins a lifetime.
fn character_end(chars: &[char], start: usize) -> Option<usize> {
    let is_character = chars.get(start + 1) == Some(&'\\') || chars.get(start + 2) == Some(&'\'');
    is_character.then(|| quoted_end(chars, start))
}

/// An `r` inside a word, or before a raw identifier, does not begin a raw string.
fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let before = chars[..start].iter().rev().find(|&&c| c != 'b' && c != 'c');
    if before.is_some_and(|&c| is_word(c)) {
        return None;
    }
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    let open = start + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let mut close = vec!['"'];
    close.resize(1 + hashes, '#');
    Some(find(chars, open + 1, &close) + close.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_words(text: &str) -> Vec<String> {
        words(&code_only(text)).map(str::to_owned).collect()
    }

    #[test]
    fn comments_are_blanked() {
        assert_eq!(code_words("a // b\nc"), ["a", "c"]);
        assert_eq!(code_words("a /* b /* c */ d */ e"), ["a", "e"]);
        assert_eq!(code_words("//! a\n/// b\nc"), ["c"]);
    }

    #[test]
    fn literals_are_blanked() {
        assert_eq!(code_words(r#"a "b \" c" d"#), ["a", "d"]);
        assert_eq!(code_words("a r#\"b \" c\"# d"), ["a", "d"]);
        assert_eq!(code_words("a br\"b\\\" c"), ["a", "b", "c"]);
        assert_eq!(code_words(r"a '\'' b '\u{41}' c 'd' e"), ["a", "b", "c", "e"]);
    }

    #[test]
    fn lifetimes_raw_identifiers_and_words_are_code() {
        assert_eq!(code_words("fn f<'a>(b: &'a str)"), ["fn", "f", "a", "b", "a", "str"]);
        assert_eq!(code_words("r#type for\"x\" y"), ["r", "type", "for", "y"]);
    }

    #[test]
    fn blanking_keeps_lines_and_survives_open_literals() {
        let text = "a\n/* b\nc */ d\n\"e\nf\" g\n";
        assert_eq!(code_only(text).matches('\n').count(), text.matches('\n').count());
        for open in ["\"a", "/* a", "r#\"a", "'\\", "// a", "\"\\"] {
            assert_eq!(code_words(open), Vec::<String>::new(), "{open}");
        }
    }

    #[test]
    fn binary_files_images_and_data_have_no_text() {
        for (path, bytes) in [("a.npy", &b"a\0b"[..]), ("a.svg", b"a"), ("data/a.txt", b"a")] {
            assert_eq!(SourceFile::new(path, bytes).text, "", "{path}");
        }
        for path in ["a.md", "data/README.md", "src/data/mod.rs", "data.txt"] {
            assert_eq!(SourceFile::new(path, b"a").text, "a", "{path}");
        }
    }

    #[test]
    fn a_violation_says_where_what_and_what_to_do() {
        let file = SourceFile::new("a/b.rs", b"");
        assert_eq!(
            file.violation(3, "a knot", "untie it").to_string(),
            "a/b.rs:3: a knot: untie it"
        );
    }
}
