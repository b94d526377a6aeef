//! `docs/performance.md`: its tables and charts are written by the benchmarks, its words by people.
//!
//! What a benchmark writes stands between two marks of its name. Its lines of JSON and its charts
//! are beside the page, in `docs/performance/`.

#[cfg(feature = "bank")]
pub mod bank;
pub mod calls;
mod chart;
pub mod machine;
pub mod waiting;

use anyhow::{Context, Result};
use serde::Serialize;
use std::{fmt::Write as _, fs, path::PathBuf};

/// What a benchmark has to say.
#[derive(Debug, PartialEq)]
pub struct Section {
    /// The name of the benchmark, and of its section.
    pub name: &'static str,
    /// Tables and pictures, in Markdown.
    pub text: String,
    /// Names of files, and what is in them.
    pub charts: Vec<(&'static str, String)>,
}

/// Writes a section into the page with what is known of the machine, and beside it the rows it was
/// made of. `load` is [`machine::load`] from before the run, `length` how long was measured.
///
/// # Errors
/// The page is not there, has no such section, or can't be written.
pub fn write<R: Serialize>(section: &Section, rows: &[R], load: &str, length: &str) -> Result<()> {
    let docs = docs();
    let beside = docs.join("performance");
    fs::create_dir_all(&beside)?;
    let page = docs.join("performance.md");
    let text = fs::read_to_string(&page).context("could not read docs/performance.md")?;
    let text = replaced(&text, section.name, &section.text)?;
    let state = format!(
        "{}, load average before the run {load}; {length}.",
        machine::name()
    );
    let text = replaced(&text, &format!("{} on", section.name), &state)?;
    fs::write(&page, text)?;
    let mut lines = String::new();
    for row in rows {
        let _ = writeln!(lines, "{}", serde_json::to_string(row)?);
    }
    fs::write(beside.join(format!("{}.jsonl", section.name)), lines)?;
    for (name, svg) in &section.charts {
        fs::write(beside.join(name), svg)?;
    }
    Ok(())
}

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// A page with other text between the marks of a name.
fn replaced(page: &str, name: &str, text: &str) -> Result<String> {
    let (begin, end) = marks(name);
    let parts = page.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    let (before, after) = parts.with_context(|| format!("the page has no section {name}"))?;
    Ok(format!(
        "{before}{begin}\n{}\n{end}{after}",
        text.trim_end()
    ))
}

fn marks(name: &str) -> (String, String) {
    (
        format!("<!-- {name} -->"),
        format!("<!-- end of {name} -->"),
    )
}

/// A table, its first column a name.
fn table(head: &[String], rows: &[(String, Vec<String>)]) -> String {
    let mut table = format!("| {} |\n|---|", head.join(" | "));
    table.push_str(&"---:|".repeat(head.len().saturating_sub(1)));
    table.push('\n');
    for (name, cells) in rows {
        let _ = writeln!(table, "| {name} | {} |", cells.join(" | "));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_its_marks_is_replaced() {
        let page = "words\n<!-- a -->\nold\n<!-- end of a -->\nmore <!-- b --> x <!-- end of b -->";
        let page = replaced(page, "a", "new\n\n").unwrap();
        assert_eq!(
            page,
            "words\n<!-- a -->\nnew\n<!-- end of a -->\nmore <!-- b --> x <!-- end of b -->"
        );
        assert!(replaced(&page, "c", "").is_err());
    }

    #[test]
    fn a_table_has_a_line_for_each_row() {
        let head = ["path", "1"].map(str::to_owned);
        let rows = [("raw".to_owned(), vec!["7".to_owned()])];
        assert_eq!(
            table(&head, &rows),
            "| path | 1 |\n|---|---:|\n| raw | 7 |\n"
        );
    }

    /// The page, as it is, was made of the rows beside it.
    #[test]
    fn the_page_says_what_its_figures_say() {
        let page = fs::read_to_string(docs().join("performance.md")).unwrap();
        let check = |section: Section| {
            let again = replaced(&page, section.name, &section.text).unwrap();
            assert_eq!(again, page, "the section {} is another", section.name);
            for (name, svg) in section.charts {
                let there = fs::read_to_string(docs().join("performance").join(name)).unwrap();
                assert_eq!(there, svg, "{name}");
            }
        };
        check(calls::section(&rows("round_trip_live")));
        check(waiting::section(&rows("waiting")));
        #[cfg(feature = "bank")]
        check(bank::section(&rows("bank_http")));
    }

    fn rows<R: serde::de::DeserializeOwned>(name: &str) -> Vec<R> {
        let path = docs().join("performance").join(format!("{name}.jsonl"));
        let lines = fs::read_to_string(path).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
