//! The database and the collection that a command works on, found and opened.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use loomdb::{Collection, Database, ErrorKind, OpenOptions};
use serde::Serialize;

use crate::failure::Refusal;
use crate::output::warning;

/// The collection of whoever needs only one.
pub const DEFAULT_COLLECTION: &str = "default";

/// Databases beside a missing one that its error names.
const NAMED_DATABASES: usize = 5;

/// The database and the collection of a command.
#[derive(clap::Args)]
pub struct Target {
    /// Directory of the database
    #[arg(value_name = "DB")]
    pub database: PathBuf,
    /// Name of the collection; by default the only one that there is
    #[arg(short, long, value_name = "NAME")]
    pub collection: Option<String>,
}

impl Target {
    /// The collection, to be read; others may write to it meanwhile.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn read(&self) -> Result<Collection> {
        pick(&open(&self.database)?, &self.database, self.collection.as_deref())
    }

    /// The collection, to be written to.
    ///
    /// # Errors
    /// When there is none, it is damaged, or another process writes to it.
    pub fn write(&self) -> Result<(Database, Collection)> {
        let db = open_to_write(&self.database, OpenOptions::new())?;
        let collection = pick(&db, &self.database, self.collection.as_deref())?;
        Ok((db, collection))
    }
}

/// Opens a database to read it, and tells of what was found wrong and worked around.
///
/// # Errors
/// When there is none, or it is damaged.
pub fn open(path: &Path) -> Result<Database> {
    open_to_write(path, OpenOptions::new().read_only())
}

/// Opens a database that is there.
///
/// # Errors
/// When there is none, it is damaged, or another process writes to it.
pub fn open_to_write(path: &Path, options: OpenOptions) -> Result<Database> {
    check_is_there(path)?;
    open_or_make(path, options)
}

/// Opens a database, which is made when it is missing.
///
/// # Errors
/// When something else is there, it is damaged, or another process writes to it.
pub fn open_or_make(path: &Path, options: OpenOptions) -> Result<Database> {
    let db = options.open(path)?;
    db.warnings().iter().for_each(warning);
    Ok(db)
}

/// The collection of a name, or the only one.
///
/// # Errors
/// When there is no such collection, or nobody can tell which one is meant.
pub fn pick(db: &Database, path: &Path, name: Option<&str>) -> Result<Collection> {
    if let Some(name) = name {
        return Ok(db.existing_collection(name)?);
    }
    match db.collection_names().as_slice() {
        [only] => Ok(db.existing_collection(only)?),
        [] => {
            let what = "there is no collection in it; make one with `loomdb create` or \
                        `loomdb import`";
            Err(Refusal::new(ErrorKind::NotFound, path, what.to_owned()).into())
        }
        several => {
            let names = several.join(", ");
            let what =
                format!("there are several collections: {names}; name one with --collection");
            Err(Refusal::new(ErrorKind::InvalidInput, path, what).into())
        }
    }
}

/// Whether there is a database.
///
/// # Errors
/// When there is none, with those that are there.
pub fn check_is_there(path: &Path) -> Result<()> {
    if has_manifest(path) {
        return Ok(());
    }
    if has_collection(path) {
        let what = "the manifest of the database is missing; `loomdb repair` saves what is left";
        return Err(Refusal::new(ErrorKind::Corrupted, path, what.to_owned()).into());
    }
    let what = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => "this is a file, not the directory of a database",
        Ok(_) => "this is not a database: there is no manifest in it",
        Err(_) => "there is no such database",
    };
    let advice = match neighbors(path) {
        names if names.is_empty() => "make one with `loomdb import FILE DB`".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    };
    Err(Refusal::new(ErrorKind::NotFound, path, format!("{what}; {advice}")).into())
}

fn has_manifest(path: &Path) -> bool {
    has_entry(path, "manifest-")
}

fn has_collection(path: &Path) -> bool {
    has_entry(path, "collection-")
}

/// Whether the name of anything in a directory begins so.
fn has_entry(path: &Path, start: &str) -> bool {
    let is_meant = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with(start);
    fs::read_dir(path).is_ok_and(|entries| entries.flatten().any(is_meant))
}

/// Databases in the directory where one was looked for.
fn neighbors(path: &Path) -> Vec<String> {
    let parent = parent_of(path);
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let databases = entries.flatten().map(|entry| entry.path()).filter(|path| has_manifest(path));
    let mut names: Vec<String> = databases
        .map(|path| match path.strip_prefix("./") {
            Ok(plain) => plain.display().to_string(),
            Err(_) => path.display().to_string(),
        })
        .collect();
    names.sort();
    names.truncate(NAMED_DATABASES);
    names
}

fn parent_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// The place of a database that may be there or not. What was not there before goes again when
/// this is dropped, unless it is kept.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    /// What to take away.
    made: Option<Made>,
}

#[derive(Clone, Copy, Debug)]
enum Made {
    Directory,
    Contents,
}

impl Place {
    /// Looks at a place, before any work is put into it.
    ///
    /// # Errors
    /// When something else is there, or the directory around it is missing.
    pub fn prepare(path: &Path) -> Result<Self> {
        let parent = parent_of(path);
        if !parent.is_dir() {
            let what = "there is no such directory; make it first, or choose another place";
            return Err(Refusal::new(ErrorKind::NotFound, parent, what.to_owned()).into());
        }
        let refuse =
            |what: &str| Err(Refusal::new(ErrorKind::AlreadyExists, path, what.to_owned()).into());
        let made = match fs::symlink_metadata(path) {
            Err(_) => Some(Made::Directory),
            Ok(_) if !path.is_dir() => {
                return refuse("this is no directory; name the database to make behind the files");
            }
            Ok(_) if has_manifest(path) => None,
            Ok(_) if files(path)?.is_empty() => Some(Made::Contents),
            Ok(_) => {
                return refuse("this is not a database, and it is not empty; choose another name");
            }
        };
        Ok(Self { path: path.to_owned(), made })
    }

    /// Lets what was made stay.
    pub fn keep(mut self) {
        self.made = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is an empty database, which the next import goes on with.
        match self.made {
            None => {}
            Some(Made::Directory) => drop(fs::remove_dir_all(&self.path)),
            Some(Made::Contents) => {
                for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
                    let path = entry.path();
                    drop(if path.is_dir() {
                        fs::remove_dir_all(path)
                    } else {
                        fs::remove_file(path)
                    });
                }
            }
        }
    }
}

/// A file of a database.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct StoredFile {
    /// The path from the root of the database, with forward slashes.
    pub name: String,
    pub bytes: u64,
}

/// The bytes of all files of a database.
///
/// # Errors
/// When a directory cannot be read.
pub fn bytes(root: &Path) -> Result<u64> {
    Ok(files(root)?.iter().map(|file| file.bytes).sum())
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

    use super::{Place, files};

    fn refusal(path: &Path) -> String {
        Place::prepare(path).unwrap_err().to_string()
    }

    #[test]
    fn only_databases_and_free_places_are_taken() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.loom");
        assert!(Place::prepare(&path).unwrap().made.is_some());
        assert!(refusal(&path.join("b")).contains("no such directory"));
        fs::create_dir(&path).unwrap();
        assert!(Place::prepare(&path).unwrap().made.is_some());
        fs::write(path.join("letter.txt"), "dear").unwrap();
        assert!(refusal(&path).contains("not a database"));
        assert!(refusal(&path.join("letter.txt")).contains("no directory"));
        fs::write(path.join("manifest-00000001"), "").unwrap();
        assert!(Place::prepare(&path).unwrap().made.is_none());
        assert!(path.join("letter.txt").exists());
    }

    #[test]
    fn what_was_made_goes_unless_it_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.loom");
        let fill = || fs::create_dir_all(path.join("seg")).unwrap();
        let place = Place::prepare(&path).unwrap();
        fill();
        drop(place);
        assert!(!path.exists());
        fs::create_dir(&path).unwrap();
        let place = Place::prepare(&path).unwrap();
        fill();
        fs::write(path.join("LOCK"), "").unwrap();
        drop(place);
        assert!(path.exists() && files(&path).unwrap().is_empty() && !path.join("seg").exists());
        let place = Place::prepare(&path).unwrap();
        fill();
        place.keep();
        assert!(path.join("seg").exists());
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
