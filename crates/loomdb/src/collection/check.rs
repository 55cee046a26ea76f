//! Checking a version of a collection: ids, graph, and a sample of its recall.

use loomdb_graph::MAX_K;

use super::snapshot::Snapshot;
use crate::check::{CheckOptions, CheckedCollection, RecallSample, Severity};
use crate::{Error, Result};

/// Neighbors that each search of a sample is to find.
const K: usize = 10;

/// Where an id is found, as far as it is wrong, is told for so many points.
const TOLD_IDS: usize = 5;

impl Snapshot {
    /// What is there, and what contradicts itself.
    pub(crate) fn check(
        &self,
        name: &str,
        options: &CheckOptions<'_>,
    ) -> Result<(CheckedCollection, Vec<(Severity, Error)>)> {
        let graph = self.view.as_ref().and_then(|view| view.graph());
        let unreachable_nodes = graph.map_or(0, |(graph, _)| graph.unreachable_count());
        let checked = CheckedCollection {
            name: name.to_owned(),
            points: self.len(),
            deleted_rows: self.state.deleted.len() as usize,
            graph_rows: graph.map_or(0, |(graph, _)| graph.len()),
            unreachable_nodes,
            recall: self.sample_recall(options)?,
        };
        let mut errors = self.misplaced_ids(name);
        errors.extend(self.wrong_codes(name).map(|error| (Severity::Graph, error)));
        if unreachable_nodes > 0 {
            let what = format!(
                "no walk through the graph of the collection {name:?} reaches {unreachable_nodes} \
                 of its nodes"
            );
            errors.push((Severity::Graph, Error::corrupted(what)));
        }
        Ok((checked, errors))
    }

    /// The codes of the graph are those of the vectors that lie beside it.
    fn wrong_codes(&self, name: &str) -> Option<Error> {
        let view = self.view.as_ref()?;
        let (graph, _) = view.graph()?;
        let wrong = graph.wrong_codes(view.workers());
        let what = format!(
            "the codes of {wrong} rows in the graph of the collection {name:?} are not those of \
             their vectors, so searches may miss them"
        );
        (wrong > 0).then(|| Error::corrupted(what).advise("compact it: the graph is built anew"))
    }

    /// Every point is found by its id, and at its own row.
    fn misplaced_ids(&self, name: &str) -> Vec<(Severity, Error)> {
        let mut errors = Vec::new();
        for row in self.live_rows() {
            let row = row as usize;
            let id = self.state.rows.id(row);
            let found = self.state.find(&id);
            if found == Some(row as u32) {
                continue;
            }
            let found = found.map_or("nowhere".to_owned(), |row| format!("at row {row}"));
            let what =
                format!("the id {id} of row {row} of the collection {name:?} is found {found}");
            let error = Error::corrupted(what).advise(crate::storage::RESTORE);
            errors.push((Severity::Damage, error));
            if errors.len() == TOLD_IDS {
                break;
            }
        }
        errors
    }

    /// Searches for the vectors of points that are spread evenly over the rows.
    fn sample_recall(&self, options: &CheckOptions<'_>) -> Result<Option<RecallSample>> {
        let others = self.len().saturating_sub(1);
        if options.recall_queries == 0 || others == 0 {
            return Ok(None);
        }
        let (k, ef_search) = (K.min(others), options.ef_search);
        let step = (self.len() / options.recall_queries).max(1);
        let (mut queries, mut found) = (0, 0);
        for row in self.live_rows().into_iter().step_by(step).take(options.recall_queries) {
            let row = row as usize;
            let query = self.vector(row);
            let id = self.state.rows.id(row);
            let search = self.search(query).k((k + 1).min(MAX_K)).ef_search(ef_search);
            let mut exact = search.clone().exact().run()?;
            exact.retain(|hit| hit.id != id);
            let Some(bound) = exact.get(k - 1).map(|hit| hit.distance) else { continue };
            let near = search.run()?;
            // Which of several ties is found is nobody's merit.
            let near = near.iter().filter(|hit| hit.id != id && hit.distance <= bound);
            found += near.count().min(k);
            queries += 1;
        }
        let recall = found as f64 / (queries * k).max(1) as f64;
        Ok(Some(RecallSample { queries, k, ef_search, recall }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loomdb_graph::{Metric, StoredVectors, Vectors, Workers};
    use loomdb_testkit::generate;

    use super::{CheckOptions, Severity, Snapshot, TOLD_IDS};
    use crate::collection::State;
    use crate::index::{Index, IndexParams};
    use crate::storage::segment::{StoredCodes, StoredGraph};
    use crate::{Batch, Database, Schema};

    /// Whoever wrote the file gave it the checksum of what it wrote, so only the vectors tell.
    #[test]
    fn codes_that_are_not_those_of_their_vectors_are_told() {
        const DIM: usize = 64;
        let vectors = Vectors::from_flat(DIM, &generate::mixture(7, 3_000, DIM)).unwrap();
        let db = Database::in_memory().unwrap();
        let docs = db.collection("docs", Schema::new(DIM).metric(Metric::L2)).unwrap();
        docs.add(&Batch::without_ids(vectors.clone())).unwrap();
        let snapshot = docs.snapshot();
        let (graph, order) = snapshot.view.as_ref().unwrap().graph().unwrap();
        let codes = (0..graph.len() as u32).flat_map(|node| graph.code(node).unwrap().to_vec());
        let mut codes: Vec<i8> = codes.collect();
        for (wrong, damaged) in [(0, 0), (1, 5 * DIM), (2, 6 * DIM)] {
            codes[damaged] ^= i8::from(wrong > 0);
            let mut rows = StoredVectors::new(DIM).unwrap();
            rows.push(Arc::new(vectors.as_flat().to_vec())).unwrap();
            let stored =
                StoredCodes { parts: graph.code_parts().unwrap(), values: Arc::new(codes.clone()) };
            let stored = StoredGraph { parts: graph.to_parts(), codes: Some(stored) };
            let made_with = (IndexParams::default(), Arc::new(Workers::new(1).unwrap()));
            let stored = Some((stored, order.to_vec()));
            let (index, failure) = Index::restore(&rows, Metric::L2, stored, made_with).unwrap();
            assert!(failure.is_none(), "{failure:?}");
            let index = Some(Arc::new(index));
            let snapshot = Snapshot::of(Arc::new(State { index, ..State::clone(&snapshot.state) }));
            let (_, errors) = snapshot.check("docs", &CheckOptions::default()).unwrap();
            let messages: Vec<String> = errors.iter().map(|(_, error)| error.to_string()).collect();
            match wrong {
                0 => assert!(messages.is_empty(), "{messages:?}"),
                _ => assert!(messages[0].contains(&format!("of {wrong} rows")), "{messages:?}"),
            }
        }
    }

    /// No file can say so: ids are put in their places from the rows when a database is opened.
    #[test]
    fn ids_that_are_not_found_at_their_rows_are_told() {
        let db = Database::in_memory().unwrap();
        let docs = db.collection("docs", Schema::new(1)).unwrap();
        docs.add(&Batch::without_ids(Vectors::from_flat(1, &[1.0; 9]).unwrap())).unwrap();
        let snapshot = docs.snapshot();
        let (_, errors) = snapshot.check("docs", &CheckOptions::default()).unwrap();
        assert!(errors.is_empty());
        let state = State { places: Arc::default(), ..State::clone(&snapshot.state) };
        let snapshot = Snapshot::of(Arc::new(state));
        let (_, errors) = snapshot.check("docs", &CheckOptions::default()).unwrap();
        assert_eq!(errors.len(), TOLD_IDS);
        assert_eq!(errors[0].0, Severity::Damage);
        let message = errors[0].1.to_string();
        assert!(message.contains("the id 0 of row 0") && message.contains("nowhere"), "{message}");
    }
}
