//! Rows of vectors from NumPy files, as DiskANN takes them: f32, one after the other.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, bail};
use diskann_utils::views::rowmajor::{self, MatrixMut};
use half::f16;
use npyz::{DType, Deserialize, NpyFile, Order, TypeChar};

pub type Rows = rowmajor::Owned<f32>;

/// An array on its way into memory.
type Array = NpyFile<BufReader<File>>;

/// The first `limit` rows of a file, or all of them.
///
/// # Errors
/// When the file cannot be read, or is no matrix of bytes or floats.
pub fn read(path: &Path, limit: Option<usize>) -> Result<Rows> {
    let (array, rows, dim) = open(path)?;
    let rows = limit.map_or(rows, |limit| rows.min(limit));
    let values =
        values(array, rows * dim).with_context(|| format!("reading {}", path.display()))?;
    Ok(Rows::try_from_data(values.into(), rows, dim)?)
}

/// The numbers of the rows nearest to each query.
///
/// # Errors
/// When the file cannot be read, or is no matrix of 32-bit integers.
pub fn read_truth(path: &Path) -> Result<Vec<Vec<u32>>> {
    let (array, _, k) = open(path)?;
    let numbers = array.into_vec::<i32>().with_context(|| format!("reading {}", path.display()))?;
    numbers
        .chunks(k)
        .map(|row| Ok(row.iter().copied().map(u32::try_from).collect::<Result<_, _>>()?))
        .collect()
}

/// Scales every row to length 1.
pub fn to_units(rows: &mut Rows) {
    for row in rows.rows_mut() {
        let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        for value in row {
            *value /= length;
        }
    }
}

/// An array of two dimensions, and its rows and columns.
fn open(path: &Path) -> Result<(Array, usize, usize)> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let array = NpyFile::new(BufReader::new(file))
        .with_context(|| format!("reading the header of {}", path.display()))?;
    match (array.shape(), array.order()) {
        (&[rows, columns], Order::C) => {
            let (rows, columns) = (usize::try_from(rows)?, usize::try_from(columns)?);
            Ok((array, rows, columns))
        }
        (shape, order) => bail!("{} is no matrix by rows: {shape:?}, {order:?}", path.display()),
    }
}

/// The first `count` values, whatever their type.
fn values(array: Array, count: usize) -> Result<Vec<f32>> {
    let DType::Plain(kind) = array.dtype() else { bail!("its rows have fields") };
    match (kind.type_char(), kind.size_field()) {
        (TypeChar::Uint, 1) => converted::<u8>(array, count),
        (TypeChar::Float, 2) => converted::<f16>(array, count),
        (TypeChar::Float, 4) => converted::<f32>(array, count),
        _ => bail!("its type {kind} is none of u1, f2 and f4"),
    }
}

/// Allocates once: a vector that grows would show in the memory peak.
fn converted<T: Deserialize + Into<f32>>(array: Array, count: usize) -> Result<Vec<f32>> {
    let mut values = Vec::with_capacity(count);
    for value in array.data::<T>()?.take(count) {
        values.push(value?.into());
    }
    Ok(values)
}
