//! The values that a filter compares fields with.

use serde_json::Value as Json;

use super::number::Number;

/// A value that a field is compared with.
///
/// It is made from booleans, numbers and text, and from [`Option`], where `None` stands for a
/// missing value. Points of time are written as RFC 3339 text, as in JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal(pub(super) Value);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
}

/// The longest piece of someone's text that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 60;

impl Value {
    /// The value that stands in JSON; lists and objects are none.
    pub(super) fn from_json(json: &Json) -> Option<Self> {
        match json {
            Json::Null => Some(Self::Null),
            Json::Bool(value) => Some(Self::Boolean(*value)),
            Json::Number(number) => Number::from_json(number).map(Self::Number),
            Json::String(text) => Some(Self::Text(text.clone())),
            Json::Array(_) | Json::Object(_) => None,
        }
    }

    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Boolean(value) => Json::Bool(*value),
            Self::Number(number) => number.to_json(),
            Self::Text(text) => Json::String(text.clone()),
        }
    }
}

/// A JSON value as a message names it.
pub(super) fn described(json: &Json) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => format!("the boolean {value}"),
        Json::Number(number) => format!("the number {number}"),
        Json::String(text) => format!("the string {}", quoted(text)),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "an object".to_owned(),
    }
}

/// Someone's text in quotes, cut off where it gets long.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    let rest = if shown.len() < text.len() { "..." } else { "" };
    format!("{shown:?}{rest}")
}

macro_rules! from_numbers {
    ($($type:ty => $variant:ident as $wide:ty),+ $(,)?) => {$(
        impl From<$type> for Literal {
            fn from(value: $type) -> Self {
                Self(Value::Number(Number::$variant(<$wide>::from(value))))
            }
        }
    )+};
}

from_numbers! {
    i8 => Integer as i128, i16 => Integer as i128, i32 => Integer as i128, i64 => Integer as i128,
    u8 => Integer as i128, u16 => Integer as i128, u32 => Integer as i128, u64 => Integer as i128,
    f32 => Float as f64, f64 => Float as f64,
}

impl From<bool> for Literal {
    fn from(value: bool) -> Self {
        Self(Value::Boolean(value))
    }
}

impl From<String> for Literal {
    fn from(text: String) -> Self {
        Self(Value::Text(text))
    }
}

impl From<&str> for Literal {
    fn from(text: &str) -> Self {
        Self(Value::Text(text.to_owned()))
    }
}

impl<T: Into<Self>> From<Option<T>> for Literal {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self(Value::Null), Into::into)
    }
}
