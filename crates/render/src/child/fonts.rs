//! The faces that documents may use, read once.

use std::path::{Path, PathBuf};

use typst::foundations::Bytes;
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;

const DEEPEST: usize = 4;
const MOST_FILES: usize = 200;
const LARGEST_BYTES: u64 = 64 << 20;

/// Faces and what is known of them.
pub struct Fonts {
    pub book: LazyHash<FontBook>,
    pub faces: Vec<Font>,
}

impl Fonts {
    /// All faces in these folders and files, in order of their paths. A place that is not there
    /// gives none: which face is missing is said when a document wants it.
    pub fn load(places: &[PathBuf]) -> Fonts {
        let mut files = Vec::new();
        for place in places {
            collect(place, 0, &mut files);
        }
        let faces: Vec<Font> = files
            .iter()
            .filter_map(|path| std::fs::read(path).ok())
            .flat_map(|bytes| Font::iter(Bytes::new(bytes)))
            .collect();
        Fonts { book: LazyHash::new(FontBook::from_fonts(&faces)), faces }
    }

    /// The families' names, for messages.
    pub fn families(&self) -> String {
        let names: Vec<&str> = self.book.families().map(|(name, _)| name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(about) = std::fs::metadata(path) else { return };
    if about.is_dir() && depth <= DEEPEST {
        let Ok(entries) = std::fs::read_dir(path) else { return };
        let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        inside.sort();
        for path in inside {
            collect(&path, depth + 1, files);
        }
    } else if about.is_file()
        && is_font(path)
        && about.len() <= LARGEST_BYTES
        && files.len() < MOST_FILES
    {
        files.push(path.to_owned());
    }
}

fn is_font(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    ["ttf", "otf", "ttc", "otc"].contains(&extension.as_str())
}
