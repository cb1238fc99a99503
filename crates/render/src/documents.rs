//! The files of a document: the built-in ones, each replaced by the operator's file of that name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::RenderError;
use crate::built_in::{FOLDERS, SHARED};
use crate::message::{FileName, MAX_FILES, MAX_FILES_BYTES};

/// Where documents come from.
#[derive(Clone, Debug)]
pub struct Documents {
    folder: Option<PathBuf>,
}

/// One file and its text.
pub struct File {
    pub name: FileName,
    pub bytes: Vec<u8>,
}

impl Documents {
    /// Built-in documents, under those of this folder.
    pub fn new(folder: Option<PathBuf>) -> Result<Documents, RenderError> {
        match &folder {
            Some(folder) if !folder.is_dir() => Err(RenderError::Settings(format!(
                "the folder of templates {} is not there",
                folder.display()
            ))),
            _ => Ok(Documents { folder }),
        }
    }

    /// The names of all documents, in order.
    pub fn names(&self) -> Result<Vec<String>, RenderError> {
        let mut names: BTreeSet<String> = FOLDERS.iter().map(|f| f.name.to_owned()).collect();
        if let Some(folder) = &self.folder {
            for path in entries(folder)? {
                if path.is_dir() {
                    names.insert(file_name(&path)?);
                }
            }
        }
        names.remove(SHARED);
        Ok(names.into_iter().collect())
    }

    /// A document's samples: name and text, in order of their names.
    pub fn samples(&self, document: &str) -> Result<Vec<File>, RenderError> {
        Ok(self.files(document)?.into_values().filter(|f| is_sample(&f.name.path)).collect())
    }

    /// What the child needs to render it: its own files and the shared ones, without samples.
    pub fn load(&self, document: &str) -> Result<Vec<File>, RenderError> {
        if document == SHARED {
            return Err(self.unknown(document));
        }
        let mut files = self.files(document)?;
        for (path, mut file) in self.files(SHARED)? {
            file.name.path = format!("{SHARED}/{path}");
            files.insert(file.name.path.clone(), file);
        }
        let files: Vec<File> = files.into_values().filter(|f| !is_sample(&f.name.path)).collect();
        let bytes: usize = files.iter().map(|f| f.bytes.len()).sum();
        if files.len() > MAX_FILES || bytes > MAX_FILES_BYTES {
            return Err(RenderError::Template {
                document: document.to_owned(),
                message: format!(
                    "its {} files have {bytes} bytes, expected at most {MAX_FILES} files and \
                     {MAX_FILES_BYTES} bytes",
                    files.len()
                ),
            });
        }
        Ok(files)
    }

    fn files(&self, document: &str) -> Result<BTreeMap<String, File>, RenderError> {
        let mut files = BTreeMap::new();
        for folder in FOLDERS.iter().filter(|f| f.name == document) {
            for (name, bytes) in folder.files {
                let shown = format!("{document}/{name}");
                let name = FileName { path: (*name).to_owned(), shown };
                files.insert(name.path.clone(), File { name, bytes: bytes.to_vec() });
            }
        }
        // only a plain name, or it could lead out of the folder
        if let Some(folder) = self.folder.as_ref().filter(|_| is_name(document)) {
            let folder = folder.join(document);
            for path in if folder.is_dir() { entries(&folder)? } else { Vec::new() } {
                if path.is_file() {
                    let name =
                        FileName { path: file_name(&path)?, shown: path.display().to_string() };
                    let bytes = read(&path)?;
                    files.insert(name.path.clone(), File { name, bytes });
                }
            }
        }
        if files.is_empty() {
            return Err(self.unknown(document));
        }
        Ok(files)
    }

    fn unknown(&self, document: &str) -> RenderError {
        match self.names() {
            Ok(known) => RenderError::Unknown { document: document.to_owned(), known },
            Err(error) => error,
        }
    }
}

fn is_sample(path: &str) -> bool {
    path.starts_with("sample") && path.ends_with(".json")
}

fn is_name(document: &str) -> bool {
    !document.is_empty()
        && document.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, RenderError> {
    let read = std::fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()
    });
    let hidden = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
    };
    read.map(|paths| paths.into_iter().filter(|path| !hidden(path)).collect())
        .map_err(|error| unreadable(folder, &error))
}

fn read(path: &Path) -> Result<Vec<u8>, RenderError> {
    let length = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    if length > MAX_FILES_BYTES as u64 {
        return Err(RenderError::Settings(format!(
            "the template file {} has {length} bytes, expected at most {MAX_FILES_BYTES}",
            path.display()
        )));
    }
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn file_name(path: &Path) -> Result<String, RenderError> {
    path.file_name().and_then(|name| name.to_str()).map(str::to_owned).ok_or_else(|| {
        RenderError::Settings(format!("the name of {} is not UTF-8", path.display()))
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> RenderError {
    RenderError::Settings(format!("reading the templates in {}: {error}", path.display()))
}
