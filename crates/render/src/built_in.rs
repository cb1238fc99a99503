//! The documents that come with the program, from `templates/documents`.

macro_rules! files {
    ($folder:literal: $($name:literal)*) => {
        Folder { name: $folder, files: &[$((
            $name,
            include_bytes!(concat!("../../../templates/documents/", $folder, "/", $name)),
        )),*] }
    };
}

/// A folder of `templates/documents`, with its files.
pub struct Folder {
    pub name: &'static str,
    pub files: &'static [(&'static str, &'static [u8])],
}

/// What documents share; each finds it under this name.
pub const SHARED: &str = "shared";

/// All of them; a document's first file is `main.typ`.
pub const FOLDERS: &[Folder] = &[
    files!("shared": "fonts.typ" "format.typ"),
    files!("invoice": "main.typ" "data.typ" "labels.toml"
        "sample.json" "sample_adjustment.json" "sample_en.json"),
    files!("report": "main.typ" "data.typ" "labels.toml" "sample.json" "sample_en.json"),
    files!("performance": "main.typ" "sample.json" "sample_en.json"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_in_the_folder_is_built_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/documents");
        let mut there = BTreeSet::new();
        for folder in std::fs::read_dir(&root).unwrap() {
            let folder = folder.unwrap().path();
            for file in std::fs::read_dir(&folder).unwrap() {
                let path = file.unwrap().path();
                there.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
        let listed: BTreeSet<String> = FOLDERS
            .iter()
            .flat_map(|f| f.files.iter().map(move |(name, _)| format!("{}/{name}", f.name)))
            .collect();
        assert_eq!(there, listed);
    }
}
