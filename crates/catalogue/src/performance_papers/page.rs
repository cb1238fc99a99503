//! A paper as a page: one self-contained HTML file. Everything foreign is escaped by the macro; no script may run in it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::paper::{Cell, Paper, Part};

const STYLE: &str = "
:root { color-scheme: light; --ink: #1b2440; --faint: #5d6478; --hair: #dcdfe6; --alarm: #b3261e }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.2rem 4rem; color: var(--ink); background: #fff;
  font: 15px/1.6 'Noto Sans JP', 'Hiragino Sans', 'IPAexGothic', sans-serif }
h1 { font-size: 1.7rem; margin: 0 } h2 { border-bottom: 2px solid; margin-top: 3rem } h3 { margin: 2rem 0 .4rem }
.subtitle, .note, th { color: var(--faint) } .note { font-size: .85rem }
.notice { border: 1px solid; padding: .6rem 1rem; color: var(--alarm) }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1rem; background: #f1f2f6;
  padding: 1rem; margin: 1.5rem 0 } dt { color: var(--faint); font-size: .8rem } dd { margin: 0; font-size: 1.3rem }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .82rem }
th { font-weight: normal; text-align: left } td, th { padding: .3rem .5rem; border-bottom: 1px solid var(--hair) }
th.right, td.right { text-align: right; white-space: nowrap } td { overflow-wrap: anywhere }
.flag { color: var(--alarm) } figure { margin: .5rem 0 1.5rem } figure svg { width: 100%; height: auto }
td svg { vertical-align: middle } @media print { body { padding: 0 } }
";

/// The page of a paper.
pub fn page(paper: &Paper) -> String {
    html! {
        (DOCTYPE)
        html lang=(paper.language) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'";
                title { (paper.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (paper.title) }
                p.subtitle { (paper.subtitle) }
                @if let Some(notice) = &paper.notice { p.notice role="note" { (notice) } }
                dl { @for (name, value) in &paper.facts { div { dt { (name) } dd { (value) } } } }
                @for (place, chapter) in paper.chapters.iter().enumerate() {
                    section {
                        h2 { (place + 1) ". " (chapter.title) }
                        @for part in &chapter.parts { (body(part)) }
                    }
                }
            }
        }
    }
    .into_string()
}

fn body(part: &Part) -> Markup {
    match part {
        Part::Heading { text } => html! { h3 { (text) } },
        Part::Text { text } => html! { p { (text) } },
        Part::Note { text } => html! { p.note { (text) } },
        // written by our own chart writer, which escapes what is foreign
        Part::Chart { svg } => html! { figure { (PreEscaped(svg)) } },
        Part::Table { columns, rows } => html! {
            div.scroll { table {
                thead { tr { @for column in columns {
                    th.right[column.right] scope="col" { (column.name) }
                } } }
                tbody { @for row in rows { tr {
                    @for (cell, column) in row.iter().zip(columns) { (shown(cell, column.right)) }
                } } }
            } }
        },
    }
}

fn shown(cell: &Cell, right: bool) -> Markup {
    html! {
        td.right[right].flag[cell.flag] {
            (clean(&cell.text))
            @if let Some(svg) = &cell.svg { (PreEscaped(svg)) }
        }
    }
}

/// Without control characters and marks that turn the direction of what is read.
fn clean(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| !c.is_control() && !turns(*c)).collect()
}
