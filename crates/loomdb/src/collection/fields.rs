//! The types of metadata fields, and how tables of other types and older shapes become these.
//!
//! There are six types. A field keeps its type once it has a value; only integers widen to floats,
//! and only where no digit is lost. Rows that were written before a field came up have null in it.

use std::collections::HashSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::nested::{flattened, given_twice};
use crate::limits::MAX_NAME_BYTES;
use crate::storage::manifest::FieldRecord;
use crate::{Error, Result};

/// The column of the ids.
pub(super) const ID: &str = "id";

/// Names that a field cannot have, because other columns have them.
const RESERVED: [&str; 2] = [ID, "vector"];

/// The years 0000 to 9999, which have four digits and can be written in RFC 3339.
const MOMENTS: RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;

/// The largest integer up to which every integer is a float.
const MAX_EXACT: i64 = 1 << 53;

/// What the values of a metadata field are; any of them may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// True or false.
    Bool,
    /// A signed integer of 64 bits.
    Integer,
    /// A finite float of 64 bits.
    Float,
    /// A text.
    Text,
    /// A moment in UTC, in microseconds.
    Timestamp,
    /// A list of texts.
    Texts,
}

impl FieldType {
    const ALL: [Self; 6] =
        [Self::Bool, Self::Integer, Self::Float, Self::Text, Self::Timestamp, Self::Texts];

    /// The name in messages and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Text => "text",
            Self::Timestamp => "timestamp",
            Self::Texts => "list of texts",
        }
    }

    /// The type of the column.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Texts => DataType::new_list(DataType::Utf8, true),
        }
    }

    /// Asked for every field of every batch, so no type is made to be compared with.
    fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Boolean => Some(Self::Bool),
            DataType::Int64 => Some(Self::Integer),
            DataType::Float64 => Some(Self::Float),
            DataType::Utf8 => Some(Self::Text),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
                Some(Self::Timestamp)
            }
            DataType::List(item) if item.data_type() == &DataType::Utf8 => Some(Self::Texts),
            _ => None,
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The metadata fields of a collection, in the order in which they came up.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields(Vec<(String, FieldType)>);

impl Fields {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, FieldType)> {
        self.0.iter().map(|(name, field_type)| (name.as_str(), *field_type))
    }

    fn type_of(&self, name: &str) -> Option<FieldType> {
        self.iter().find(|(own, _)| *own == name).map(|(_, field_type)| field_type)
    }

    /// The fields of the columns of a table behind its ids.
    fn of(table: &RecordBatch) -> Result<Self> {
        let schema = table.schema();
        let fields = schema.fields().iter().filter(|field| field.name() != ID);
        let fields = fields.map(|field| match FieldType::of(field.data_type()) {
            Some(field_type) => Ok((field.name().clone(), field_type)),
            None => Err(unknown_type(field.name(), field.data_type())),
        });
        Ok(Self(fields.collect::<Result<_>>()?))
    }

    /// Whether a table has none but these fields, in these types.
    pub(super) fn cover(&self, table: &RecordBatch) -> bool {
        let mut fields = table.schema_ref().fields().iter().filter(|field| field.name() != ID);
        fields.all(|field| {
            let own = self.type_of(field.name());
            own.is_some() && own == FieldType::of(field.data_type())
        })
    }

    /// These fields and those of a table; a field that widens is widened.
    pub(super) fn merged(&self, table: &RecordBatch) -> Result<Self> {
        let mut merged = self.clone();
        for (name, given) in Self::of(table)?.0 {
            match merged.0.iter_mut().find(|(own, _)| *own == name) {
                None => merged.0.push((name, given)),
                Some((_, own)) if *own == given => {}
                Some((_, own @ FieldType::Integer)) if given == FieldType::Float => *own = given,
                Some((_, FieldType::Float)) if given == FieldType::Integer => {}
                Some((_, own)) => {
                    let what = format!("the field {name:?} holds {own}, and this is {given}");
                    let advice = "give the values the type of the field, or use another field";
                    return Err(Error::invalid(what).advise(advice));
                }
            }
        }
        Ok(merged)
    }

    /// The schema of tables with ids of a type and these fields.
    pub(super) fn schema(&self, id_type: DataType) -> SchemaRef {
        let id = Field::new(ID, id_type, false);
        let fields = self.iter().map(|(name, field)| Field::new(name, field.data_type(), true));
        Arc::new(Schema::new([id].into_iter().chain(fields).collect::<Vec<_>>()))
    }

    /// The schema of the metadata alone.
    pub(super) fn metadata_schema(&self) -> SchemaRef {
        let fields = self.iter().map(|(name, field)| Field::new(name, field.data_type(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    pub(super) fn to_records(&self) -> Vec<FieldRecord> {
        let record = |(name, field_type): (&str, FieldType)| FieldRecord {
            name: name.to_owned(),
            data_type: field_type.name().to_owned(),
        };
        self.iter().map(record).collect()
    }

    pub(super) fn from_records(records: &[FieldRecord]) -> Result<Self> {
        let field = |record: &FieldRecord| {
            let found = FieldType::ALL.into_iter().find(|known| known.name() == record.data_type);
            let found = found.ok_or_else(|| {
                Error::corrupted(format!("the type of the field {:?} is unknown", record.name))
            })?;
            Ok((record.name.clone(), found))
        };
        Ok(Self(records.iter().map(field).collect::<Result<_>>()?))
    }

    /// Whether a table of `older` fields holds integers that the wider type cannot hold.
    pub(super) fn check_widened(&self, older: &Self, tables: &[&RecordBatch]) -> Result<()> {
        let widened = older.iter().filter(|(name, field_type)| {
            *field_type == FieldType::Integer && self.type_of(name) == Some(FieldType::Float)
        });
        for (name, _) in widened {
            for column in tables.iter().filter_map(|table| table.column_by_name(name)) {
                widen(name, column)?;
            }
        }
        Ok(())
    }
}

/// A table in another shape: its columns in the order of `schema`, nulls where it has none.
pub(super) fn project(table: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if table.schema_ref() == schema {
        return Ok(table.clone());
    }
    let column = |field: &Arc<Field>| match table.column_by_name(field.name()) {
        None => Ok(arrow_array::new_null_array(field.data_type(), table.num_rows())),
        Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
        Some(column) => widen(field.name(), column),
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(table.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::invalid("the columns do not fit together").caused_by(error))
}

fn widen(name: &str, column: &ArrayRef) -> Result<ArrayRef> {
    let Some(integers) = column.as_primitive_opt::<Int64Type>() else {
        return Ok(Arc::clone(column));
    };
    let inexact = integers.iter().flatten().find(|value| value.unsigned_abs() > MAX_EXACT as u64);
    if let Some(value) = inexact {
        let what = format!("the field {name:?} holds floats, and {value} is not exact as one");
        return Err(Error::invalid(what).advise("use a text or another field"));
    }
    let floats: Float64Array = integers.unary(|value| value as f64);
    Ok(Arc::new(floats))
}

/// A table of metadata with columns of the six types only; structs become columns for each of
/// their fields, and columns without a type are left out.
pub(crate) fn normalized(table: &RecordBatch) -> Result<RecordBatch> {
    let table = flattened(table)?;
    let mut names = HashSet::new();
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in table.schema().fields().iter().zip(table.columns()) {
        check_name(field.name())?;
        if !names.insert(field.name().clone()) {
            return Err(given_twice(field.name()));
        }
        if column.data_type() == &DataType::Null {
            continue;
        }
        let column = normalized_column(field.name(), column)?;
        fields.push(Field::new(field.name(), column.data_type().clone(), true));
        columns.push(column);
    }
    let schema = Arc::new(Schema::new(fields));
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(table.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|error| Error::invalid("the metadata contradict each other").caused_by(error))
}

/// Tables of one shape as one.
pub(crate) fn joined(schema: &SchemaRef, tables: &[RecordBatch]) -> Result<RecordBatch> {
    let joined = arrow_select::concat::concat_batches(schema, tables);
    joined.map_err(|error| Error::invalid("the metadata cannot be joined").caused_by(error))
}

/// Two tables of metadata, one behind the other; a column that only one of them has is null in
/// the rows of the other.
pub(crate) fn joined_by_name(upper: &RecordBatch, lower: &RecordBatch) -> Result<RecordBatch> {
    let schema = Fields::of(upper)?.merged(lower)?.metadata_schema();
    joined(&schema, &[project(upper, &schema)?, project(lower, &schema)?])
}

/// Whether a column of this type can be a metadata field, if its values allow it.
pub(crate) fn can_be_field(data_type: &DataType) -> bool {
    use DataType as Type;
    let is_text = |item: &DataType| match item {
        Type::Dictionary(_, values) => values.is_string(),
        item => item.is_string(),
    };
    match data_type {
        Type::Boolean | Type::Null | Type::Timestamp(..) | Type::Date32 | Type::Date64 => true,
        Type::List(item) | Type::LargeList(item) => is_text(item.data_type()),
        Type::Dictionary(_, values) => can_be_field(values),
        other => other.is_integer() || other.is_floating() || other.is_string(),
    }
}

/// Whether a metadata field can have this name.
pub(crate) fn can_be_field_name(name: &str) -> bool {
    check_name(name).is_ok()
}

fn check_name(name: &str) -> Result<()> {
    if RESERVED.contains(&name) {
        let what = format!("{name:?} cannot be the name of a metadata field");
        return Err(Error::invalid(what).advise("rename the field"));
    }
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.starts_with('$') {
        let what = format!("{name:?} cannot be the name of a metadata field");
        let advice = format!("names have 1 to {MAX_NAME_BYTES} bytes and do not begin with $");
        return Err(Error::invalid(what).advise(advice));
    }
    Ok(())
}

fn normalized_column(name: &str, column: &ArrayRef) -> Result<ArrayRef> {
    use DataType as Type;
    Ok(match column.data_type() {
        Type::Boolean | Type::Int64 | Type::Utf8 => Arc::clone(column),
        Type::Int8 => integers::<Int8Type>(column),
        Type::Int16 => integers::<Int16Type>(column),
        Type::Int32 => integers::<Int32Type>(column),
        Type::UInt8 => integers::<UInt8Type>(column),
        Type::UInt16 => integers::<UInt16Type>(column),
        Type::UInt32 => integers::<UInt32Type>(column),
        Type::UInt64 => large_integers(name, column)?,
        Type::Float16 => {
            floats(name, column.as_primitive::<Float16Type>().unary(half::f16::to_f64))?
        }
        Type::Float32 => floats(name, column.as_primitive::<Float32Type>().unary(f64::from))?,
        Type::Float64 => floats(name, column.as_primitive::<Float64Type>().clone())?,
        Type::LargeUtf8 => Arc::new(StringArray::from_iter(column.as_string::<i64>())),
        Type::Utf8View => Arc::new(StringArray::from_iter(column.as_string_view())),
        Type::Timestamp(unit, _) => moments(name, column, *unit)?,
        Type::Date32 => {
            scaled::<Date32Type>(name, column, |days| days.checked_mul(86_400_000_000))?
        }
        Type::Date64 => scaled::<Date64Type>(name, column, |ms| ms.checked_mul(1_000))?,
        Type::List(_) => texts(name, column.as_list::<i32>().iter())?,
        Type::LargeList(_) => texts(name, column.as_list::<i64>().iter())?,
        Type::Dictionary(_, _) => {
            let dictionary = column.as_any_dictionary();
            let plain = arrow_select::take::take(dictionary.values(), dictionary.keys(), None);
            let plain =
                plain.map_err(|error| Error::invalid("a dictionary is broken").caused_by(error))?;
            normalized_column(name, &plain)?
        }
        other => return Err(unknown_type(name, other)),
    })
}

fn unknown_type(name: &str, data_type: &DataType) -> Error {
    let what = format!("the metadata field {name:?} has the type {data_type}");
    let names = FieldType::ALL.map(FieldType::name).join(", ");
    Error::invalid(what).advise(format!("fields hold one of: {names}"))
}

fn integers<T: ArrowPrimitiveType>(column: &ArrayRef) -> ArrayRef
where
    T::Native: Into<i64>,
{
    let integers: Int64Array = column.as_primitive::<T>().unary(Into::into);
    Arc::new(integers)
}

fn large_integers(name: &str, column: &ArrayRef) -> Result<ArrayRef> {
    let integers =
        column.as_primitive::<UInt64Type>().try_unary::<_, Int64Type, Error>(|value| {
            i64::try_from(value).map_err(|_| {
                Error::invalid(format!("the field {name:?} holds {value}, more than 2^63 - 1"))
            })
        })?;
    Ok(Arc::new(integers))
}

fn floats(name: &str, floats: Float64Array) -> Result<ArrayRef> {
    match floats.iter().flatten().find(|value| !value.is_finite()) {
        None => Ok(Arc::new(floats)),
        Some(value) => {
            let what = format!("the field {name:?} holds {value}");
            Err(Error::invalid(what).advise("floats are finite; use null for none"))
        }
    }
}

fn moments(name: &str, column: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef> {
    match unit {
        TimeUnit::Second => {
            scaled::<TimestampSecondType>(name, column, |s| s.checked_mul(1_000_000))
        }
        TimeUnit::Millisecond => {
            scaled::<TimestampMillisecondType>(name, column, |ms| ms.checked_mul(1_000))
        }
        TimeUnit::Microsecond => scaled::<TimestampMicrosecondType>(name, column, Some),
        TimeUnit::Nanosecond => {
            scaled::<TimestampNanosecondType>(name, column, |ns| Some(ns.div_euclid(1_000)))
        }
    }
}

fn scaled<T: ArrowPrimitiveType>(
    name: &str,
    column: &ArrayRef,
    scale: impl Fn(i64) -> Option<i64>,
) -> Result<ArrayRef>
where
    T::Native: Into<i64>,
{
    let too_far = || {
        let error = Error::invalid(format!("the field {name:?} holds a date out of range"));
        error.advise("dates are of the years 0000 to 9999; use an integer for others")
    };
    let scale = |value| scale(value).filter(|micros| MOMENTS.contains(micros));
    let moments =
        column.as_primitive::<T>().try_unary::<_, TimestampMicrosecondType, Error>(|value| {
            scale(value.into()).ok_or_else(too_far)
        })?;
    Ok(Arc::new(moments.with_timezone("UTC")))
}

fn texts(name: &str, lists: impl Iterator<Item = Option<ArrayRef>>) -> Result<ArrayRef> {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for list in lists {
        let Some(list) = list else {
            builder.append_null();
            continue;
        };
        if list.is_empty() {
            builder.append(true);
            continue;
        }
        let plain = normalized_column(name, &list)?;
        let Some(plain) = plain.as_string_opt::<i32>() else {
            return Err(unknown_type(name, &DataType::new_list(list.data_type().clone(), true)));
        };
        builder.append_value(plain);
    }
    Ok(Arc::new(builder.finish()))
}
