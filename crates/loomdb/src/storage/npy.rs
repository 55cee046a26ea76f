//! The header of an `.npy` file, written and read.
//!
//! The format is that of NEP 1: a magic, a version, a length, and a Python dictionary in text
//! with the type, the order and the shape, padded so that the data begin on a multiple of 64.

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Where the data begin, at least.
pub(crate) const ALIGNMENT: usize = 64;

/// The bytes that say how long the header is, for every version.
pub(crate) const PREFIX_BYTES: usize = 12;

/// No header in use comes near this; a longer one would only cost memory.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The type of the values, such as `<f4`.
    pub dtype: String,
    /// Whether columns lie together, not rows.
    pub fortran_order: bool,
    /// The length of each axis.
    pub shape: Vec<u64>,
}

/// The header of a file of rows of little-endian `f32`.
pub(crate) fn encode(rows: usize, dim: usize) -> Vec<u8> {
    let fields = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let before_fields = MAGIC.len() + 4;
    let padded = (before_fields + fields.len() + 1).next_multiple_of(ALIGNMENT);
    let fields_len = (padded - before_fields) as u16;
    let mut header = Vec::with_capacity(padded);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&[1, 0]);
    header.extend_from_slice(&fields_len.to_le_bytes());
    header.extend_from_slice(fields.as_bytes());
    header.resize(padded - 1, b' ');
    header.push(b'\n');
    header
}

/// The length of the header, from the first bytes of a file; nothing when this is no such file
/// or one of an unknown version.
pub(crate) fn header_len(prefix: &[u8; PREFIX_BYTES]) -> Option<usize> {
    let [magic @ .., major, _minor, a, b, c, d] = prefix;
    let len = match major {
        _ if magic != MAGIC => return None,
        1 => 10 + usize::from(u16::from_le_bytes([*a, *b])),
        2 | 3 => 12 + u32::from_le_bytes([*a, *b, *c, *d]) as usize,
        _ => return None,
    };
    (PREFIX_BYTES..=MAX_HEADER_BYTES).contains(&len).then_some(len)
}

/// What the whole header says; nothing when it cannot be understood.
pub(crate) fn decode(header: &[u8]) -> Option<Header> {
    let fields_at = if header.get(6)? == &1 { 10 } else { 12 };
    let fields = std::str::from_utf8(header.get(fields_at..)?).ok()?;
    let mut scanner = Scanner { rest: fields };
    let (mut dtype, mut fortran_order, mut shape) = (None, None, None);
    scanner.expect("{")?;
    while scanner.expect("}").is_none() {
        let key = scanner.text()?;
        scanner.expect(":")?;
        match key {
            "descr" => dtype = Some(scanner.text()?.to_owned()),
            "fortran_order" => fortran_order = Some(scanner.boolean()?),
            "shape" => shape = Some(scanner.numbers()?),
            _ => return None,
        }
        if scanner.expect(",").is_none() {
            scanner.expect("}")?;
            break;
        }
    }
    let is_all = scanner.rest.trim().is_empty();
    let header = Header { dtype: dtype?, fortran_order: fortran_order?, shape: shape? };
    is_all.then_some(header)
}

/// Reads the few forms of Python literals that stand in a header.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn expect(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn text(&mut self) -> Option<&'a str> {
        let quote = if self.expect("'").is_some() {
            '\''
        } else {
            self.expect("\"")?;
            '"'
        };
        let (text, rest) = self.rest.split_once(quote)?;
        self.rest = rest;
        Some(text)
    }

    fn boolean(&mut self) -> Option<bool> {
        match (self.expect("True"), self.expect("False")) {
            (Some(()), None) => Some(true),
            (None, Some(())) => Some(false),
            _ => None,
        }
    }

    /// A tuple of numbers; each may end with the `L` of Python 2.
    fn numbers(&mut self) -> Option<Vec<u64>> {
        self.expect("(")?;
        let (items, rest) = self.rest.split_once(')')?;
        self.rest = rest;
        let items = items.trim();
        let items = items.strip_suffix(',').unwrap_or(items);
        if items.is_empty() {
            return Some(Vec::new());
        }
        let number = |item: &str| item.trim().trim_end_matches('L').parse().ok();
        items.split(',').map(number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{ALIGNMENT, Header, decode, encode, header_len};

    fn read(header: &[u8]) -> Option<Header> {
        let len = header_len(header.first_chunk()?)?;
        decode(header.get(..len)?)
    }

    /// A header of version 1 or 2 with these fields.
    fn with_fields(major: u8, fields: &str) -> Vec<u8> {
        let mut header = b"\x93NUMPY".to_vec();
        header.extend([major, 0]);
        match major {
            1 => header.extend((fields.len() as u16).to_le_bytes()),
            _ => header.extend((fields.len() as u32).to_le_bytes()),
        }
        header.extend(fields.as_bytes());
        header
    }

    #[test]
    fn a_header_is_what_numpy_writes() {
        // numpy.save of an array of (5000, 384) f32, version 2.
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (5000, 384), }";
        let mut expected = with_fields(1, &format!("{text:117}\n"));
        assert_eq!(expected.len(), 128);
        assert_eq!(encode(5000, 384), expected);
        expected[9] = 1;
        assert_ne!(encode(5000, 384), expected);
    }

    #[test]
    fn headers_come_back_and_the_data_are_aligned() {
        for (rows, dim) in [(0, 1), (1, 65_536), (usize::MAX, 65_536), (123_456_789, 1_000)] {
            let header = encode(rows, dim);
            assert!(header.len().is_multiple_of(ALIGNMENT));
            let shape = vec![rows as u64, dim as u64];
            let dtype = "<f4".to_owned();
            assert_eq!(read(&header), Some(Header { dtype, fortran_order: false, shape }));
        }
    }

    #[test]
    fn other_writers_are_understood() {
        for (major, fields) in [
            (1, "{'descr': '|u1', 'fortran_order': True, 'shape': (3, 4)}\n"),
            (2, "{\"shape\":(3,4),\"fortran_order\":True,\"descr\":\"|u1\"}"),
            (3, "{ 'shape' : (3L, 4L,) , 'fortran_order' : True , 'descr' : '|u1' , } \n"),
        ] {
            let shape = vec![3, 4];
            let expected = Header { dtype: "|u1".to_owned(), fortran_order: true, shape };
            assert_eq!(read(&with_fields(major, fields)), Some(expected), "{fields}");
        }
        let scalar = read(&with_fields(1, "{'descr':'<f4','fortran_order':False,'shape':()}"));
        assert_eq!(scalar.unwrap().shape.len(), 0);
    }

    #[test]
    fn nonsense_is_refused() {
        for fields in [
            "",
            "{}",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, -4)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 99999999999999999999)}",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3, 4)}",
            "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (3, 4)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)} {}",
            "{'descr': '<f4' 'fortran_order': False, 'shape': (3, 4)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), 'more': '1'}",
        ] {
            assert_eq!(read(&with_fields(1, fields)), None, "{fields}");
        }
        assert_eq!(header_len(b"\x93NUMPY\x04\x00\x10\x00\x00\x00"), None);
        assert_eq!(header_len(b"\x93NUMPY\x02\x00\xff\xff\xff\xff"), None);
        assert_eq!(header_len(b"\x93NUMBY\x01\x00\x76\x00\x00\x00"), None);
    }
}
