//! What can go wrong, by what a caller can do about it.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why a document was not rendered.
#[derive(Debug, Error)]
pub enum RenderError {
    /// The settings do not fit this machine: mend them and start again.
    #[error("render settings: {0}")]
    Settings(String),
    /// There is no such document, neither built in nor in the operator's folder.
    #[error("rendering {document}: no such document; expected one of {}", known.join(", "))]
    Unknown { document: String, known: Vec<String> },
    /// The template is wrong. `message` begins with the file, line and column. Repeating is no use.
    #[error("rendering {document}: {message}")]
    Template { document: String, message: String },
    /// The data breaks the template's contract or a limit. Repeating is no use.
    #[error("rendering {document}: its data is wrong: {message}")]
    Data { document: String, message: String },
    /// A face that the template names is not on this machine.
    #[error(
        "rendering {document}: the font {family} is not among those found ({found}); install \
         Debian's package fonts-ipaexfont, or name the folder of the font's file in the settings' \
         fonts (searched: {})",
        paths(searched)
    )]
    Font { document: String, family: String, found: String, searched: Vec<PathBuf> },
    /// It took too long; the child was killed. Repeat once; a template may have a loop.
    #[error(
        "rendering {document}: no answer within {limit:?}; the child was killed (a loop in the \
         template, very much data, or a busy machine)"
    )]
    Timeout { document: String, limit: Duration },
    /// The child could not be started, or ended in the middle of its work. Repeating may help.
    #[error("rendering {document}: the child process {ended}{}", said(what_it_said))]
    Child { document: String, ended: String, what_it_said: String },
    /// The runtime is shutting down.
    #[error("rendering was interrupted: {0}")]
    Stopped(String),
}

impl RenderError {
    /// Whether the same call will fail again until a person has mended something.
    pub fn is_permanent(&self) -> bool {
        use RenderError::{Child, Stopped, Timeout};
        !matches!(self, Timeout { .. } | Child { .. } | Stopped(_))
    }
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(", saying: {text}") }
}

fn paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}
