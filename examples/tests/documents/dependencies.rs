//! The crates that the code of README.md and the guide needs, which they name: a reader has no
//! others.

use crate::rust_blocks;
use std::{collections::BTreeSet, fs, path::Path};

/// What of tokio is there with a feature only, by the beginning of its path.
const FEATURES: [(&str, &str); 8] = [
    ("tokio::main", "macros"),
    ("tokio::test", "macros"),
    ("tokio::select", "macros"),
    ("tokio::join", "macros"),
    ("tokio::signal", "signal"),
    ("tokio::time", "time"),
    ("tokio::net", "net"),
    ("tokio::fs", "fs"),
];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap()
}

/// The paths in code, as far as they are of other crates and begin with their names.
fn paths(code: &str) -> Vec<&str> {
    let is_part = |character: char| character.is_alphanumeric() || "_:".contains(character);
    let words = code.split(|character| !is_part(character));
    words.filter(|word| word.contains("::")).collect()
}

#[test]
fn what_the_code_of_the_documents_needs_is_among_the_dependencies_that_they_name() {
    let readme = read("README.md");
    let named = readme.split("```toml\n").nth(1).unwrap();
    let named = named.split("```").next().unwrap();
    let dependencies: BTreeSet<String> = named
        .lines()
        .filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_")))
        .collect();
    assert!(dependencies.contains("replybus"), "{dependencies:?}");
    let tokio = named.lines().find(|line| line.starts_with("tokio "));
    let workspace = read("Cargo.toml");
    let workspace: BTreeSet<String> = workspace
        .lines()
        .filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_")))
        .collect();
    for document in ["README.md", "docs/guide.md"] {
        let text = read(document);
        let mut seen = 0;
        for block in rust_blocks(&text) {
            for path in paths(&block) {
                let name = path.split("::").next().unwrap_or_default();
                if !workspace.contains(name) {
                    continue;
                }
                seen += 1;
                let in_words = format!("`{}`", name.replace('_', "-"));
                assert!(
                    dependencies.contains(name) || text.contains(&in_words),
                    "{document} uses {path} and names no {in_words}:\n{block}"
                );
                for (_, feature) in FEATURES
                    .iter()
                    .filter(|(begins, _)| path.starts_with(begins))
                {
                    assert!(
                        tokio.is_some_and(|line| line.contains(&format!("\"{feature}\""))),
                        "{document} uses {path}, and README.md's tokio has no {feature:?}"
                    );
                }
            }
        }
        assert!(seen > 5, "{document}: {seen}");
    }
}
