//! What is printed: a line for each thing that happens, and what it came to.

use crate::{
    audit::{Kind, Violation},
    load::{Load, asking::Answers},
};
use std::{fmt, time::Instant};

/// Violations that are shown; the others are counted.
const SHOWN: usize = 40;

/// Tells what happens, and when.
#[derive(Debug)]
pub(crate) struct Teller(Instant);

impl Teller {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// Prints a line with the time since the beginning.
    pub(crate) fn tell(&self, what: impl fmt::Display) {
        println!("{:>8.1} s  {what}", self.0.elapsed().as_secs_f64());
    }
}

/// The figures of a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) faults: usize,
    /// Fates that were not known when the load ended.
    pub(crate) unknown: usize,
    pub(crate) violations: Vec<Violation>,
}

impl Figures {
    /// Of a load that has ended.
    pub(crate) fn of(load: &Load<'_>, faults: usize, violations: Vec<Violation>) -> Self {
        let (bank, shop) = (load.bank.book(), load.shop.book());
        Self {
            requests: bank.answers.requests + shop.answers.requests,
            faults,
            unknown: bank.unknown + shop.unknown,
            violations,
        }
    }

    fn count(&self, kind: Kind) -> usize {
        let violations = self.violations.iter();
        violations.filter(|one| one.kind == kind).count()
    }
}

/// The violations, the counts, and how many violations there are.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(f, "  {violation}")?;
        }
        if let Some(more @ 1..) = self.violations.len().checked_sub(SHOWN) {
            writeln!(f, "  and {more} more")?;
        }
        writeln!(
            f,
            "requests: {}, faults: {}, lost: {}, duplicated: {}, unknown: {}",
            self.requests,
            self.faults,
            self.count(Kind::Lost),
            self.count(Kind::Duplicated),
            self.unknown
        )?;
        write!(f, "violations: {}", self.violations.len())
    }
}

/// Prints what was answered how often.
pub(crate) fn print_answers(load: &Load<'_>) {
    let print = |system: &str, answers: &Answers| {
        println!("answers of the {system}:");
        for line in answers.lines() {
            println!("{line}");
        }
    };
    print("bank", &load.bank.book().answers);
    print("shop", &load.shop.book().answers);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_violations_and_the_one_before_their_kinds() {
        let violation = |kind| Violation {
            kind,
            what: "an order".to_owned(),
        };
        let mut violations = vec![violation(Kind::Lost), violation(Kind::Duplicated)];
        violations.resize(SHOWN + 3, violation(Kind::Sums));
        let figures = Figures {
            requests: 700,
            faults: 9,
            unknown: 12,
            violations,
        };
        let told = figures.to_string();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], "  lost: an order");
        assert_eq!(lines[SHOWN], "  and 3 more");
        let counts = "requests: 700, faults: 9, lost: 1, duplicated: 1, unknown: 12";
        assert_eq!(lines[SHOWN + 1..], [counts, "violations: 43"]);
        assert_eq!(
            Figures::default().to_string(),
            "requests: 0, faults: 0, lost: 0, duplicated: 0, unknown: 0\nviolations: 0"
        );
    }
}
