//! What must be true at the end. [`look`] reads what bank and shop show, [`bank`] and [`shop`]
//! compare it with what their customers were told.

pub(crate) mod bank;
pub(crate) mod look;
pub(crate) mod shop;

use std::{collections::HashMap, fmt, hash::Hash};

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

/// What kind of violation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It was said to be done, and is not there.
    Lost,
    /// It is there more than once.
    Duplicated,
    /// It was said not to be done, and is there.
    Undead,
    /// It is there, and nobody asked for it.
    Nobodys,
    /// Figures do not add up.
    Sums,
    /// Somebody was not told of what happened, or of what did not, or twice.
    Told,
    /// An answer contradicts another one, or makes no sense.
    Odd,
    /// A service panicked, or is not well again.
    Ill,
    /// In a soak more and more was taken.
    Grown,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Lost => "lost",
            Kind::Duplicated => "duplicated",
            Kind::Undead => "done though refused",
            Kind::Nobodys => "nobody asked for it",
            Kind::Sums => "does not add up",
            Kind::Told => "told wrongly",
            Kind::Odd => "odd answer",
            Kind::Ill => "not well",
            Kind::Grown => "grown",
        };
        write!(f, "{kind}: {}", self.what)
    }
}

/// Violations that were found.
#[derive(Debug, Default)]
struct Found(Vec<Violation>);

impl Found {
    fn add(&mut self, kind: Kind, what: impl fmt::Display) {
        let what = what.to_string();
        self.0.push(Violation { kind, what });
    }

    /// Compares how often each thing is there with how often it is to be there.
    fn compare<T: Hash + Eq + fmt::Debug>(
        &mut self,
        (kind, whose): (Kind, &str),
        expected: impl IntoIterator<Item = T>,
        found: impl IntoIterator<Item = T>,
    ) {
        let mut surplus: HashMap<T, i64> = HashMap::new();
        for one in found {
            *surplus.entry(one).or_default() += 1;
        }
        for one in expected {
            *surplus.entry(one).or_default() -= 1;
        }
        for (one, count) in surplus {
            match count {
                0 => {}
                1.. => self.add(kind, format_args!("{whose}: {count} too many of {one:?}")),
                _ => self.add(kind, format_args!("{whose}: {} missing of {one:?}", -count)),
            }
        }
    }
}
