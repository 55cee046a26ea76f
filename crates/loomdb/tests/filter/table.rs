//! Small tables, written row by row or column by column.

use std::sync::Arc;

use arrow_array::builder::{GenericListBuilder, Int64Builder, StringBuilder};
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt16Type, UInt64Type,
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, LargeStringArray, OffsetSizeTrait, PrimitiveArray,
    RecordBatch, StringArray, StringViewArray,
};
use arrow_schema::{Field, Schema};
use loomdb::Filter;

/// The value of one field in one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    /// Ticks since 1970, and how many nanoseconds a tick has.
    Time(i64, i128),
    List(Vec<Cell>),
}

/// The Arrow type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Boolean,
    Int8,
    Int32,
    Int64,
    UInt16,
    UInt64,
    Float32,
    Float64,
    Text,
    LargeText,
    TextView,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    Texts,
    LargeTexts,
    Integers,
}

/// A batch of named columns.
pub fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// The rows that a filter matches, bound to the schema of the batch.
pub fn matching(filter: &str, batch: &RecordBatch) -> Vec<usize> {
    let filter: Filter = filter.parse().unwrap_or_else(|error| panic!("{filter}: {error}"));
    rows(&filter, batch)
}

/// The rows that a filter matches, bound to the schema of the batch.
pub fn rows(filter: &Filter, batch: &RecordBatch) -> Vec<usize> {
    let bound = filter.bind(batch.schema_ref()).unwrap_or_else(|error| panic!("{error}"));
    let bits = bound.evaluate(batch).unwrap();
    assert_eq!(bits.len(), batch.num_rows());
    bits.set_indices().collect()
}

/// A column of cells; cells of another kind are null.
pub fn array(column: Column, cells: &[Cell]) -> ArrayRef {
    match column {
        Column::Boolean => Arc::new(cells.iter().map(boolean).collect::<BooleanArray>()),
        Column::Int8 => integers::<Int8Type>(cells),
        Column::Int32 => integers::<Int32Type>(cells),
        Column::Int64 => integers::<Int64Type>(cells),
        Column::UInt16 => integers::<UInt16Type>(cells),
        Column::UInt64 => integers::<UInt64Type>(cells),
        Column::Float32 => {
            let values = cells.iter().map(|cell| float(cell).map(|value| value as f32));
            Arc::new(values.collect::<PrimitiveArray<Float32Type>>())
        }
        Column::Float64 => {
            Arc::new(cells.iter().map(float).collect::<PrimitiveArray<Float64Type>>())
        }
        Column::Text => Arc::new(cells.iter().map(text).collect::<StringArray>()),
        Column::LargeText => Arc::new(cells.iter().map(text).collect::<LargeStringArray>()),
        Column::TextView => Arc::new(cells.iter().map(text).collect::<StringViewArray>()),
        Column::Second => ticks::<TimestampSecondType>(cells),
        Column::Millisecond => ticks::<TimestampMillisecondType>(cells),
        Column::Microsecond => {
            let values =
                cells.iter().map(tick).collect::<PrimitiveArray<TimestampMicrosecondType>>();
            Arc::new(values.with_timezone("UTC"))
        }
        Column::Nanosecond => ticks::<TimestampNanosecondType>(cells),
        Column::Texts => text_lists::<i32>(cells),
        Column::LargeTexts => text_lists::<i64>(cells),
        Column::Integers => integer_lists(cells),
    }
}

fn integers<T: ArrowPrimitiveType>(cells: &[Cell]) -> ArrayRef
where
    T::Native: TryFrom<i128>,
{
    let values = cells.iter().map(|cell| match cell {
        Cell::Integer(value) => T::Native::try_from(*value).ok(),
        _ => None,
    });
    Arc::new(values.collect::<PrimitiveArray<T>>())
}

fn ticks<T: ArrowPrimitiveType<Native = i64>>(cells: &[Cell]) -> ArrayRef {
    Arc::new(cells.iter().map(tick).collect::<PrimitiveArray<T>>())
}

fn text_lists<O: OffsetSizeTrait>(cells: &[Cell]) -> ArrayRef {
    let mut builder = GenericListBuilder::<O, _>::new(StringBuilder::new());
    for cell in cells {
        let Cell::List(elements) = cell else {
            // Behind a null there may be elements; they must not be seen.
            builder.values().append_value("en");
            builder.append(false);
            continue;
        };
        for element in elements {
            builder.values().append_option(text(element));
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}

fn integer_lists(cells: &[Cell]) -> ArrayRef {
    let mut builder = GenericListBuilder::<i32, _>::new(Int64Builder::new());
    for cell in cells {
        let Cell::List(elements) = cell else {
            builder.append(false);
            continue;
        };
        for element in elements {
            builder.values().append_option(match element {
                Cell::Integer(value) => i64::try_from(*value).ok(),
                _ => None,
            });
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}

fn boolean(cell: &Cell) -> Option<bool> {
    if let Cell::Boolean(value) = cell { Some(*value) } else { None }
}

fn float(cell: &Cell) -> Option<f64> {
    if let Cell::Float(value) = cell { Some(*value) } else { None }
}

fn text(cell: &Cell) -> Option<&str> {
    if let Cell::Text(text) = cell { Some(text) } else { None }
}

fn tick(cell: &Cell) -> Option<i64> {
    if let Cell::Time(ticks, _) = cell { Some(*ticks) } else { None }
}
