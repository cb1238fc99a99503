//! A paper of chapters, as its template and its page both show it.

use serde::Serialize;

/// A document's whole content, in its language.
#[derive(Clone, Debug, Serialize)]
pub struct Paper {
    /// ja or en.
    pub language: &'static str,
    /// The PDF's day, ISO.
    pub issued_on: String,
    pub title: String,
    pub subtitle: String,
    /// What must be known before anything else is read.
    pub notice: Option<String>,
    /// Name and value.
    pub facts: Vec<(String, String)>,
    pub chapters: Vec<Chapter>,
}

/// A chapter.
#[derive(Clone, Debug, Serialize)]
pub struct Chapter {
    pub title: String,
    pub parts: Vec<Part>,
}

/// A part of a chapter.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Part {
    Heading {
        text: String,
    },
    Text {
        text: String,
    },
    /// How to read what stands above.
    Note {
        text: String,
    },
    Chart {
        svg: String,
    },
    Table {
        columns: Vec<Column>,
        rows: Vec<Vec<Cell>>,
    },
}

/// A table's column.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    pub name: String,
    pub right: bool,
    /// Takes the room that is left.
    pub wide: bool,
}

/// A table's cell.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cell {
    pub text: String,
    /// Something a person should look at.
    pub flag: bool,
    /// A small chart.
    pub svg: Option<String>,
}

impl Cell {
    /// Text.
    pub fn of(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), ..Cell::default() }
    }

    /// Text that is marked where `flag` says so.
    pub fn flagged(text: impl Into<String>, flag: bool) -> Cell {
        Cell { text: text.into(), flag, ..Cell::default() }
    }

    /// A chart.
    pub fn picture(svg: String) -> Cell {
        Cell { svg: Some(svg), ..Cell::default() }
    }
}

impl Part {
    /// A heading between parts.
    pub fn heading(text: impl Into<String>) -> Part {
        Part::Heading { text: text.into() }
    }

    /// A paragraph.
    pub fn text(text: impl Into<String>) -> Part {
        Part::Text { text: text.into() }
    }

    /// A remark.
    pub fn note(text: impl Into<String>) -> Part {
        Part::Note { text: text.into() }
    }

    /// A table whose first column is wide and the others figures.
    pub fn table(names: &[&str], rows: Vec<Vec<Cell>>) -> Part {
        let columns = names.iter().enumerate().map(|(place, name)| Column {
            name: (*name).to_owned(),
            right: place > 0,
            wide: place == 0,
        });
        Part::Table { columns: columns.collect(), rows }
    }
}
