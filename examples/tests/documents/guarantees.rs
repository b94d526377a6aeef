//! The tests that `docs/guarantees.md` names.

use std::{collections::HashSet, fs, path::Path};

/// The tests that a document names: links with the test for their text, and its file for their target.
fn named(document: &str) -> Vec<(&str, &str)> {
    let links = document.split("[`").skip(1);
    let named = links.filter_map(|rest| {
        let (name, rest) = rest.split_once("`](")?;
        let (file, _) = rest.split_once(')')?;
        file.ends_with(".rs").then_some((name, file))
    });
    named.collect()
}

#[test]
fn each_promise_names_tests_that_are_there() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let document = fs::read_to_string(docs.join("guarantees.md")).unwrap();
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| promise");
    let mut seen = HashSet::new();
    for promise in document.lines().filter(is_row) {
        let tests = named(promise);
        assert!(!tests.is_empty(), "no test shows this: {promise}");
        for (test, file) in tests {
            let code = fs::read_to_string(docs.join(file))
                .unwrap_or_else(|error| panic!("{file} of {test}: {error}"));
            assert!(
                code.contains(&format!("fn {test}(")) || code.contains(&format!("fn {test}<")),
                "{test} is not in {file}"
            );
            seen.insert(test);
        }
    }
    assert!(seen.len() > 80, "only {} tests were found", seen.len());
}
