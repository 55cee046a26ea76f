//! The steps of an import: look at the place, read, build, save.
//!
//! Rows are read and written in pieces, so that vectors need not fit into memory; the graph of all
//! is built at the end, and one commit makes everything count.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::Result;
use loomdb::import::{self, Imported, Options};
use loomdb::index::IndexParams;
use loomdb::{Collection, Database, Durability, ErrorKind, Metadata, OpenOptions, Schema, Writer};
use loomdb_graph::Metric;
use serde::Serialize;

use crate::arguments::GraphParams;
use crate::database::{self, DEFAULT_COLLECTION, Place};
use crate::failure::Refusal;
use crate::interrupt;
use crate::output::warning;
use crate::progress::Progress;
use crate::quantity::{self, bytes, count, rate, seconds};
use crate::table::{Align, Table};

/// Bytes of vectors that are read before they are written.
const PIECE_BYTES: usize = 64 << 20;

/// What becomes of the points that a collection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// There must be none.
    Refuse,
    /// They stay; an id that is there already is an error.
    Append,
    /// They stay, but those with the same ids are replaced.
    Upsert,
    /// They go.
    Replace,
}

/// An import with everything that it needs to know.
pub struct Job<'a> {
    pub files: &'a [PathBuf],
    pub database: &'a Path,
    pub collection: Option<&'a str>,
    pub metric: Option<Metric>,
    pub graph: GraphParams,
    /// The metadata of the rows, when they are in no file.
    pub records: Option<&'a [Metadata]>,
    pub options: Options<'a>,
    pub params: IndexParams,
    pub existing: Existing,
}

/// What an import made, and what it took.
#[derive(Serialize)]
pub struct Report {
    pub path: PathBuf,
    pub collection: String,
    /// Rows that were read.
    pub rows: usize,
    /// Points that the collection has in the end.
    pub points: usize,
    pub dim: usize,
    pub metric: String,
    /// The names and types of the metadata fields.
    pub fields: Vec<(String, String)>,
    /// Columns that cannot be metadata.
    pub left_out: Vec<String>,
    /// How the graph was built; nothing when the rows are so few that they are scanned.
    pub strategy: Option<String>,
    pub threads: usize,
    pub read_seconds: f64,
    pub build_seconds: f64,
    pub save_seconds: f64,
    /// Rows of the build in a second; reading and saving are not in it.
    pub vectors_per_second: f64,
    pub distance_computations: u64,
    /// Bytes of all files of the database.
    pub bytes: u64,
}

/// What each step took. What is written while files are read counts as saving.
struct Seconds {
    read: f64,
    build: f64,
    save: f64,
}

/// What was read.
struct Read {
    rows: usize,
    left_out: Vec<String>,
    /// The time that writing took of it.
    writing: f64,
}

impl Job<'_> {
    /// Looks at the place, reads, builds and saves.
    ///
    /// # Errors
    /// When a file cannot be read, or the points cannot be added.
    pub fn run(self) -> Result<Report> {
        let place = Place::prepare(self.database)?;
        let options =
            OpenOptions::new().durability(Durability::OnCommit).index(self.params.clone());
        // It is locked and looked at before anything is read.
        let db = self.open(options)?;
        let collection = self.collection_in(&db)?;
        let mut writer = collection.writer().distinct().piece_bytes(PIECE_BYTES);
        if self.existing == Existing::Upsert {
            writer = writer.upsert();
        }
        let (read, reading) = timed(|| self.read_into(&mut writer))?;
        let (_, build) = timed(|| {
            let building = Progress::new("building");
            let finished = writer.observer(&building).finish();
            finished.map_err(|error| self.in_words_of_options(error))
        })?;
        interrupt::check()?;
        let ((), saving) = timed(|| {
            let _progress = Progress::spinner("saving");
            db.commit()
        })?;
        let save = saving + read.writing;
        let seconds = Seconds { read: reading - read.writing, build, save };
        let report = self.report(&collection, read, &seconds);
        drop(collection);
        db.close()?;
        place.keep();
        Ok(Report { bytes: database::bytes(self.database)?, ..report })
    }

    fn open(&self, options: OpenOptions) -> Result<Database> {
        let db = database::open_or_make(self.database, options)?;
        if let Some(name) = self.name_in(&db)? {
            self.check_points(&db.existing_collection(&name)?)?;
        }
        Ok(db)
    }

    /// The collection that is there already, if it is.
    fn name_in(&self, db: &Database) -> Result<Option<String>> {
        let names = db.collection_names();
        match self.collection {
            Some(name) => Ok(names.into_iter().find(|own| own == name)),
            None if names.is_empty() => Ok(None),
            None => Ok(Some(database::pick(db, self.database, None)?.name())),
        }
    }

    fn check_points(&self, collection: &Collection) -> Result<()> {
        let points = collection.count();
        if points == 0 || self.existing != Existing::Refuse {
            return Ok(());
        }
        let what = format!(
            "the collection {:?} has {} already; say --append, --upsert or --replace, or \
             name another one with --collection",
            collection.name(),
            quantity::points(points)
        );
        Err(Refusal::new(ErrorKind::AlreadyExists, self.database, what).into())
    }

    /// The library advises its own call, which is an option here.
    fn in_words_of_options(&self, error: loomdb::Error) -> anyhow::Error {
        if error.kind() != ErrorKind::AlreadyExists {
            return error.into();
        }
        let what = format!("{}; use --upsert to replace these points", error.what());
        Refusal::new(error.kind(), self.database, what).at_row(error.row()).into()
    }

    /// Reads all files, and writes whatever is a piece.
    fn read_into(&self, writer: &mut Writer<'_>) -> Result<Read> {
        let progress = Progress::new("reading");
        let reached = |done, total| progress.reached(done, total);
        let options = Options { progress: &reached, ..self.options.clone() };
        let (mut rows, mut writing) = (0, 0.0);
        let mut take = |piece: Imported| {
            let started = Instant::now();
            let mut batch = piece.into_batch()?;
            let before = rows;
            rows += batch.len();
            if let Some(records) = self.records {
                batch = batch.with_records(records.get(before..rows).unwrap_or_default())?;
            }
            writer.write_owned(batch)?;
            writing += started.elapsed().as_secs_f64();
            Ok(())
        };
        let read = import::read_pieces(self.files, &options, PIECE_BYTES, &mut take);
        let left_out = read.map_err(|error| self.in_words_of_options(error))?;
        drop(progress);
        if !left_out.is_empty() {
            let columns = left_out.join(", ");
            warning(format_args!("left out, because metadata cannot hold it: {columns}"));
        }
        Ok(Read { rows, left_out, writing })
    }

    /// The collection that the rows go to.
    fn collection_in(&self, db: &Database) -> Result<Collection> {
        let Some(name) = self.name_in(db)? else {
            let name = self.collection.unwrap_or(DEFAULT_COLLECTION);
            return Ok(db.create_collection(name, schema(self.metric, self.graph))?);
        };
        if self.existing != Existing::Replace {
            return Ok(db.collection(&name, schema(self.metric, self.graph))?);
        }
        let own = db.existing_collection(&name)?.info();
        db.drop_collection(&name)?;
        let metric = self.metric.or(own.metric.parse().ok());
        let graph = self.graph.or_those_of(&own);
        let collection = db.create_collection(&name, schema(metric, graph))?;
        own.indexed_fields.iter().try_for_each(|field| collection.index_field(field))?;
        Ok(collection)
    }

    fn report(
        &self,
        collection: &Collection,
        Read { rows, left_out, .. }: Read,
        seconds: &Seconds,
    ) -> Report {
        let threads = match self.params.threads {
            0 => available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let info = collection.info();
        let index = info.index.as_ref();
        Report {
            path: self.database.to_owned(),
            collection: collection.name(),
            rows,
            points: info.points,
            dim: info.dim.unwrap_or_default(),
            metric: info.metric,
            fields: info.fields,
            left_out,
            strategy: index.and_then(|index| index.strategy.clone()),
            threads,
            read_seconds: seconds.read,
            build_seconds: seconds.build,
            save_seconds: seconds.save,
            vectors_per_second: rate(rows, seconds.build),
            distance_computations: index.map_or(0, |index| index.distance_computations),
            bytes: 0,
        }
    }
}

fn schema(metric: Option<Metric>, graph: GraphParams) -> Schema {
    let schema = Schema::learned();
    graph.in_schema(metric.map_or(schema, |metric| schema.metric(metric)))
}

/// What `work` makes, and the seconds that it takes.
fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, f64), E> {
    let started = Instant::now();
    let made = work()?;
    Ok((made, started.elapsed().as_secs_f64()))
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, name, rows) = (self.path.display(), &self.collection, count(self.rows as u64));
        let all = match self.points {
            points if points == self.rows => String::new(),
            points => format!(", {} points in all", count(points as u64)),
        };
        writeln!(formatter, "{path}, {name}: {rows} x {}, {}{all}", self.dim, self.metric)?;
        if !self.fields.is_empty() {
            let fields = self.fields.iter().map(|(name, sort)| format!("{name} ({sort})"));
            writeln!(formatter, "metadata: {}", fields.collect::<Vec<_>>().join(", "))?;
        }
        write!(formatter, "\n{}", self.steps())
    }
}

impl Report {
    /// What each step took.
    pub fn steps(&self) -> Table {
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Left]);
        let how = match &self.strategy {
            None => "no graph: so few rows are scanned".to_owned(),
            Some(strategy) => {
                let speed = count(self.vectors_per_second as u64);
                format!("{speed} vectors/s, {strategy}, {}", threads(self.threads))
            }
        };
        table.row(["read".to_owned(), seconds(self.read_seconds), String::new()]);
        table.row(["build".to_owned(), seconds(self.build_seconds), how]);
        table.row(["save".to_owned(), seconds(self.save_seconds), bytes(self.bytes)]);
        table
    }
}

fn threads(count: usize) -> String {
    if count == 1 { "1 thread".to_owned() } else { format!("{count} threads") }
}
