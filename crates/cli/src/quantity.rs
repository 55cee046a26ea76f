//! Numbers as people read them: `5,000`, `1.4 MiB`, `250 ms`.

/// A number with a comma before every three digits.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// How many points, in words.
pub fn points(number: usize) -> String {
    if number == 1 { "1 point".to_owned() } else { format!("{} points", count(number as u64)) }
}

/// A number of bytes in the largest unit that leaves at least one of it.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut size = number as f64 / 1024.0;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        // What would be printed as 1024.0 is one of the next unit.
        if size < 1023.95 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1} {unit}")
}

/// A time to three digits or so.
pub fn seconds(seconds: f64) -> String {
    let micros = seconds * 1e6;
    match micros {
        ..99.5 => format!("{micros:.1} us"),
        ..999.5 => format!("{micros:.0} us"),
        ..9_995.0 => format!("{:.2} ms", micros / 1e3),
        ..999_500.0 => format!("{:.0} ms", micros / 1e3),
        ..119_950_000.0 => format!("{seconds:.2} s"),
        _ => format!("{:.1} min", seconds / 60.0),
    }
}

/// How many a second, rounded to whole ones.
pub fn rate(number: usize, seconds: f64) -> f64 {
    (number as f64 / seconds.max(1e-9)).round()
}

#[cfg(test)]
mod tests {
    use super::{bytes, count, points, seconds};

    #[test]
    fn counts_are_grouped() {
        let grouped = [0, 999, 1_000, 1_234_567].map(count);
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn one_point_is_no_points() {
        assert_eq!([0, 1, 5_000].map(points), ["0 points", "1 point", "5,000 points"]);
    }

    #[test]
    fn bytes_have_a_fitting_unit() {
        let sizes = [0, 1023, 1024, 1_048_575, 7_864_320, u64::MAX].map(bytes);
        let expected = ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "7.5 MiB", "16777216.0 TiB"];
        assert_eq!(sizes, expected);
    }

    #[test]
    fn times_have_a_fitting_unit() {
        let times = [0.000_042, 0.000_42, 0.004_2, 0.25, 0.999_6, 42.0, 600.0].map(seconds);
        let expected = ["42.0 us", "420 us", "4.20 ms", "250 ms", "1.00 s", "42.00 s", "10.0 min"];
        assert_eq!(times, expected);
    }
}
