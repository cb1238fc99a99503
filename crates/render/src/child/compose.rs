//! One document: compile, look for what cannot be seen, export.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use typst::diag::Warned;
use typst::foundations::{Datetime, Smart};
use typst::layout::{Frame, FrameItem};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, Timestamp};

use super::trouble;
use super::world::World;
use crate::message::{Answer, MAX_PDF_BYTES, Request};

/// Japan's offset from UTC.
const JAPAN_MINUTES: i32 = 9 * 60;
/// More characters than these are not named in a warning.
const MOST_CHARACTERS: usize = 20;

/// Renders a request; the PDF is empty unless the answer is `Done`.
pub fn answer(
    world: &mut World,
    request: &Request,
    files: &[&[u8]],
    data: &str,
) -> (Answer, Vec<u8>) {
    let refused = |answer| (answer, Vec::new());
    if let Err(message) = world.put(&request.files, files, data) {
        return refused(Answer::Template(message));
    }
    let options = match options(request, data) {
        Ok(options) => options,
        Err(message) => return refused(Answer::Data(message)),
    };
    let world = &*world;
    let Warned { output, warnings } = typst::compile::<PagedDocument>(world);
    if let Some(family) = trouble::missing_font(&warnings) {
        let (family, found) = (family.to_owned(), world.families());
        return refused(Answer::Font { family, found });
    }
    let document = match output {
        Ok(document) => document,
        Err(errors) => return refused(trouble::errors(world, &errors)),
    };
    let pages = document.pages().len();
    let pdf = match typst_pdf::pdf(&document, &options) {
        Ok(pdf) if pdf.len() <= MAX_PDF_BYTES => pdf,
        Ok(pdf) => {
            let length = pdf.len();
            let text = format!("its PDF has {length} bytes, expected at most {MAX_PDF_BYTES}");
            return refused(Answer::Data(text));
        }
        Err(errors) => return refused(trouble::errors(world, &errors)),
    };
    let mut warnings = trouble::sentences(world, &warnings);
    warnings.extend(without_glyph(&document));
    (Answer::Done { pages, warnings }, pdf)
}

/// Nothing of the moment or the machine: the same data gives the same bytes.
fn options(request: &Request, data: &str) -> Result<PdfOptions, String> {
    let timestamp = match request.issued_on {
        None => None,
        Some((year, month, day)) => {
            let midnight = Datetime::from_ymd_hms(year, month, day, 0, 0, 0)
                .and_then(|date| Timestamp::new_local(date, JAPAN_MINUTES));
            let wrong = || format!("issued_on is {year:04}-{month:02}-{day:02}: no such day");
            Some(midnight.ok_or_else(wrong)?)
        }
    };
    let digest = Sha256::new().chain_update(&request.document).chain_update([0]).chain_update(data);
    let digest = hex::encode(digest.finalize());
    Ok(PdfOptions {
        ident: Smart::Custom(digest),
        creator: Smart::Custom(Some("Yakin".to_owned())),
        timestamp,
        ..PdfOptions::default()
    })
}

/// A sentence about characters that no font has: they are printed as empty boxes.
fn without_glyph(document: &PagedDocument) -> Option<String> {
    let mut missing = BTreeSet::new();
    for page in document.pages() {
        collect(&page.frame, &mut missing);
    }
    let more = if missing.len() > MOST_CHARACTERS { " and others" } else { "" };
    let named: Vec<String> = missing
        .iter()
        .take(MOST_CHARACTERS)
        .map(|c| format!("{c} (U+{:04X})", u32::from(*c)))
        .collect();
    (!named.is_empty()).then(|| format!("no font has a glyph for {}{more}", named.join(", ")))
}

fn collect(frame: &Frame, missing: &mut BTreeSet<char>) {
    for (_, item) in frame.items() {
        match item {
            FrameItem::Group(group) => collect(&group.frame, missing),
            FrameItem::Text(text) => {
                let unseen = text.glyphs.iter().filter(|glyph| glyph.id == 0);
                missing.extend(unseen.flat_map(|g| text.text.get(g.range()).unwrap_or("").chars()));
            }
            _ => {}
        }
    }
}
