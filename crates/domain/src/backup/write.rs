//! Writes a set: for each database one snapshot, dumped and counted at once; then the roles; the manifest last.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use jiff::civil::Date;
use yakin_adapters::archive::{self, Sealed, Sealer};
use yakin_adapters::postgres_tools::{Dump, Working};

use super::source::Snapshot;
use super::{
    BackupError, DatabaseDump, Folder, Globals, Manifest, Result, Source, SourceDatabase,
    WITHOUT_ROWS, blocking,
};

/// What is asked of a set.
pub struct Asked<'a> {
    pub id: &'a str,
    pub date: Date,
    pub begun_at: Timestamp,
    pub compress: bool,
    /// Counts the bytes that the dumps have given so far.
    pub passed: Arc<AtomicU64>,
}

/// Writes the set into its folder, which is there and empty; gives the manifest and its SHA-256.
pub async fn write(
    source: &Source,
    sealer: &Sealer,
    folder: &Folder,
    asked: &Asked<'_>,
    clock: impl Fn() -> Timestamp,
) -> Result<(Manifest, String)> {
    let writing = Writing { source, sealer, folder, asked };
    let (mut databases, mut dropped_meanwhile) = (Vec::new(), Vec::new());
    for (n, database) in source.databases.iter().enumerate() {
        match writing.database(n + 1, database).await {
            Ok(dump) => databases.push(dump),
            // nobody asked for it by name, and it is nobody's any more
            Err(_) if source.all && source.has_lost(&database.name).await => {
                writing.forget(n + 1, database)?;
                dropped_meanwhile.push(database.name.clone());
            }
            Err(error) => return Err(error),
        }
    }
    let manifest = Manifest {
        format: 1,
        id: asked.id.to_owned(),
        date: asked.date,
        begun_at: asked.begun_at,
        globals: writing.globals().await?,
        ended_at: clock(),
        yakin: env!("CARGO_PKG_VERSION").to_owned(),
        server: source.version.clone(),
        tools: source.tools.major,
        compressed: asked.compress,
        recipients: sealer.recipients(),
        databases,
        dropped_meanwhile,
    };
    let set = folder.set(asked.id);
    blocking(move || {
        let sum = manifest.write(&set)?;
        Ok((manifest, sum))
    })
    .await
}

struct Writing<'a> {
    source: &'a Source,
    sealer: &'a Sealer,
    folder: &'a Folder,
    asked: &'a Asked<'a>,
}

impl Writing<'_> {
    async fn database(&self, n: usize, database: &SourceDatabase) -> Result<DatabaseDump> {
        let Source { login, tools, .. } = self.source;
        let mut snapshot = Snapshot::take(login, &database.name).await?;
        let (roles, extension_tables) =
            (snapshot.roles().await?, snapshot.extension_tables().await?);
        let what = Dump {
            database: &database.name,
            snapshot: &snapshot.name,
            without_rows: &WITHOUT_ROWS,
        };
        let (from, working) = tools.dump(login, &what)?;
        let file = self.dump_name(n, database);
        let sealing = self.seal(&file, from, working);
        let (sealed, tables) = tokio::try_join!(sealing, snapshot.count())?;
        snapshot.end().await?;
        Ok(DatabaseDump {
            name: database.name.clone(),
            file,
            sealed,
            encoding: database.encoding.clone(),
            collate: database.collate.clone(),
            ctype: database.ctype.clone(),
            roles: Some(roles),
            tables,
            extension_tables,
        })
    }

    /// Removes what was written of a database, whole or not.
    fn forget(&self, n: usize, database: &SourceDatabase) -> Result<()> {
        let path = self.folder.set(self.asked.id).join(self.dump_name(n, database));
        for path in [archive::partial(&path), path] {
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(BackupError::File { path: path.display().to_string(), source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A login that is no superuser does not see the passwords' hashes: the roles go without, and the manifest says so.
    async fn globals(&self) -> Result<Globals> {
        let Source { login, tools, superuser, .. } = self.source;
        let (from, working) = tools.globals(login, *superuser)?;
        let file = self.file_name("globals.sql");
        let sealed = self.seal(&file, from, working).await?;
        Ok(Globals { file, sealed, passwords: *superuser })
    }

    /// The archive gets its name only when the program that filled it says that it was all.
    async fn seal(
        &self,
        file: &str,
        from: std::io::PipeReader,
        working: Working,
    ) -> Result<Sealed> {
        let path = self.folder.set(self.asked.id).join(file);
        let (sealer, passed) = (self.sealer.clone(), self.asked.passed.clone());
        let (to, compress) = (path.clone(), self.asked.compress);
        let sealing = blocking(move || Ok(sealer.seal(from, &to, compress, &passed)?)).await;
        match (sealing, working.ended().await) {
            (Ok(sealed), Ok(())) => {
                blocking(move || Ok(archive::settle(&path)?)).await?;
                Ok(sealed)
            }
            // a pipe that we closed makes the program fail: ours is the cause
            (Err(error), _) => Err(error),
            (Ok(_), Err(error)) => Err(BackupError::Tools(error)),
        }
    }

    fn dump_name(&self, n: usize, database: &SourceDatabase) -> String {
        self.file_name(&format!("{n:02}-{}.dump", plain_name(&database.name)))
    }

    fn file_name(&self, name: &str) -> String {
        format!("{name}{}", if self.asked.compress { ".zst.age" } else { ".age" })
    }
}

/// A database's name as a part of a file's name.
fn plain_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    name.chars().take(40).map(plain).collect()
}
