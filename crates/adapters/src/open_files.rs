//! Which files processes of this host have open, as far as this user may see (`/proc/*/fd`).

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The bits of an open file's flags that say how it is open; 0 is for reading alone.
const ACCESS: u32 = 0o3;

/// The open files at one moment, by device and inode.
#[derive(Clone, Debug, Default)]
pub struct OpenFiles(HashMap<(u64, u64), bool>);

impl OpenFiles {
    /// Looks through all processes; those of other users, and those that end meanwhile, are passed over.
    pub fn look() -> io::Result<OpenFiles> {
        let mut found = OpenFiles::default();
        for entry in fs::read_dir("/proc")? {
            let process = entry?.path();
            let name = process.file_name().unwrap_or_default().to_string_lossy();
            if name.bytes().all(|b| b.is_ascii_digit()) {
                found.take_in(&process);
            }
        }
        Ok(found)
    }

    fn take_in(&mut self, process: &Path) {
        let Ok(handles) = fs::read_dir(process.join("fd")) else { return };
        for handle in handles.flatten() {
            let Ok(file) = fs::metadata(handle.path()) else { continue };
            if file.is_file() {
                let flags = fs::read_to_string(process.join("fdinfo").join(handle.file_name()));
                // what cannot be told is taken for written
                let writes = flags.map_or(true, |text| writes(&text));
                *self.0.entry((file.dev(), file.ino())).or_default() |= writes;
            }
        }
    }

    /// Whether somebody has the file open.
    pub fn has(&self, file: &Metadata) -> bool {
        self.0.contains_key(&(file.dev(), file.ino()))
    }

    /// Whether somebody has the file open for writing.
    pub fn writes(&self, file: &Metadata) -> bool {
        self.0.get(&(file.dev(), file.ino())).copied().unwrap_or(false)
    }
}

fn writes(fdinfo: &str) -> bool {
    let flags = fdinfo.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|text| u32::from_str_radix(text.trim(), 8).ok());
    flags.is_none_or(|flags| flags & ACCESS != 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail
mod tests {
    use super::*;

    #[test]
    fn files_in_use_are_seen_and_whether_they_are_written() {
        let path = std::env::temp_dir().join(format!("yakin-open-{}", std::process::id()));
        let written = fs::File::create(&path).unwrap();
        let about = written.metadata().unwrap();
        assert!(OpenFiles::look().unwrap().writes(&about));
        drop(written);
        let read = fs::File::open(&path).unwrap();
        let open = OpenFiles::look().unwrap();
        assert!(open.has(&about) && !open.writes(&about));
        drop(read);
        assert!(!OpenFiles::look().unwrap().has(&about));
        fs::remove_file(path).unwrap();
    }
}
