//! The name that someone probably meant.

/// The name among `names` that is nearest to `given`, if one is near at all.
pub(crate) fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let allowed = given.chars().count().div_ceil(3);
    let distances = names.map(|name| (edits(&given, &name.to_lowercase()), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= allowed).then_some(name)
}

/// How many letters must be added, dropped or changed to turn one word into the other
/// (Levenshtein), row by row of the table of prefixes.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, letter) in from.chars().enumerate() {
        let mut diagonal = done;
        let mut left = done + 1;
        for (cell, other) in row[1..].iter_mut().zip(&to) {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = *cell;
            left = changed.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        row[0] = done + 1;
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{edits, nearest};

    #[test]
    fn edits_are_counted() {
        for (from, to, count) in [("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)] {
            assert_eq!((edits(from, to), edits(to, from)), (count, count));
        }
    }

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["id", "embedding", "title"];
        assert_eq!(nearest("Embeding", names.into_iter()), Some("embedding"));
        assert_eq!(nearest("vector", names.into_iter()), None);
        assert_eq!(nearest("vector", [].into_iter()), None);
    }
}
