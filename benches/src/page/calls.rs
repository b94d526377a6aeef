//! Whole calls: by callers, by payload, by the time of handlers.

use super::{
    Section,
    chart::{Bars, Lines, grouped},
    table,
};
use crate::{echo::TEXT_BYTES, plan, report::Row};
use std::fmt::Write as _;

/// A column of a series: what varies in it, and how it is written.
type Column = (fn(&Row) -> u32, &'static str, fn(u32) -> String);

/// Rows that differ in one thing.
struct Series<'a> {
    rows: Vec<&'a Row>,
    column: Column,
}

/// Tables and charts of what was measured; series that were not are left out.
#[must_use]
pub fn section(rows: &[Row]) -> Section {
    let mut text = in_short(rows);
    let mut charts = Vec::new();
    let callers: Column = (|row| row.callers, "callers", |value| grouped(value.into()));
    let by_callers = Series::of(rows, callers, |row| {
        (row.payload_bytes, row.workers, row.handler_us) == (TEXT_BYTES, 1, 0)
    });
    if by_callers.varies() {
        let heading = format!("### By callers\n\n{TEXT_BYTES} bytes, one worker.");
        let _ = writeln!(
            text,
            "{heading} Calls a second, and as a multiple of `raw`:\n"
        );
        text.push_str(&by_callers.table(calls_per_s));
        text.push_str("\n![Calls a second by callers](performance/calls_by_callers.svg)\n\n");
        text.push_str("Microseconds of a call, p50 / p99 / p99.9:\n\n");
        text.push_str(&by_callers.table(latency));
        text.push_str("\n![p50 by callers](performance/p50_by_callers.svg)\n\n");
        let title = "Calls a second, 128 bytes, one worker";
        let svg = by_callers.lines(title, |row| row.calls_per_s);
        charts.push(("calls_by_callers.svg", svg));
        let title = "p50 of a call in microseconds, 128 bytes, one worker";
        charts.push((
            "p50_by_callers.svg",
            by_callers.lines(title, |row| row.p50_us),
        ));
    }
    let busy: Vec<_> = by_callers
        .rows
        .iter()
        .filter(|row| row.callers == plan::BUSY)
        .collect();
    if !busy.is_empty() {
        let busy: Vec<_> = busy.into_iter().copied().collect();
        let _ = writeln!(
            text,
            "### Processor time\n\nMicroseconds of a processor in a call, at {} callers:\n",
            plan::BUSY
        );
        text.push_str(&processor_table(&busy));
        text.push_str("\n![Processor time of a call](performance/cpu.svg)\n\n");
        charts.push(("cpu.svg", processor_chart(&busy)));
    }
    let payload: Column = (
        |row| row.payload_bytes,
        "bytes",
        |value| grouped(value.into()),
    );
    let by_payload = Series::of(rows, payload, |row| {
        (row.callers, row.workers, row.handler_us) == (plan::BUSY, 1, 0)
    });
    if by_payload.varies() {
        let _ = writeln!(
            text,
            "### By payload\n\n{} callers, one worker. Calls a second, and as a multiple of `raw`:\n",
            plan::BUSY
        );
        text.push_str(&by_payload.table(calls_per_s));
        text.push_str("\n![Calls a second by payload](performance/calls_by_payload.svg)\n\n");
        let title = "Calls a second, 64 callers, one worker";
        let svg = by_payload.lines(title, |row| row.calls_per_s);
        charts.push(("calls_by_payload.svg", svg));
    }
    let handler: Column = (
        |row| row.handler_us,
        "us a handler takes",
        |value| grouped(value.into()),
    );
    let by_handler = Series::of(rows, handler, |row| {
        (row.callers, row.payload_bytes, row.workers) == (plan::BUSY, TEXT_BYTES, plan::WORKERS)
    });
    if by_handler.varies() {
        let _ = writeln!(
            text,
            "### By the time of handlers\n\n{} callers, {} workers, {TEXT_BYTES} bytes. \
             Microseconds of a call, p50 / p99 / p99.9, by those that its handler takes:\n",
            plan::BUSY,
            plan::WORKERS
        );
        text.push_str(&by_handler.table(latency));
        text.push_str("\n![p99 by the time of handlers](performance/p99_by_handler.svg)\n");
        let title = "p99 of a call in microseconds, 64 callers, 4 workers";
        charts.push((
            "p99_by_handler.svg",
            by_handler.lines(title, |row| row.p99_us),
        ));
    }
    Section {
        name: "round_trip_live",
        text,
        charts,
    }
}

/// The ratios that are looked at first, as far as they were measured.
fn in_short(rows: &[Row]) -> String {
    let find = |path: &str, callers, workers, handler_us| {
        rows.iter().find(|row| {
            let load = (row.callers, row.payload_bytes, row.workers, row.handler_us);
            row.path == path && load == (callers, TEXT_BYTES, workers, handler_us)
        })
    };
    let against =
        |path: &str, other: &str, callers, workers, handler_us, figure: fn(&Row) -> f64| {
            let row = find(path, callers, workers, handler_us)?;
            let other = find(other, callers, workers, handler_us)?;
            Some(format!("{:.2}", figure(row) / figure(other)))
        };
    let to_raw = |path: &str, callers| {
        let row = find(path, callers, 1, 0)?;
        Some(format!("{:.2}", row.ratio_to_raw))
    };
    let (query, command) = ("replybus_query", "replybus_command");
    let ratios = [
        (
            "p50 of a query to `raw`, 1 caller",
            against(query, "raw", 1, 1, 0, |row| row.p50_us),
        ),
        ("queries/s to `raw`, 8 callers", to_raw(query, 8)),
        ("queries/s to `raw`, 64 callers", to_raw(query, 64)),
        ("queries/s to `raw`, 512 callers", to_raw(query, 512)),
        (
            "queries/s to `tonic`, 512 callers",
            against(query, "tonic", 512, 1, 0, |row| row.calls_per_s),
        ),
        ("commands/s to `raw`, 64 callers", to_raw(command, 64)),
        ("commands/s to `raw`, 512 callers", to_raw(command, 512)),
        (
            "p99 of a query to `raw`, handlers of 10 ms, 4 workers",
            against(query, "raw", plan::BUSY, plan::WORKERS, 10_000, |row| {
                row.p99_us
            }),
        ),
        (
            "the same to queries that are not bundled",
            against(
                query,
                "replybus_single",
                plan::BUSY,
                plan::WORKERS,
                10_000,
                |row| row.p99_us,
            ),
        ),
    ];
    let measured = ratios
        .into_iter()
        .filter_map(|(name, ratio)| Some((name.to_owned(), vec![ratio?])));
    let measured: Vec<_> = measured.collect();
    if measured.is_empty() {
        return String::new();
    }
    let head = ["in short", "ratio"].map(str::to_owned);
    format!("{}\n", table(&head, &measured))
}

fn calls_per_s(row: &Row) -> String {
    format!(
        "{} ({:.2})",
        grouped(row.calls_per_s.round()),
        row.ratio_to_raw
    )
}

fn latency(row: &Row) -> String {
    let [p50, p99, p999] = [row.p50_us, row.p99_us, row.p999_us].map(|us| grouped(us.round()));
    format!("{p50} / {p99} / {p999}")
}

impl<'a> Series<'a> {
    fn of(rows: &'a [Row], column: Column, is_in: impl Fn(&Row) -> bool) -> Self {
        let rows = rows.iter().filter(|row| is_in(row)).collect();
        Self { rows, column }
    }

    fn varies(&self) -> bool {
        self.values().len() > 1
    }

    /// What varies, each once.
    fn values(&self) -> Vec<u32> {
        let mut values: Vec<_> = self.rows.iter().map(|row| (self.column.0)(row)).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// The paths, each once, in the order in which they were measured.
    fn paths(&self) -> Vec<&'a str> {
        let mut paths: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !paths.contains(&row.path.as_str()) {
                paths.push(&row.path);
            }
        }
        paths
    }

    fn find(&self, path: &str, value: u32) -> Option<&'a Row> {
        let mut rows = self.rows.iter().copied();
        rows.find(|row| row.path == path && (self.column.0)(row) == value)
    }

    fn table(&self, cell: fn(&Row) -> String) -> String {
        let (_, name, written) = self.column;
        let mut head = vec![name.to_owned()];
        head.extend(self.values().into_iter().map(written));
        let rows: Vec<_> = self
            .paths()
            .into_iter()
            .map(|path| {
                let found = self
                    .values()
                    .into_iter()
                    .map(|value| self.find(path, value));
                let cells = found.map(|row| row.map_or("-".to_owned(), cell));
                (format!("`{path}`"), cells.collect())
            })
            .collect();
        table(&head, &rows)
    }

    fn lines(&self, title: &str, figure: fn(&Row) -> f64) -> String {
        let (_, x, written) = self.column;
        let values = self.values();
        let lines: Vec<_> = self
            .paths()
            .into_iter()
            .map(|path| {
                let found = values.iter().map(|value| self.find(path, *value));
                (path.to_owned(), found.map(|row| row.map(figure)).collect())
            })
            .collect();
        let values: Vec<_> = values.into_iter().map(written).collect();
        let chart = Lines {
            title,
            x,
            values: &values,
            lines: &lines,
        };
        chart.svg()
    }
}

const PARTS: [&str; 4] = ["caller", "worker", "broker", "Redis"];

fn processor_table(rows: &[&Row]) -> String {
    let mut head = vec!["path".to_owned()];
    head.extend(PARTS.map(str::to_owned));
    head.push("together".to_owned());
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let one = |us: Option<f64>| us.map_or("-".to_owned(), |us| format!("{us:.1}"));
            let mut cells: Vec<_> = row.cpu().into_iter().map(one).collect();
            cells.push(format!("{:.1}", row.cpu_us()));
            (format!("`{}`", row.path), cells)
        })
        .collect();
    table(&head, &rows)
}

fn processor_chart(rows: &[&Row]) -> String {
    let bars: Vec<_> = rows
        .iter()
        .map(|row| {
            let parts = row.cpu().map(Option::unwrap_or_default);
            (row.path.clone(), parts.to_vec())
        })
        .collect();
    let chart = Bars {
        title: "Processor time of a call in microseconds, 64 callers",
        parts: &PARTS,
        bars: &bars,
    };
    chart.svg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::row;

    #[test]
    fn each_series_that_was_measured_has_a_table_and_a_chart() {
        let rows = [
            row("raw", 1, 128, 100.0),
            row("path", 1, 128, 200.0),
            row("raw", 64, 128, 1_000.0),
            row("path", 64, 128, 2_000.0),
            row("raw", 64, 16, 1_000.0),
        ];
        let Section { text, charts, .. } = section(&rows);
        assert!(text.contains("| callers | 1 | 64 |"), "{text}");
        assert!(
            text.contains("| `path` | 5,000 (0.50) | 500 (0.05) |"),
            "{text}"
        );
        assert!(text.contains("| `path` | - | 500 (0.05) |"), "{text}");
        assert!(!text.contains("handlers"), "{text}");
        let names: Vec<_> = charts.iter().map(|(name, _)| *name).collect();
        let expected = [
            "calls_by_callers.svg",
            "p50_by_callers.svg",
            "cpu.svg",
            "calls_by_payload.svg",
        ];
        assert_eq!(names, expected);
        assert_eq!(section(&[]).text, "");
    }
}
