//! Each recipe of docs/cookbook.md is whole: a question, code that a test runs, and what is to be
//! said about it.

use crate::{is_part, lines, rust_blocks};
use std::{collections::BTreeSet, fs, path::Path};

/// Where the code of a recipe is, from the document.
const FOLDER: &str = "../examples/tests/documents/cookbook/";
/// Files that are none of one recipe.
const SHARED: [&str; 2] = ["mod.rs", "stock.rs"];

#[test]
fn each_recipe_is_a_question_with_code_that_a_test_runs() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(package.join("../docs/cookbook.md")).unwrap();
    let cookbook = package.join("tests/documents/cookbook");
    let mut sections = document.split("\n## ");
    let mut shown = BTreeSet::new();
    let mut count = 0;
    sections.next(); // what is before the first one
    for recipe in sections {
        let (question, rest) = recipe.split_once('\n').unwrap();
        assert!(question.ends_with('?'), "{question}");
        let (_, file) = rest.split_once(FOLDER).unwrap_or_else(|| {
            panic!("{question} does not say where its code is");
        });
        let file = file.split(')').next().unwrap();
        let code = fs::read_to_string(cookbook.join(file)).unwrap();
        let is_test = |line: &str| ["#[test]", "#[tokio::test]"].contains(&line);
        assert!(
            lines(&code).into_iter().any(is_test),
            "no test runs {file} of {question}"
        );
        let blocks = rust_blocks(rest);
        assert!(!blocks.is_empty(), "{question} shows no code");
        for block in blocks {
            assert!(
                is_part(&lines(&code), &block),
                "{question} shows what is not in {file}:\n{block}"
            );
        }
        let said = rest.rsplit("```").next().unwrap();
        let said = said.split_whitespace().count();
        assert!(said > 20, "{question}: {said} words are said about it");
        shown.insert(file.to_owned());
        count += 1;
    }
    assert!(count >= 30, "only {count} recipes were found");
    let files = fs::read_dir(cookbook).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<_> = files
        .filter(|file| !SHARED.contains(&file.as_str()))
        .collect();
    assert_eq!(files, shown, "a file of no recipe, or a recipe of no file");
}

/// The contract that recipes call is shown once, before them.
#[test]
fn the_contract_of_the_recipes_is_shown() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(package.join("../docs/cookbook.md")).unwrap();
    let before = document.split("\n## ").next().unwrap();
    let shown = rust_blocks(before);
    let stock = fs::read_to_string(package.join("tests/documents/cookbook/stock.rs")).unwrap();
    assert!(!shown.is_empty(), "it is not");
    for block in shown {
        assert!(is_part(&lines(&stock), &block), "{block}");
    }
}

/// What documents show in Python is on the page of the client, whose programs its own tests run.
#[test]
fn code_in_python_is_what_the_tests_of_the_client_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let files = [
        "clients/python/README.md",
        "clients/python/examples/celery_calls.py",
        "clients/python/examples/celery_serves.py",
    ];
    let files = files.map(read);
    let mut blocks = 0;
    for document in ["docs/cookbook.md", "docs/migration.md"] {
        let text = read(document);
        for block in text.split("```python\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let is_shown = files.iter().any(|file| is_part(&lines(file), block));
            assert!(is_shown, "{document} shows what nobody runs:\n{block}");
            blocks += 1;
        }
    }
    assert!(blocks >= 3, "only {blocks} blocks were found");
}
