//! Numbers, compared exactly.
//!
//! A comparison becomes the closed interval of those values of the column's type for which it
//! holds. The literal is never rounded to the type of the column or back: of a literal that the
//! type cannot express, the next value below is taken, and the fact that it is not the literal
//! itself. So 2^53 + 1 differs from 2^53 in a column of floats, and 3.5 lies between 3 and 4 in a
//! column of integers.

use serde_json::{Number as JsonNumber, Value as Json};

use super::tree::Compare;

/// A finite number: an integer of at most 64 bits with or without sign, or a float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

/// The largest value of a type that is not above a literal, and whether it is the literal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Floor<T> {
    pub value: T,
    pub is_exact: bool,
}

/// All values from `low` to `high`; none if they are in the wrong order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span<T> {
    pub low: T,
    pub high: T,
}

impl Number {
    pub(super) fn from_json(number: &JsonNumber) -> Option<Self> {
        let integer = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
        integer.map(Self::Integer).or_else(|| number.as_f64().map(Self::Float))
    }

    pub(super) fn to_json(self) -> Json {
        match self {
            Self::Integer(value) => JsonNumber::from_i128(value).map_or(Json::Null, Json::Number),
            Self::Float(value) => Json::from(value),
        }
    }

    pub(super) fn is_finite(self) -> bool {
        match self {
            Self::Integer(_) => true,
            Self::Float(value) => value.is_finite(),
        }
    }

    /// Among the integers; a float beyond all of them becomes the last one on its side, which is
    /// far outside of every column.
    pub(super) fn floor(self) -> Floor<i128> {
        match self {
            Self::Integer(value) => Floor { value, is_exact: true },
            Self::Float(value) => {
                Floor { value: value.floor() as i128, is_exact: value.floor() == value }
            }
        }
    }

    /// Among the 64-bit floats.
    pub(super) fn floor_f64(self) -> Floor<f64> {
        match self {
            Self::Float(value) => Floor { value, is_exact: true },
            Self::Integer(value) => {
                let near = value as f64;
                let is_above = near as i128 > value;
                let floor = if is_above { near.next_down() } else { near };
                Floor { value: floor, is_exact: near as i128 == value }
            }
        }
    }

    /// Among the 32-bit floats.
    pub(super) fn floor_f32(self) -> Floor<f32> {
        let wide = self.floor_f64();
        let near = wide.value as f32;
        let is_above = f64::from(near) > wide.value;
        let floor = if is_above { near.next_down() } else { near };
        Floor { value: floor, is_exact: wide.is_exact && f64::from(near) == wide.value }
    }
}

impl Floor<i128> {
    /// The integers that compare so with the literal. `Ne` is a negation and has no interval of
    /// its own; it is taken as `Eq`, around which the caller negates.
    pub(super) fn span(self, compare: Compare) -> Span<i128> {
        let Self { value, is_exact } = self;
        let above = value.saturating_add(1);
        let (low, high) = match compare {
            Compare::Eq | Compare::Ne if is_exact => (value, value),
            Compare::Eq | Compare::Ne => (above, value),
            Compare::Gte if is_exact => (value, i128::MAX),
            Compare::Gt | Compare::Gte => (above, i128::MAX),
            Compare::Lt if is_exact => (i128::MIN, value.saturating_sub(1)),
            Compare::Lt | Compare::Lte => (i128::MIN, value),
        };
        Span { low, high }
    }
}

macro_rules! float_span {
    ($type:ident) => {
        impl Floor<$type> {
            /// The floats that compare so with the literal, in the total order of IEEE 754, where
            /// the zeros differ and NaN lies outside of the infinities. `Ne` is taken as `Eq`.
            pub(super) fn span(self, compare: Compare) -> Span<$type> {
                let Self { value, is_exact } = self;
                let above = value.next_up();
                let (low, high) = match compare {
                    Compare::Eq | Compare::Ne if is_exact => (value, value),
                    Compare::Eq | Compare::Ne => (above, value),
                    Compare::Gte if is_exact => (value, $type::INFINITY),
                    Compare::Gt | Compare::Gte => (above, $type::INFINITY),
                    Compare::Lt if is_exact => ($type::NEG_INFINITY, value.next_down()),
                    Compare::Lt | Compare::Lte => ($type::NEG_INFINITY, value),
                };
                // Both zeros are one number: an interval that ends at zero holds both.
                Span {
                    low: if low == 0.0 { -0.0 } else { low },
                    high: if high == 0.0 { 0.0 } else { high },
                }
            }
        }
    };
}

float_span!(f64);
float_span!(f32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_are_exact_or_just_below() {
        let trap = (1_i128 << 53) + 1;
        let floor = Number::Integer(trap).floor_f64();
        assert_eq!((floor.value, floor.is_exact), ((1_u64 << 53) as f64, false));
        // To the nearest it would be rounded up, to 2^53 + 4.
        let floor = Number::Integer(trap + 2).floor_f64();
        assert_eq!((floor.value as i128, floor.is_exact), (trap + 1, false));
        assert_eq!(Number::Float(-3.5).floor(), Floor { value: -4, is_exact: false });
        assert_eq!(Number::Float(1e300).floor_f32().value, f32::MAX);
        assert_eq!(Number::Float(-1e300).floor_f32().value, f32::NEG_INFINITY);
        assert!(!Number::Float(0.1).floor_f32().is_exact);
        assert!(Number::Float(0.5).floor_f32().is_exact);
    }

    #[test]
    fn an_interval_that_ends_at_zero_holds_both_zeros() {
        for zero in [0.0, -0.0] {
            let floor = Number::Float(zero).floor_f64();
            let span = floor.span(Compare::Eq);
            assert_eq!((span.low.to_bits(), span.high.to_bits()), ((-0.0_f64).to_bits(), 0));
            assert!(floor.span(Compare::Gt).low > 0.0);
            assert!(floor.span(Compare::Lt).high < 0.0);
        }
        let tiny = -f64::from_bits(1);
        let floor = Number::Float(tiny).floor_f64();
        assert_eq!(floor.span(Compare::Gt).low.to_bits(), (-0.0_f64).to_bits());
    }
}
