//! Workbooks (.xlsx): sheets of rows that are written once, in order. Numbers are numbers, days are days, and nothing that
//! comes from outside is ever a formula. The same sheets give the same bytes.

use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use rust_xlsxwriter::{
    DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError,
};

/// Characters of a sheet's name, as Excel counts them (UTF-16).
const LONGEST_NAME: usize = 31;
/// Characters of a cell.
const LONGEST_TEXT: usize = 32_767;
/// Whole numbers up to here are exact in a cell.
const MOST_EXACT: i64 = 1 << 53;
/// Rows and sheets of a workbook; a report that needs more is no report.
const MOST_ROWS: usize = 100_000;
const MOST_SHEETS: usize = 50;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Empty,
    Text(String),
    Integer(i64),
    /// With as many digits behind the point as it has.
    Decimal(Decimal),
    /// `12.5` is shown as 12.5%.
    Percent(Decimal),
    Date(Date),
}

/// A sheet: a head that stays in sight, and rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    /// Made valid and unique when it is written.
    pub name: String,
    pub head: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

/// A workbook that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExcelError {
    #[error(
        "a workbook of {sheets} sheets and {rows} rows, expected 1 to {MOST_SHEETS} sheets and at most {MOST_ROWS} rows"
    )]
    Size { sheets: usize, rows: usize },
    #[error("writing a workbook: {0}")]
    Write(#[from] XlsxError),
}

/// Writes the sheets; `made_on` becomes the workbook's date. Blocks: temporary files are written.
pub fn workbook(title: &str, made_on: Date, sheets: &[Sheet]) -> Result<Vec<u8>, ExcelError> {
    let rows = sheets.iter().map(|s| s.rows.len()).sum();
    if sheets.is_empty() || sheets.len() > MOST_SHEETS || rows > MOST_ROWS {
        return Err(ExcelError::Size { sheets: sheets.len(), rows });
    }
    let mut book = Workbook::new();
    book.set_properties(
        &DocProperties::new().set_title(title).set_creation_datetime(&day(made_on)?),
    );
    let formats = Formats::new();
    let mut names = Vec::new();
    for sheet in sheets {
        let name = valid_name(&sheet.name, &names);
        let page = book.add_worksheet_with_constant_memory()?;
        page.set_name(&name)?;
        names.push(name);
        write(page, sheet, &formats)?;
    }
    Ok(book.save_to_buffer()?)
}

struct Formats {
    head: Format,
    date: Format,
    text: Format,
    quoted: Format,
}

impl Formats {
    fn new() -> Formats {
        let text = Format::new().set_align(FormatAlign::Top).set_text_wrap();
        Formats {
            head: Format::new().set_bold().set_border_bottom(FormatBorder::Thin),
            date: Format::new().set_num_format("yyyy-mm-dd").set_align(FormatAlign::Left),
            // a person who edits such a cell must not make it a formula
            quoted: text.clone().set_quote_prefix(),
            text,
        }
    }
}

fn write(page: &mut Worksheet, sheet: &Sheet, formats: &Formats) -> Result<(), ExcelError> {
    for (column, width) in widths(sheet).into_iter().enumerate() {
        page.set_column_width(u16::try_from(column).unwrap_or(u16::MAX), width)?;
    }
    let mut row = 0;
    if !sheet.head.is_empty() {
        for (column, text) in (0..).zip(&sheet.head) {
            page.write_string_with_format(row, column, clean(text), &formats.head)?;
        }
        page.set_freeze_panes(1, 0)?;
        page.set_repeat_rows(0, 0)?;
        row += 1;
    }
    page.set_paper_size(9).set_landscape().set_print_fit_to_pages(1, 0);
    for cells in &sheet.rows {
        for (column, cell) in (0..).zip(cells) {
            put(page, (row, column), cell, formats)?;
        }
        row += 1;
    }
    Ok(())
}

fn put(
    page: &mut Worksheet,
    (row, column): (u32, u16),
    cell: &Cell,
    formats: &Formats,
) -> Result<(), ExcelError> {
    match cell {
        Cell::Empty => {}
        Cell::Text(text) => {
            let format = if is_dangerous(text) { &formats.quoted } else { &formats.text };
            page.write_string_with_format(row, column, clean(text), format)?;
        }
        Cell::Integer(n) if n.abs() <= MOST_EXACT => {
            let format = Format::new().set_num_format("#,##0");
            page.write_number_with_format(row, column, *n as f64, &format)?;
        }
        Cell::Integer(n) => {
            page.write_string(row, column, n.to_string())?;
        }
        Cell::Decimal(n) => number(page, (row, column), *n, Decimal::ONE, "")?,
        Cell::Percent(n) => number(page, (row, column), *n, Decimal::ONE_HUNDRED, "%")?,
        Cell::Date(date) => {
            page.write_datetime_with_format(row, column, day(*date)?, &formats.date)?;
        }
    }
    Ok(())
}

/// A decimal becomes the nearest double here, at the file's edge, which is what the format has; one that a double does
/// not hold to its last digit stays text.
fn number(
    page: &mut Worksheet,
    (row, column): (u32, u16),
    shown: Decimal,
    divisor: Decimal,
    sign: &str,
) -> Result<(), ExcelError> {
    let exact = shown.mantissa().unsigned_abs() <= MOST_EXACT.unsigned_abs().into();
    match (shown / divisor).to_f64() {
        Some(value) if exact => {
            let zeros = "0".repeat(shown.scale() as usize);
            let point = if zeros.is_empty() { "" } else { "." };
            let format = Format::new().set_num_format(format!("#,##0{point}{zeros}{sign}"));
            page.write_number_with_format(row, column, value, &format)?;
        }
        _ => {
            page.write_string(row, column, format!("{shown}{sign}"))?;
        }
    }
    Ok(())
}

fn day(date: Date) -> Result<ExcelDateTime, XlsxError> {
    let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
    ExcelDateTime::from_ymd(date.year().unsigned_abs(), month, day)
}

/// Without characters that XML cannot hold, and no longer than a cell.
fn clean(text: &str) -> String {
    let kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(kept).take(LONGEST_TEXT).collect()
}

/// What a spreadsheet would calculate if a person typed it.
fn is_dangerous(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'])
}

/// Columns as wide as their longest text, within reason; a Japanese character takes two.
fn widths(sheet: &Sheet) -> Vec<f64> {
    let columns = sheet.rows.iter().map(Vec::len).chain([sheet.head.len()]).max().unwrap_or(0);
    let mut widest = vec![8; columns];
    for (column, text) in sheet.head.iter().enumerate() {
        widest[column] = widest[column].max(width(text));
    }
    for (column, cell) in sheet.rows.iter().flat_map(|row| row.iter().enumerate()) {
        let wide = match cell {
            Cell::Empty => 0,
            Cell::Text(text) => text.lines().map(width).max().unwrap_or(0),
            Cell::Integer(n) => n.to_string().len() * 4 / 3,
            Cell::Decimal(n) | Cell::Percent(n) => n.to_string().len() * 4 / 3 + 1,
            Cell::Date(_) => 10,
        };
        widest[column] = widest[column].max(wide);
    }
    widest.into_iter().map(|wide| wide.min(60) as f64 + 2.0).collect()
}

fn width(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

/// The name that Excel takes: without `[]:*?/\`, no longer than 31, not blank, unlike the others.
fn valid_name(wanted: &str, taken: &[String]) -> String {
    let plain: String = wanted
        .chars()
        .map(|c| if "[]:*?/\\".contains(c) || c.is_control() { ' ' } else { c })
        .collect();
    let plain = plain.trim().trim_matches('\'').trim();
    let reserved = plain.is_empty() || plain.eq_ignore_ascii_case("history");
    let base = if reserved { "Sheet" } else { plain };
    let free = |name: &String| !taken.iter().any(|t| t.to_lowercase() == name.to_lowercase());
    let numbered = (2..).map(|n| {
        let end = format!(" {n}");
        cut(base, LONGEST_NAME - end.len()) + &end
    });
    std::iter::once(cut(base, LONGEST_NAME)).chain(numbered).find(free).unwrap_or_default()
}

fn cut(text: &str, longest: usize) -> String {
    let mut left = longest;
    let fits = |c: &char| {
        let fits = left >= c.len_utf16();
        left = left.saturating_sub(c.len_utf16());
        fits
    };
    text.chars().take_while(fits).collect::<String>().trim_end().trim_end_matches('\'').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sheets_are_made_valid_and_unlike_each_other() {
        let mut taken = Vec::new();
        for (wanted, expected) in [
            ("利用者とエンジニア", "利用者とエンジニア"),
            ("a/b:[c]*", "a b  c"),
            ("A/B:[C]*", "A B  C 2"),
            ("", "Sheet"),
            ("History", "Sheet 2"),
            ("'quoted'", "quoted"),
        ] {
            let name = valid_name(wanted, &taken);
            assert_eq!(name, expected);
            taken.push(name);
        }
        let long = valid_name(&"𠮷".repeat(40), &[]);
        assert_eq!((long.encode_utf16().count(), long.chars().count()), (30, 15));
        let again = valid_name(&"あ".repeat(40), &["あ".repeat(31)]);
        assert_eq!((again.chars().count(), again.ends_with(" 2")), (31, true));
    }

    #[test]
    fn too_much_is_refused() {
        let error = workbook("t", Date::constant(2026, 10, 2), &[]).unwrap_err().to_string();
        assert!(error.contains("0 sheets"), "{error}");
    }
}
