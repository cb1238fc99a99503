//! A report as the two writers take it: data of the template `report`, and sheets of a workbook.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use yakin_adapters::excel::{self, ExcelError, Sheet};
use yakin_engine::outcome::{Cause, Stop};

use super::words::Words;
use super::{Cell, Chapter, MISSING, Part, Report, Series, Table};
use crate::billing::words::grouped;

impl Report {
    /// The data of the document `report`.
    pub fn data(&self) -> Value {
        let shown = |cell: &Cell| shown(cell, self.words);
        let facts = self.facts.iter().map(|(name, value)| json!([name, shown(value)]));
        let facts: Vec<Value> = facts.collect();
        let chapters: Vec<Value> = self
            .chapters
            .iter()
            .map(|chapter| {
                let parts: Vec<Value> =
                    chapter.parts.iter().map(|part| part_data(part, self.words)).collect();
                json!({"title": chapter.title, "parts": parts})
            })
            .collect();
        json!({
            "language": self.words.language(), "title": self.title, "about": self.about,
            "addressed": self.addressed, "period": self.period,
            "issued_on": self.made_on, "facts": facts, "notes": self.notes, "chapters": chapters,
        })
    }

    /// The workbook, made beside the others' work.
    pub async fn workbook(&self) -> Result<Vec<u8>, Stop> {
        let (title, made_on, sheets) = (self.title.clone(), self.made_on, self.sheets());
        let made = tokio::task::spawn_blocking(move || excel::workbook(&title, made_on, &sheets));
        let made = made.await.map_err(|e| Stop::give_up(Cause::Defect, e.to_string()))?;
        made.map_err(|error| match error {
            ExcelError::Size { .. } => Stop::give_up(Cause::Data, error.to_string()),
            ExcelError::Write(_) => Stop::retry(Cause::Storage, error.to_string()),
        })
    }

    fn sheets(&self) -> Vec<Sheet> {
        let mut cover =
            vec![vec![text(&self.title)], vec![text(&self.about)], vec![text(&self.period)]];
        cover.push(vec![text(self.words.made_on()), excel::Cell::Date(self.made_on)]);
        cover.extend(self.facts.iter().map(|(name, value)| vec![text(name), cell(value)]));
        cover.extend(self.notes.iter().map(|note| vec![text(note)]));
        let cover = Sheet { name: self.words.cover().to_owned(), head: Vec::new(), rows: cover };
        std::iter::once(cover).chain(self.chapters.iter().map(|c| sheet(c, self.words))).collect()
    }
}

fn part_data(part: &Part, words: Words) -> Value {
    match part {
        Part::Note(text) => json!({"kind": "note", "text": text}),
        Part::Table(table) => table_data(table, words),
        Part::Series(series) => series_data(series),
    }
}

fn table_data(table: &Table, words: Words) -> Value {
    let right: Vec<bool> = (0..table.head.len())
        .map(|column| table.rows.iter().filter_map(|r| r.get(column)).all(Cell::is_number))
        .collect();
    let rows: Vec<Vec<String>> =
        table.rows.iter().map(|row| row.iter().map(|c| shown(c, words)).collect()).collect();
    json!({"kind": "table", "head": table.head, "right": right, "rows": rows, "summed": table.summed})
}

/// Bars are shares of the highest; the highest is named.
fn series_data(series: &Series) -> Value {
    let highest = series.points.iter().filter_map(|(_, value)| *value).max().unwrap_or_default();
    let share = |value: Decimal| {
        if highest > Decimal::ZERO { (value / highest).round_dp(4).normalize() } else { highest }
    };
    let points: Vec<Value> = series
        .points
        .iter()
        .map(|(day, value)| json!([day.day().to_string(), value.map(|v| share(v).to_string())]))
        .collect();
    json!({"kind": "series", "title": series.title, "highest": grouped(highest.normalize()), "points": points})
}

/// The cell as a person reads it.
pub fn shown(cell: &Cell, words: Words) -> String {
    match cell {
        Cell::Missing => MISSING.to_owned(),
        Cell::Text(text) => text.clone(),
        Cell::Count(n) => grouped((*n).into()),
        Cell::Number(n) => grouped(*n),
        Cell::Percent(n) => format!("{}%", grouped(*n)),
        Cell::Money(amount, currency) => words.money(*amount, currency),
        Cell::Day(day) => day.to_string(),
    }
}

/// A chapter on a sheet: its first table's head stays in sight, its other parts follow below.
fn sheet(chapter: &Chapter, words: Words) -> Sheet {
    let mut sheet = Sheet { name: chapter.title.clone(), ..Sheet::default() };
    for part in &chapter.parts {
        let first = sheet.head.is_empty() && sheet.rows.is_empty();
        if !first {
            sheet.rows.push(Vec::new());
        }
        match part {
            Part::Note(note) => sheet.rows.push(vec![text(note)]),
            Part::Table(table) => {
                let head = table.head.clone();
                if first {
                    sheet.head = head;
                } else {
                    sheet.rows.push(head.iter().map(|h| text(h)).collect());
                }
                sheet.rows.extend(table.rows.iter().map(|row| row.iter().map(cell).collect()));
            }
            Part::Series(series) => {
                sheet.rows.push(vec![text(words.day()), text(&series.title)]);
                sheet.rows.extend(series.points.iter().map(|(day, value)| {
                    let value = value.map_or(Cell::Missing, Cell::Number);
                    vec![excel::Cell::Date(*day), cell(&value)]
                }));
            }
        }
    }
    sheet
}

fn text(text: &str) -> excel::Cell {
    excel::Cell::Text(text.to_owned())
}

fn cell(cell: &Cell) -> excel::Cell {
    match cell {
        Cell::Missing => text(MISSING),
        Cell::Text(said) => text(said),
        Cell::Count(n) => excel::Cell::Integer(*n),
        Cell::Number(n) => excel::Cell::Decimal(*n),
        Cell::Percent(n) => excel::Cell::Percent(*n),
        // the head names the currency
        Cell::Money(amount, _) => excel::Cell::Decimal(*amount),
        Cell::Day(day) => excel::Cell::Date(*day),
    }
}
