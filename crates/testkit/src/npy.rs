//! Reads the one kind of `.npy` file that the data of the repository uses: a table of 16-bit
//! floats. Anything else is a mistake of the repository, so it panics with the reason.

use std::path::Path;

/// The dimension and the values of a table.
pub(crate) fn read_f16(path: &Path) -> (usize, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse(&bytes).unwrap_or_else(|what| panic!("{}: {what}", path.display()))
}

fn parse(bytes: &[u8]) -> Result<(usize, Vec<f32>), &'static str> {
    let rest = bytes.strip_prefix(b"\x93NUMPY\x01\x00").ok_or("not a .npy file of version 1")?;
    let (len, rest) = rest.split_first_chunk::<2>().ok_or("the header is cut off")?;
    let header_len = usize::from(u16::from_le_bytes(*len));
    let (header, data) = rest.split_at_checked(header_len).ok_or("the header is cut off")?;
    let header = str::from_utf8(header).map_err(|_| "the header is not text")?;
    if !header.contains("'<f2'") || !header.contains("'fortran_order': False") {
        return Err("not rows of 16-bit floats");
    }
    let (rows, dim) = shape(header).ok_or("not a table")?;
    if data.len() != rows * dim * 2 {
        return Err("the data does not fit the shape");
    }
    let halves = data.chunks_exact(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    Ok((dim, halves.map(widen).collect()))
}

/// The two numbers of `'shape': (rows, dim)`.
fn shape(header: &str) -> Option<(usize, usize)> {
    let (_, behind) = header.split_once("'shape': (")?;
    let (inside, _) = behind.split_once(')')?;
    let (rows, dim) = inside.split_once(", ")?;
    Some((rows.parse().ok()?, dim.parse().ok()?))
}

/// A 16-bit float as the same number in 32 bits.
fn widen(half: u16) -> f32 {
    let sign = if half >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(half >> 10 & 0x1F);
    let fraction = f32::from(half & 0x3FF) / 1024.0;
    let size = match exponent {
        0 => fraction * 2.0_f32.powi(-14),
        0x1F if fraction == 0.0 => f32::INFINITY,
        0x1F => f32::NAN,
        _ => (1.0 + fraction) * 2.0_f32.powi(exponent - 15),
    };
    sign * size
}

#[cfg(test)]
mod tests {
    use super::{parse, widen};

    #[test]
    fn halves_are_widened_exactly() {
        let known = [
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65_504.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x0400, 6.103_515_6e-5),
            (0x0000, 0.0),
            (0xFC00, f32::NEG_INFINITY),
        ];
        for (half, value) in known {
            assert_eq!(widen(half).to_bits(), f32::to_bits(value), "{half:#x}");
        }
        assert!(widen(0x7C01).is_nan());
    }

    #[test]
    fn a_table_is_read_and_a_wrong_one_refused() {
        let header = "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 1), }";
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend([0x00, 0x3C, 0x00, 0xC0]);
        assert_eq!(parse(&file), Ok((1, vec![1.0, -2.0])));
        assert!(parse(&file[..file.len() - 1]).is_err());
        assert!(parse(&file[..20]).is_err());
        assert!(parse(b"numbers").is_err());
    }
}
