//! Random filters, each with what it means for a point, told without the filter language.

use loomdb::{Filter, Metadata};
use loomdb_testkit::Random;
use serde_json::{Value, json};

/// A condition on the metadata that the model makes.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Written by one of the operations from the first number up to the second.
    Stamp(u64, u64),
    Even(bool),
    NotEven(bool),
    Tagged(String),
    Named(Vec<String>),
    HasRatio(bool),
    RatioBelow(i64),
    Not(Box<Condition>),
    Both(Box<Condition>, Box<Condition>),
    Either(Box<Condition>, Box<Condition>),
}

impl Condition {
    pub fn draw(random: &mut Random) -> Self {
        Self::draw_at(random, 0)
    }

    fn draw_at(random: &mut Random, depth: usize) -> Self {
        let first = random.below(120) as u64;
        match random.below(if depth < 3 { 13 } else { 9 }) {
            0 | 1 => Self::Stamp(first, first + 1 + random.below(40) as u64),
            2 => Self::Even(first < 60),
            3 => Self::NotEven(first < 60),
            4 => Self::Tagged(if first < 60 { "a".to_owned() } else { first.to_string() }),
            5 => {
                let ids = (0..random.below(30)).map(|id| format!("point {}", 2 * id));
                Self::Named(ids.collect())
            }
            6 => Self::HasRatio(first < 60),
            7 | 8 => Self::RatioBelow(random.below(9) as i64),
            9 => Self::Not(Box::new(Self::draw_at(random, depth + 1))),
            other => {
                let left = Box::new(Self::draw_at(random, depth + 1));
                let right = Box::new(Self::draw_at(random, depth + 1));
                if other == 10 { Self::Both(left, right) } else { Self::Either(left, right) }
            }
        }
    }

    pub fn filter(&self) -> Filter {
        Filter::from_json(&self.json()).unwrap()
    }

    fn json(&self) -> Value {
        match self {
            Self::Stamp(from, to) => json!({"stamp": {"$gte": from, "$lt": to}}),
            Self::Even(value) => json!({"even": value}),
            Self::NotEven(value) => json!({"even": {"$ne": value}}),
            Self::Tagged(tag) => json!({"tags": {"$contains": tag}}),
            Self::Named(names) => json!({"name": {"$in": names}}),
            Self::HasRatio(value) => json!({"ratio": {"$exists": value}}),
            Self::RatioBelow(bound) => json!({"ratio": {"$lt": bound}}),
            Self::Not(inner) => json!({"$not": inner.json()}),
            Self::Both(left, right) => json!({"$and": [left.json(), right.json()]}),
            Self::Either(left, right) => json!({"$or": [left.json(), right.json()]}),
        }
    }

    pub fn matches(&self, metadata: &Metadata) -> bool {
        let field = |name: &str| metadata.get(name);
        match self {
            Self::Stamp(from, to) => {
                let stamp = field("stamp").and_then(Value::as_u64);
                stamp.is_some_and(|stamp| (*from..*to).contains(&stamp))
            }
            Self::Even(value) => field("even") == Some(&Value::Bool(*value)),
            Self::NotEven(value) => field("even") != Some(&Value::Bool(*value)),
            Self::Tagged(tag) => {
                let tags = field("tags").and_then(Value::as_array);
                tags.is_some_and(|tags| tags.iter().any(|one| one == tag))
            }
            Self::Named(names) => {
                let name = field("name").and_then(Value::as_str);
                name.is_some_and(|name| names.iter().any(|one| one == name))
            }
            Self::HasRatio(value) => field("ratio").is_some() == *value,
            Self::RatioBelow(bound) => {
                let ratio = field("ratio").and_then(Value::as_f64);
                ratio.is_some_and(|ratio| ratio < *bound as f64)
            }
            Self::Not(inner) => !inner.matches(metadata),
            Self::Both(left, right) => left.matches(metadata) && right.matches(metadata),
            Self::Either(left, right) => left.matches(metadata) || right.matches(metadata),
        }
    }

    /// The fields that it reads.
    pub fn fields(&self) -> Vec<&'static str> {
        match self {
            Self::Stamp(..) => vec!["stamp"],
            Self::Even(_) | Self::NotEven(_) => vec!["even"],
            Self::Tagged(_) => vec!["tags"],
            Self::Named(_) => vec!["name"],
            Self::HasRatio(_) | Self::RatioBelow(_) => vec!["ratio"],
            Self::Not(inner) => inner.fields(),
            Self::Both(left, right) | Self::Either(left, right) => {
                [left.fields(), right.fields()].concat()
            }
        }
    }
}
