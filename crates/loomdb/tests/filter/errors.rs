//! What is refused, where the message says it is, and what it advises; and hostile input.

use std::time::{Duration, Instant};

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use loomdb::{
    Error, ErrorKind, Filter, MAX_FILTER_BYTES, MAX_FILTER_DEPTH, MAX_FILTER_NODES,
    MAX_FILTER_VALUES,
};
use serde_json::{Value as Json, json};

fn schema() -> Schema {
    let list = DataType::List(Field::new("item", DataType::Utf8, true).into());
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = [
        ("year", DataType::Int64),
        ("price", DataType::Float64),
        ("lang", DataType::Utf8),
        ("draft", DataType::Boolean),
        ("at", utc),
        ("tags", list),
        ("blob", DataType::Binary),
    ];
    Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec())
}

fn refused(filter: &str) -> Error {
    let bound = filter.parse::<Filter>().and_then(|filter| filter.bind(&schema()));
    let error = bound.map(|_| filter).expect_err("it should be refused");
    assert_eq!(error.kind(), ErrorKind::InvalidFilter, "{filter}");
    error
}

/// The filter, the place, and two parts of the message.
fn check(cases: &[(&str, &str, &str, &str)]) {
    for (filter, place, what, advice) in cases {
        let error = refused(filter);
        let message = error.to_string();
        assert_eq!(error.filter_path(), Some(*place), "{filter}: {message}");
        assert!(message.starts_with("filter"), "{message}");
        assert!(message.contains(what) && message.contains(advice), "{filter}: {message}");
        assert!(message.len() < 1000, "{message}");
    }
}

#[test]
fn a_message_says_where_what_and_how() {
    let error = refused(r#"{"$and": [{"lang": "en"}, {"year": {"$gt": "x"}}]}"#);
    assert_eq!(
        error.to_string(),
        "filter at $and[1].year.$gt: field \"year\" is an integer; \
         \"$gt\" was given the string \"x\""
    );
    assert_eq!(error.filter_path(), Some("$and[1].year.$gt"));
    let error = refused(r#"{"yaer": 2020}"#);
    assert_eq!(
        error.to_string(),
        "filter at yaer: there is no field \"yaer\"; did you mean \"year\"? the fields are \
         \"year\", \"price\", \"lang\", \"draft\", \"at\", \"tags\", \"blob\""
    );
}

#[test]
fn unknown_names_lead_to_the_nearest() {
    check(&[
        (r#"{"year": {"$gt3": 1}}"#, "year.$gt3", "no operator \"$gt3\"", "mean \"$gte\"?"),
        (r#"{"year": {"$ge": 1}}"#, "year.$ge", "no operator \"$ge\"", "mean \"$gte\"?"),
        (r#"{"year": {"$le": 1}}"#, "year.$le", "no operator", "mean \"$lte\"?"),
        (r#"{"year": {"$GT": 1}}"#, "year.$GT", "no operator", "mean \"$gt\"?"),
        (r#"{"tags": {"$contain": 1}}"#, "tags.$contain", "", "mean \"$contains\"?"),
        (r#"{"tags": {"$regex": "x"}}"#, "tags.$regex", "no operator", "the operators are \"$eq\""),
        (r#"{"year": {"gt": 1}}"#, "year.gt", "\"gt\" under a field", "mean \"$gt\"?"),
        (r#"{"a": {"b": 1}}"#, "a.b", "\"b\" under a field", "one name with a dot"),
        (r#"{"$adn": []}"#, "$adn", "no operator \"$adn\"", "mean \"$and\"?"),
        (r#"{"$nor": []}"#, "$nor", "no operator \"$nor\"", "{\"$not\": {\"$or\""),
        (r#"{"$gt": 1}"#, "$gt", "stands under a field", "{\"field\": {\"$gt\""),
        (r#"{"year": {"$or": []}}"#, "year.$or", "beside fields", "{\"$or\": [{"),
        (r#"{"$or": [{}, {"Lang": 1}]}"#, "$or[1].Lang", "no field", "mean \"lang\"?"),
        (r#"{"$not": {"zzz": 1}}"#, "$not.zzz", "no field \"zzz\"", "the fields are \"year\""),
        (r#"{"\n": 1}"#, "\"\\n\"", "no field \"\\n\"", "the fields are"),
    ]);
}

#[test]
fn comparisons_that_can_never_hold_are_refused() {
    check(&[
        (r#"{"year": "2020"}"#, "year", "is an integer; \"$eq\" was given the string", ""),
        (r#"{"year": true}"#, "year", "given the boolean true", ""),
        (r#"{"draft": 1}"#, "draft", "is a boolean; \"$eq\" was given the number 1", ""),
        (r#"{"draft": {"$gt": false}}"#, "draft.$gt", "is a boolean", "with \"$eq\" or \"$ne\""),
        (r#"{"price": {"$lt": true}}"#, "price.$lt", "is a float", "booleans with \"$eq\""),
        (r#"{"year": {"$gt": null}}"#, "year.$gt", "\"$gt\" was given null", ""),
        (r#"{"lang": {"$ne": 1}}"#, "lang.$ne", "is a string; \"$ne\" was given the number 1", ""),
        (r#"{"year": {"$in": [1, 2, "x"]}}"#, "year.$in[2]", "given the string \"x\"", ""),
        (r#"{"tags": {"$nin": [1]}}"#, "tags.$nin[0]", "is a list of strings", ""),
        (r#"{"tags": {"$contains": null}}"#, "tags.$contains", "given null", ""),
        (r#"{"lang": {"$contains": 1}}"#, "lang.$contains", "given the number 1", ""),
        (
            r#"{"year": {"$contains": 1}}"#,
            "year.$contains",
            "contains nothing",
            "lists and strings",
        ),
        (r#"{"at": {"$gt": 1700000000}}"#, "at.$gt", "is a timestamp", "2024-05-01T12:00:00Z"),
        (r#"{"at": "2024-05-01"}"#, "at", "given the string \"2024-05-01\"", "an offset"),
        (r#"{"at": "2024-05-01T12:00:00"}"#, "at", "is a timestamp", "an offset"),
        (r#"{"at": "2023-02-29T12:00:00Z"}"#, "at", "is a timestamp", "a date"),
        (r#"{"blob": "x"}"#, "blob", "the type Binary, which filters cannot read", ""),
        (r#"{"year": {"$not": {"$gte": 1, "$lt": "x"}}}"#, "year.$not.$lt", "the string \"x\"", ""),
    ]);
}

#[test]
fn what_is_no_filter_is_refused() {
    check(&[
        ("[1]", "", "a filter is an object, not a list", "{\"field\": value}"),
        ("null", "", "not null", ""),
        ("\"lang\"", "", "not the string \"lang\"", ""),
        ("", "", "it is not JSON: EOF", "double quotes"),
        ("{'lang': 'en'}", "", "it is not JSON: key must be a string", "double quotes"),
        (r#"{"year": NaN}"#, "", "it is not JSON", ""),
        (r#"{"year": 1e400}"#, "", "it is not JSON: number out of range", ""),
        (r#"{"year": 1} {}"#, "", "trailing characters", ""),
        (r#"{"$and": {"year": 1}}"#, "$and", "needs a list of filters, not an object", "[{...}]"),
        (r#"{"$or": [1]}"#, "$or[0]", "a filter is an object, not the number 1", ""),
        (r#"{"$not": []}"#, "$not", "a filter is an object, not a list", ""),
        (r#"{"year": {}}"#, "year", "holds no condition", "{\"$exists\": true}"),
        (r#"{"year": [1]}"#, "year", "a whole list", "{\"$in\": [...]}"),
        (
            r#"{"year": {"$in": 1}}"#,
            "year.$in",
            "needs a list of values, not the number 1",
            "[value]",
        ),
        (r#"{"year": {"$in": [[1]]}}"#, "year.$in[0]", "\"$in\" needs a boolean", "not a list"),
        (r#"{"year": {"$gt": {}}}"#, "year.$gt", "\"$gt\" needs a boolean", "not an object"),
        (r#"{"year": {"$exists": 1}}"#, "year.$exists", "needs true or false", "the number 1"),
        (r#"{"year": {"$not": 1}}"#, "year.$not", "needs an object", "{\"$ne\": value}"),
    ]);
}

/// `serde_json` keeps the last of two equal keys, and the first condition would be lost.
#[test]
fn a_key_that_stands_twice_is_refused() {
    check(&[
        (
            r#"{"year": {"$gt": 1}, "year": {"$lt": 5}}"#,
            "",
            "the key \"year\" stands twice in one object at line 1 column 27",
            "or use \"$and\"",
        ),
        (r#"{"$or": [{"year": {"$gt": 1, "$gt": 2}}]}"#, "", "the key \"$gt\" stands twice", ""),
        (r#"{"year": 1, "\u0079ear": 2}"#, "", "the key \"year\" stands twice", ""),
    ]);
}

fn nested(levels: usize) -> String {
    let inner = levels - 1;
    format!("{}{{\"year\": 1}}{}", "{\"$and\": [".repeat(inner), "]}".repeat(inner))
}

#[test]
fn depth_is_bounded_before_anything_recurses() {
    assert!(nested(MAX_FILTER_DEPTH).parse::<Filter>().unwrap().bind(&schema()).is_ok());
    for levels in [MAX_FILTER_DEPTH + 1, 100_000] {
        let error = refused(&nested(levels));
        assert!(error.to_string().contains("nested deeper than 32 levels; write it"), "{error}");
    }
    for text in ["[".repeat(100_000), "{\"$not\":".repeat(100_000), "{\"a\":".repeat(100_000)] {
        assert!(refused(&text).to_string().contains("nested deeper than 32 levels"));
    }
    let mut json = json!({"$eq": 1});
    for _ in 0..MAX_FILTER_DEPTH - 1 {
        json = json!({"$not": json});
    }
    assert!(Filter::from_json(&json!({"year": json})).is_ok());
    let error = Filter::from_json(&json!({"year": {"$not": json}})).unwrap_err();
    assert!(error.to_string().contains("nested deeper than 32 levels"), "{error}");
}

#[test]
fn size_is_bounded() {
    let conditions = |count: usize| json!({"$and": vec![json!({"year": 1}); count - 1]});
    assert!(Filter::from_json(&conditions(MAX_FILTER_NODES)).is_ok());
    for json in [
        conditions(MAX_FILTER_NODES + 1),
        json!({"$or": vec![json!({}); 1_000_000]}),
        json!({"$or": vec![conditions(600); 2]}),
    ] {
        let error = Filter::from_json(&json).unwrap_err();
        assert!(error.to_string().contains("more than 1024 conditions"), "{error}");
    }
    let values = |count: usize| json!({"year": {"$in": vec![1; count]}});
    assert!(Filter::from_json(&values(MAX_FILTER_VALUES)).is_ok());
    let two = json!({"$or": [values(MAX_FILTER_VALUES), values(1)]});
    for json in [values(MAX_FILTER_VALUES + 1), values(1_000_000), two] {
        let error = Filter::from_json(&json).unwrap_err();
        assert!(error.to_string().contains("more than 65536 values"), "{error}");
    }
}

#[test]
fn hostile_text_is_refused_soon() {
    let long_name = "y".repeat(MAX_FILTER_BYTES - 20);
    let started = Instant::now();
    for text in [
        format!("{{\"{long_name}\": 1}}"),
        format!("{{\"year\": {{\"${long_name}\": 1}}}}"),
        format!("{{\"year\": \"{long_name}\"}}"),
        format!("[{}1]", "1,".repeat(1_000_000)),
        format!("{{\"year\": {}}}", "9".repeat(1_000_000)),
        " ".repeat(MAX_FILTER_BYTES + 1),
    ] {
        let message = refused(&text).to_string();
        assert!(message.len() < 1000, "{} bytes", message.len());
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let many: Json = (0..2_000).map(|field| (format!("f{field}"), json!(1))).collect();
    assert!(refused(&many.to_string()).to_string().contains("more than 1024 conditions"));
}

#[test]
fn a_collection_without_fields_says_so() {
    let error = Filter::eq("year", 1).bind(&Schema::empty()).unwrap_err();
    let expected = "filter at year: there is no field \"year\"; there are no fields";
    assert_eq!(error.to_string(), expected);
}
