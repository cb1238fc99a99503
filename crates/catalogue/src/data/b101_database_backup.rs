//! BATCH-101 データベースバックアップバッチ: each night an encrypted set of all databases, read back, at times restored,
//! copied to a second place; old sets go, never the newest three that are proven.

use serde::Deserialize;
use yakin_domain::backup::Backups;
use yakin_engine::prelude::*;

use super::b101_steps::Night;

pub struct DatabaseBackup;

#[derive(Debug, Deserialize)]
pub struct Params {
    backup_type: String,
    pub(super) retention_days: i64,
    pub(super) compress: bool,
    pub(super) verify_backup: bool,
    pub(super) restore_test: String,
    pub(super) databases: String,
}

impl Batch for DatabaseBackup {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "BATCH-101",
        slug: "database-backup",
        title: "データベースバックアップバッチ",
        schedule: cron("0 2 * * *"),
        catch_up: CatchUp::Latest,
        period: Period::Day,
        window: window(2, 0, 5, 0),
        deadline: None,
        scope: Scope::Global,
        phases: &[],
        needs: &[],
        locks: &[exclusive("backup")],
        overlap: Overlap::Forbid,
        queue: Queue::Heavy,
        priority: Priority::Highest,
        timeout: mins(120),
        retry: fixed(3, secs(30)),
        retry_by_cause: &[
            (Cause::Database, exponential(4, mins(10), mins(40))),
            (Cause::Storage, fixed(3, mins(5))),
        ],
        severity: Severity::Critical,
        expected: mins(120),
        params: &[
            Param {
                name: "backup_type",
                kind: Kind::OneOf(&["full", "incremental"]),
                default: Some("full"),
                help: "full; an incremental dump does not exist and is refused",
            },
            Param {
                name: "retention_days",
                kind: Kind::Int(7, 3650),
                default: Some("30"),
                help: "days that a set is kept; those of Sundays 90, if that is more",
            },
            Param {
                name: "compress",
                kind: Kind::Bool,
                default: Some("true"),
                help: "compress with zstd before encrypting",
            },
            Param {
                name: "verify_backup",
                kind: Kind::Bool,
                default: Some("true"),
                help: "read everything back; needs keys.backup_identity_file",
            },
            Param {
                name: "restore_test",
                kind: Kind::OneOf(&["weekly", "always", "never"]),
                default: Some("weekly"),
                help: "restore into scratch databases and count: on Sundays, each time, never",
            },
            Param {
                name: "databases",
                kind: Kind::Text,
                default: Some("all"),
                help: "names with commas between them, or all",
            },
        ],
        approval: Approval::None,
        survives_database: false,
    };

    async fn global(run: &PlatformRun, p: &Params) -> Outcome {
        let Some(backups) = run.resource::<Backups>() else {
            return Err(Stop::give_up(
                Cause::Storage,
                "no backups are configured: write [backup] with folder and recipients into yakin.toml of the nodes \
                 that work on the queue heavy",
            ));
        };
        if p.backup_type == "incremental" {
            return Err(Stop::give_up(
                Cause::Data,
                "an incremental dump does not exist: take backup_type=full; for recovery to a point in time archive \
                 the server's WAL beside it",
            ));
        }
        let night = Night::begin(run, p, &backups).await?;
        night.need_room().await?;
        if run.dry_run() {
            return night.plan().await;
        }
        let mut set = night.set().await?;
        night.restore_test(&mut set).await?;
        let expired = night.expire(&set).await?;
        night.copy(&mut set).await?;
        let done = night.told(&set, expired).await?;
        run.write(async |_| Ok(done)).await
    }
}
