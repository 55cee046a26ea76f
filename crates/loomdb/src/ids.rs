//! The ids that users give to their points: integers or texts, one sort for each collection.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use serde::{Deserialize, Serialize};

use crate::limits::MAX_ID_BYTES;
use crate::{Error, Result};

/// The name of a point.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// A number.
    Integer(u64),
    /// A text of at most [`MAX_ID_BYTES`] bytes.
    Text(String),
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(formatter, "{number}"),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The ids of the rows of a table, in the order of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Every id is a number.
    Integer(Vec<u64>),
    /// Every id is a text.
    Text(Vec<String>),
}

impl Ids {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Integer(ids) => ids.len(),
            Self::Text(ids) => ids.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of a row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn get(&self, row: usize) -> Id {
        match self {
            Self::Integer(ids) => Id::Integer(ids[row]),
            Self::Text(ids) => Id::Text(ids[row].clone()),
        }
    }

    /// The ids of some rows, in the order given.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn select(&self, rows: &[u32]) -> Self {
        match self {
            Self::Integer(ids) => {
                Self::Integer(rows.iter().map(|row| ids[*row as usize]).collect())
            }
            Self::Text(ids) => {
                Self::Text(rows.iter().map(|row| ids[*row as usize].clone()).collect())
            }
        }
    }

    /// Others behind these; the ids of a collection are of one type.
    pub(crate) fn append(&mut self, more: Self) {
        match (self, more) {
            (Self::Integer(ids), Self::Integer(more)) => ids.extend(more),
            (Self::Text(ids), Self::Text(more)) => ids.extend(more),
            (ids, more) => *ids = more,
        }
    }

    /// These ids and then others of the same type.
    pub(crate) fn followed_by(self, more: Self) -> Result<Self> {
        match (self, more) {
            (Self::Integer(mut ids), Self::Integer(more)) => {
                ids.extend(more);
                Ok(Self::Integer(ids))
            }
            (Self::Text(mut ids), Self::Text(more)) => {
                ids.extend(more);
                Ok(Self::Text(ids))
            }
            _ => Err(Error::invalid("the batches have ids of different types")
                .advise("keep to one type of ids")),
        }
    }

    /// Whether every id is short enough and no two are equal.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) with the first row that breaks
    /// this.
    pub fn validate(&self) -> Result<()> {
        self.validate_from(0)
    }

    /// [`Self::validate`] with rows counted from `first_row` on.
    pub(crate) fn validate_from(&self, first_row: usize) -> Result<()> {
        if let Self::Text(ids) = self
            && let Some(row) = ids.iter().position(|id| id.len() > MAX_ID_BYTES)
        {
            let what = format!("the id has {} bytes", ids[row].len());
            let advice = format!("ids have at most {MAX_ID_BYTES} bytes");
            return Err(Error::invalid(what).at_row(first_row + row).advise(advice));
        }
        let Some((first, second)) = self.first_duplicate() else { return Ok(()) };
        Err(twice(first_row + first, first_row + second, &self.get(second)))
    }

    /// The first row whose id stands in an earlier row, behind that earlier row.
    ///
    /// Sorting short keys is several times faster than a set of all ids, and equal keys are rare:
    /// only their rows are compared id by id.
    fn first_duplicate(&self) -> Option<(usize, usize)> {
        let mut sorted = self.keys();
        sorted.sort_unstable();
        let equal = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        let suspects: HashSet<u64> = equal.collect();
        if suspects.is_empty() {
            return None;
        }
        let mut seen = HashMap::new();
        let rows = self.keys().into_iter().enumerate();
        let suspicious = rows.filter(|(_, key)| suspects.contains(key));
        suspicious
            .map(|(row, _)| row)
            .find_map(|row| seen.insert(self.get(row), row).map(|first| (first, row)))
    }

    /// A number for each row, equal where the ids are.
    fn keys(&self) -> Vec<u64> {
        match self {
            Self::Integer(ids) => ids.clone(),
            Self::Text(ids) => {
                let hasher = BuildHasherDefault::<DefaultHasher>::default();
                ids.iter().map(|id| hasher.hash_one(id)).collect()
            }
        }
    }
}

impl From<Vec<u64>> for Ids {
    fn from(ids: Vec<u64>) -> Self {
        Self::Integer(ids)
    }
}

impl From<Vec<String>> for Ids {
    fn from(ids: Vec<String>) -> Self {
        Self::Text(ids)
    }
}

/// Two rows have one id.
pub(crate) fn twice(first: usize, second: usize, id: &Id) -> Error {
    let what = format!("row {first} has the same id: {id}");
    Error::invalid(what).at_row(second).advise("give every row an id of its own")
}

#[cfg(test)]
mod tests {
    use super::{Id, Ids};

    fn texts(ids: &[&str]) -> Ids {
        Ids::Text(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    #[test]
    fn rows_are_selected_in_the_order_given() {
        assert_eq!(Ids::from(vec![5, 6, 7]).select(&[2, 0, 0]), Ids::from(vec![7, 5, 5]));
        assert_eq!(texts(&["a", "b"]).select(&[1, 0]), texts(&["b", "a"]));
        assert_eq!(texts(&["a", "b"]).get(1), Id::from("b"));
    }

    #[test]
    fn the_first_repeated_id_is_named_with_both_rows() {
        assert!(Ids::Integer(Vec::new()).validate().is_ok());
        assert!(Ids::from((0..1000).rev().collect::<Vec<u64>>()).validate().is_ok());
        let error = Ids::from(vec![9, 8, 7, 8, 9, 8]).validate().unwrap_err();
        assert_eq!(error.row(), Some(3));
        assert!(error.to_string().contains("row 1 has the same id: 8"), "{error}");
        let error = texts(&["x", "", "y", ""]).validate().unwrap_err();
        assert!(error.to_string().starts_with("row 3: row 1 has the same id"), "{error}");
    }

    #[test]
    fn long_ids_are_refused() {
        let longest = "a".repeat(512);
        assert!(texts(&[&longest]).validate().is_ok());
        let error = texts(&["b", &(longest + "a")]).validate().unwrap_err();
        assert_eq!(error.to_string(), "row 1: the id has 513 bytes; ids have at most 512 bytes");
    }

    #[test]
    fn ids_are_plain_in_json_and_for_people() {
        let ids = [Id::from(7), Id::from("seven")];
        assert_eq!(serde_json::to_string(&ids).unwrap(), r#"[7,"seven"]"#);
        assert_eq!(serde_json::from_str::<[Id; 2]>(r#"[7,"seven"]"#).unwrap(), ids);
        assert_eq!(format!("{} {}", ids[0], ids[1]), "7 seven");
    }
}
