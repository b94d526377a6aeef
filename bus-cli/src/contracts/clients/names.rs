//! Names in another language: of what may be called anything in ours.

use std::collections::{BTreeMap, BTreeSet};

/// The names of types: each is another, whatever they were called.
#[derive(Debug, Default)]
pub(super) struct TypeNames {
    known: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl TypeNames {
    /// Names that are in use from the start.
    pub(super) fn without(taken: &[&str]) -> Self {
        Self {
            taken: taken.iter().map(|name| (*name).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// The name of what is called so in the document: the same each time.
    pub(super) fn of(&mut self, original: &str) -> String {
        if let Some(name) = self.known.get(original) {
            return name.clone();
        }
        let name = self.new_one(original);
        self.known.insert(original.to_owned(), name.clone());
        name
    }

    /// A name like this one, which nothing else has.
    pub(super) fn new_one(&mut self, like: &str) -> String {
        let base = pascal(like);
        let numbered = (2..).map(|number: u32| format!("{base}{number}"));
        let mut names = std::iter::once(base.clone()).chain(numbered);
        let name = names
            .find(|name| !self.taken.contains(name))
            .unwrap_or(base);
        self.taken.insert(name.clone());
        name
    }
}

/// Words with a capital letter each, and without anything between.
fn pascal(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let name: String = words
        .filter(|word| !word.is_empty())
        .map(|word| {
            let (first, rest) = word.split_at(1);
            format!("{}{rest}", first.to_ascii_uppercase())
        })
        .collect();
    match name.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => name,
        _ => format!("T{name}"),
    }
}

/// A name of a method or argument, with an underscore behind what means something else.
pub(super) fn identifier(text: &str, taken: &[&str]) -> String {
    let mut name = text.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    if taken.contains(&&*name) {
        name.push('_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_a_name_that_no_other_has() {
        let mut names = TypeNames::without(&["Bus"]);
        assert_eq!(names.of("Page_of_Entry"), "PageOfEntry");
        assert_eq!(names.of("PageOfEntry"), "PageOfEntry2");
        assert_eq!(names.of("Page_of_Entry"), "PageOfEntry");
        assert_eq!(names.of("Bus"), "Bus2");
        assert_eq!(names.of("7-up"), "T7Up");
        assert_eq!(names.of("\"; import os"), "ImportOs");
    }

    #[test]
    fn identifiers_have_nothing_that_would_end_them() {
        assert_eq!(identifier("from", &["from"]), "from_");
        assert_eq!(identifier("a-b", &[]), "a_b");
        assert_eq!(identifier("1st", &[]), "_1st");
        assert_eq!(identifier("x): pass #", &[]), "x___pass__");
    }
}
