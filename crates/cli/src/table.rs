//! Aligned columns of text, and texts cut to the width of the terminal.

use std::fmt::{self, Display};

use console::{Term, measure_text_width, style};

/// The width that text is cut to where there is no terminal.
const DEFAULT_WIDTH: usize = 100;

/// Below this a cut text says nothing.
const MIN_TEXT_WIDTH: usize = 20;

const GAP: &str = "  ";

/// On which side the cells of a column begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells; every line is indented by two blanks.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
    has_head: bool,
    width: usize,
}

impl Table {
    /// An empty table; cells behind the last column are aligned as it is.
    pub fn new(columns: &[Align]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), has_head: false, width: usize::MAX }
    }

    /// Cuts the last column, so that no line is wider than the terminal.
    pub fn cut_to_terminal(mut self) -> Self {
        self.width = terminal_width();
        self
    }

    /// Sets the first row off from the others.
    pub fn with_head(mut self) -> Self {
        self.has_head = true;
        self
    }

    /// Adds a row of cells.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.push(cells.into());
    }

    /// Adds a row of as many cells as there are columns.
    pub fn push(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// The width of each column.
    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.columns.len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = measure_text_width(cell).max(*width);
            }
        }
        let before = widths.iter().rev().skip(1).map(|width| width + GAP.len()).sum::<usize>();
        let left = self.width.saturating_sub(before + GAP.len()).max(MIN_TEXT_WIDTH);
        if let Some(last) = widths.last_mut() {
            *last = left.min(*last);
        }
        widths
    }
}

impl Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (place, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for ((cell, width), align) in row.iter().zip(&widths).zip(&self.columns) {
                let cell = cut(cell, *width);
                let padding = " ".repeat(width.saturating_sub(measure_text_width(&cell)));
                line += GAP;
                line += &match align {
                    Align::Left => cell + &padding,
                    Align::Right => padding + &cell,
                };
            }
            let line = line.trim_end();
            match place {
                0 if self.has_head => writeln!(formatter, "{}", style(line).bold())?,
                _ => writeln!(formatter, "{line}")?,
            }
        }
        Ok(())
    }
}

/// The columns of the terminal that standard output goes to.
pub fn terminal_width() -> usize {
    Term::stdout().size_checked().map_or(DEFAULT_WIDTH, |(_, columns)| usize::from(columns))
}

/// `text` in at most `width` columns, with dots where something is left out.
pub fn cut(text: &str, width: usize) -> String {
    const DOTS: &str = "...";
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    for letter in text.chars() {
        cut.push(letter);
        if measure_text_width(&cut) + DOTS.len() > width {
            cut.pop();
            break;
        }
    }
    cut.truncate(cut.trim_end().len());
    cut + DOTS
}

#[cfg(test)]
mod tests {
    use super::{Align, Table, cut};

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_text() {
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Left]);
        table.row(["rows", "5,000", "in all"].map(str::to_owned));
        table.row(["dim", "384", ""].map(str::to_owned));
        assert_eq!(table.to_string(), "  rows  5,000  in all\n  dim     384\n");
    }

    #[test]
    fn the_last_column_is_cut_to_the_width() {
        let mut table = Table::new(&[Align::Right, Align::Left]);
        table.width = 30;
        table.row(["1".to_owned(), "a text that is longer than the line".to_owned()]);
        assert_eq!(table.to_string(), "  1  a text that is longer...\n");
    }

    #[test]
    fn texts_are_cut_by_columns_of_the_screen() {
        assert_eq!(cut("four", 4), "four");
        assert_eq!(cut("fourth", 5), "fo...");
        assert_eq!(cut("\u{4e2d}\u{6587}\u{6587}", 6), "\u{4e2d}\u{6587}\u{6587}");
        assert_eq!(cut("\u{4e2d}\u{6587}\u{6587}", 5), "\u{4e2d}...");
        assert_eq!(cut("\u{4e2d}\u{6587}\u{6587}x", 6), "\u{4e2d}...");
    }
}
