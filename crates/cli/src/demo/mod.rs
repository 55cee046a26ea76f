//! `loomdb demo`: everything once, on data that is part of the program.
//!
//! A file is imported, its graph is built in one batch, saved, opened again and searched, by the
//! same code that the other commands run; then the batch is measured against the same rows
//! inserted one by one.

mod compare;
mod place;

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use loomdb::Id;
use loomdb::import::{self, Options};
use loomdb::index::{IndexParams, OpenedIndex};
use loomdb::storage::Existing;
use loomdb_graph::{Metric, Vectors};
use serde::Serialize;

use crate::import::{Job, Report as ImportReport};
use crate::output::Output;
use crate::quantity::seconds;
use crate::table::{Align, Table, cut, terminal_width};
use crate::{arguments, database, interrupt, wordnet};
use compare::{Comparison, EF_SEARCH};
use place::Place;

/// Neighbors that are shown of each query.
const SHOWN: usize = 3;

/// The queries that are shown; the comparison asks all of them.
const EXAMPLES: [usize; 5] = [0, 3, 10, 34, 41];

const INTRODUCTION: &str = "\
5,000 definitions of the Open English WordNet, embedded as vectors of 384 dimensions.
They are part of this program; nothing is downloaded.
";

/// Import, build, save, open and search real data, then compare batch and single inserts
#[derive(clap::Args)]
pub struct Command {
    /// Put the files here and leave them; those of an earlier demo are replaced
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave the files, and tell where they are
    #[arg(long)]
    keep: bool,
    /// How often each build is timed
    #[arg(long, value_name = "TIMES", default_value = "3", value_parser = arguments::up_to(1000))]
    runs: usize,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    import: ImportReport,
    open_seconds: f64,
    examples: Vec<Example>,
    comparison: Comparison,
    /// Nothing when the files are gone.
    dir: Option<PathBuf>,
}

/// A query and its neighbors.
#[derive(Serialize)]
struct Example {
    query: &'static str,
    neighbors: Vec<Neighbor>,
}

#[derive(Serialize)]
struct Neighbor {
    id: Id,
    distance: f32,
    text: &'static str,
}

/// # Errors
/// When the files of the demo cannot be written or read.
pub fn run(command: Command, output: &Output) -> Result<()> {
    interrupt::listen()?;
    let place = Place::new(command.dir, command.keep)?;
    output.text(INTRODUCTION)?;

    let import = import(&place)?;
    let started = Instant::now();
    let opened = database::open(&place.database(), IndexParams::default())?;
    let open_seconds = started.elapsed().as_secs_f64();
    let mut steps = import.steps();
    steps.row(["open".to_owned(), seconds(open_seconds), "every byte verified".to_owned()]);
    output.text(format_args!("\n1. A file of vectors becomes a database\n\n{steps}"))?;

    output.text("\n2. Queries find the nearest of 5,000 texts, by cosine distance\n")?;
    let queries = import::read(&place.queries(), &Options::default())?.vectors;
    let examples = examples(&opened, &queries)?;
    examples.iter().try_for_each(|example| output.text(example))?;

    output.text("\n3. The same rows, inserted one by one and as one batch\n\n")?;
    let rows = import::read(&place.vectors(), &Options::default())?.vectors;
    let comparison = compare::run(&rows, &queries, command.runs)?;
    output.text(&comparison)?;

    let dir = place.leave();
    output.text(Farewell(dir.as_deref()))?;
    output.json(&Report { import, open_seconds, examples, comparison, dir })
}

fn import(place: &Place) -> Result<ImportReport> {
    let job = Job {
        files: &[place.vectors()],
        database: &place.database(),
        metric: Metric::Cosine,
        options: Options::default(),
        params: IndexParams::default(),
        existing: Existing::Replace,
    };
    job.run()
}

/// The nearest texts of the queries that are shown.
fn examples(opened: &OpenedIndex, queries: &Vectors) -> Result<Vec<Example>> {
    let (texts, query_texts) = (wordnet::texts(), wordnet::query_texts());
    let example = |row: usize| {
        let hits = opened.index.search(queries.row(row), SHOWN, EF_SEARCH)?;
        let neighbor = |hit: &loomdb::index::Hit| {
            let id = opened.ids.get(hit.point);
            // Ids are the numbers of the lines, since the file has none of its own.
            let text = match id {
                Id::Integer(line) => texts.get(line as usize).copied(),
                Id::Text(_) => None,
            };
            let text = text.context("a row without a text")?;
            Ok(Neighbor { id, distance: hit.distance, text })
        };
        let neighbors = hits.iter().map(neighbor).collect::<Result<_>>()?;
        Ok(Example { query: query_texts[row], neighbors })
    };
    EXAMPLES.into_iter().map(example).collect()
}

impl Display for Example {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = 2;
        let query = cut(self.query, terminal_width().saturating_sub(indent));
        let mut table = Table::new(&[Align::Right, Align::Left]).cut_to_terminal();
        for neighbor in &self.neighbors {
            table.row([format!("  {:.3}", neighbor.distance), neighbor.text.to_owned()]);
        }
        write!(formatter, "\n{:indent$}{query}\n{table}", "")
    }
}

/// What to do next; where the files are, if they stay.
struct Farewell<'a>(Option<&'a Path>);

impl Display for Farewell<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(dir) = self.0 else {
            return formatter.write_str(
                "\nNext: `loomdb demo --keep` leaves the files for queries of your own;\n\
                 `loomdb import VECTORS.npy my.loom` makes a database of your own vectors.\n",
            );
        };
        writeln!(formatter, "\nThe files are in {}. Next, in there:\n", dir.display())?;
        formatter.write_str(
            "  loomdb info wordnet.loom\n  \
             loomdb search wordnet.loom --query-file queries.npy -k 3\n",
        )
    }
}
