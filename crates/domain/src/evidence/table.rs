//! A table of the package: CSV in UTF-8 with a byte order mark, written row by row and digested as it is written.

use std::path::Path;

use sha2::{Digest, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::{EvidenceError, package::Listed};
use crate::billing::export::harmless;

/// So much is gathered before it is written, in bytes.
const CHUNK: usize = 64 * 1024;

/// A table that is being written.
pub struct Table<'a> {
    name: &'static str,
    path: &'a Path,
    file: File,
    digest: Sha256,
    gathered: Vec<u8>,
    rows: i64,
}

impl<'a> Table<'a> {
    /// Makes the file, which must not be there, with its head.
    pub async fn create(
        path: &'a Path,
        name: &'static str,
        head: &[&str],
    ) -> Result<Table<'a>, EvidenceError> {
        let file = create(path).await?;
        let gathered = "\u{feff}".as_bytes().to_vec();
        let mut table = Table { name, path, file, digest: Sha256::new(), gathered, rows: 0 };
        table.add(head.iter().map(|cell| (*cell).to_owned())).await?;
        table.rows = 0;
        Ok(table)
    }

    /// Adds a row.
    pub async fn add(
        &mut self,
        cells: impl IntoIterator<Item = String>,
    ) -> Result<(), EvidenceError> {
        let failed =
            |e: csv::Error| EvidenceError::Table { file: self.name, reason: e.to_string() };
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .buffer_capacity(1024)
            .from_writer(&mut self.gathered);
        writer.write_record(cells.into_iter().map(|c| safe(&c))).map_err(failed)?;
        writer.flush().map_err(|e| failed(e.into()))?;
        drop(writer);
        self.rows += 1;
        if self.gathered.len() >= CHUNK { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), EvidenceError> {
        self.digest.update(&self.gathered);
        let written = self.file.write_all(&self.gathered).await;
        self.gathered.clear();
        written.map_err(|e| self.failed("writing", e))
    }

    /// Brings the file to the disk.
    pub async fn end(mut self) -> Result<Listed, EvidenceError> {
        self.flush().await?;
        self.file.flush().await.map_err(|e| self.failed("writing", e))?;
        self.file.sync_all().await.map_err(|e| self.failed("writing", e))?;
        let sha256 = hex::encode(self.digest.finalize());
        Ok(Listed { file: self.name, rows: self.rows, sha256 })
    }

    fn failed(&self, doing: &'static str, source: std::io::Error) -> EvidenceError {
        EvidenceError::File { doing, path: self.path.to_owned(), source }
    }
}

/// Makes a file that must not be there.
async fn create(path: &Path) -> Result<File, EvidenceError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await;
    opened.map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => EvidenceError::There(path.to_owned()),
        _ => EvidenceError::File { doing: "making", path: path.to_owned(), source },
    })
}

/// Writes a text as a file of the package.
pub async fn text(
    path: &Path,
    name: &'static str,
    text: &str,
    rows: i64,
) -> Result<Listed, EvidenceError> {
    let mut file = create(path).await?;
    let doing = "writing";
    let failed = |source| EvidenceError::File { doing, path: path.to_owned(), source };
    file.write_all(text.as_bytes()).await.map_err(failed)?;
    file.flush().await.map_err(failed)?;
    file.sync_all().await.map_err(failed)?;
    Ok(Listed { file: name, rows, sha256: hex::encode(Sha256::digest(text)) })
}

/// A cell that no spreadsheet takes for a formula; numbers stay what they are.
fn safe(cell: &str) -> String {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().filter(|b| *b == b'.').count() <= 1;
    if number { cell.to_owned() } else { harmless(cell) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_texts_and_numbers_stay() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("-1+1", "'-1+1"),
            ("-", "'-"),
            ("@sum", "'@sum"),
            ("＝1", "'＝1"),
            ("\tx", "'\tx"),
            ("-1204.50", "-1204.50"),
            ("-1.2.3", "'-1.2.3"),
            ("45980", "45980"),
            ("青葉", "青葉"),
            ("", ""),
        ] {
            assert_eq!(safe(cell), written);
        }
    }
}
