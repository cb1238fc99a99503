//! The package: its tables filled, its columns explained, its manifest. Rows come by stream, so that a month of any
//! size takes the same memory.

use std::collections::HashMap;
use std::path::Path;

use futures::TryStreamExt;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{Executor, Row};
use utoipa::ToSchema;
use yakin_engine::error::Doing;
use yakin_engine::record::audit;
use yakin_engine::tenant;
use yakin_engine::tx::{Role, Tx};

use super::sources::{COLUMNS, SOURCES, Source, columns};
use super::table::{Table, text};
use super::{EvidenceError, Month};

/// The manifest's name; it is written last, so that a folder without it holds no package.
pub const MANIFEST: &str = "MANIFEST.csv";

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

/// Writes the month's package into a folder, which must hold none; what was begun and failed is removed.
pub async fn write(pool: &PgPool, month: Month, into: &Path) -> Result<Package, EvidenceError> {
    let mut made = Vec::new();
    let written = write_all(pool, month, into, &mut made).await;
    let Err(first) = written else { return written };
    // what stood there before is not ours to remove
    for path in made.into_iter().map(|file| into.join(file)) {
        if let Err(source) = tokio::fs::remove_file(&path).await {
            return Err(EvidenceError::Left { first: Box::new(first), path, source });
        }
    }
    Err(first)
}

async fn write_all(
    pool: &PgPool,
    month: Month,
    into: &Path,
    made: &mut Vec<&'static str>,
) -> Result<Package, EvidenceError> {
    let codes = tenant::all(pool).await?.into_iter().map(|t| (t.id.to_string(), t.code)).collect();
    let manifest_path = into.join(MANIFEST);
    if tokio::fs::try_exists(&manifest_path).await.unwrap_or(true) {
        return Err(EvidenceError::There(manifest_path));
    }
    let mut files = Vec::new();
    for source in &SOURCES {
        let path = into.join(source.file);
        let table = Table::create(&path, source.file, &source.head()).await?;
        made.push(source.file);
        files.push(fill(pool, month, source, table, &codes).await?);
    }
    let explained = SOURCES.iter().map(|source| source.columns.len() as i64).sum();
    let told = text(&into.join(COLUMNS), COLUMNS, &columns(), explained).await?;
    made.push(COLUMNS);
    files.push(told);
    // after the acts were read: the head covers each of them
    let audit_head = audit::head(pool).await?;
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

/// Fills a table from its statement.
async fn fill(
    pool: &PgPool,
    month: Month,
    source: &Source,
    table: Table<'_>,
    codes: &HashMap<String, String>,
) -> Result<Listed, EvidenceError> {
    let doing = "reading the month's evidence";
    if source.engine {
        return stream(pool, month, source, table, codes).await;
    }
    let mut tx = Tx::begin(pool, Role::Platform, "", true).await.doing(doing)?;
    let listed = stream(&mut tx, month, source, table, codes).await?;
    tx.commit().await.doing(doing)?;
    Ok(listed)
}

async fn stream<'c, E: Executor<'c, Database = sqlx::Postgres>>(
    from: E,
    month: Month,
    source: &Source,
    mut table: Table<'_>,
    codes: &HashMap<String, String>,
) -> Result<Listed, EvidenceError> {
    let doing = "reading the month's evidence";
    let days = month.days();
    let mut rows =
        sqlx::query(source.sql).bind(days.start.to_sqlx()).bind(days.end.to_sqlx()).fetch(from);
    while let Some(row) = rows.try_next().await.doing(doing)? {
        let mut cells = cells(&row, source.columns.len()).doing(doing)?;
        if let Some(cell) = source.tenant.and_then(|at| cells.get_mut(at))
            && let Some(code) = codes.get(cell)
        {
            code.clone_into(cell);
        }
        table.add(cells).await?;
    }
    drop(rows);
    table.end().await
}

/// A row's columns, each of which its statement gives as text.
fn cells(row: &PgRow, columns: usize) -> Result<Vec<String>, sqlx::Error> {
    (0..columns).map(|n| Ok(row.try_get::<Option<String>, _>(n)?.unwrap_or_default())).collect()
}
