//! `yakin backup list`: the sets of both kinds, and those of the second place.

use jiff::Timestamp;
use serde_json::json;
use yakin_adapters::storage::Storage;
use yakin_domain::backup::{
    DatabaseDump, Described, FilesManifest, Folder, Manifest, Proof, SetKind, Unreadable, Whole,
    copied_sets,
};
use yakin_engine::days::clock_text;

use super::backup::megabytes;
use crate::output::{End, grouped, json as print_json, line, table};

const HEADINGS: [&str; 7] = ["SET", "HOLDS", "MB", "ROWS", "VERIFIED", "RESTORED", "COPIED"];

/// A set, told.
struct Row {
    begun_at: Timestamp,
    id: String,
    holds: String,
    bytes: u64,
    rows: String,
    proof: Proof,
    json: serde_json::Value,
}

/// The sets of a kind, and those that cannot be read.
fn rows<M: Described>(
    folder: &Folder,
    tell: impl Fn(&M) -> (String, String),
) -> anyhow::Result<(Vec<Row>, Vec<Unreadable>)> {
    let mut all = Vec::new();
    let sets = folder.sets::<M>()?;
    for Whole { manifest, proof, .. } in sets.whole {
        let (holds, rows) = tell(&manifest);
        let json = json!({"kind": M::KIND, "manifest": manifest, "proof": proof});
        let (begun_at, bytes) = (manifest.begun_at(), manifest.contents().bytes);
        all.push(Row { begun_at, id: manifest.id().to_owned(), holds, bytes, rows, proof, json });
    }
    Ok((all, sets.unreadable))
}

/// The sets of the folder, newest last.
pub fn list(folder: &Folder, as_json: bool) -> anyhow::Result<End> {
    let (mut sets, mut unreadable) = rows(folder, |m: &Manifest| {
        let rows: i64 = m.databases.iter().map(DatabaseDump::rows).sum();
        (counted(m.databases.len() as u64, "database"), grouped(rows))
    })?;
    let files = rows(folder, |m: &FilesManifest| (counted(m.files, "file"), "–".to_owned()))?;
    sets.extend(files.0);
    unreadable.extend(files.1);
    sets.sort_by(|a, b| (a.begun_at, &a.id).cmp(&(b.begun_at, &b.id)));
    if as_json {
        let unreadable = unreadable.iter().map(|set| {
            json!({"kind": SetKind::of(&set.id), "id": set.id, "unreadable": set.error.to_string()})
        });
        print_json(&sets.into_iter().map(|s| s.json).chain(unreadable).collect::<Vec<_>>())?;
        return Ok(End::Done);
    }
    if sets.is_empty() && unreadable.is_empty() {
        let folder = folder.path().display();
        line(format!(
            "no set in {folder}; `yakin run BATCH-101` writes one, `yakin run DAILY_003` also of the files"
        ));
        return Ok(End::Done);
    }
    let at = |instant: Option<Timestamp>| instant.map_or("–".to_owned(), clock_text);
    let mut rows: Vec<Vec<String>> = sets
        .into_iter()
        .map(|s| {
            let proven =
                [s.proof.verified_at, s.proof.recovery_tested_at, s.proof.copied_at].map(at);
            [vec![s.id, s.holds, megabytes(s.bytes), s.rows], proven.to_vec()].concat()
        })
        .collect();
    rows.extend(unreadable.iter().map(|set| {
        let mut row = vec!["–".to_owned(); HEADINGS.len()];
        row[0].clone_from(&set.id);
        row[1] = "unreadable".to_owned();
        row
    }));
    table(&HEADINGS, &rows);
    for Unreadable { id, error } in unreadable {
        line(format!("{id} proves nothing, and no night removes it: {error}"));
    }
    Ok(End::Done)
}

fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// The sets that have a whole copy.
pub async fn list_copies(storage: &Storage, as_json: bool) -> anyhow::Result<End> {
    let sets = copied_sets(storage).await?;
    if as_json {
        print_json(&sets)?;
    } else if sets.is_empty() {
        line(format!("no set in {}", storage.identity()));
    } else {
        sets.iter().for_each(line);
    }
    Ok(End::Done)
}
