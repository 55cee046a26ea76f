//! How graphs are built, as a collection keeps it: one that is built anew is like the one before.

use loomdb_graph::BuildParams;
use serde::{Deserialize, Serialize};

use crate::Result;

/// How the graphs of a collection are built, as far as it was said when the collection was made;
/// the rest is as the database is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GraphParams {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub m: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ef_construction: Option<usize>,
}

impl GraphParams {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether each is in its range.
    pub(crate) fn validate(self) -> Result<()> {
        let others = BuildParams::default();
        let m = self.m.unwrap_or(others.m);
        let ef_construction = self.ef_construction.unwrap_or(others.ef_construction);
        Ok(BuildParams { m, ef_construction, ..others }.validate()?)
    }
}
