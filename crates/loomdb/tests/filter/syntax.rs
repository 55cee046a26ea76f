//! Filters written in Rust, and how filters are printed.

use loomdb::{ErrorKind, Filter, MAX_FILTER_DEPTH, MAX_FILTER_NODES};

use crate::table::{Cell, Column, array, batch, rows};

#[test]
fn built_filters_equal_written_ones() {
    for (built, written) in [
        (Filter::all(), "{}"),
        (Filter::default(), "{}"),
        (Filter::eq("lang", "en"), r#"{"lang":"en"}"#),
        (Filter::eq("lang", None::<&str>), r#"{"lang":null}"#),
        (Filter::ne("draft", true), r#"{"draft":{"$ne":true}}"#),
        (Filter::gt("n", u64::MAX), r#"{"n":{"$gt":18446744073709551615}}"#),
        (Filter::gte("n", i64::MIN), r#"{"n":{"$gte":-9223372036854775808}}"#),
        (Filter::lt("x", 0.5), r#"{"x":{"$lt":0.5}}"#),
        (Filter::lte("x", 0.5_f32), r#"{"x":{"$lte":0.5}}"#),
        (Filter::is_in("lang", ["en", "de"]), r#"{"lang":{"$in":["en","de"]}}"#),
        (Filter::not_in("n", [1, 2]), r#"{"n":{"$nin":[1,2]}}"#),
        (Filter::exists("n"), r#"{"n":{"$exists":true}}"#),
        (Filter::missing("n"), r#"{"n":{"$exists":false}}"#),
        (Filter::contains("a.b", "\"\u{e9}"), "{\"a.b\":{\"$contains\":\"\\\"\u{e9}\"}}"),
        (!Filter::eq("n", 1), r#"{"$not":{"n":1}}"#),
        (
            Filter::eq("a", 1).and(Filter::eq("b", 2)).and(Filter::eq("c", 3)),
            r#"{"$and":[{"a":1},{"b":2},{"c":3}]}"#,
        ),
        (
            Filter::eq("a", 1).or(Filter::eq("b", 2)).or(Filter::eq("c", 3)),
            r#"{"$or":[{"a":1},{"b":2},{"c":3}]}"#,
        ),
        (
            Filter::eq("a", 1).and(Filter::eq("b", 2).or(Filter::all())),
            r#"{"$and":[{"a":1},{"$or":[{"b":2},{}]}]}"#,
        ),
    ] {
        assert_eq!(built.to_string(), written);
        assert_eq!(written.parse::<Filter>().unwrap(), built);
        assert_eq!(serde_json::to_string(&built).unwrap(), written);
        assert_eq!(format!("{built:?}"), format!("Filter({written})"));
    }
}

#[test]
fn an_object_is_printed_as_it_was_written() {
    for written in [
        r#"{"$not":{"a":1,"b":2},"$or":[{"c":3}],"d":{"$gte":1,"$lt":5}}"#,
        r#"{"a":{"$not":{"$eq":1,"$not":{"$in":[null,true]}}}}"#,
        r#"{"x":3.0}"#,
    ] {
        assert_eq!(written.parse::<Filter>().unwrap().to_string(), written);
    }
    let explicit = r#"{"a":{"$eq":1}}"#.parse::<Filter>().unwrap();
    assert_eq!(explicit.to_string(), r#"{"a":1}"#);
}

#[test]
fn built_filters_are_evaluated() {
    let cells = [1, 2, 3].map(Cell::Integer);
    let batch = batch(vec![("n", array(Column::Int64, &cells))]);
    assert_eq!(rows(&Filter::gt("n", 1).and(Filter::ne("n", 3)), &batch), [1]);
    assert_eq!(rows(&!Filter::is_in("n", [1, 3]), &batch), [1]);
    assert_eq!(rows(&Filter::eq("n", 1).or(Filter::eq("n", 3)), &batch), [0, 2]);
}

/// Whatever loops build, nothing overflows: a filter beyond a limit says so when it is used.
#[test]
fn filters_built_beyond_a_limit_say_so_when_they_are_used() {
    let mut deep = Filter::eq("n", 1);
    for _ in 0..MAX_FILTER_DEPTH - 1 {
        deep = !deep;
    }
    assert!(deep.to_json().is_ok());
    for _ in 0..100_000 {
        deep = !deep;
    }
    let mut wide = Filter::eq("n", 0);
    for n in 1..MAX_FILTER_NODES as i64 - 1 {
        wide = wide.and(Filter::eq("n", n));
    }
    assert!(wide.to_json().is_ok());
    wide = wide.and(Filter::eq("n", -1)).and(Filter::all());
    let long = Filter::is_in("n", 0..70_000);
    let mut cases =
        vec![(deep, "deeper than 32"), (wide, "more than 1024"), (long, "more than 65536")];
    cases.push((Filter::eq("n", f64::NAN), "NaN or an infinity; compare it"));
    cases.push((Filter::is_in("n", [f32::INFINITY]).or(Filter::all()), "NaN or an infinity"));
    cases.push((!Filter::exists("$n"), "begins with \"$\""));
    for (filter, what) in cases {
        for error in [filter.to_json().unwrap_err(), filter.bind(&schema()).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::InvalidFilter);
            assert!(error.to_string().contains(what), "{error}");
        }
        assert!(filter.to_string().contains(what), "{filter}");
        assert!(serde_json::to_string(&filter).is_err());
    }
}

fn schema() -> arrow_schema::Schema {
    let cells = [Cell::Integer(1)];
    batch(vec![("n", array(Column::Int64, &cells))]).schema().as_ref().clone()
}
