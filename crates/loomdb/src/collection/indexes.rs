//! Which fields are indexed: declared by a user, kept in the manifest, and no more than that.
//!
//! The indexes themselves belong to the tables of rows (see [`super::rows`]). Declaring one makes
//! them, so that the search behind it does not wait; after opening and after writes they are made
//! by the first filter that asks for them.

use std::sync::Arc;

use super::Collection;
use super::fields::can_be_field_name;
use super::state::State;
use crate::{Error, ErrorKind, Result, suggest};

impl Collection {
    /// Indexes a metadata field, so that filters on it need not look at every point. They find
    /// the same points with and without it, sooner with it. It stays until
    /// [`Self::unindex_field`], also for points that are written later; a field that is indexed
    /// already stays so. A collection without points takes the name of any field to come.
    ///
    /// ```
    /// use loomdb::{Batch, Database, Filter, Schema};
    /// use loomdb_graph::Vectors;
    ///
    /// let docs = Database::in_memory()?.collection("docs", Schema::new(1))?;
    /// docs.index_field("topic")?;
    /// let records = serde_json::json!([{"topic": "birds"}, {"topic": "fish"}]);
    /// let batch = Batch::new(vec![10, 20], Vectors::from_flat(1, &[1.0, 2.0])?)?;
    /// docs.add(&batch.with_records(&serde_json::from_value::<Vec<_>>(records)?)?)?;
    /// assert_eq!(docs.count_matching(&Filter::eq("topic", "fish"))?, 1);
    /// assert_eq!(docs.info().indexed_fields, ["topic"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `NotFound` when there is no such field, with the nearest name; `InvalidInput` for a name
    /// that no field can have; `StorageFull`, `Io`, `Poisoned`.
    pub fn index_field(&self, name: &str) -> Result<()> {
        self.shared.change_indexes(&self.inner, &|state| {
            state.check_field(name)?;
            Ok(state.indexed.iter().map(String::as_str).chain([name]).map(str::to_owned).collect())
        })?;
        self.inner.state.load().rows.make_index(name);
        Ok(())
    }

    /// Gives up the index of a field; filters on it go on to find the same points.
    ///
    /// # Errors
    /// `NotFound` when the field is not indexed, with the nearest name; `StorageFull`, `Io`,
    /// `Poisoned`.
    pub fn unindex_field(&self, name: &str) -> Result<()> {
        self.shared.change_indexes(&self.inner, &|state| {
            if !state.indexed.contains(name) {
                let what = format!("the field {name:?} is not indexed");
                let known: Vec<&str> = state.indexed.iter().map(String::as_str).collect();
                return Err(nearest(Error::new(ErrorKind::NotFound, what), name, &known));
            }
            Ok(state.indexed.iter().filter(|own| *own != name).cloned().collect())
        })?;
        self.inner.state.load().rows.drop_index(name);
        Ok(())
    }
}

impl State {
    /// The names of the fields that are indexed, sorted.
    pub(crate) fn indexed_fields(&self) -> Vec<String> {
        self.indexed.iter().cloned().collect()
    }

    /// The same version with other indexes.
    pub(crate) fn with_indexes(&self, names: Vec<String>) -> Self {
        Self { indexed: Arc::new(names.into_iter().collect()), ..self.clone() }
    }

    fn check_field(&self, name: &str) -> Result<()> {
        if !can_be_field_name(name) {
            let what = format!("{name:?} is not the name of a metadata field");
            return Err(Error::invalid(what).advise("name a field that filters can name"));
        }
        let known: Vec<&str> = self.fields.iter().map(|(name, _)| name).collect();
        if self.rows.len() == 0 || known.contains(&name) {
            return Ok(());
        }
        let error = Error::new(ErrorKind::NotFound, format!("there is no field {name:?}"));
        Err(nearest(error, name, &known))
    }
}

fn nearest(error: Error, name: &str, known: &[&str]) -> Error {
    match suggest::nearest(name, known.iter().copied()) {
        Some(nearest) => error.advise(format!("did you mean {nearest:?}?")),
        None if known.is_empty() => error.advise("there are none"),
        None => error.advise(format!("there are: {}", known.join(", "))),
    }
}
