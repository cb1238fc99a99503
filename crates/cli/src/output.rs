//! What people see: tables of at most 100 columns (Japanese counts double), colours unless NO_COLOR, JSON on demand.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

/// The widest line of a table.
const COLUMNS: usize = 100;

/// A mistake in how a command was used; ends with exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    Failed,
    Partial,
}

impl End {
    /// 0 done · 1 failed · 3 partial.
    pub fn code(self) -> ExitCode {
        match self {
            End::Done => ExitCode::SUCCESS,
            End::Failed => ExitCode::from(1),
            End::Partial => ExitCode::from(3),
        }
    }

    /// By a run's outcome.
    pub fn of(outcome: &str) -> End {
        match outcome {
            "succeeded" => End::Done,
            "partial" => End::Partial,
            _ => End::Failed,
        }
    }
}

/// Writes a line to stdout; a reader that has left (`| head`) ends the command quietly.
pub fn line(text: impl AsRef<str>) {
    if writeln!(std::io::stdout(), "{}", text.as_ref()).is_err() {
        std::process::exit(0);
    }
}

/// Prints as JSON.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints rows under headings. The last column is cut so that a line fits 100 columns, unless stdout is no terminal
/// and nothing would be lost by cutting: then it is cut all the same, so that what is read equals what is shown.
pub fn table(headings: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = headings.iter().map(|h| h.width()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let before_last: usize = widths.iter().rev().skip(1).map(|w| w + 2).sum();
    if let Some(last) = widths.last_mut() {
        *last = (*last).min(COLUMNS.saturating_sub(before_last)).max(8);
    }
    let heading = row_text(&widths, headings.iter().map(|h| (*h).to_owned()));
    line(paint(&heading, "1"));
    for row in rows {
        line(row_text(&widths, row.iter().cloned()));
    }
}

fn row_text(widths: &[usize], cells: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for (cell, width) in cells.zip(widths) {
        let cell = cut(&cell.replace('\n', " "), *width);
        text.push_str(&cell);
        text.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
    }
    text.trim_end().to_owned()
}

/// Cuts to a width in columns, with an ellipsis.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if kept.width() + unicode_width::UnicodeWidthChar::width(c).unwrap_or(0) + 1 > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// Colours text on a terminal that wants it.
pub fn paint(text: &str, code: &str) -> String {
    let wanted = std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    if wanted { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// An outcome in its colour.
pub fn outcome(word: &str) -> String {
    let code = match word {
        "succeeded" | "done" => "32",
        "partial" | "blocked" | "waiting" | "held" | "skipped" | "missed" => "33",
        "failed" => "31",
        _ => return word.to_owned(),
    };
    paint(word, code)
}

/// A number with separators: 1,234,567.
pub fn grouped(number: impl std::fmt::Display) -> String {
    let text = number.to_string();
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(w, r)| (w, Some(r)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |d| ("-", d));
    let mut out = String::from(sign);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    if let Some(rest) = rest {
        out.push('.');
        out.push_str(rest);
    }
    out
}

/// Seconds as people say them.
pub fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => String::new(),
        Some(s) if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        Some(s) if s < 120.0 => format!("{s:.1} s"),
        Some(s) => format!("{:.0} min", s / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn japanese_counts_double_and_is_cut_at_a_column() {
        assert_eq!(cut("使用量集計バッチ", 9), "使用量集…");
        assert_eq!(cut("short", 9), "short");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            ["0", "999", "1000", "-1234567", "1234.50"].map(grouped),
            ["0", "999", "1,000", "-1,234,567", "1,234.50"]
        );
    }
}
