//! The code that the documents show: it is in files that are compiled, and most of it runs. A block
//! of a document is in one of them word for word, but for the indentation. And the book that is made
//! of the documents is whole.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects, in its functions too"
)]

mod book;
/// Public items are what a document shows, and recipes print.
#[allow(
    dead_code,
    unreachable_pub,
    clippy::print_stdout,
    reason = "a document shows a public contract, and prints"
)]
mod cookbook;
mod dependencies;
mod guarantees;
mod migrating;
mod quoted;
mod recipes;

/// The programs of docs/migration.md.
#[allow(
    dead_code,
    unreachable_pub,
    clippy::print_stdout,
    reason = "a document shows a public contract, and prints"
)]
#[path = "../../migration/mod.rs"]
mod migration;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where documents are, from the root.
const FOLDERS: [&str; 15] = [
    "",
    "docs",
    "banking",
    "benches",
    "bus-conformance",
    "bus-core",
    "bus-macros",
    "bus-otel",
    "bus-redis",
    "bus-sim",
    "bus-sql",
    "chaos",
    "examples",
    "fuzz",
    "model",
];

/// The code that documents may show, below this package.
const COMPILED: [&str; 4] = [
    "tests/documents/quoted.rs",
    "tests/documents/cookbook",
    "migration",
    "shop/src",
];

/// Documents whose blocks are parts of files that are named beside them: what these bring in is there.
const OF_FILES: [&str; 2] = ["first-call.md", "tutorial.md"];

/// What a block can use of others, and the names it then has to bring in: a reader copies it.
const IMPORTED: [&str; 11] = [
    "Amqp",
    "Bus",
    "CallError",
    "Context",
    "Deserialize",
    "Duration",
    "Event",
    "Never",
    "RedisReplies",
    "Serialize",
    "queue_handler",
];

/// The documents, each with its blocks of Rust.
fn documents() -> Vec<(PathBuf, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let files = FOLDERS
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let documents = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents
        .map(|path| {
            (
                path.clone(),
                rust_blocks(&fs::read_to_string(path).unwrap()),
            )
        })
        .collect()
}

/// The texts of all files of Rust at or below a path.
fn files_of_rust(path: &Path) -> Vec<String> {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        return entries
            .flat_map(|entry| files_of_rust(&entry.unwrap().path()))
            .collect();
    }
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    is_rust
        .then(|| fs::read_to_string(path).unwrap())
        .into_iter()
        .collect()
}

#[test]
fn all_code_in_the_documents_is_code_that_compiles() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = COMPILED.map(|path| files_of_rust(&package.join(path)));
    let files = files.concat();
    let compiled: Vec<_> = files.iter().map(|file| lines(file)).collect();
    let mut blocks = 0;
    for (document, shown) in documents() {
        for block in shown {
            assert!(
                compiled.iter().any(|file| is_part(file, &block)),
                "{} shows code that is in no file that is compiled for it:\n{block}",
                document.display()
            );
            blocks += 1;
        }
    }
    assert!(blocks > 80, "only {blocks} blocks were found");
}

/// Whether the lines of a block are in a file, one after the other.
fn is_part(file: &[&str], block: &str) -> bool {
    let wanted = lines(block);
    file.windows(wanted.len()).any(|part| part == wanted)
}

#[test]
fn a_block_brings_in_what_it_names() {
    for (document, blocks) in documents() {
        if OF_FILES.iter().any(|name| document.ends_with(name)) {
            continue;
        }
        for block in blocks {
            let code = block
                .lines()
                .map(|line| line.split("//").next().unwrap_or(line));
            let is_import = |line: &&str| line.trim_start().starts_with("use ");
            let (imports, code): (Vec<_>, Vec<_>) = code.partition(is_import);
            let names = |lines: &[&str], name: &str| {
                let is_part = |character: char| character.is_alphanumeric() || character == '_';
                let mut words = lines.iter().flat_map(|line| line.split(|c| !is_part(c)));
                words.any(|word| word == name)
            };
            for name in IMPORTED {
                assert!(
                    !names(&code, name) || names(&imports, name),
                    "{} names {name}, and does not bring it in:\n{block}",
                    document.display()
                );
            }
        }
    }
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
async fn the_first_screen_of_the_readme_runs() {
    assert_eq!(quoted::first_screen().await.unwrap(), "Hello, Ada!");
}

#[tokio::test]
async fn the_calls_of_the_readme_run() {
    quoted::calls().await.unwrap();
}
