//! Where an id is: the newest row of each id, and behind it the rows that it had before.
//!
//! Versions of a collection share this map. A version sees the newest row that it knows, so it
//! follows the older rows of an id until it comes to one of its own, and then asks its deletions.

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard};

use arrow_array::ArrayRef;
use roaring::RoaringBitmap;

use crate::{Id, Ids, id_column};

/// No row came before.
const NONE: u32 = u32::MAX;

/// The rows of every id.
#[derive(Debug, Default)]
pub(super) struct Places {
    newest: Newest,
    /// For each row the row that its id had before.
    previous: Vec<u32>,
}

#[derive(Debug, Default)]
enum Newest {
    #[default]
    Empty,
    Integer(HashMap<u64, u32>),
    Text(HashMap<Box<str>, u32>),
}

/// The map that the versions of a collection share. That of stored rows is made when it is first
/// asked: a search does not need it, and making it takes longer than the rest of opening.
#[derive(Debug, Default)]
pub(super) struct SharedPlaces {
    stored: Vec<ArrayRef>,
    places: OnceLock<RwLock<Places>>,
}

impl From<Places> for SharedPlaces {
    fn from(places: Places) -> Self {
        Self { stored: Vec::new(), places: OnceLock::from(RwLock::new(places)) }
    }
}

impl SharedPlaces {
    /// The map of ids that are stored in this order.
    pub(super) fn of_stored(stored: Vec<ArrayRef>) -> Self {
        Self { stored, places: OnceLock::new() }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Places> {
        self.map().read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives ids the next rows.
    pub(super) fn append(&self, ids: &Ids) {
        self.map().write().unwrap_or_else(PoisonError::into_inner).append(ids);
    }

    fn map(&self) -> &RwLock<Places> {
        self.places.get_or_init(|| {
            let mut places = Places::default();
            for ids in &self.stored {
                let mut read = None;
                // Their type was looked at when they were opened.
                if id_column::append(&mut read, ids).is_ok() {
                    places.append(&read.unwrap_or(Ids::Integer(Vec::new())));
                }
            }
            RwLock::new(places)
        })
    }
}

impl Places {
    /// The row of an id in a version of `rows` rows, of which some are deleted.
    pub(super) fn find(&self, id: &Id, rows: usize, deleted: &RoaringBitmap) -> Option<u32> {
        let mut row = match (&self.newest, id) {
            (Newest::Integer(newest), Id::Integer(id)) => *newest.get(id)?,
            (Newest::Text(newest), Id::Text(id)) => *newest.get(id.as_str())?,
            _ => return None,
        };
        while row as usize >= rows {
            row = *self.previous.get(row as usize)?;
        }
        (!deleted.contains(row)).then_some(row)
    }

    /// Gives ids the next rows.
    pub(super) fn append(&mut self, ids: &Ids) {
        let first = self.previous.len() as u32;
        match ids {
            Ids::Integer(ids) => {
                if !matches!(self.newest, Newest::Integer(_)) {
                    self.newest = Newest::Integer(HashMap::new());
                }
                let Newest::Integer(newest) = &mut self.newest else { return };
                for (row, id) in (first..).zip(ids) {
                    self.previous.push(newest.insert(*id, row).unwrap_or(NONE));
                }
            }
            Ids::Text(ids) => {
                if !matches!(self.newest, Newest::Text(_)) {
                    self.newest = Newest::Text(HashMap::new());
                }
                let Newest::Text(newest) = &mut self.newest else { return };
                for (row, id) in (first..).zip(ids) {
                    let older = newest.insert(id.as_str().into(), row);
                    self.previous.push(older.unwrap_or(NONE));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use roaring::RoaringBitmap;

    use super::Places;
    use crate::{Id, Ids};

    #[test]
    fn each_version_sees_its_own_row_of_an_id() {
        let mut places = Places::default();
        places.append(&Ids::from(vec![5, 6]));
        places.append(&Ids::from(vec![5]));
        places.append(&Ids::from(vec![6, 5]));
        let none = RoaringBitmap::new();
        let find = |id: u64, rows| places.find(&Id::from(id), rows, &none);
        assert_eq!([2, 3, 4, 5].map(|rows| find(5, rows)), [Some(0), Some(2), Some(2), Some(4)]);
        assert_eq!([0, 1, 2, 5].map(|rows| find(6, rows)), [None, None, Some(1), Some(3)]);
        let deleted = RoaringBitmap::from([0, 2, 4]);
        assert_eq!(places.find(&Id::from(5), 5, &deleted), None);
        assert_eq!(places.find(&Id::from("5"), 5, &none), None);
    }
}
