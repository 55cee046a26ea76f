//! Checks of columns of single values, and of the elements of lists.
//!
//! A comparison of numbers is two comparisons with the ends of an interval (see `number`). Arrow
//! compares floats by the total order of IEEE 754, in which NaN lies outside of the infinities; an
//! interval ends at them, so NaN never matches.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayAccessor, ArrowNativeTypeOp, ArrowPrimitiveType, BooleanArray, Datum,
    LargeStringArray, PrimitiveArray, StringArray, StringViewArray,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType, TimeUnit};

use super::bind::Check;
use super::field_type::unit_ns;
use super::number::{Floor, Span};
use super::tree::Compare;

type Bits = Result<BooleanBuffer, ArrowError>;

/// Where there is a value.
pub(super) fn present(array: &dyn Array) -> BooleanBuffer {
    known(BooleanBuffer::new_set(array.len()), array.nulls())
}

/// Where there is a value and the bit is set.
pub(super) fn known(bits: BooleanBuffer, nulls: Option<&NullBuffer>) -> BooleanBuffer {
    match nulls {
        Some(nulls) => &bits & nulls.inner(),
        None => bits,
    }
}

/// Where there is a value for which the check holds.
pub(super) fn matching(array: &dyn Array, check: &Check) -> Bits {
    match check {
        Check::Present => Ok(present(array)),
        Check::Boolean(wanted) => booleans(array, *wanted),
        Check::Number(compare, number) => match array.data_type() {
            DataType::Float64 => float64(array, number.floor_f64().span(*compare)),
            DataType::Float32 => float32(array, number.floor_f32().span(*compare)),
            _ => integers(array, &Wanted::Span(number.floor().span(*compare))),
        },
        Check::AmongNumbers { integers: wanted, floats } => match array.data_type() {
            DataType::Float64 | DataType::Float32 => floats_among(array, floats),
            _ => integers(array, &Wanted::Among(Cow::Borrowed(wanted))),
        },
        Check::Instant(compare, instant) => timestamps(array, |unit| {
            let is_exact = instant.rem_euclid(unit) == 0;
            let floor = Floor { value: instant.div_euclid(unit), is_exact };
            Wanted::Span(floor.span(*compare))
        }),
        Check::AmongInstants(instants) => timestamps(array, |unit| {
            let exact = instants.iter().filter(|instant| *instant % unit == 0);
            Wanted::Among(exact.map(|instant| instant / unit).collect())
        }),
        Check::Text(compare, text) => compared_texts(array, *compare, text),
        Check::Part(part) => texts(array, |text| text.contains(part.as_str())),
        Check::AmongTexts(wanted) => texts(array, |text| wanted.contains(text)),
    }
}

pub(super) fn unsupported(array: &dyn Array) -> ArrowError {
    ArrowError::NotYetImplemented(format!("a filter on {}", array.data_type()))
}

fn booleans(array: &dyn Array, wanted: bool) -> Bits {
    let values = array.as_boolean_opt().ok_or_else(|| unsupported(array))?;
    let bits = if wanted { values.values().clone() } else { !values.values() };
    Ok(known(bits, values.nulls()))
}

/// The integers for which a check holds.
enum Wanted<'a> {
    Span(Span<i128>),
    /// In ascending order.
    Among(Cow<'a, [i128]>),
}

fn integers(array: &dyn Array, wanted: &Wanted<'_>) -> Bits {
    match array.data_type() {
        DataType::Int8 => wanted.find::<Int8Type>(array),
        DataType::Int16 => wanted.find::<Int16Type>(array),
        DataType::Int32 => wanted.find::<Int32Type>(array),
        DataType::Int64 => wanted.find::<Int64Type>(array),
        DataType::UInt8 => wanted.find::<UInt8Type>(array),
        DataType::UInt16 => wanted.find::<UInt16Type>(array),
        DataType::UInt32 => wanted.find::<UInt32Type>(array),
        DataType::UInt64 => wanted.find::<UInt64Type>(array),
        _ => Err(unsupported(array)),
    }
}

impl Wanted<'_> {
    fn find<T: ArrowPrimitiveType>(&self, array: &dyn Array) -> Bits
    where
        T::Native: Into<i128> + TryFrom<i128>,
    {
        let array = array.as_primitive_opt::<T>().ok_or_else(|| unsupported(array))?;
        match self {
            Self::Span(span) => {
                let low = span.low.max(T::Native::MIN_TOTAL_ORDER.into());
                let high = span.high.min(T::Native::MAX_TOTAL_ORDER.into());
                match (T::Native::try_from(low), T::Native::try_from(high)) {
                    (Ok(low), Ok(high)) => within(array, Span { low, high }),
                    // An interval beyond the values of the type.
                    _ => Ok(BooleanBuffer::new_unset(array.len())),
                }
            }
            Self::Among(wanted) => {
                Ok(among(array, |value| wanted.binary_search(&value.into()).is_ok()))
            }
        }
    }
}

/// Timestamps are integers in the unit of their column, in UTC whatever zone it is shown in.
fn timestamps<'a>(array: &dyn Array, wanted: impl Fn(i128) -> Wanted<'a>) -> Bits {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return Err(unsupported(array));
    };
    let ticks: &dyn Array = match unit {
        TimeUnit::Second => &reinterpreted::<TimestampSecondType>(array)?,
        TimeUnit::Millisecond => &reinterpreted::<TimestampMillisecondType>(array)?,
        TimeUnit::Microsecond => &reinterpreted::<TimestampMicrosecondType>(array)?,
        TimeUnit::Nanosecond => &reinterpreted::<TimestampNanosecondType>(array)?,
    };
    integers(ticks, &wanted(unit_ns(*unit)))
}

fn reinterpreted<T>(array: &dyn Array) -> Result<PrimitiveArray<Int64Type>, ArrowError>
where
    T: ArrowPrimitiveType<Native = i64>,
{
    let array = array.as_primitive_opt::<T>().ok_or_else(|| unsupported(array))?;
    Ok(array.reinterpret_cast())
}

fn float64(array: &dyn Array, span: Span<f64>) -> Bits {
    within(array.as_primitive_opt::<Float64Type>().ok_or_else(|| unsupported(array))?, span)
}

fn float32(array: &dyn Array, span: Span<f32>) -> Bits {
    within(array.as_primitive_opt::<Float32Type>().ok_or_else(|| unsupported(array))?, span)
}

/// `wanted` is in the total order and has no negative zero.
fn floats_among(array: &dyn Array, wanted: &[f64]) -> Bits {
    let has = |value: f64| wanted.binary_search_by(|other| other.total_cmp(&(value + 0.0))).is_ok();
    if let Some(array) = array.as_primitive_opt::<Float64Type>() {
        Ok(among(array, has))
    } else if let Some(array) = array.as_primitive_opt::<Float32Type>() {
        Ok(among(array, |value| has(f64::from(value))))
    } else {
        Err(unsupported(array))
    }
}

fn within<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, span: Span<T::Native>) -> Bits {
    let Span { low, high } = span;
    if low.is_gt(high) {
        return Ok(BooleanBuffer::new_unset(array.len()));
    }
    let low_end = PrimitiveArray::<T>::new_scalar(low);
    if low.is_eq(high) {
        return Ok(without_nulls(&cmp::eq(array, &low_end)?));
    }
    let mut bits = present(array);
    if low.is_gt(T::Native::MIN_TOTAL_ORDER) {
        bits = &bits & cmp::gt_eq(array, &low_end)?.values();
    }
    if high.is_lt(T::Native::MAX_TOTAL_ORDER) {
        let high_end = PrimitiveArray::<T>::new_scalar(high);
        bits = &bits & cmp::lt_eq(array, &high_end)?.values();
    }
    Ok(bits)
}

fn among<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    has: impl Fn(T::Native) -> bool,
) -> BooleanBuffer {
    let values = array.values();
    known(BooleanBuffer::collect_bool(values.len(), |row| has(values[row])), array.nulls())
}

fn compared_texts(array: &dyn Array, compare: Compare, text: &str) -> Bits {
    let scalar: &dyn Datum = match array.data_type() {
        DataType::Utf8 => &StringArray::new_scalar(text),
        DataType::LargeUtf8 => &LargeStringArray::new_scalar(text),
        DataType::Utf8View => &StringViewArray::new_scalar(text),
        _ => return Err(unsupported(array)),
    };
    let kernel = match compare {
        // A complement is taken by the caller.
        Compare::Eq | Compare::Ne => cmp::eq,
        Compare::Gt => cmp::gt,
        Compare::Gte => cmp::gt_eq,
        Compare::Lt => cmp::lt,
        Compare::Lte => cmp::lt_eq,
    };
    Ok(without_nulls(&kernel(&array, scalar)?))
}

fn texts(array: &dyn Array, holds: impl Fn(&str) -> bool) -> Bits {
    if let Some(array) = array.as_string_opt::<i32>() {
        Ok(each_text(&array, holds))
    } else if let Some(array) = array.as_string_opt::<i64>() {
        Ok(each_text(&array, holds))
    } else if let Some(array) = array.as_string_view_opt() {
        Ok(each_text(&array, holds))
    } else {
        Err(unsupported(array))
    }
}

fn each_text<'a>(
    array: &impl ArrayAccessor<Item = &'a str>,
    holds: impl Fn(&str) -> bool,
) -> BooleanBuffer {
    let bits = BooleanBuffer::collect_bool(array.len(), |row| holds(array.value(row)));
    known(bits, array.nulls())
}

fn without_nulls(result: &BooleanArray) -> BooleanBuffer {
    known(result.values().clone(), result.nulls())
}
