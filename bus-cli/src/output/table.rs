//! Lines whose columns are below each other.

use super::{Color, Output, shown};
use crate::failure::Failure;

/// Between two columns.
const GAP: &str = "  ";

/// What is longer is an id or a moment.
const NUMBER_CHARS: usize = 21;

/// A table: a header, and rows of as many cells.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [&dyn ToString; N]) {
        let cells = cells.iter().map(|cell| shown(&cell.to_string()));
        self.rows.push(cells.collect());
    }

    /// Its lines, the header first. Numbers are to the right of their columns.
    pub(crate) fn lines(&self) -> Vec<String> {
        let header = self.header.iter().map(|cell| (*cell).to_owned()).collect();
        let all: Vec<&Vec<String>> = [&header].into_iter().chain(&self.rows).collect();
        let width = |column: usize| {
            let cells = all.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let is_number = |column: usize| {
            let mut cells = self
                .rows
                .iter()
                .filter_map(|row| row.get(column))
                .peekable();
            let of_number = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
            cells.peek().is_some()
                && cells.all(|cell| cell.len() < NUMBER_CHARS && cell.chars().all(of_number))
        };
        let is_number: Vec<bool> = (0..self.header.len()).map(is_number).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).zip(&is_number);
            let cells: Vec<String> = cells
                .map(|((cell, width), is_number)| match is_number {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                })
                .collect();
            cells.join(GAP).trim_end().to_owned()
        };
        all.into_iter().map(line).collect()
    }

    pub(crate) fn print(&self, output: &Output) -> Result<(), Failure> {
        for (at, line) in self.lines().iter().enumerate() {
            if at == 0 {
                output.line(&output.paint(Color::Bold, line))?;
            } else {
                output.line(line)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_stand_to_the_right() {
        let mut table = Table::new(&["QUEUE", "N"]);
        table.row([&"account.requests", &7]);
        table.row([&"a\u{1b}b", &1234]);
        assert_eq!(
            table.lines(),
            [
                "QUEUE                N",
                "account.requests     7",
                "a?b               1234"
            ]
        );
    }
}
