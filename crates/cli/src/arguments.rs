//! Arguments that several commands take, and how they are read.

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use loomdb::index::IndexParams;
use loomdb::{CollectionInfo, Filter, Metadata, Schema};
use loomdb_graph::{MAX_EF, MAX_M, Metric, Strategy};

/// More threads than this are a slip of the finger.
const MAX_THREADS: usize = 1024;

/// A number from 1 to `largest`.
pub fn up_to(largest: usize) -> RangedU64ValueParser<usize> {
    between(1, largest)
}

/// A number from `smallest` to `largest`.
pub fn between(smallest: usize, largest: usize) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(smallest as u64..=largest as u64)
}

/// A number of threads; 0 stands for one for each core.
pub fn threads() -> RangedU64ValueParser<usize> {
    between(0, MAX_THREADS)
}

/// A metric by its name.
pub fn metric() -> impl TypedValueParser<Value = Metric> {
    let names = PossibleValuesParser::new(Metric::ALL.map(Metric::name));
    names.try_map(|name| name.parse::<Metric>())
}

/// How the graphs of a collection are built, which it keeps.
#[derive(clap::Args, Clone, Copy, Default)]
pub struct GraphParams {
    /// Links of a row in the graph, twice as many at the bottom; by default those of the
    /// collection, or 16 for one that is made
    #[arg(long, value_parser = between(2, MAX_M))]
    pub m: Option<usize>,
    /// Beam width of the searches for the neighbors of a single new row; by default that of the
    /// collection, or 200 for one that is made
    #[arg(long, value_parser = up_to(MAX_EF))]
    pub ef_construction: Option<usize>,
}

impl GraphParams {
    /// What was given, or else what a collection was made with.
    pub fn or_those_of(self, own: &CollectionInfo) -> Self {
        let others = IndexParams::default();
        let said = |own: usize, other: usize| (own != other).then_some(own);
        let ef_construction = said(own.ef_construction, others.ef_construction);
        Self {
            m: self.m.or(said(own.m, others.m)),
            ef_construction: self.ef_construction.or(ef_construction),
        }
    }

    /// A schema with what was given.
    pub fn in_schema(self, schema: Schema) -> Schema {
        let schema = self.m.map_or(schema, |m| schema.m(m));
        self.ef_construction.map_or(schema, |width| schema.ef_construction(width))
    }
}

/// The help of an argument that is a filter.
pub const FILTER: &str = "Only points whose metadata match, such as {\"year\": {\"$gte\": 2020}}";

/// A filter, as far as it can be checked without the fields of a collection.
pub fn filter(text: &str) -> Result<Filter, String> {
    text.parse::<Filter>().map_err(|error| error.to_string())
}

/// Metadata as a JSON object.
pub fn metadata(text: &str) -> Result<Metadata, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("expected a JSON object such as {{\"lang\": \"en\"}}: {error}"))
}

/// What [`strategy`] understands, for the help of an argument.
pub const STRATEGIES: &str =
    "auto, all_pairs, partition, insert (row by row) or insert:ROWS (so many at a time)";

/// A strategy by its name; `insert:100` inserts 100 rows at a time.
pub fn strategy(text: &str) -> Result<Strategy, String> {
    let (name, chunk) = match text.split_once(':') {
        Some((name, chunk)) => (name, Some(chunk)),
        None => (text, None),
    };
    match (name, chunk) {
        ("auto", None) => Ok(Strategy::Auto),
        ("all_pairs", None) => Ok(Strategy::AllPairs),
        ("partition", None) => Ok(Strategy::Partition),
        ("insert", chunk) => match chunk.unwrap_or("1").parse() {
            Ok(chunk) if chunk > 0 => Ok(Strategy::Insert { chunk }),
            _ => Err("the rows at a time must be a number, such as insert:100".to_owned()),
        },
        _ => Err("expected auto, all_pairs, partition, insert or insert:ROWS".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::strategy;
    use loomdb_graph::Strategy;

    #[test]
    fn strategies_are_read_by_name() {
        for expected in [Strategy::Auto, Strategy::AllPairs, Strategy::Partition] {
            assert_eq!(strategy(expected.name()), Ok(expected));
        }
        assert_eq!(strategy("insert"), Ok(Strategy::Insert { chunk: 1 }));
        assert_eq!(strategy("insert:100"), Ok(Strategy::Insert { chunk: 100 }));
        for wrong in ["", "all pairs", "auto:5", "insert:", "insert:0", "insert:many"] {
            assert!(strategy(wrong).is_err(), "{wrong}");
        }
    }
}
