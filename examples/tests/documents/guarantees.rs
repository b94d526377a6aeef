//! The tests that `docs/guarantees.md` and `docs/transports.md` name.

use replybus_conformance::{StoreCase, TransportCase};
use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

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

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

#[test]
fn each_promise_names_tests_that_are_there() {
    let docs = docs();
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

/// The names in backticks of what is in rows of a table, behind the last bar but one.
fn cases(document: &str) -> BTreeSet<&str> {
    let rows = document.lines().filter(|line| line.starts_with("| "));
    let shown = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    let names = shown.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let is_case = |name: &&str| name.contains("::") && !name.contains(['(', ')']);
    names.filter(is_case).collect()
}

#[test]
fn each_case_of_the_conformance_suite_stands_beside_what_it_shows() {
    let document = fs::read_to_string(docs().join("transports.md")).unwrap();
    let named: BTreeSet<String> = cases(&document).into_iter().map(str::to_owned).collect();
    let transport = TransportCase::all().iter().map(ToString::to_string);
    let store = StoreCase::all().iter().map(ToString::to_string);
    let there: BTreeSet<String> = transport.chain(store).collect();
    let unnamed: Vec<_> = there.difference(&named).collect();
    let unknown: Vec<_> = named.difference(&there).collect();
    assert!(
        unnamed.is_empty() && unknown.is_empty(),
        "docs/transports.md does not name {unnamed:?}, and names what is not there: {unknown:?}"
    );
}
