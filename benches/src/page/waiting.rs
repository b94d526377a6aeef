//! Calls among many that wait, many queues and many instances.

use super::{Section, chart::grouped, table};
use crate::waiting::{Of, Row};
use std::fmt::Write as _;

/// Tables of what was measured.
#[must_use]
pub fn section(rows: &[Row]) -> Section {
    let mut text = String::new();
    let of = |of: Of| rows.iter().filter(move |row| row.of == of);
    let head = [
        "calls that wait at once",
        "bytes of one",
        "us to ask",
        "us to answer",
    ];
    let crowd = of(Of::Crowd).map(|row| {
        let or_none = |figure: Option<f64>| figure.map_or("-".to_owned(), grouped);
        let answer = row
            .us_per_answer
            .map_or("-".to_owned(), |us| format!("{us:.1}"));
        let cells = vec![
            or_none(row.bytes_per_call),
            format!("{:.1}", row.us_per_call),
            answer,
        ];
        (grouped(row.number.into()), cells)
    });
    text.push_str(&table(&head.map(str::to_owned), &crowd.collect::<Vec<_>>()));
    let head = ["of", "number", "us a call", "to the first"];
    let spread = [Of::Waiting, Of::Queues, Of::Instances];
    let spread = spread.into_iter().flat_map(of).map(|row| {
        let cells = vec![
            grouped(row.number.into()),
            format!("{:.1}", row.us_per_call),
            format!("{:.2}", row.ratio),
        ];
        (row.of.words().to_owned(), cells)
    });
    let _ = writeln!(text);
    text.push_str(&table(
        &head.map(str::to_owned),
        &spread.collect::<Vec<_>>(),
    ));
    Section {
        name: "waiting",
        text,
        charts: Vec::new(),
    }
}
