//! Directories that are databases, or are to become one.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use loomdb::ErrorKind;
use loomdb::index::{Index, IndexParams, OpenedIndex};
use loomdb::storage::Existing;
use serde::Serialize;

use crate::failure::Refusal;
use crate::output::note;

/// A file of a database.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct StoredFile {
    /// The path from the root of the database, with forward slashes.
    pub name: String,
    pub bytes: u64,
}

/// Opens a database and tells of what was found wrong and worked around.
///
/// # Errors
/// When there is none, or it is damaged.
pub fn open(path: &Path, params: IndexParams) -> Result<OpenedIndex> {
    match Index::open(path, params) {
        Ok(opened) => {
            opened.warnings.iter().for_each(|warning| note(format_args!("warning: {warning}")));
            Ok(opened)
        }
        Err(error) if error.kind() == ErrorKind::NotFound && error.file() == Some(path) => {
            let what = if path.exists() {
                "this is not a database: there is no manifest in it"
            } else {
                "there is no such database"
            };
            let advice = "make one with `loomdb import FILE DB`";
            Err(Refusal::new(ErrorKind::NotFound, path, format!("{what}; {advice}")).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a new database may take the place `path`, before any work is put into it.
///
/// # Errors
/// When something else is there, or the directory around it is missing.
pub fn check_place(path: &Path, existing: Existing) -> Result<()> {
    let refuse = |kind, what: &str| Err(Refusal::new(kind, path, what.to_owned()).into());
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        let what = "there is no such directory; make it first, or choose another place";
        return Err(Refusal::new(ErrorKind::NotFound, parent, what.to_owned()).into());
    }
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    if !path.is_dir() {
        let what = "this is no directory; name the database to make behind the files";
        return refuse(ErrorKind::AlreadyExists, what);
    }
    match existing {
        Existing::Refuse => {
            let what = "it exists already; choose another name, or add --replace";
            refuse(ErrorKind::AlreadyExists, what)
        }
        Existing::Replace if is_replaceable(path)? => Ok(()),
        Existing::Replace => {
            let what = "this is not a database, and only a database is replaced; \
                        choose another name";
            refuse(ErrorKind::AlreadyExists, what)
        }
    }
}

/// An empty directory, or one with a manifest.
fn is_replaceable(path: &Path) -> Result<bool> {
    let files = files(path)?;
    Ok(files.is_empty() || files.iter().any(|file| file.name.starts_with("manifest-")))
}

/// All files of a database, by name.
///
/// # Errors
/// When a directory cannot be read.
pub fn files(root: &Path) -> Result<Vec<StoredFile>> {
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    files.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    Ok(files)
}

fn collect(directory: &Path, prefix: &str, files: &mut Vec<StoredFile>) -> Result<()> {
    let cannot_list = || format!("{}: cannot list it", directory.display());
    for entry in fs::read_dir(directory).with_context(cannot_list)? {
        let entry = entry.with_context(cannot_list)?;
        let metadata = entry.metadata().with_context(cannot_list)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if metadata.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push(StoredFile { name, bytes: metadata.len() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{check_place, files};
    use loomdb::storage::Existing;

    fn refusal(path: &Path, existing: Existing) -> String {
        check_place(path, existing).unwrap_err().to_string()
    }

    #[test]
    fn only_databases_and_free_places_are_taken() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("a.loom");
        assert!(check_place(&place, Existing::Refuse).is_ok());
        assert!(refusal(&place.join("b"), Existing::Refuse).contains("no such directory"));

        fs::create_dir(&place).unwrap();
        assert!(refusal(&place, Existing::Refuse).contains("--replace"));
        assert!(check_place(&place, Existing::Replace).is_ok());
        fs::write(place.join("letter.txt"), "dear").unwrap();
        assert!(refusal(&place, Existing::Replace).contains("not a database"));
        fs::write(place.join("manifest-00000001"), "").unwrap();
        assert!(check_place(&place, Existing::Replace).is_ok());

        let file = place.join("letter.txt");
        for existing in [Existing::Refuse, Existing::Replace] {
            assert!(refusal(&file, existing).contains("no directory"));
        }
    }

    #[test]
    fn files_are_listed_by_their_path_in_the_database() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("b")).unwrap();
        fs::write(root.path().join("b/a"), "12345").unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        let found = files(root.path()).unwrap();
        let found: Vec<_> = found.iter().map(|file| (file.name.as_str(), file.bytes)).collect();
        assert_eq!(found, [("a", 0), ("b/a", 5)]);
    }
}
