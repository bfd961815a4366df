//! The parts of a request's address, read strictly: one spelling for each thing, nothing unknown, nothing twice.
//!
//! Two spellings of one address would be two entries in every cache on the way, and a parameter that is silently
//! ignored is a question answered that nobody asked.

use countermark_bundle::identity::{Digest, Epoch, Name};
use countermark_tlog::size::{LeafIndex, TreeSize, parse_decimal_u64};

use super::problem::{Problem, ProblemKind};

/// The query of a request, taken apart.
#[derive(Debug)]
pub(crate) struct Parameters<'q>(Vec<(&'q str, &'q str)>);

impl<'q> Parameters<'q> {
    /// Takes a query apart; refuses a name that is not in `known`, a name that stands twice, and percent-encoding.
    pub(crate) fn parse(query: Option<&'q str>, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        // `?` alone asks nothing.
        let parts = query.filter(|query| !query.is_empty()).into_iter().flat_map(|query| query.split('&'));
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if !known.contains(&name) {
                let detail = format!("the parameter {name:?} is not known here; known are {known:?}");
                return Err(Problem::new(ProblemKind::UnknownParameter, detail));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                let detail = format!("the parameter {name:?} stands twice");
                return Err(Problem::new(ProblemKind::MalformedParameter, detail));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Refuses every query.
    pub(crate) fn none(query: Option<&str>) -> Result<(), Problem> {
        Parameters::parse(query, &[]).map(|_| ())
    }

    /// The text of a parameter, where it was given.
    pub(crate) fn text(&self, name: &str) -> Option<&'q str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// The tree size of a parameter, where it was given.
    pub(crate) fn tree_size(&self, name: &'static str) -> Result<Option<TreeSize>, Problem> {
        self.text(name)
            .map(|text| TreeSize::parse_decimal(text).map_err(|_| malformed(name, "a tree size")))
            .transpose()
    }

    /// The leaf index of a parameter, where it was given.
    pub(crate) fn leaf_index(&self, name: &'static str) -> Result<Option<LeafIndex>, Problem> {
        self.text(name)
            .map(|text| LeafIndex::parse_decimal(text).map_err(|_| malformed(name, "a leaf index")))
            .transpose()
    }

    /// The epoch of a parameter, where it was given.
    pub(crate) fn epoch(&self, name: &'static str) -> Result<Option<Epoch>, Problem> {
        self.text(name).map(|text| read_epoch(text).ok_or_else(|| malformed(name, EPOCH))).transpose()
    }

    /// The number from 1 to `max` of a parameter, where it was given.
    pub(crate) fn count(&self, name: &'static str, max: u64) -> Result<Option<u64>, Problem> {
        let read = |text| parse_decimal_u64(text).ok().filter(|count| (1..=max).contains(count));
        let what = format!("a number from 1 to {max}");
        self.text(name).map(|text| read(text).ok_or_else(|| malformed(name, &what))).transpose()
    }

    /// The 32 bytes in hex of a parameter, where it was given.
    pub(crate) fn digest(&self, name: &'static str) -> Result<Option<Digest>, Problem> {
        let malformed =
            || Problem::new(ProblemKind::MalformedParameter, format!("{name} must be 64 lower-case hex digits"));
        self.text(name).map(|text| Digest::from_hex(text).ok_or_else(malformed)).transpose()
    }

    /// The name of a parameter, where it was given.
    pub(crate) fn name(&self, name: &'static str) -> Result<Option<Name>, Problem> {
        let refused = |error| Problem::new(ProblemKind::MalformedParameter, format!("{name}: {error}"));
        self.text(name).map(|text| Name::parse(text).map_err(refused)).transpose()
    }
}

/// Refuses a request that lacks a parameter it cannot do without.
pub(crate) fn missing(name: &str) -> Problem {
    Problem::new(ProblemKind::MalformedParameter, format!("the parameter {name:?} is missing"))
}

fn malformed(name: &str, what: &str) -> Problem {
    Problem::new(
        ProblemKind::MalformedParameter,
        format!("{name} must be {what}: a decimal number without sign or leading zeros"),
    )
}

/// The leaf index in a path.
pub(crate) fn leaf_index(text: &str) -> Result<LeafIndex, Problem> {
    LeafIndex::parse_decimal(text).map_err(|_| malformed("the index in the path", "a leaf index"))
}

/// The tree size in a path.
pub(crate) fn tree_size(text: &str) -> Result<TreeSize, Problem> {
    TreeSize::parse_decimal(text).map_err(|_| malformed("the size in the path", "a tree size"))
}

/// The epoch in a path.
pub(crate) fn epoch(text: &str) -> Result<Epoch, Problem> {
    read_epoch(text).ok_or_else(|| malformed("the epoch in the path", EPOCH))
}

const EPOCH: &str = "an epoch from 1 to 2^53-1";

fn read_epoch(text: &str) -> Option<Epoch> {
    parse_decimal_u64(text).ok().and_then(Epoch::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(query: &str) -> Option<ProblemKind> {
        Parameters::parse(Some(query), &["index", "size"]).err().map(|problem| problem.kind())
    }

    #[test]
    fn queries_are_read_strictly() {
        for good in ["", "index=1", "size=1&index=2", "index="] {
            assert_eq!(kind(good), None, "{good}");
        }
        for unknown in ["from=1", "index=1&from=2", "&", "index=1&", "Index=1", "%69ndex=1", "="] {
            assert_eq!(kind(unknown), Some(ProblemKind::UnknownParameter), "{unknown}");
        }
        assert_eq!(kind("index=1&index=1"), Some(ProblemKind::MalformedParameter));
    }

    #[test]
    fn an_endpoint_without_parameters_refuses_every_query() {
        assert!(Parameters::none(None).is_ok());
        assert!(Parameters::none(Some("")).is_ok());
        assert_eq!(Parameters::none(Some("a=1")).unwrap_err().kind(), ProblemKind::UnknownParameter);
    }

    #[test]
    fn numbers_have_one_form() {
        for bad in ["", "01", "00", "+1", "-1", " 1", "1 ", "1.0", "0x1", "%31", "18446744073709551616", "１"] {
            assert_eq!(epoch(bad).unwrap_err().kind(), ProblemKind::MalformedParameter, "{bad}");
            assert_eq!(leaf_index(bad).unwrap_err().kind(), ProblemKind::MalformedParameter, "{bad}");
        }
        assert!(leaf_index("0").is_ok());
        assert!(epoch("0").is_err());
        assert!(epoch("1").is_ok());
    }
}
