//! What the demo shows: queries with their nearest texts, and what to do next.

use std::fmt::{self, Display};
use std::path::Path;

use anyhow::{Context, Result};
use loomdb::{Collection, Filter, Hit, Id};
use loomdb_graph::Vectors;
use serde::Serialize;
use serde_json::Value;

use super::EF_SEARCH;
use crate::quantity::count;
use crate::table::{Align, Table, cut, terminal_width};
use crate::wordnet;

/// Neighbors that are shown of each query.
const SHOWN: usize = 3;

/// The number of a query, and who may answer.
#[derive(Clone, Copy)]
pub struct Question {
    pub query: usize,
    pub filter: Option<&'static str>,
}

/// A query and its neighbors.
#[derive(Serialize)]
pub struct Example {
    query: &'static str,
    filter: Option<&'static str>,
    /// Texts that match the filter.
    matches: usize,
    neighbors: Vec<Neighbor>,
}

#[derive(Serialize)]
struct Neighbor {
    id: Id,
    distance: f32,
    text: String,
}

impl Example {
    /// # Errors
    /// When the search fails.
    pub fn ask(question: Question, texts: &Collection, queries: &Vectors) -> Result<Self> {
        let filter = question.filter.map(str::parse::<Filter>).transpose()?;
        let matches = match &filter {
            Some(filter) => texts.count_matching(filter)?,
            None => texts.count(),
        };
        let mut search = texts.search(queries.row(question.query)).k(SHOWN).ef_search(EF_SEARCH);
        if let Some(filter) = filter {
            search = search.filter(filter);
        }
        let neighbor = |hit: Hit| {
            let text = hit.metadata.get("text").and_then(Value::as_str);
            let text = text.context("a point without a text")?.to_owned();
            Ok(Neighbor { id: hit.id, distance: hit.distance, text })
        };
        let neighbors = search.run()?.into_iter().map(neighbor).collect::<Result<_>>()?;
        let query = wordnet::query_texts()[question.query];
        Ok(Self { query, filter: question.filter, matches, neighbors })
    }
}

impl Display for Example {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match self.filter {
            None => self.query.to_owned(),
            Some(filter) => format!("{filter}, {} texts match", count(self.matches as u64)),
        };
        let indent = 2;
        let line = cut(&line, terminal_width().saturating_sub(indent));
        let mut table = Table::new(&[Align::Right, Align::Left]).cut_to_terminal();
        for neighbor in &self.neighbors {
            table.row([format!("  {:.3}", neighbor.distance), neighbor.text.clone()]);
        }
        write!(formatter, "\n{:indent$}{line}\n{table}", "")
    }
}

/// What to do next; where the files are, if they stay.
pub struct Farewell<'a>(pub Option<&'a Path>);

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
             loomdb search wordnet.loom --query-file queries.npy -k 3\n  \
             loomdb search wordnet.loom --id 17 --filter '{\"subject\": \"noun.food\"}'\n",
        )
    }
}
