//! Little-endian numbers of several types, turned into `f32`.

use half::f16;

/// The type of a number in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    F16,
    F32,
    F64,
    U8,
    I8,
    I32,
}

impl Number {
    pub(super) fn len_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::F16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 => 8,
        }
    }

    /// Appends the numbers in `bytes`, which are whole.
    pub(super) fn decode(self, bytes: &[u8], values: &mut Vec<f32>) {
        match self {
            Self::F16 => extend(bytes, values, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Self::F32 => extend(bytes, values, f32::from_le_bytes),
            Self::F64 => extend(bytes, values, |bytes| f64::from_le_bytes(bytes) as f32),
            Self::U8 => extend(bytes, values, |bytes| f32::from(u8::from_le_bytes(bytes))),
            Self::I8 => extend(bytes, values, |bytes| f32::from(i8::from_le_bytes(bytes))),
            Self::I32 => extend(bytes, values, |bytes| i32::from_le_bytes(bytes) as f32),
        }
    }
}

fn extend<const N: usize>(bytes: &[u8], values: &mut Vec<f32>, decode: impl Fn([u8; N]) -> f32) {
    let (numbers, _) = bytes.as_chunks();
    values.extend(numbers.iter().map(|number| decode(*number)));
}

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn numbers_keep_their_value() {
        let cases: [(Number, &[u8], &[f32]); 6] = [
            (Number::F16, &[0x00, 0x3c, 0x00, 0xc1], &[1.0, -2.5]),
            (Number::F32, &[0x00, 0x00, 0x20, 0xc0], &[-2.5]),
            (Number::F64, &[0, 0, 0, 0, 0, 0, 0x04, 0xc0], &[-2.5]),
            (Number::U8, &[0, 255], &[0.0, 255.0]),
            (Number::I8, &[1, 255], &[1.0, -1.0]),
            (Number::I32, &[0xfe, 0xff, 0xff, 0xff], &[-2.0]),
        ];
        for (number, bytes, expected) in cases {
            let mut values = Vec::new();
            number.decode(bytes, &mut values);
            assert_eq!(values, expected, "{number:?}");
            assert_eq!(bytes.len() / number.len_bytes(), expected.len(), "{number:?}");
        }
    }
}
