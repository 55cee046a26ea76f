//! Where in a filter something stands, such as `$and[1].year.$gt`.

use std::borrow::Cow;
use std::fmt;

use super::literal::quoted;
use super::tree::Limit;
use crate::{Error, suggest};

/// A chain of steps from the place back to the whole filter; it costs nothing until it is shown.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

/// Keys longer than this are cut off, and nobody looks for names near to them.
const MAX_NAME_BYTES: usize = 200;

/// So many names are listed when none is near.
const MAX_LISTED_NAMES: usize = 12;

impl<'a> Path<'a> {
    pub(super) const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    pub(super) fn key(&'a self, key: &'a str) -> Self {
        Path { parent: Some(self), step: Step::Key(key) }
    }

    pub(super) fn index(&'a self, index: usize) -> Self {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// What is wrong at this place.
    pub(super) fn error(&self, what: impl Into<Cow<'static, str>>) -> Error {
        Error::filter(self.to_string(), what)
    }

    pub(super) fn limit(&self, limit: Limit) -> Error {
        self.error(limit.message()).advise(limit.advice())
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(formatter)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Index(index) => write!(formatter, "[{index}]"),
            Step::Key(key) => {
                let is_first = self.parent.is_none_or(|parent| matches!(parent.step, Step::Root));
                let dot = if is_first { "" } else { "." };
                let is_plain = key.len() <= MAX_NAME_BYTES && !key.contains(char::is_control);
                let key = if is_plain { Cow::Borrowed(key) } else { Cow::Owned(quoted(key)) };
                write!(formatter, "{dot}{key}")
            }
        }
    }
}

/// `did you mean "year"? the fields are "id", "year"`.
pub(super) fn advice(given: &str, names: &[&str], things: &str) -> String {
    let is_short = given.len() <= MAX_NAME_BYTES;
    let near = if is_short { suggest::nearest(given, names.iter().copied()) } else { None };
    let hint = near.map_or_else(String::new, |name| format!("did you mean {}? ", quoted(name)));
    if names.is_empty() {
        return format!("there are no {things}");
    }
    let listed: Vec<String> =
        names.iter().take(MAX_LISTED_NAMES).map(|name| quoted(name)).collect();
    let more = names.len() - listed.len();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{hint}the {things} are {}{rest}", listed.join(", "))
}
