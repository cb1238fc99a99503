//! A database into an encrypted set as BATCH-101 writes it, beside pg_dump into zstd, with and without age.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use jiff::civil::date;
use tokio::process::Command;
use yakin_adapters::archive::{Opener, Sealer, init};
use yakin_adapters::postgres_tools::Login;
use yakin_domain::backup::{Asked, Described, Folder, Source, verify, write};

use crate::measure::peak_resident_mb;
use crate::report::{Report, Row};
use crate::server::Database;
use crate::world::World;

/// Measures.
pub async fn run(world: &World) -> anyhow::Result<Report> {
    let database = world.server.empty("bench_backup").await?;
    let rows = world.size(4_000_000, 100_000);
    // about 250 bytes a row: words that repeat, and digits that do not
    database
        .sql(format!(
            "CREATE TABLE public.activity AS
             SELECT g AS id, 'engineer ' || g % 3000 AS who, repeat('viewed a skill sheet; ', 5) AS what,
                    md5(g::text) || md5((g + 1)::text) AS trace, timestamptz '2026-01-01' + g * interval '1 s' AS at
               FROM generate_series(1, {rows}) AS g"
        ))
        .await?;
    database.quiet().await?;
    let folder = std::env::temp_dir().join(format!("yakin-bench-backup-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let report = beside(world, &database, &folder).await;
    std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    world.server.drop(database).await?;
    report
}

async fn beside(world: &World, database: &Database, folder: &Path) -> anyhow::Result<Report> {
    let login = Login::new(&database.url("postgres"))?;
    let bin = PathBuf::from(std::env::var_os("YAKIN_PG_BIN").context("YAKIN_PG_BIN is not set")?);
    let dump = format!("{}/pg_dump -Fc -Z0 '{}'", bin.display(), login.url(None));
    let key = folder.join("identity");
    let recipient = init(&key)?;
    let to = |name: &str| folder.join(name).display().to_string();
    // all of it once, so that each reads from the same caches
    shell(&format!("{dump} >/dev/null")).await?;
    let bare = piped(&format!("{dump} | zstd -3 -q >{}", to("bare"))).await?;
    let bare = Row::new("pg_dump | zstd -3", bare, "s");
    let sealed = format!("{dump} | zstd -3 -q | age -r {recipient} >{}", to("sealed"));
    let sealed = Row::new("pg_dump | zstd -3 | age", piped(&sealed).await?, "s");
    let set = Set::write(world, &login, folder, &key).await?;
    let mut report = Report::default();
    let own = Row::new("Yakin: dumped, counted, sealed, flushed", set.wrote, "s");
    let own = own.beside(Some(&bare)).beside(Some(&sealed));
    let ratio = own.ratios.first().map_or(f64::MAX, |r| r.1);
    report.add(own.aim("≤ 1.1 × pg_dump | zstd", ratio <= 1.1));
    report.add(
        Row::new("its memory at most", set.peak_mb, "MB").aim("< 100 MB", set.peak_mb < 100.0),
    );
    report.add(Row::new("read back to the last byte", set.verified, "s").beside(Some(&bare)));
    report.add(bare);
    report.add(sealed);
    report.note(format!("{:.0} MB of dump, {:.0} MB in the set", set.plain_mb, set.mb));
    Ok(report)
}

/// A set that was written and read back: how long, in seconds.
struct Set {
    wrote: f64,
    verified: f64,
    peak_mb: f64,
    plain_mb: f64,
    mb: f64,
}

impl Set {
    async fn write(world: &World, login: &Login, at: &Path, key: &Path) -> anyhow::Result<Set> {
        let opener = Arc::new(Opener::read(key)?);
        let sealer = Sealer::new(&opener.recipients())?;
        let folder = Folder::open(&at.join("sets"))?;
        let source = Source::look(login, &[login.database()]).await?;
        let id = "BKP_20261101_001";
        folder.begin(id)?;
        let asked = Asked {
            id,
            date: date(2026, 11, 1),
            begun_at: Timestamp::UNIX_EPOCH,
            compress: true,
            passed: Arc::new(AtomicU64::new(0)),
        };
        peak_resident_mb(true)?;
        let begun = Instant::now();
        let (manifest, _) =
            write(&source, &sealer, &folder, &asked, || Timestamp::UNIX_EPOCH).await?;
        let wrote = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        verify(&source.tools, &opener, &folder.set(id), &manifest).await?;
        let verified = begun.elapsed().as_secs_f64();
        let contents = manifest.contents();
        ensure!(world.quick || contents.plain_bytes > 500_000_000, "the dump is too small to tell");
        Ok(Set {
            wrote,
            verified,
            peak_mb: peak_resident_mb(false)?,
            plain_mb: contents.plain_bytes as f64 / 1e6,
            mb: contents.bytes as f64 / 1e6,
        })
    }
}

/// Seconds of a pipeline, its file flushed to the disk as ours is.
async fn piped(line: &str) -> anyhow::Result<f64> {
    let file = line.rsplit('>').next().unwrap_or_default();
    let begun = Instant::now();
    shell(&format!("{line} && sync {file}")).await?;
    Ok(begun.elapsed().as_secs_f64())
}

async fn shell(line: &str) -> anyhow::Result<()> {
    let line = format!("set -o pipefail; {line}");
    let status = Command::new("bash").args(["-c", &line]).status().await?;
    ensure!(status.success(), "{status}: {line}");
    Ok(())
}
