//! From the syntax tree back to JSON: what is printed is read as the same filter.

use serde_json::{Map, Value as Json};

use super::literal::Value;
use super::tree::{Compare, Node, Test};

pub(super) fn node_to_json(node: &Node) -> Json {
    let mut object = Map::new();
    write_node(node, &mut object);
    Json::Object(object)
}

fn write_node(node: &Node, object: &mut Map<String, Json>) {
    let (key, json) = match node {
        Node::Object(parts) => return parts.iter().for_each(|part| write_node(part, object)),
        Node::And(parts) => ("$and", parts.iter().map(node_to_json).collect()),
        Node::Or(parts) => ("$or", parts.iter().map(node_to_json).collect()),
        Node::Not(inner) => ("$not", node_to_json(inner)),
        Node::Field { name, tests } => (name.as_str(), field_to_json(tests)),
    };
    object.insert(key.to_owned(), json);
}

fn field_to_json(tests: &[Test]) -> Json {
    match tests {
        [Test::Compare(Compare::Eq, value)] => value.to_json(),
        _ => tests_to_json(tests),
    }
}

fn tests_to_json(tests: &[Test]) -> Json {
    tests.iter().map(|test| (test.operator().to_owned(), test_to_json(test))).collect()
}

fn test_to_json(test: &Test) -> Json {
    match test {
        Test::Compare(_, value) | Test::Contains(value) => value.to_json(),
        Test::In(values) | Test::Nin(values) => values.iter().map(Value::to_json).collect(),
        Test::Exists(wanted) => Json::Bool(*wanted),
        Test::Not(tests) => tests_to_json(tests),
    }
}
