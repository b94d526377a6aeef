//! The bank, and PostgreSQL alone.

use super::{
    Section,
    chart::{Lines, grouped},
    table,
};
use crate::bank::report::{Row, STRANGERS};

/// A table and a chart of what was measured.
#[must_use]
pub fn section(rows: &[Row]) -> Section {
    if rows.is_empty() {
        return Section {
            name: "bank_http",
            text: "Not measured since the page was made.".to_owned(),
            charts: Vec::new(),
        };
    }
    let head = [
        "path",
        "clients",
        "transfers/s",
        "p50 ms",
        "p99 ms",
        "failed",
        "to PostgreSQL",
    ];
    let lines: Vec<_> = rows
        .iter()
        .map(|row| {
            let ratio = row.ratio_to_postgres;
            let cells = vec![
                row.clients.to_string(),
                grouped(row.transfers_per_s.round()),
                format!("{:.1}", row.p50_ms),
                format!("{:.1}", row.p99_ms),
                grouped_count(row.failed),
                ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
            ];
            (format!("`{}`", row.path), cells)
        })
        .collect();
    let mut text = table(&head.map(str::to_owned), &lines);
    text.push_str("\n![Transfers a second](performance/bank.svg)\n");
    Section {
        name: "bank_http",
        text,
        charts: vec![("bank.svg", chart(rows))],
    }
}

fn chart(rows: &[Row]) -> String {
    let mut clients: Vec<_> = rows.iter().map(|row| row.clients).collect();
    clients.sort_unstable();
    clients.dedup();
    let line = |path: &str| {
        let found = |clients: &u32| {
            let mut rows = rows.iter();
            let row = rows.find(|row| row.path == path && row.clients == *clients);
            row.map(|row| row.transfers_per_s)
        };
        (path.to_owned(), clients.iter().map(found).collect())
    };
    let lines = ["postgres", "bank", STRANGERS].map(line);
    let values: Vec<_> = clients.iter().map(u32::to_string).collect();
    let chart = Lines {
        title: "Transfers a second",
        x: "clients",
        values: &values,
        lines: &lines,
    };
    chart.svg()
}

fn grouped_count(count: u64) -> String {
    u32::try_from(count).map_or_else(|_| count.to_string(), |count| grouped(count.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Slice;

    #[test]
    fn the_bank_stands_beside_the_database() {
        let slice = |calls_per_s| Slice {
            p50_us: 1_500.0,
            p99_us: 2_500.0,
            p999_us: 3_500.0,
            calls_per_s,
        };
        let alone = Row::new("postgres", 10, slice(1_000.0), 0, None);
        let bank = Row::new("bank", 64, slice(250.0), 2, None);
        let bank = bank.beside(std::slice::from_ref(&alone));
        let Section { text, charts, .. } = section(&[alone, bank]);
        assert!(
            text.contains("| `postgres` | 10 | 1,000 | 1.5 | 2.5 | 0 | - |"),
            "{text}"
        );
        assert!(
            text.contains("| `bank` | 64 | 250 | 1.5 | 2.5 | 2 | 0.25 |"),
            "{text}"
        );
        let (_, svg) = &charts[0];
        assert_eq!(svg.matches("<circle").count(), 2);
    }
}
