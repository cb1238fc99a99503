//! What a template can see: the files that came with the request, the fonts, the data. No clock,
//! no packages, no other file.

use std::collections::HashMap;

use typst::diag::{FileError, FileResult, PackageError};
use typst::foundations::{Bytes, Datetime, Dict, Duration, IntoValue};
use typst::syntax::{FileId, PathError, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt};

use super::fonts::Fonts;
use crate::message::FileName;

/// One file of the document.
struct File {
    shown: String,
    bytes: Bytes,
    /// Parsed, where it is text.
    source: Option<Source>,
}

/// The present document's world; the fonts stay from one to the next.
pub struct World {
    fonts: Fonts,
    library: LazyHash<Library>,
    main: FileId,
    files: HashMap<FileId, File>,
}

impl World {
    /// A world with fonts and without a document.
    pub fn new(fonts: Fonts) -> Result<World, PathError> {
        let main = file_id("main.typ")?;
        let library = LazyHash::new(Library::default());
        Ok(World { fonts, library, main, files: HashMap::new() })
    }

    /// Puts another document in; the template reads its data as `sys.inputs.data`.
    pub fn put(&mut self, names: &[FileName], files: &[&[u8]], data: &str) -> Result<(), String> {
        let mut inputs = Dict::new();
        inputs.insert("data".into(), data.into_value());
        self.library = LazyHash::new(Library::builder().with_inputs(inputs).build());
        let mut before = std::mem::take(&mut self.files);
        for (name, bytes) in names.iter().zip(files) {
            let id = file_id(&name.path)
                .map_err(|_| format!("{}: not a name for a template's file", name.shown))?;
            let file = match before.remove(&id) {
                Some(file) if file.bytes.as_slice() == *bytes && file.shown == name.shown => file,
                _ => File {
                    shown: name.shown.clone(),
                    bytes: Bytes::new(bytes.to_vec()),
                    source: std::str::from_utf8(bytes)
                        .ok()
                        .filter(|_| name.path.ends_with(".typ"))
                        .map(|text| Source::new(id, text.to_owned())),
                },
            };
            self.files.insert(id, file);
        }
        if self.files.contains_key(&self.main) {
            Ok(())
        } else {
            Err("it has no main.typ".to_owned())
        }
    }

    /// What a person calls this file.
    pub fn shown(&self, id: FileId) -> &str {
        self.files
            .get(&id)
            .map_or_else(|| id.get().vpath().get_without_slash(), |f| f.shown.as_str())
    }

    /// The fonts' families, for messages.
    pub fn families(&self) -> String {
        self.fonts.families()
    }

    fn find(&self, id: FileId) -> FileResult<&File> {
        if matches!(id.root(), VirtualRoot::Package(_)) {
            let text = "a document may use the files of its own folder only";
            return Err(FileError::Package(PackageError::Other(Some(text.into()))));
        }
        let missing = || FileError::NotFound(id.vpath().get_without_slash().into());
        self.files.get(&id).ok_or_else(missing)
    }
}

fn file_id(path: &str) -> Result<FileId, PathError> {
    Ok(RootedPath::new(VirtualRoot::Project, VirtualPath::new(path)?).intern())
}

impl typst::World for World {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.fonts.book
    }

    fn main(&self) -> FileId {
        self.main
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        self.find(id)?.source.clone().ok_or(FileError::NotSource)
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        Ok(self.find(id)?.bytes.clone())
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.faces.get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}
