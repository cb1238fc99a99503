//! Names of log files: `yakin-<host>-YYYY-MM-DD[.n].jsonl`, with `.zst` once compressed.

use std::io;
use std::path::Path;

use jiff::civil::Date;

/// A log file's name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    pub host: String,
    pub day: Date,
    /// 0 for the first of its day.
    pub number: u32,
}

/// In which state a file of that name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Plain,
    Compressed,
    /// What a compression that did not end left behind.
    Partial,
}

impl FileName {
    /// The name of the plain file.
    pub fn text(&self) -> String {
        let number = match self.number {
            0 => String::new(),
            n => format!(".{n}"),
        };
        format!("yakin-{}-{}{number}.jsonl", self.host, self.day)
    }

    /// Reads a name; `None` for a file that is not ours.
    pub fn read(text: &str) -> Option<(FileName, Form)> {
        let (rest, form) = match text.strip_prefix("yakin-")? {
            t if t.ends_with(".jsonl") => (t.strip_suffix(".jsonl")?, Form::Plain),
            t if t.ends_with(".jsonl.zst") => (t.strip_suffix(".jsonl.zst")?, Form::Compressed),
            t => (t.strip_suffix(".jsonl.zst.tmp")?, Form::Partial),
        };
        let (head, number) = match rest.rsplit_once('.') {
            Some((head, digits)) => match digits.parse() {
                Ok(number) if number > 0 => (head, number),
                _ => return None,
            },
            None => (rest, 0),
        };
        let cut = head.len().checked_sub("-YYYY-MM-DD".len())?;
        let (host, day) = (head.get(..cut)?, head.get(cut..)?.strip_prefix('-')?);
        let day = day.parse().ok()?;
        let name = FileName { host: host.to_owned(), day, number };
        // only names this house writes: '2026-1-1' or '007' would come back as another
        let ours = !host.is_empty() && text.starts_with(&name.text());
        ours.then_some((name, form))
    }
}

/// A host's name as it stands in files' names: letters, digits and hyphens, at most 60.
pub fn host_in_names(host: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let text: String = host.chars().take(60).map(good).collect();
    if text.is_empty() { "node".to_owned() } else { text }
}

/// The highest number of this host and day, and whether only its plain file is there.
pub fn newest_number(dir: &Path, host: &str, day: Date) -> io::Result<Option<(u32, bool)>> {
    let mut newest: Option<(u32, bool)> = None;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?.file_name();
        let Some((name, form)) = entry.to_str().and_then(FileName::read) else { continue };
        if name.host != host || name.day != day {
            continue;
        }
        let plain = form == Form::Plain;
        newest = match newest {
            Some((number, _)) if number > name.number => newest,
            Some((number, so_far)) if number == name.number => Some((number, so_far && plain)),
            _ => Some((name.number, plain)),
        };
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were_written() {
        let day: Date = "2026-11-01".parse().expect("a day");
        for (number, text) in
            [(0, "yakin-db-1-2026-11-01.jsonl"), (12, "yakin-db-1-2026-11-01.12.jsonl")]
        {
            let name = FileName { host: "db-1".to_owned(), day, number };
            assert_eq!(name.text(), text);
            assert_eq!(FileName::read(text), Some((name.clone(), Form::Plain)));
            let compressed = format!("{text}.zst");
            assert_eq!(FileName::read(&compressed), Some((name.clone(), Form::Compressed)));
            assert_eq!(FileName::read(&format!("{text}.zst.tmp")), Some((name, Form::Partial)));
        }
    }

    #[test]
    fn other_files_are_nobodys() {
        for text in [
            "yakin.jsonl",
            "yakin--2026-11-01.jsonl",
            "yakin-a-2026-11-1.jsonl",
            "yakin-a-2026-13-01.jsonl",
            "yakin-a-2026-11-01.0.jsonl",
            "yakin-a-2026-11-01.01.jsonl",
            "yakin-a-2026-11-01.jsonl.gz",
            "yakin-あ.jsonl",
            "other-a-2026-11-01.jsonl",
        ] {
            assert_eq!(FileName::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_hosts_name_cannot_leave_the_folder() {
        assert_eq!(host_in_names("../db.example"), "---db-example");
        assert_eq!(host_in_names(""), "node");
    }
}
