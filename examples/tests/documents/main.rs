//! The code that the documents show: it is in [`quoted`], where it compiles, and runs if it needs no
//! server. A block of a document is there word for word, but for the indentation.

mod quoted;

use std::{fs, path::Path};

const DOCUMENTS: [&str; 6] = [
    "README.md",
    "docs/guide.md",
    "docs/comparison.md",
    "bus-core/README.md",
    "bus-redis/README.md",
    "bus-macros/README.md",
];

#[test]
fn all_code_in_the_documents_is_code_that_compiles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let compiled = lines(include_str!("quoted.rs"));
    let mut blocks = 0;
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).unwrap();
        for block in rust_blocks(&text) {
            let wanted = lines(&block);
            assert!(
                compiled.windows(wanted.len()).any(|part| part == wanted),
                "{document} shows code that is not in quoted.rs:\n{block}"
            );
            blocks += 1;
        }
    }
    assert!(blocks > 5, "only {blocks} blocks were found");
}

/// The fenced blocks of Rust in a document.
fn rust_blocks(document: &str) -> Vec<String> {
    document
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()))
        .collect()
}

/// The lines without indentation, and without empty ones at both ends.
fn lines(code: &str) -> Vec<&str> {
    code.trim().lines().map(str::trim).collect()
}

#[test]
fn the_program_of_the_readme_runs() {
    quoted::hello::run().unwrap();
}

#[tokio::test]
async fn the_calls_of_the_readme_run() {
    quoted::calls().await.unwrap();
}
