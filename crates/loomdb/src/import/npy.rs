//! Arrays as `numpy.save` writes them: two axes, rows together.

use std::fs::File;
use std::path::Path;

use loomdb_graph::{MAX_DIM, Vectors};

use super::rows::{PIECE_BYTES, Rows};
use super::values::Number;
use super::{Source, open_file, read_exact};
use crate::storage::npy::{self, Header, PREFIX_BYTES};
use crate::{Error, Result};

pub(super) fn read(source: &Source<'_>) -> Result<Vectors> {
    let mut array = Array::open(source.path)?;
    let number = number(&array.dtype)?;
    let row_bytes = array.check_len(number.len_bytes())?;
    let wanted = source.wanted(array.rows);
    let mut rows = Rows::new(source, array.columns, wanted, array.len_bytes)?;
    let rows_per_piece = (PIECE_BYTES / row_bytes).max(1);
    let (mut bytes, mut values) = (Vec::new(), Vec::new());
    while rows.len() < wanted {
        let count = rows_per_piece.min(wanted - rows.len());
        bytes.resize(count * row_bytes, 0);
        array.read_next(&mut bytes)?;
        values.clear();
        number.decode(&bytes, &mut values);
        rows.push(&values)?;
        rows.pass_on()?;
    }
    rows.finish()
}

fn number(dtype: &str) -> Result<Number> {
    match dtype {
        "<f2" => Ok(Number::F16),
        "<f4" => Ok(Number::F32),
        "<f8" => Ok(Number::F64),
        "|u1" => Ok(Number::U8),
        "|i1" => Ok(Number::I8),
        _ => {
            let what = format!("values of type {dtype:?} cannot be imported as vectors");
            Err(Error::invalid(what).advise("convert them first: array.astype(\"float32\")"))
        }
    }
}

/// An array of two axes whose header was read.
pub(super) struct Array {
    file: File,
    len_bytes: u64,
    /// Where the next value is read.
    offset: u64,
    pub dtype: String,
    pub rows: usize,
    pub columns: usize,
}

impl Array {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (mut file, len_bytes) = open_file(path)?;
        let (header, offset) = read_header(&mut file, len_bytes)?;
        let &[rows, columns] = header.shape.as_slice() else {
            let what = format!("the array has {} axes instead of 2", header.shape.len());
            return Err(Error::invalid(what).advise("vectors are the rows: array.reshape(-1, dim)"));
        };
        if header.fortran_order {
            let advice = "save it in C order: numpy.ascontiguousarray(array)";
            return Err(Error::invalid("the array is in Fortran order").advise(advice));
        }
        let too_large = |_| Error::corrupted(format!("the array claims {rows} x {columns} values"));
        let (rows, columns) =
            (rows.try_into().map_err(too_large)?, columns.try_into().map_err(too_large)?);
        Ok(Self { file, len_bytes, offset, dtype: header.dtype, rows, columns })
    }

    /// The bytes of a row of values of `len` bytes, if the file holds all rows and nothing more.
    pub(super) fn check_len(&self, len: usize) -> Result<usize> {
        let (rows, columns) = (self.rows, self.columns);
        if !(1..=MAX_DIM).contains(&columns) {
            return Err(loomdb_graph::Error::DimOutOfRange { dim: columns }.into());
        }
        let data_len = (rows as u64).checked_mul((columns * len) as u64);
        let expected = data_len.and_then(|data_len| data_len.checked_add(self.offset));
        if expected == Some(self.len_bytes) {
            return Ok(columns * len);
        }
        let found = self.len_bytes;
        let state =
            if expected < Some(found) && expected.is_some() { "too long" } else { "cut off" };
        let promised = format!("the header promises {rows} x {columns} values");
        let what = format!("the file is {state}: {promised}, but it ends at byte {found}");
        Err(Error::corrupted(what))
    }

    /// Reads the bytes behind those that were read.
    pub(super) fn read_next(&mut self, bytes: &mut [u8]) -> Result<()> {
        read_exact(&mut self.file, bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

/// The header, and where the data begin.
fn read_header(file: &mut File, len_bytes: u64) -> Result<(Header, u64)> {
    let mut prefix = [0; PREFIX_BYTES];
    read_exact(file, &mut prefix, 0)?;
    let header_len = npy::header_len(&prefix)
        .ok_or_else(|| Error::invalid("this is no .npy file of version 1, 2 or 3"))?;
    if header_len as u64 > len_bytes {
        return Err(Error::corrupted("the file is cut off within its header"));
    }
    let mut header = vec![0; header_len];
    let (first, rest) = header.split_at_mut(PREFIX_BYTES);
    first.copy_from_slice(&prefix);
    read_exact(file, rest, PREFIX_BYTES as u64)?;
    let decoded = npy::decode(&header).ok_or_else(|| {
        let advice = "an array of one type of numbers is expected, without fields";
        Error::invalid("the header cannot be understood").advise(advice)
    })?;
    Ok((decoded, header_len as u64))
}
