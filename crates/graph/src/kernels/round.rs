//! Rounding a row to one byte a value: plain loops, compiled anew for each instruction set.

/// The largest code; the smallest is its negative.
pub(crate) const MAX_CODE: f32 = 127.0;

/// Values that are rounded together; their errors are summed apart, so that additions need not
/// wait for each other.
const LANES: usize = 16;

/// A row that is to become a code, and where the code goes.
pub(crate) struct Rounding<'a> {
    pub row: &'a [f32],
    /// What is subtracted from each value.
    pub centre: &'a [f32],
    /// What the differences are multiplied with, one factor after the other.
    pub scales: [f32; 2],
    /// As long as the row.
    pub code: &'a mut [i8],
}

/// What rounding did to a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rounded {
    /// The squared distance of the row from what its code stands for, in squared steps.
    pub error: f32,
    /// Whether a value lies outside of the range of codes.
    pub is_clamped: bool,
}

#[inline(always)]
#[allow(clippy::inline_always)] // so that it takes on the caller's instruction set
pub(super) fn round(rounding: Rounding<'_>) -> Rounded {
    let Rounding { row, centre, scales, code } = rounding;
    let mut errors = [0.0; LANES];
    let mut most = [0.0_f32; LANES];
    let (centres, centre) = centre.as_chunks::<LANES>();
    let (rows, row) = row.as_chunks::<LANES>();
    let (codes, rest) = code.as_chunks_mut::<LANES>();
    let round = |value: f32, centre: f32, most: &mut f32, error: &mut f32| {
        let steps = (value - centre) * scales[0] * scales[1];
        *most = most.max(steps.abs());
        let code = nearest_integer(steps.clamp(-MAX_CODE, MAX_CODE));
        let off = steps - f32::from(code);
        *error += off * off;
        code
    };
    for ((row, centre), code) in rows.iter().zip(centres).zip(codes) {
        for lane in 0..LANES {
            code[lane] = round(row[lane], centre[lane], &mut most[lane], &mut errors[lane]);
        }
    }
    for ((value, centre), code) in row.iter().zip(centre).zip(rest) {
        *code = round(*value, *centre, &mut most[0], &mut errors[0]);
    }
    let most = most.into_iter().fold(0.0, f32::max);
    Rounded { error: errors.iter().sum(), is_clamped: most > MAX_CODE + 0.5 }
}

/// The integer nearest to a small value: the addition leaves it in the lowest bits, and takes a
/// fraction of the time of a rounding function where the processor's own cannot be assumed.
#[inline(always)]
#[allow(clippy::inline_always)]
fn nearest_integer(value: f32) -> i8 {
    const SHIFT: f32 = 1.5 * (1_u32 << 23) as f32;
    (value + SHIFT).to_bits() as i8
}
