//! From text to JSON, more strictly than `serde_json` alone.
//!
//! A key that stands twice in one object would silently lose one of its conditions, so it is
//! refused; and the nesting is counted before anything recurses into it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};

use super::literal::quoted;
use super::path::Path;
use super::tree::Limit;
use crate::limits::{MAX_FILTER_BYTES, MAX_FILTER_DEPTH};
use crate::{Error, Result};

/// A level takes two brackets, as in `{"$and": [`; those of a list of values come on top.
const MAX_BRACKETS: usize = 2 * MAX_FILTER_DEPTH + 2;

/// The JSON of a filter.
pub(super) fn read(text: &str) -> Result<Json> {
    if text.len() > MAX_FILTER_BYTES {
        let what = format!("it has {} bytes, more than {MAX_FILTER_BYTES}", text.len());
        return Err(Path::ROOT.error(what).advise("split it into several filters"));
    }
    if deepest_bracket(text) > MAX_BRACKETS {
        return Err(Path::ROOT.limit(Limit::Depth));
    }
    serde_json::from_str(text).map(|Strict(json)| json).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Error {
    let (what, hint) = if error.is_data() {
        (error.to_string(), "put all conditions of a field into one object, or use \"$and\"")
    } else {
        (
            format!("it is not JSON: {error}"),
            "write {\"field\": value}, with double quotes around names and strings",
        )
    };
    Path::ROOT.error(what).advise(hint)
}

/// How many brackets are open at the deepest place, outside of strings.
fn deepest_bracket(text: &str) -> usize {
    let (mut open, mut deepest, mut in_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// JSON in which no object has a key twice.
struct Strict(Json);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> std::result::Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Json, E> {
        Ok(Json::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> std::result::Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Json, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                let what = format!("the key {} stands twice in one object", quoted(&key));
                return Err(de::Error::custom(what));
            }
            let Strict(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::deepest_bracket;

    #[test]
    fn brackets_in_strings_do_not_count() {
        for (text, depth) in [
            ("", 0),
            ("{}", 1),
            ("[[],{}]", 2),
            (r#"["[[[\"[[", [1]]"#, 2),
            (r#"["\\", [[1]]]"#, 3),
            ("]]]]{", 1),
        ] {
            assert_eq!(deepest_bracket(text), depth, "{text}");
        }
    }
}
