//! Points as people read them, and ids as they type them.

use anyhow::Result;
use loomdb::{Collection, ErrorKind, Id, Ids, Metadata, Point};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Refusal;

/// A point as programs read it.
#[derive(Serialize)]
pub struct Record {
    pub id: Id,
    pub metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f32>>,
}

impl Record {
    pub fn new(point: Point, with_vector: bool) -> Self {
        let Point { id, vector, metadata } = point;
        Self { id, metadata, vector: with_vector.then_some(vector) }
    }
}

/// Words of a command line as ids of the type that the collection has.
///
/// # Errors
/// When the ids of the collection are integers, and a word is none.
pub fn parse_ids(words: &[String], collection: &Collection) -> Result<Ids> {
    if collection.info().id_type.as_deref() == Some("text") {
        return Ok(Ids::Text(words.to_vec()));
    }
    let number = |word: &String| {
        let refuse = |_| {
            let what = format!(
                "the ids of the collection {:?} are integers, and {word:?} is none",
                collection.name()
            );
            Refusal::of_input(ErrorKind::InvalidInput, what)
        };
        word.trim().parse::<u64>().map_err(refuse)
    };
    Ok(Ids::Integer(words.iter().map(number).collect::<Result<_, _>>()?))
}

/// Metadata on one line: `lang=en year=2020 title="two words"`.
pub fn line(metadata: &Metadata) -> String {
    let field = |(name, value): (&String, &Value)| format!("{name}={}", word(value));
    metadata.iter().map(field).collect::<Vec<_>>().join(" ")
}

/// A value, in quotes only where it would be unclear without.
pub fn word(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let is_plain = |letter: char| !letter.is_whitespace() && !letter.is_control();
            let is_word = !text.is_empty() && text.chars().all(is_plain) && !text.contains('"');
            if is_word { text.clone() } else { value.to_string() }
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn metadata_fit_on_a_line() {
        let metadata = serde_json::json!({"lang": "en", "title": "two\nwords", "tags": ["a"]});
        let line = line(metadata.as_object().unwrap());
        assert_eq!(line, r#"lang=en tags=["a"] title="two\nwords""#);
    }
}
