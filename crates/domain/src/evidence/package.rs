//! The package: its tables filled, its columns explained, its manifest. Rows come by stream, so that a month of any
//! size takes the same memory.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};
use utoipa::ToSchema;
use yakin_engine::error::{Doing, EngineError};
use yakin_engine::record::audit;
use yakin_engine::tenant;
use yakin_engine::tx::{Role, Tx};

use super::sources::{COLUMNS, SOURCES, Source, columns};
use super::table::{Table, text};
use super::{EvidenceError, Month};

/// The manifest's name; it is written last, so that a folder without it holds no package.
pub const MANIFEST: &str = "MANIFEST.csv";

const READING: &str = "reading the month's evidence";

/// A file of the package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Listed {
    #[schema(example = "ledger.csv")]
    pub file: &'static str,
    /// Without the head; of the file that explains the columns, how many it explains.
    pub rows: i64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Package {
    /// In the order of the manifest, which is not among them.
    pub files: Vec<Listed>,
    /// NUMBER:DIGEST of the audit's chain as it stood, for `yakin audit verify --head`.
    pub audit_head: Option<String>,
    /// SHA-256 of the manifest.
    pub manifest_sha256: String,
}

/// Writes the month's package into a folder, which must hold none; what was begun and failed is removed. The database
/// ends what it reads `within` that time, where there is one.
pub async fn write(
    pool: &PgPool,
    month: Month,
    into: &Path,
    within: Option<Duration>,
) -> Result<Package, EvidenceError> {
    let until = within.map(|within| Instant::now() + within);
    let reader = Reader { pool, month, until, codes: codes(pool).await? };
    let mut made = Vec::new();
    let written = write_all(&reader, into, &mut made).await;
    let Err(first) = written else { return written };
    // what stood there before is not ours to remove
    for path in made.into_iter().map(|file| into.join(file)) {
        if let Err(source) = tokio::fs::remove_file(&path).await {
            return Err(EvidenceError::Left { first: Box::new(first), path, source });
        }
    }
    Err(first)
}

/// The codes of all tenants by their ids.
async fn codes(pool: &PgPool) -> Result<HashMap<String, String>, EvidenceError> {
    Ok(tenant::all(pool).await?.into_iter().map(|t| (t.id.to_string(), t.code)).collect())
}

async fn write_all(
    reader: &Reader<'_>,
    into: &Path,
    made: &mut Vec<&'static str>,
) -> Result<Package, EvidenceError> {
    let manifest_path = into.join(MANIFEST);
    if tokio::fs::try_exists(&manifest_path).await.unwrap_or(true) {
        return Err(EvidenceError::There(manifest_path));
    }
    let mut files = Vec::new();
    for source in &SOURCES {
        let path = into.join(source.file);
        let mut table = Table::create(&path, source.file, &source.head()).await?;
        made.push(source.file);
        reader.fill(source, &mut table).await?;
        files.push(table.end().await?);
    }
    let explained = SOURCES.iter().map(|source| source.columns.len() as i64).sum();
    let told = text(&into.join(COLUMNS), COLUMNS, &columns(), explained).await?;
    made.push(COLUMNS);
    files.push(told);
    // after the acts were read: the head covers each of them
    let audit_head = reader.head().await?;
    let mut manifest = Table::create(&manifest_path, MANIFEST, &["file", "rows", "sha256"]).await?;
    made.push(MANIFEST);
    for listed in &files {
        let row = [listed.file.to_owned(), listed.rows.to_string(), listed.sha256.clone()];
        manifest.add(row).await?;
    }
    let (number, _) = audit_head.as_deref().and_then(|h| h.split_once(':')).unwrap_or(("0", ""));
    let row = ["audit chain head", number, audit_head.as_deref().unwrap_or_default()];
    manifest.add(row.map(str::to_owned)).await?;
    let manifest_sha256 = manifest.end().await?.sha256;
    Ok(Package { files, audit_head, manifest_sha256 })
}

/// Reads a month's rows.
struct Reader<'a> {
    pool: &'a PgPool,
    month: Month,
    until: Option<Instant>,
    codes: HashMap<String, String>,
}

impl Reader<'_> {
    async fn begin(&self, role: Role) -> Result<Tx, EngineError> {
        let mut tx = Tx::begin(self.pool, role, "", true).await.doing(READING)?;
        if let Some(until) = self.until {
            let left = until.saturating_duration_since(Instant::now());
            tx.limit(left).await.doing(READING)?;
        }
        Ok(tx)
    }

    /// Fills a table from its statement.
    async fn fill(&self, source: &Source, table: &mut Table<'_>) -> Result<(), EvidenceError> {
        let role = if source.engine { Role::Engine } else { Role::Platform };
        let mut tx = self.begin(role).await?;
        self.stream(&mut tx, source, table).await?;
        tx.commit().await.doing(READING)?;
        Ok(())
    }

    async fn stream(
        &self,
        tx: &mut Tx,
        source: &Source,
        table: &mut Table<'_>,
    ) -> Result<(), EvidenceError> {
        let days = self.month.days();
        let asked = sqlx::query(source.sql).bind(days.start.to_sqlx()).bind(days.end.to_sqlx());
        let mut rows = asked.fetch(tx);
        while let Some(row) = rows.try_next().await.doing(READING)? {
            let mut cells = cells(&row, source.columns.len()).doing(READING)?;
            if let Some(cell) = source.tenant.and_then(|at| cells.get_mut(at))
                && let Some(code) = self.codes.get(cell)
            {
                code.clone_into(cell);
            }
            table.add(cells).await?;
        }
        Ok(())
    }

    /// Where the audit's chain stands.
    async fn head(&self) -> Result<Option<String>, EngineError> {
        let mut tx = self.begin(Role::Engine).await?;
        let head = audit::head(&mut tx).await?;
        tx.commit().await.doing(READING)?;
        Ok(head)
    }
}

/// A row's columns, each of which its statement gives as text.
fn cells(row: &PgRow, columns: usize) -> Result<Vec<String>, sqlx::Error> {
    (0..columns).map(|n| Ok(row.try_get::<Option<String>, _>(n)?.unwrap_or_default())).collect()
}
