//! `loomdb demo`: everything once, on data that is part of the program.
//!
//! A file is imported, its graph is built in one batch, saved, opened again and searched, with
//! filters and without, by the same code that the other commands run; then the batch is measured
//! against the same rows inserted one by one.

mod compare;
mod place;
mod show;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use loomdb::import::{self, Options};
use loomdb::index::IndexParams;
use loomdb_graph::Metric;
use serde::Serialize;

use crate::arguments::GraphParams;
use crate::import::{Existing, Job, Report as ImportReport};
use crate::output::Output;
use crate::quantity::seconds;
use crate::{arguments, database, interrupt, wordnet};
use compare::Comparison;
pub(in crate::demo) use compare::EF_SEARCH;
use place::Place;
use show::{Example, Farewell, Question};

/// The queries that are shown without a filter; the comparison asks all of them.
const PLAIN: [Question; 4] = [
    Question { query: 0, filter: None },
    Question { query: 3, filter: None },
    Question { query: 34, filter: None },
    Question { query: 41, filter: None },
];

/// One query, with more and more said about its answers.
const FILTERED: [Question; 3] = [
    Question { query: 10, filter: None },
    Question { query: 10, filter: Some(r#"{"subject": "noun.plant"}"#) },
    Question { query: 10, filter: Some(r#"{"subject": "noun.plant", "words": {"$lte": 12}}"#) },
];

const INTRODUCTION: &str = "\
5,000 definitions of the Open English WordNet, embedded as vectors of 384 dimensions.
They are part of this program; nothing is downloaded.
";

/// Import, build, save, open and search real data, then compare batch and single inserts
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
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

const EXAMPLES: &str = "\
Example:
  loomdb demo --keep";

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    import: ImportReport,
    open_seconds: f64,
    examples: Vec<Example>,
    filtered: Vec<Example>,
    comparison: Comparison,
    /// Nothing when the files are gone.
    dir: Option<PathBuf>,
}

/// # Errors
/// When the files of the demo cannot be written or read.
pub fn run(command: Command, output: &Output) -> Result<()> {
    interrupt::listen()?;
    let place = Place::new(command.dir, command.keep)?;
    output.text(INTRODUCTION)?;

    let import = import(&place)?;
    let started = Instant::now();
    let db = database::open(&place.database())?;
    let texts = db.existing_collection(&import.collection)?;
    let open_seconds = started.elapsed().as_secs_f64();
    let mut steps = import.steps();
    steps.row(["open".to_owned(), seconds(open_seconds), "every byte verified".to_owned()]);
    output.text(format_args!("\n1. A file of vectors becomes a database\n\n{steps}"))?;

    output.text("\n2. Queries find the nearest of 5,000 texts, by cosine distance\n")?;
    let queries = import::read(&place.queries(), &Options::default())?.vectors;
    let ask = |question: Question| Example::ask(question, &texts, &queries);
    let examples = PLAIN.into_iter().map(ask).collect::<Result<Vec<_>>>()?;
    examples.iter().try_for_each(|example| output.text(example))?;

    output.text("\n3. Filters say which texts are meant, by their metadata\n")?;
    let filtered = FILTERED.into_iter().map(ask).collect::<Result<Vec<_>>>()?;
    filtered.iter().try_for_each(|example| output.text(example))?;

    output.text("\n4. The same rows, inserted one by one and as one batch\n\n")?;
    let rows = import::read(&place.vectors(), &Options::default())?.vectors;
    let comparison = compare::run(&rows, &queries, command.runs)?;
    output.text(&comparison)?;

    drop((texts, db));
    let dir = place.leave();
    output.text(Farewell(dir.as_deref()))?;
    output.json(&Report { import, open_seconds, examples, filtered, comparison, dir })
}

fn import(place: &Place) -> Result<ImportReport> {
    let job = Job {
        files: &[place.vectors()],
        database: &place.database(),
        collection: None,
        metric: Some(Metric::Cosine),
        graph: GraphParams::default(),
        records: Some(&wordnet::metadata()),
        options: Options::default(),
        params: IndexParams::default(),
        existing: Existing::Replace,
    };
    job.run()
}
