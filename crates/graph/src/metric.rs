//! The three metrics, and what a distance means under each.
//!
//! Smaller is always nearer. Inside the crate distances of `L2` are squared, because the order is
//! the same and the root costs time; [`Metric::reported`] turns one into the figure that users
//! see.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// How the distance of two vectors is measured; smaller is always nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// The Euclidean distance.
    L2,
    /// One minus the cosine of the angle between the vectors.
    Cosine,
    /// The negated inner product.
    Ip,
}

impl Metric {
    /// Every metric, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::L2, Self::Cosine, Self::Ip];

    /// The name that every interface of loomdb uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Cosine => "cosine",
            Self::Ip => "ip",
        }
    }

    /// The distance as users see it, from the one that orders candidates.
    pub(crate) fn reported(self, distance: f32) -> f32 {
        match self {
            Self::L2 => distance.max(0.0).sqrt(),
            Self::Cosine => distance.max(0.0),
            Self::Ip => distance,
        }
    }

    /// The distance, up to its rounding, that is reported as this one.
    pub(crate) fn computed(self, reported: f32) -> f32 {
        match self {
            Self::L2 => reported * reported,
            Self::Cosine | Self::Ip => reported,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|metric| metric.name() == name).ok_or_else(|| {
            Error::InvalidParameter {
                name: "metric",
                given: name.to_owned(),
                allowed: "l2, cosine or ip",
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Metric;

    #[test]
    fn names_parse_back() {
        for metric in Metric::ALL {
            assert_eq!(metric.name().parse::<Metric>().unwrap(), metric);
        }
        let message = "dot".parse::<Metric>().unwrap_err().to_string();
        assert!(message.contains("l2, cosine or ip"), "{message}");
    }
}
