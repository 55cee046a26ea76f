//! From JSON to the syntax tree.
//!
//! Every level is counted before it is entered and every node before it is kept, so a hostile
//! filter costs no more than a filter that is as large as the limits allow.

use serde_json::{Map, Value as Json};

use super::literal::{Value, described, quoted};
use super::path::{Path, advice};
use super::tree::{CONNECTIVES, Compare, Limit, Node, OPERATORS, Test};
use crate::limits::{MAX_FILTER_DEPTH, MAX_FILTER_NODES, MAX_FILTER_VALUES};
use crate::{Error, Result};

/// The tree of a filter in JSON.
pub(super) fn parse(json: &Json) -> Result<Node> {
    Parser::default().filter(json, Path::ROOT, 1)
}

#[derive(Default)]
struct Parser {
    nodes: usize,
    values: usize,
}

impl Parser {
    fn filter(&mut self, json: &Json, path: Path<'_>, depth: usize) -> Result<Node> {
        let Json::Object(entries) = json else {
            let what = format!("a filter is an object, not {}", described(json));
            return Err(path.error(what).advise("write it as {\"field\": value}"));
        };
        check_depth(path, depth)?;
        if entries.is_empty() {
            self.count_node(path)?;
        }
        let parts = entries.iter().map(|(key, value)| self.entry(key, value, path.key(key), depth));
        let parts: Vec<Node> = parts.collect::<Result<_>>()?;
        Ok(match <[Node; 1]>::try_from(parts) {
            Ok([part]) => part,
            Err(parts) => Node::Object(parts),
        })
    }

    fn entry(&mut self, key: &str, json: &Json, path: Path<'_>, depth: usize) -> Result<Node> {
        match key {
            "$and" => Ok(Node::And(self.filters(key, json, path, depth)?)),
            "$or" => Ok(Node::Or(self.filters(key, json, path, depth)?)),
            "$not" => {
                self.count_node(path)?;
                Ok(Node::Not(Box::new(self.filter(json, path, depth + 1)?)))
            }
            _ if key.starts_with('$') => Err(unknown_connective(key, path)),
            _ => Ok(Node::Field { name: key.to_owned(), tests: self.field(json, path, depth)? }),
        }
    }

    fn filters(
        &mut self,
        operator: &str,
        json: &Json,
        path: Path<'_>,
        depth: usize,
    ) -> Result<Vec<Node>> {
        self.count_node(path)?;
        let Json::Array(filters) = json else {
            let what = format!("{operator:?} needs a list of filters, not {}", described(json));
            return Err(path.error(what).advise(format!("write {{\"{operator}\": [{{...}}]}}")));
        };
        let parts = filters.iter().enumerate();
        parts.map(|(index, filter)| self.filter(filter, path.index(index), depth + 1)).collect()
    }

    fn field(&mut self, json: &Json, path: Path<'_>, depth: usize) -> Result<Vec<Test>> {
        match json {
            Json::Object(tests) => self.tests(tests, path, depth),
            Json::Array(_) => {
                let what = "a field is not compared with a whole list";
                let hint = "for one of several values write {\"$in\": [...]}; \
                    for an element of a list, the element itself";
                Err(path.error(what).advise(hint))
            }
            _ => {
                self.count_node(path)?;
                Ok(vec![Test::Compare(Compare::Eq, value("$eq", json, path)?)])
            }
        }
    }

    fn tests(
        &mut self,
        tests: &Map<String, Json>,
        path: Path<'_>,
        depth: usize,
    ) -> Result<Vec<Test>> {
        if tests.is_empty() {
            let what = "the object holds no condition";
            return Err(path.error(what).advise("write one, such as {\"$exists\": true}"));
        }
        let tests = tests.iter();
        tests.map(|(key, json)| self.test(key, json, path.key(key), depth)).collect()
    }

    fn test(&mut self, operator: &str, json: &Json, path: Path<'_>, depth: usize) -> Result<Test> {
        self.count_node(path)?;
        match (operator, json) {
            ("$in", _) => Ok(Test::In(self.values(operator, json, path)?)),
            ("$nin", _) => Ok(Test::Nin(self.values(operator, json, path)?)),
            ("$contains", _) => Ok(Test::Contains(value(operator, json, path)?)),
            ("$exists", Json::Bool(wanted)) => Ok(Test::Exists(*wanted)),
            ("$exists", _) => {
                let what = format!("\"$exists\" needs true or false, not {}", described(json));
                Err(path.error(what))
            }
            ("$not", Json::Object(tests)) => {
                check_depth(path, depth + 1)?;
                Ok(Test::Not(self.tests(tests, path, depth + 1)?))
            }
            ("$not", _) => {
                let what = format!("\"$not\" needs an object, not {}", described(json));
                let hint = "write {\"$ne\": value}, or {\"$not\": {\"$gt\": value}}";
                Err(path.error(what).advise(hint))
            }
            _ => match Compare::from_operator(operator) {
                Some(compare) => Ok(Test::Compare(compare, value(operator, json, path)?)),
                None => Err(unknown_operator(operator, path)),
            },
        }
    }

    fn values(&mut self, operator: &str, json: &Json, path: Path<'_>) -> Result<Vec<Value>> {
        let Json::Array(values) = json else {
            let what = format!("{operator:?} needs a list of values, not {}", described(json));
            return Err(path.error(what).advise(format!("write {{\"{operator}\": [value]}}")));
        };
        self.values += values.len();
        if self.values > MAX_FILTER_VALUES {
            return Err(path.limit(Limit::Values));
        }
        let values = values.iter().enumerate();
        values.map(|(index, json)| value(operator, json, path.index(index))).collect()
    }

    fn count_node(&mut self, path: Path<'_>) -> Result<()> {
        self.nodes += 1;
        if self.nodes > MAX_FILTER_NODES { Err(path.limit(Limit::Nodes)) } else { Ok(()) }
    }
}

fn check_depth(path: Path<'_>, depth: usize) -> Result<()> {
    if depth > MAX_FILTER_DEPTH { Err(path.limit(Limit::Depth)) } else { Ok(()) }
}

fn value(operator: &str, json: &Json, path: Path<'_>) -> Result<Value> {
    Value::from_json(json).ok_or_else(|| {
        let what = format!(
            "{operator:?} needs a boolean, a number, a string or null, not {}",
            described(json)
        );
        path.error(what)
    })
}

fn unknown_connective(key: &str, path: Path<'_>) -> Error {
    if OPERATORS.contains(&key) {
        let what = format!("{key:?} stands under a field");
        return path.error(what).advise(format!("write {{\"field\": {{\"{key}\": ...}}}}"));
    }
    let hint = match key {
        "$nor" => "write {\"$not\": {\"$or\": [...]}}".to_owned(),
        _ => advice(key, &CONNECTIVES, "operators beside fields"),
    };
    path.error(format!("there is no operator {}", quoted(key))).advise(hint)
}

fn unknown_operator(key: &str, path: Path<'_>) -> Error {
    if CONNECTIVES.contains(&key) {
        let what = format!("{key:?} stands beside fields, not under one");
        return path.error(what).advise(format!("write {{\"{key}\": [{{\"field\": value}}]}}"));
    }
    let hint = advice(key, &OPERATORS, "operators");
    if key.starts_with('$') {
        return path.error(format!("there is no operator {}", quoted(key))).advise(hint);
    }
    let with_dollar = advice(&format!("${key}"), &OPERATORS, "operators");
    let what = format!("{} under a field is no operator", quoted(key));
    let inner =
        "a field inside of an object is one name with a dot, as in {\"object.field\": value}";
    path.error(what).advise(format!("{with_dollar}; {inner}"))
}
