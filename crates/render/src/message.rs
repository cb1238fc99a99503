//! What parent and child say to each other: a message is its length and its parts, each with its
//! length, all as u32 little-endian. The first part is JSON, the others are bytes.

use std::io::{self, Read};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The longest data of a document, as JSON text.
pub const MAX_DATA_BYTES: usize = 8 << 20;
/// The longest PDF.
pub const MAX_PDF_BYTES: usize = 64 << 20;
/// The files of one document together.
pub const MAX_FILES_BYTES: usize = 16 << 20;
/// The number of files of one document.
pub const MAX_FILES: usize = 100;
/// The longest message: the longest PDF with its header.
pub const MAX_MESSAGE_BYTES: usize = MAX_PDF_BYTES + (1 << 20);

/// A child's first message; has no answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Folders and files of fonts.
    pub fonts: Vec<PathBuf>,
    /// Address space, in bytes.
    pub memory_bytes: u64,
    /// Processor time for one document, in seconds.
    pub cpu_seconds: u64,
}

/// A document to render. The parts behind it: each file's bytes, then the data as JSON text.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// For the PDF's identity.
    pub document: String,
    /// In the order of the parts.
    pub files: Vec<FileName>,
    /// Year, month, day: the PDF's time, midnight in Japan.
    pub issued_on: Option<(i32, u8, u8)>,
}

/// Where the template finds a file, and where a person does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileName {
    /// From the template's root, such as `main.typ` or `shared/format.typ`.
    pub path: String,
    /// In messages.
    pub shown: String,
}

/// What became of a request. Behind `Done` the PDF is the one further part.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Done {
        pages: usize,
        /// What the typesetter or we would like to be different.
        warnings: Vec<String>,
    },
    Template(String),
    Data(String),
    Font {
        family: String,
        /// The families that are there.
        found: String,
    },
}

/// A message of a header and further parts.
pub fn encode(header: &impl Serialize, parts: &[&[u8]]) -> io::Result<Vec<u8>> {
    let header = serde_json::to_vec(header)?;
    let all = || std::iter::once(header.as_slice()).chain(parts.iter().copied());
    let total: usize = all().map(|part| part.len() + 4).sum();
    if total > MAX_MESSAGE_BYTES {
        return Err(too_long(total));
    }
    let mut message = Vec::with_capacity(total + 4);
    message.extend_from_slice(&(total as u32).to_le_bytes());
    for part in all() {
        message.extend_from_slice(&(part.len() as u32).to_le_bytes());
        message.extend_from_slice(part);
    }
    Ok(message)
}

/// The length that stands before a message.
pub fn length(prefix: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(prefix) as usize;
    if length > MAX_MESSAGE_BYTES { Err(too_long(length)) } else { Ok(length) }
}

/// The parts of a message without its length.
pub fn parts(mut body: &[u8]) -> io::Result<Vec<&[u8]>> {
    let mut found = Vec::new();
    while let Some((prefix, rest)) = body.split_first_chunk::<4>() {
        let (part, rest) = rest.split_at_checked(length(*prefix)?).ok_or_else(broken)?;
        found.push(part);
        body = rest;
    }
    if body.is_empty() && !found.is_empty() { Ok(found) } else { Err(broken()) }
}

/// Reads one message without its length; none when the other side has closed the pipe.
pub fn read(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut prefix = [0; 4];
    match from.read_exact(&mut prefix) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut body = vec![0; length(prefix)?];
    from.read_exact(&mut body)?;
    Ok(Some(body))
}

fn too_long(length: usize) -> io::Error {
    let text = format!("a message of {length} bytes, expected at most {MAX_MESSAGE_BYTES}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message whose parts do not fit its length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_out_as_it_went_in() {
        let message = encode(&"header", &[b"", b"one", b"two\0"]).unwrap();
        let body = read(&mut message.as_slice()).unwrap().unwrap();
        assert_eq!(parts(&body).unwrap(), [b"\"header\"".as_slice(), b"", b"one", b"two\0"]);
        assert!(read(&mut [].as_slice()).unwrap().is_none());
    }

    #[test]
    fn broken_lengths_are_refused() {
        assert!(parts(&[]).is_err());
        assert!(parts(&[9, 0, 0, 0, 1]).is_err());
        assert!(parts(&[1, 0, 0, 0, 1, 7]).is_err());
        assert!(read(&mut [255, 255, 255, 255].as_slice()).is_err());
        assert!(read(&mut [8, 0, 0, 0, 1].as_slice()).is_err());
    }
}
