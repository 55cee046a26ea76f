//! What kind of values a column holds, as far as filters tell them apart.

use std::fmt;

use arrow_schema::{DataType, TimeUnit};

/// The kind of a column, or of the elements of a column of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldType {
    pub kind: Kind,
    pub is_list: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Integer,
    Float,
    Text,
    Timestamp,
}

impl FieldType {
    /// The kind of an Arrow type; none if filters cannot read it.
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        let (item, is_list) = match data_type {
            DataType::List(item) | DataType::LargeList(item) => (item.data_type(), true),
            _ => (data_type, false),
        };
        Kind::of(item).map(|kind| Self { kind, is_list })
    }

    /// Whether what was bound to the one can be evaluated on the other: numbers are compared
    /// exactly, whatever their width, so a column of integers can become one of floats.
    pub(super) fn reads_like(self, other: Self) -> bool {
        let is_number = |kind| matches!(kind, Kind::Integer | Kind::Float);
        let same_kind = self.kind == other.kind || (is_number(self.kind) && is_number(other.kind));
        same_kind && self.is_list == other.is_list
    }
}

impl Kind {
    fn of(data_type: &DataType) -> Option<Self> {
        use DataType::{
            Boolean, Float32, Float64, Int8, Int16, Int32, Int64, LargeUtf8, Timestamp, UInt8,
            UInt16, UInt32, UInt64, Utf8, Utf8View,
        };
        match data_type {
            Boolean => Some(Self::Boolean),
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => Some(Self::Integer),
            Float32 | Float64 => Some(Self::Float),
            Utf8 | LargeUtf8 | Utf8View => Some(Self::Text),
            Timestamp(_, _) => Some(Self::Timestamp),
            _ => None,
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match (self.kind, self.is_list) {
            (Kind::Boolean, false) => "a boolean",
            (Kind::Integer, false) => "an integer",
            (Kind::Float, false) => "a float",
            (Kind::Text, false) => "a string",
            (Kind::Timestamp, false) => "a timestamp",
            (Kind::Boolean, true) => "a list of booleans",
            (Kind::Integer, true) => "a list of integers",
            (Kind::Float, true) => "a list of floats",
            (Kind::Text, true) => "a list of strings",
            (Kind::Timestamp, true) => "a list of timestamps",
        })
    }
}

/// How many nanoseconds a unit of a column of timestamps has.
pub(super) fn unit_ns(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}
