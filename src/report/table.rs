//! Tables as text: aligned, and in Markdown. The first row has the headers.

use std::fmt::{self, Write};

/// Writes rows in columns of equal width, words to the left and numbers to the right, without a newline at the end.
pub(super) fn aligned<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    rows: &[[String; N]],
    is_word: [bool; N],
) -> fmt::Result {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            f.write_char('\n')?;
        }
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            match is_word[column] {
                // Nothing behind the last column, so that no line ends in blanks.
                true if column + 1 == N => write!(f, "{gap}{cell}")?,
                true => write!(f, "{gap}{cell:<width$}")?,
                false => write!(f, "{gap}{cell:>width$}")?,
            }
        }
    }
    Ok(())
}

/// Adds rows as a Markdown table.
pub(super) fn markdown<const N: usize>(
    text: &mut String,
    rows: &[[String; N]],
    is_word: [bool; N],
) {
    let mut line = |cells: &[String; N]| {
        let cells: Vec<String> = cells.iter().map(|cell| markdown_words(cell)).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    };
    for (number, row) in rows.iter().enumerate() {
        line(row);
        if number == 0 {
            line(&is_word.map(|word| if word { "---" } else { "---:" }.to_owned()));
        }
    }
}

/// A text without what Markdown reads as a column's end or a new row.
pub(super) fn markdown_words(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
