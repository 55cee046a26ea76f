//! Where the files of the demo lie: in a directory that vanishes, unless someone wants to keep it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::wordnet;

/// The directory of the demo, with its data as files.
pub struct Place {
    dir: PathBuf,
    /// Removes the directory when it is dropped.
    temporary: Option<TempDir>,
    keep: bool,
}

impl Place {
    /// Puts the data into `dir`, or into a new temporary directory.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn new(dir: Option<PathBuf>, keep: bool) -> Result<Self> {
        let place = if let Some(dir) = dir {
            let cannot_make = || format!("{}: cannot make this directory", dir.display());
            fs::create_dir_all(&dir).with_context(cannot_make)?;
            Self { dir, temporary: None, keep: true }
        } else {
            let made = tempfile::Builder::new().prefix("loomdb-demo-").tempdir();
            let made = made.context("cannot make a temporary directory")?;
            Self { dir: made.path().to_owned(), temporary: Some(made), keep }
        };
        write(&place.vectors(), wordnet::VECTORS)?;
        write(&place.queries(), wordnet::QUERIES)?;
        Ok(place)
    }

    pub fn vectors(&self) -> PathBuf {
        self.dir.join("vectors.npy")
    }

    pub fn queries(&self) -> PathBuf {
        self.dir.join("queries.npy")
    }

    pub fn database(&self) -> PathBuf {
        self.dir.join("wordnet.loom")
    }

    /// The directory, if it stays; else it is removed.
    pub fn leave(self) -> Option<PathBuf> {
        if !self.keep {
            return None;
        }
        self.temporary.map(TempDir::keep);
        Some(self.dir)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("{}: cannot write it", path.display()))
}
