//! Which points are meant: the filter language over metadata.
//!
//! A filter is a JSON object; every key must hold.
//!
//! | filter | matches a row if |
//! |---|---|
//! | `{}` | always |
//! | `{"year": 2020}` | the field equals the value, as `{"year": {"$eq": 2020}}` |
//! | `{"year": {"$ne": 2020}}` | `$eq` does not match |
//! | `{"year": {"$gte": 2020, "$lt": 2025}}` | all conditions hold: `$gt`, `$gte`, `$lt`, `$lte` |
//! | `{"lang": {"$in": ["en", "de"]}}` | the field equals one of the values; with `[]` never |
//! | `{"lang": {"$nin": ["en", "de"]}}` | `$in` does not match |
//! | `{"lang": {"$exists": true}}` | there is a value; with `false`, there is none |
//! | `{"tags": {"$contains": "new"}}` | the list has this element, or the string this part |
//! | `{"year": {"$not": {"$gt": 2020}}}` | the conditions inside do not all hold |
//! | `{"$and": [{...}, {...}]}` | all filters match; with `[]` always |
//! | `{"$or": [{...}, {...}]}` | some filter matches; with `[]` never |
//! | `{"$not": {...}}` | the filter does not match |
//!
//! # What values mean
//!
//! * **Missing values.** A null in a column and a column that a batch lacks are the same. They
//!   match `null` (alone, under `$eq`, or in the list of `$in`), `$exists: false`, and negations:
//!   `$ne`, `$nin` and `$not` match exactly the rows that the filter without them does not.
//! * **Booleans** equal booleans only, never 0 or 1, and have no order.
//! * **Numbers** are compared exactly, whatever the types of the column and the literal: 2^53 + 1
//!   in a column of integers is not 2^53, `{"$lt": 3.5}` holds for the integer 3, and a number that
//!   a column cannot hold equals nothing in it and lies on its side of all values. A literal with a
//!   point or an exponent, or beyond 64 bits, is the 64-bit float nearest to it. A column of 32-bit
//!   floats holds the numbers that they are: 0.1 is none of them.
//! * **NaN** is a value (`$exists` holds) that no comparison matches; -0 equals 0.
//! * **Strings** are compared byte by byte, which is the order of their Unicode code points;
//!   `$contains` looks for the exact bytes, and every string contains the empty one.
//! * **Timestamps** are compared with RFC 3339 text, which has a date, a time and an offset:
//!   `"2024-05-01T12:00:00Z"`, `"2024-05-01T14:00:00.5+02:00"`. A number is an error, because
//!   seconds, milliseconds and microseconds look alike, and a wrong unit would match nothing
//!   without a word. Columns without a time zone are taken as UTC.
//! * **Lists** match a condition if any element does; several conditions may be met by different
//!   elements. `$ne` and `$nin` hold if no element is equal. Nulls among the elements match
//!   nothing. An empty list is a value, so `$exists` holds.
//! * **Names with dots** are plain names. The importers flatten `{"a": {"b": 1}}` to the field
//!   `a.b`, and `{"a.b": 1}` in a filter means that field. Names that begin with `$` cannot be
//!   written.
//!
//! # Errors
//!
//! Nothing is silently ignored or silently empty. An unknown operator or field is an error that
//! names the nearest one; so is a comparison that can never hold because of its type. The message
//! begins with the place, such as `$and[1].year.$gt`;
//! [`Error::filter_path`](crate::Error::filter_path) returns it. A key that stands twice in one
//! object of the text is refused, and so is a filter beyond the limits
//! ([`MAX_FILTER_DEPTH`](crate::MAX_FILTER_DEPTH) and those beside it).
//!
//! # Use
//!
//! ```
//! use loomdb::Filter;
//!
//! # fn main() -> loomdb::Result<()> {
//! let written: Filter = r#"{"$and": [{"lang": "en"}, {"year": {"$gte": 2020}}]}"#.parse()?;
//! let built = Filter::eq("lang", "en").and(Filter::gte("year", 2020));
//! assert_eq!(written, built);
//! assert_eq!(built.to_string(), r#"{"$and":[{"lang":"en"},{"year":{"$gte":2020}}]}"#);
//!
//! let error = r#"{"year": {"$ge": 2020}}"#.parse::<Filter>().unwrap_err();
//! assert!(error.to_string().contains(r#"did you mean "$gte"?"#));
//! # Ok(())
//! # }
//! ```

mod bind;
mod build;
mod evaluate;
mod field_type;
mod index;
mod list;
mod literal;
mod number;
mod parse;
mod path;
mod print;
mod text;
mod tree;
mod values;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::BooleanBuffer;
use arrow_schema::Schema;
use serde::ser::{self, Serialize, Serializer};
use serde_json::Value as Json;

use crate::{Error, Result};
use bind::Bound;
use evaluate::Evaluation;
pub(crate) use index::ColumnIndex;
pub use literal::Literal;
use path::Path;
use tree::{Limit, Node};

/// A condition on the metadata of points; see the [module](self) for its language.
///
/// It is read from JSON or text, or put together: `Filter::eq("lang", "en").and(...)`, and
/// `!filter` for the complement. What breaks a limit when it is put together is reported by
/// [`Filter::bind`] and [`Filter::to_json`].
#[derive(Clone, PartialEq)]
pub struct Filter(std::result::Result<Node, Refusal>);

/// Why a filter that was put together cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Limit(Limit),
    FieldName,
    NotFinite,
}

impl Filter {
    /// Reads a filter from JSON.
    ///
    /// # Errors
    /// If it is no filter, or beyond a limit.
    pub fn from_json(json: &Json) -> Result<Self> {
        parse::parse(json).map(|node| Self(Ok(node)))
    }

    /// The filter as JSON, which is read as the same filter.
    ///
    /// # Errors
    /// If it was put together beyond a limit, or with a number or a name that JSON cannot hold.
    pub fn to_json(&self) -> Result<Json> {
        self.node().map(print::node_to_json)
    }

    /// Finds the fields of the filter in a schema, and checks that every comparison can hold.
    ///
    /// # Errors
    /// If a field is unknown, or compared with a value of another type.
    pub fn bind(&self, schema: &Schema) -> Result<BoundFilter> {
        bind::bind(self.node()?, schema).map(BoundFilter)
    }

    fn node(&self) -> Result<&Node> {
        self.0.as_ref().map_err(|refusal| refusal.error())
    }
}

impl Default for Filter {
    /// Every row.
    fn default() -> Self {
        Self::all()
    }
}

impl FromStr for Filter {
    type Err = Error;

    /// Reads a filter from JSON text. An object that has a key twice is refused.
    fn from_str(text: &str) -> Result<Self> {
        Self::from_json(&text::read(text)?)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_json() {
            Ok(json) => write!(formatter, "{json}"),
            Err(error) => write!(formatter, "({error})"),
        }
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Filter({self})")
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.to_json().map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl Refusal {
    fn error(self) -> Error {
        match self {
            Self::Limit(limit) => Path::ROOT.limit(limit),
            Self::FieldName => Path::ROOT
                .error("a field name begins with \"$\", as only operators do")
                .advise("rename the field"),
            Self::NotFinite => Path::ROOT
                .error("a field is compared with NaN or an infinity")
                .advise("compare it with a finite number"),
        }
    }
}

/// A filter whose fields and types were checked against a schema, ready to be evaluated.
#[derive(Clone, Debug)]
pub struct BoundFilter(Bound);

impl BoundFilter {
    /// One bit for each row of the batch: whether it matches.
    ///
    /// A field that the batch lacks is missing in all its rows. Columns may be narrower than those
    /// of the schema, and integers where it has floats.
    ///
    /// # Errors
    /// If a column is of another kind than the field of the schema.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanBuffer> {
        self.evaluate_with(batch, &|_| None)
    }

    /// [`Self::evaluate`] with indexes of some columns, which give the same bits sooner.
    pub(crate) fn evaluate_with(
        &self,
        batch: &RecordBatch,
        index_of: &dyn Fn(&str) -> Option<Arc<ColumnIndex>>,
    ) -> Result<BooleanBuffer> {
        Evaluation { batch, index_of }.of(&self.0)
    }
}
