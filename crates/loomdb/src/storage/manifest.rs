//! The manifest: what a database holds, and every live file with its length and checksums.
//!
//! It is JSON, so that people can read it, and ends with a line that holds the checksum of
//! everything before. A reader checks that line first, then the version, and only then the rest,
//! so that damage, a newer version and nonsense are told apart.

use std::collections::HashSet;
use std::path::Path;

use loomdb_graph::{MAX_DIM, MAX_ROWS, Metric};
use serde::{Deserialize, Serialize};

use super::checksum::{block_count, whole};
use super::fs::FileSystem;
use super::graph_params::GraphParams;
use crate::{Error, ErrorKind, Result};

const FORMAT: &str = "loomdb";
const MAJOR: u32 = 1;
/// The newest minor version; what needs no more is written as an older one, for older readers.
const MINOR: u32 = 3;
const PREFIX: &str = "manifest-";
const TRAILER: &str = "crc32c ";

/// What a database holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    format: String,
    major: u32,
    minor: u32,
    must_understand: Vec<String>,
    /// The number in the name of the file, so that a copy under another name is found out.
    #[serde(default = "first")]
    pub number: u32,
    /// Files that are made next have this number or a higher one.
    #[serde(default)]
    pub next_number: u32,
    /// The batches that are in no segment yet.
    #[serde(default)]
    pub log: Option<LogPlace>,
    pub collections: Vec<Collection>,
}

/// Where the log is and what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogPlace {
    pub number: u32,
    /// The sequence of its first record.
    pub first_sequence: u64,
    /// The length up to which it was synced when the manifest was written.
    pub synced_up_to: u64,
}

/// The part of a manifest that every version of the format has.
#[derive(Deserialize)]
struct Version {
    format: String,
    major: u32,
    minor: u32,
    must_understand: Vec<String>,
}

/// A collection: rows in segments, and perhaps a graph over the first of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Collection {
    pub name: String,
    pub metric: String,
    /// 0 as long as nobody has said it.
    pub dim: usize,
    pub segments: Vec<Segment>,
    pub graph: Option<FileRecord>,
    /// How the log names the collection.
    #[serde(default)]
    pub number: u32,
    /// Where its files are.
    #[serde(default = "default_directory")]
    pub directory: String,
    /// The row of each node of the graph; nodes have the numbers of their rows without it.
    #[serde(default)]
    pub order: Option<FileRecord>,
    /// The rows that were deleted or replaced.
    #[serde(default)]
    pub deletes: Option<FileRecord>,
    /// The type of the ids, fixed by the first write.
    #[serde(default)]
    pub id_type: Option<String>,
    /// The next id that is given out.
    #[serde(default)]
    pub next_id: u64,
    /// The metadata fields in the order in which they came up.
    #[serde(default)]
    pub fields: Vec<FieldRecord>,
    /// The metadata fields that are indexed; the indexes themselves are in no file. Since 1.2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexed_fields: Vec<String>,
    /// How its graphs are built. Since 1.3.
    #[serde(default, skip_serializing_if = "GraphParams::is_default")]
    pub graph_params: GraphParams,
    /// The last batch that is in the segments: those of the log up to it are not applied.
    #[serde(default)]
    pub sequence: u64,
}

/// A metadata field and the name of its type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldRecord {
    pub name: String,
    pub data_type: String,
}

fn first() -> u32 {
    1
}

fn default_directory() -> String {
    "default".to_owned()
}

/// Rows that were written together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Segment {
    pub rows: usize,
    pub vectors: FileRecord,
    pub points: FileRecord,
}

/// A live file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRecord {
    name: String,
    len_bytes: u64,
    crc32c: u32,
    #[serde(with = "hex")]
    blocks: Vec<u32>,
}

impl FileRecord {
    /// The record of a file with these sums of its blocks.
    pub(super) fn new(name: String, len_bytes: u64, blocks: Vec<u32>) -> Self {
        Self { name, len_bytes, crc32c: whole(&blocks, len_bytes), blocks }
    }

    /// The path from the root of the database, with forward slashes.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// The checksum of the whole file.
    pub(super) fn sum(&self) -> u32 {
        self.crc32c
    }

    pub(super) fn block_sums(&self) -> &[u32] {
        &self.blocks
    }

    /// Whether the sums belong together.
    fn is_summed(&self) -> bool {
        self.blocks.len() as u64 == block_count(self.len_bytes)
            && self.crc32c == whole(&self.blocks, self.len_bytes)
    }

    /// Whether a file has the sums of this record, or one of them when they contradict each other.
    pub(super) fn is_of(&self, found: &Self) -> bool {
        self.crc32c == found.crc32c || self.blocks == found.blocks
    }

    /// A path that stays inside the database, and sums that belong together.
    fn validate(&self) -> Result<()> {
        check_path(&self.name)?;
        if self.is_summed() {
            Ok(())
        } else {
            Err(Error::corrupted(format!("the checksums of {} contradict each other", self.name)))
        }
    }
}

/// Whether a path stays inside the database.
fn check_path(path: &str) -> Result<()> {
    let is_plain = |part: &str| {
        let mut letters = part.bytes();
        letters.next().is_some_and(|first| first.is_ascii_alphanumeric())
            && letters.all(|letter| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter))
    };
    if path.split('/').all(is_plain) {
        return Ok(());
    }
    Err(Error::corrupted(format!("{path:?} is not the name of a file")))
}

impl Collection {
    /// A collection without rows.
    pub(crate) fn empty(name: &str, number: u32, metric: Metric) -> Self {
        Self {
            name: name.to_owned(),
            metric: metric.name().to_owned(),
            dim: 0,
            segments: Vec::new(),
            graph: None,
            number,
            directory: format!("collection-{number:08}"),
            order: None,
            deletes: None,
            id_type: None,
            next_id: 0,
            fields: Vec::new(),
            indexed_fields: Vec::new(),
            graph_params: GraphParams::default(),
            sequence: 0,
        }
    }

    /// The number of rows in its segments.
    pub(crate) fn rows(&self) -> usize {
        self.segments.iter().map(|segment| segment.rows).sum()
    }

    pub(crate) fn metric(&self) -> Result<Metric> {
        Ok(self.metric.parse()?)
    }

    /// The oldest minor version that has all of it.
    fn minor(&self) -> u32 {
        match (self.graph_params.is_default(), self.indexed_fields.is_empty()) {
            (false, _) => 3,
            (true, false) => 2,
            (true, true) => 0,
        }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &FileRecord> {
        let segments = self.segments.iter().flat_map(|segment| [&segment.vectors, &segment.points]);
        segments.chain(&self.graph).chain(&self.order).chain(&self.deletes)
    }

    fn validate(&self) -> Result<()> {
        self.metric()?;
        let rows = self.segments.iter().try_fold(0_usize, |sum, part| sum.checked_add(part.rows));
        let has_dim = (1..=MAX_DIM).contains(&self.dim) || (self.dim == 0 && rows == Some(0));
        if !has_dim || rows.is_none_or(|rows| rows > MAX_ROWS) {
            return Err(Error::corrupted("the number of rows or dimensions is out of range"));
        }
        check_path(&self.directory)?;
        self.graph_params.validate()?;
        self.files().try_for_each(FileRecord::validate)
    }
}

impl Manifest {
    /// The manifest of a database of one collection.
    pub(super) fn new(collection: Collection) -> Self {
        Self { collections: vec![collection], ..Self::empty() }
    }

    /// The first manifest of a database without collections.
    pub(crate) fn empty() -> Self {
        Self {
            format: FORMAT.to_owned(),
            major: MAJOR,
            minor: 0,
            must_understand: Vec::new(),
            number: first(),
            next_number: 1,
            log: None,
            collections: Vec::new(),
        }
    }

    /// Names and numbers that are given once, and one place for each collection.
    fn validate(&self) -> Result<()> {
        let mut names = HashSet::new();
        let mut numbers = HashSet::new();
        let mut directories = HashSet::new();
        for collection in &self.collections {
            collection.validate()?;
            let is_new = names.insert(&collection.name)
                && numbers.insert(collection.number)
                && directories.insert(&collection.directory);
            if !is_new {
                return Err(Error::corrupted("two collections have one name or place"));
            }
        }
        Ok(())
    }

    /// The only collection, of one segment, which is all that this version writes.
    pub(super) fn into_only_collection(self) -> Result<(Collection, Segment)> {
        let mut collections = self.collections.into_iter();
        let (Some(mut collection), None) = (collections.next(), collections.next()) else {
            return Err(newer("the database has other than one collection"));
        };
        let mut segments = std::mem::take(&mut collection.segments).into_iter();
        if self.log.is_some() || collection.order.is_some() || collection.deletes.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, "it has changed since it was saved")
                .advise("open it as a database"));
        }
        match (segments.next(), segments.next()) {
            (Some(segment), None) => Ok((collection, segment)),
            _ => Err(newer("the collection has other than one segment")),
        }
    }

    /// Every file that it names.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FileRecord> {
        self.collections.iter().flat_map(Collection::files)
    }

    /// The bytes of the file.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let minor = self.collections.iter().map(Collection::minor).max().unwrap_or(0);
        let written = Self { minor, ..self.clone() };
        let mut bytes = serde_json::to_vec(&written)
            .map_err(|error| Error::invalid("the manifest cannot be written").caused_by(error))?;
        bytes.push(b'\n');
        let sum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(format!("{TRAILER}{sum:08x}\n").as_bytes());
        Ok(bytes)
    }

    /// The manifest in the bytes of a file.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let body = checked_body(bytes)
            .ok_or_else(|| Error::corrupted("the checksum of the manifest does not match"))?;
        let invalid = |error: serde_json::Error| {
            Error::corrupted("the manifest contradicts the format").caused_by(error)
        };
        serde_json::from_slice::<Version>(body).map_err(invalid)?.check()?;
        let manifest: Self = serde_json::from_slice(body).map_err(invalid)?;
        manifest.validate().map_err(|error| error.with_kind(ErrorKind::Corrupted))?;
        Ok(manifest)
    }
}

impl Manifest {
    /// What can be read of a manifest whose checksum does not match; nothing in it is checked.
    pub(super) fn decode_damaged(bytes: &[u8]) -> Option<Self> {
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Self>();
        values.next()?.ok()
    }

    /// Leaves out files that are outside of the database or have impossible lengths.
    pub(super) fn retain_plausible_files(&mut self) {
        let is_plausible = |file: &FileRecord| {
            let has_blocks = file.blocks.len() as u64 == block_count(file.len_bytes);
            has_blocks && check_path(&file.name).is_ok()
        };
        for one in &mut self.collections {
            one.segments
                .retain(|segment| is_plausible(&segment.vectors) && is_plausible(&segment.points));
            for file in [&mut one.graph, &mut one.order, &mut one.deletes] {
                *file = file.take().filter(is_plausible);
            }
        }
    }

    /// Leaves out collections of impossible sizes or places.
    pub(super) fn retain_plausible_collections(&mut self) {
        self.collections.retain(|one| {
            let rows = one.segments.iter().try_fold(0_usize, |sum, one| sum.checked_add(one.rows));
            let has_dim = (1..=MAX_DIM).contains(&one.dim) || one.segments.is_empty();
            let has_rows = rows.is_some_and(|rows| rows <= MAX_ROWS);
            has_dim && has_rows && check_path(&one.directory).is_ok()
        });
    }

    /// The record of every file, to be put right.
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut FileRecord> {
        self.collections.iter_mut().flat_map(|one| {
            let Collection { segments, graph, order, deletes, .. } = one;
            let segments =
                segments.iter_mut().flat_map(|segment| [&mut segment.vectors, &mut segment.points]);
            segments.chain(graph).chain(order).chain(deletes)
        })
    }
}

impl Version {
    fn check(&self) -> Result<()> {
        if self.format != FORMAT {
            return Err(Error::corrupted(format!("{:?} is not this format", self.format)));
        }
        if self.major != MAJOR || self.minor > MINOR {
            let (major, minor) = (self.major, self.minor);
            return Err(newer(format!(
                "the format is {major}.{minor}, this library reads up to {MAJOR}.{MINOR}"
            )));
        }
        match self.must_understand.first() {
            None => Ok(()),
            Some(feature) => Err(newer(format!("the feature {feature:?} is not known here"))),
        }
    }
}

fn newer(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unsupported, what).advise("use a newer version of loomdb")
}

/// The bytes before the trailer, if they have the checksum that it says.
fn checked_body(bytes: &[u8]) -> Option<&[u8]> {
    let trailer_len = TRAILER.len() + 8 + 1;
    let (body, trailer) = bytes.split_at_checked(bytes.len().checked_sub(trailer_len)?)?;
    let expected = format!("{TRAILER}{:08x}\n", crc32c::crc32c(body));
    (trailer == expected.as_bytes()).then_some(body)
}

/// The name of a manifest.
pub(super) fn file_name(number: u32) -> String {
    format!("{PREFIX}{number:08}")
}

/// The number of the newest manifest in a directory, if there is one.
pub(super) fn newest(fs: &dyn FileSystem, directory: &Path) -> Result<Option<u32>> {
    Ok(numbers(fs, directory)?.last().copied())
}

/// The numbers of all manifests in a directory, in ascending order.
pub(super) fn numbers(fs: &dyn FileSystem, directory: &Path) -> Result<Vec<u32>> {
    let listed = fs.list(directory);
    let names = listed.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotADirectory => {
            let what = "it is not a database: a database is a directory";
            Error::new(ErrorKind::NotFound, what).in_file(directory).caused_by(error)
        }
        _ => Error::io("list it", directory, error),
    })?;
    let number = |name: &std::ffi::OsString| {
        let number: u32 = name.to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
        (file_name(number) == name.to_str()?).then_some(number)
    };
    let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Checksums as one text of eight digits each, which keeps a manifest small.
mod hex {
    use std::fmt::Write;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(sums: &[u32], to: S) -> Result<S::Ok, S::Error> {
        let mut digits = String::with_capacity(8 * sums.len());
        sums.iter()
            .try_for_each(|sum| write!(digits, "{sum:08x}"))
            .map_err(serde::ser::Error::custom)?;
        to.serialize_str(&digits)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
        let digits = String::deserialize(from)?;
        let (sums, rest) = digits.as_bytes().as_chunks::<8>();
        let sum = |digits: &[u8; 8]| {
            let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
            let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
            u32::from_str_radix(digits, 16).ok()
        };
        let sums: Option<Vec<u32>> = sums.iter().map(sum).collect();
        sums.filter(|_| rest.is_empty())
            .ok_or_else(|| serde::de::Error::custom("not checksums in hex"))
    }
}

#[cfg(test)]
mod tests {
    use loomdb_graph::Metric;

    use super::{Collection, FileRecord, Manifest, Segment, TRAILER};
    use crate::ErrorKind;

    fn record(name: &str, len_bytes: u64) -> FileRecord {
        let blocks = (0..len_bytes.div_ceil(65_536)).map(|block| 0xfeed + block as u32).collect();
        FileRecord::new(name.to_owned(), len_bytes, blocks)
    }

    fn manifest() -> Manifest {
        let segment = Segment {
            rows: 3,
            vectors: record("default/seg-00000001/vectors.npy", 200_000),
            points: record("default/seg-00000001/points.arrow", 0),
        };
        let collection = Collection::empty("default", 0, Metric::Cosine);
        Manifest::new(Collection { dim: 5, segments: vec![segment], ..collection })
    }

    /// The bytes of a manifest whose text was changed, with a checksum that fits.
    fn changed(from: &str, to: &str) -> Vec<u8> {
        let text = String::from_utf8(manifest().encode().unwrap()).unwrap();
        let body = text[..text.find(TRAILER).unwrap()].replacen(from, to, 1);
        assert!(!text.starts_with(&body), "{from} is not in the manifest");
        format!("{body}{TRAILER}{:08x}\n", crc32c::crc32c(body.as_bytes())).into_bytes()
    }

    #[test]
    fn a_manifest_comes_back() {
        let manifest = manifest();
        assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
    }

    #[test]
    fn an_older_version_is_written_unless_a_newer_one_is_needed() {
        let mut manifest = manifest();
        let minor = |manifest: &Manifest| Manifest::decode(&manifest.encode().unwrap());
        assert_eq!(minor(&manifest).unwrap().minor, 0);
        manifest.collections[0].indexed_fields.push("year".to_owned());
        assert_eq!(minor(&manifest).unwrap().minor, 2);
        manifest.minor = 2;
        assert_eq!(minor(&manifest).unwrap(), manifest);
        manifest.collections[0].indexed_fields.clear();
        assert_eq!(minor(&manifest).unwrap().minor, 0);
    }

    #[test]
    fn every_changed_or_missing_byte_is_found() {
        let bytes = manifest().encode().unwrap();
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << (index % 8);
            let error = Manifest::decode(&damaged).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupted, "byte {index}");
            assert!(Manifest::decode(&bytes[..index]).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn newer_versions_are_told_from_damage() {
        for (from, to) in [
            (r#""major":1"#, r#""major":2"#),
            (r#""minor":0"#, r#""minor":99"#),
            (r#""must_understand":[]"#, r#""must_understand":["mirrors"]"#),
            (r#""major":1"#, r#""something_else":true,"major":2"#),
        ] {
            let error = Manifest::decode(&changed(from, to)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{to}");
            assert!(error.to_string().contains("newer version"), "{error}");
        }
    }

    #[test]
    fn nonsense_with_a_fitting_checksum_is_refused() {
        for (from, to) in [
            ("default/seg-00000001/vectors.npy", "default/../../vectors.npy"),
            ("default/seg-00000001/vectors.npy", "/etc/passwd"),
            ("default/seg-00000001/vectors.npy", "default//vectors.npy"),
            ("default/seg-00000001/vectors.npy", r"default\\vectors.npy"),
            (r#""len_bytes":200000"#, r#""len_bytes":196608"#),
            (r#""len_bytes":200000"#, r#""len_bytes":18446744073709551615"#),
            ("0000feed", "+000feed"),
            ("0000feed", "feed"),
            ("0000feed", "0000feee"),
            ("cosine", "dot"),
            (r#""dim":5"#, r#""dim":0"#),
            (r#""rows":3"#, r#""rows":9223372036854775808"#),
            (r#""dim":5"#, r#""dim":5,"unknown":1"#),
            (r#""format":"loomdb""#, r#""format":"other""#),
        ] {
            let error = Manifest::decode(&changed(from, to)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupted, "{to}: {error}");
        }
    }

    #[test]
    fn only_what_this_version_writes_is_opened() {
        let mut two = manifest();
        two.collections.push(Collection::empty("other", 1, Metric::L2));
        let error = two.into_only_collection().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
