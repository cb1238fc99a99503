//! The typesetter's complaints as sentences that begin with file, line and column.

use typst::WorldExt;
use typst::diag::SourceDiagnostic;
use typst::syntax::{DiagSpan, FileId, Lines};

use super::world::World;
use crate::message::Answer;

/// More of them help nobody.
const MOST: usize = 5;
/// How a template says that its data is wrong: `assert(…, message: "data: …")`.
const ABOUT_DATA: &str = "assertion failed: data: ";
const ABOUT_FONT: &str = "unknown font family: ";

/// The answer for errors of the template; those about the data are the data's.
pub fn errors(world: &World, errors: &[SourceDiagnostic]) -> Answer {
    let data: Vec<&str> =
        errors.iter().filter_map(|error| error.message.strip_prefix(ABOUT_DATA)).collect();
    if data.is_empty() {
        Answer::Template(sentences(world, errors).join("; "))
    } else {
        Answer::Data(data.join("; "))
    }
}

/// The first font family that is not there, if a warning names one.
pub fn missing_font(warnings: &[SourceDiagnostic]) -> Option<&str> {
    warnings.iter().find_map(|warning| warning.message.strip_prefix(ABOUT_FONT))
}

/// `main.typ:12:5: unknown variable: x (hint: …, called at main.typ:40:2)`, at most five.
pub fn sentences(world: &World, diagnostics: &[SourceDiagnostic]) -> Vec<String> {
    diagnostics.iter().take(MOST).map(|one| sentence(world, one)).collect()
}

fn sentence(world: &World, one: &SourceDiagnostic) -> String {
    let mut more: Vec<String> = one.hints.iter().map(|hint| format!("hint: {}", hint.v)).collect();
    let callers = one.trace.iter().filter_map(|call| place(world, call.span.into()));
    more.extend(callers.take(3).map(|place| format!("from {place}")));
    let place = place(world, one.span).map(|place| format!("{place}: ")).unwrap_or_default();
    let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
    format!("{place}{}{more}", one.message)
}

fn place(world: &World, span: DiagSpan) -> Option<String> {
    let id = span.id()?;
    let (line, column) = position(world, id, span).unwrap_or((0, 0));
    Some(format!("{}:{}:{}", world.shown(id), line + 1, column + 1))
}

fn position(world: &World, id: FileId, span: DiagSpan) -> Option<(usize, usize)> {
    let start = world.range(span)?.start;
    let bytes = typst::World::file(world, id).ok()?;
    Lines::new(bytes.as_str().ok()?).byte_to_line_column(start)
}
