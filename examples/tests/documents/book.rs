//! The book that mdBook makes of docs/ has each document as a chapter, and its links hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// The targets of the links in a text, code left out.
fn links(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let targets = prose.flat_map(|part| part.split("](").skip(1));
    targets
        .filter_map(|rest| Some(rest.split_once(')')?.0))
        .collect()
}

/// The names by which the headings of a chapter are linked, in the book as on a page of the
/// repository.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let prose: String = text.split("```").step_by(2).collect();
    for line in prose.lines().filter(|line| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim();
        let kept = heading.chars().filter_map(|character| match character {
            ' ' => Some('-'),
            '-' | '_' => Some(character),
            _ if character.is_alphanumeric() => Some(character),
            _ => None,
        });
        let anchor = kept.collect::<String>().to_lowercase();
        let again = (1..).map(|number| format!("{anchor}-{number}"));
        let mut names = [anchor.clone()].into_iter().chain(again);
        // A heading that comes twice is numbered.
        let name = names.find(|name| !anchors.contains(name));
        anchors.extend(name);
    }
    anchors
}

/// The chapters in their order, from the table of contents.
fn chapters() -> Vec<String> {
    let summary = fs::read_to_string(docs().join("SUMMARY.md")).unwrap();
    let mut chapters = Vec::new();
    for line in summary.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with("# ") {
            continue; // the name of a part
        }
        let link = line.trim().strip_prefix("- ").unwrap_or(line);
        let is_link = link.starts_with('[') && link.ends_with(".md)");
        assert!(is_link, "mdBook takes no such line: {line}");
        chapters.extend(links(link).into_iter().map(str::to_owned));
    }
    chapters
}

#[test]
fn each_document_is_a_chapter_of_the_book_once() {
    let chapters = chapters();
    let listed: BTreeSet<_> = chapters.iter().cloned().collect();
    assert_eq!(listed.len(), chapters.len(), "a chapter comes twice");
    let files = fs::read_dir(docs()).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let documents = files.filter(|file| file.ends_with(".md") && file != "SUMMARY.md");
    assert_eq!(documents.collect::<BTreeSet<_>>(), listed);
    let settings = fs::read_to_string(docs().join("book.toml")).unwrap();
    for setting in [r#"src = ".""#, r#"build-dir = "../target/book""#] {
        assert!(settings.lines().any(|line| line == setting), "{setting}");
    }
}

#[test]
fn links_from_chapter_to_chapter_lead_somewhere() {
    let chapters = chapters();
    let texts: BTreeMap<_, _> = chapters
        .iter()
        .map(|chapter| {
            let text = fs::read_to_string(docs().join(chapter)).unwrap();
            (chapter.as_str(), text)
        })
        .collect();
    let mut followed = 0;
    for (chapter, text) in &texts {
        for link in links(text) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { chapter } else { path };
            assert!(
                docs().join(target).exists(),
                "{chapter} links to {link}, which is not there"
            );
            let Some(text) = texts.get(target) else {
                let is_beside = target.ends_with(".md") && !target.contains("..");
                assert!(!is_beside, "{chapter} links to {link}, which is no chapter");
                continue;
            };
            assert!(
                anchor.is_empty() || anchors(text).contains(anchor),
                "{chapter} links to {link}, and there is no such heading"
            );
            followed += 1;
        }
    }
    assert!(followed > 100, "only {followed} links were found");
}
