//! The name of a service, and what is named after it.

/// Bytes of a name; that of the queue has some more.
const BYTES_MAX: usize = 64;

/// Names of packages and crates that mean something else to the compiler or to cargo.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "replybus",
    "replybus-redis",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "thiserror",
    "tokio",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// A name that a package, a crate, a trait and a queue can have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServiceName(String);

impl ServiceName {
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub(super) fn new(name: &str) -> Result<Self, String> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
        let is_name = begins
            && name.len() <= BYTES_MAX
            && name.chars().all(is_allowed)
            && !name.ends_with('-')
            && !name.contains("--");
        if !is_name {
            return Err(format!(
                "{name:?} is no name of a service: 1 to {BYTES_MAX} lower-case letters, digits and \
                 single hyphens, a letter first, such as rate-service"
            ));
        }
        if TAKEN.contains(&name) {
            return Err(format!(
                "{name:?} means something else to Rust: take another, such as {name}-service"
            ));
        }
        Ok(Self(name.to_owned()))
    }

    pub(super) fn package(&self) -> &str {
        &self.0
    }

    pub(super) fn crate_name(&self) -> String {
        self.0.replace('-', "_")
    }

    /// The name of the trait.
    pub(super) fn contract(&self) -> String {
        let words = self.0.split('-').map(|word| {
            let (first, rest) = word.split_at(1.min(word.len()));
            format!("{}{rest}", first.to_ascii_uppercase())
        });
        words.collect()
    }

    pub(super) fn queue(&self) -> String {
        format!("{}.requests", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_names_a_crate_a_trait_and_a_queue() {
        let name = ServiceName::new("rate-service2").unwrap();
        assert_eq!(name.package(), "rate-service2");
        assert_eq!(name.crate_name(), "rate_service2");
        assert_eq!(name.contract(), "RateService2");
        assert_eq!(name.queue(), "rate-service2.requests");
        assert_eq!(ServiceName::new("a").unwrap().contract(), "A");
    }

    #[test]
    fn what_can_name_none_of_them_is_refused() {
        let long = "x".repeat(BYTES_MAX + 1);
        for name in [
            "",
            "-a",
            "a-",
            "a--b",
            "1a",
            "Rate",
            "rate_service",
            "a b",
            "../a",
            "a/b",
            "ä",
            "a\n",
            "test",
            "self",
            "replybus",
            &long,
        ] {
            let refused = ServiceName::new(name).unwrap_err();
            assert!(refused.starts_with(&format!("{name:?}")), "{refused}");
        }
    }
}
