//! The kernels and the naive evaluation agree on random filters over random batches.

use arrow_schema::{DataType, Field, Schema};
use loomdb::Filter;
use proptest::prelude::*;

use crate::arguments::{filter, table};
use crate::oracle;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_000))]

    #[test]
    fn the_kernels_agree_with_a_naive_evaluation(table in table(), json in filter()) {
        let filter = Filter::from_json(&json).unwrap();
        let schema = with_late_field(table.batch.schema_ref());
        let bits = filter.bind(&schema).unwrap().evaluate(&table.batch).unwrap();
        let found: Vec<bool> = bits.iter().collect();
        let rows = table.rows.iter();
        let expected: Vec<bool> = rows.map(|row| oracle::matches(&json, row)).collect();
        prop_assert_eq!(found, expected, "{} on {:?}", json, table.rows);
    }

    #[test]
    fn what_is_printed_is_read_as_the_same_filter(json in filter()) {
        let filter = Filter::from_json(&json).unwrap();
        let text = filter.to_string();
        prop_assert_eq!(&text.parse::<Filter>().unwrap(), &filter);
        prop_assert_eq!(&json.to_string().parse::<Filter>().unwrap(), &filter);
        prop_assert_eq!(serde_json::to_string(&filter).unwrap(), text);
        prop_assert_eq!(Filter::from_json(&filter.to_json().unwrap()).unwrap(), filter);
    }

    #[test]
    fn no_text_panics(text in r#"[\[\]{}":,$a-e0-9 ]{0,24}"#) {
        drop(text.parse::<Filter>());
    }
}

fn with_late_field(schema: &Schema) -> Schema {
    let late = Field::new("late", DataType::Int64, true);
    let fields = schema.fields().iter().map(|field| field.as_ref().clone());
    Schema::new(fields.chain([late]).collect::<Vec<_>>())
}
