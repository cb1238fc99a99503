//! BATCH-101 データベースバックアップバッチ: each night an encrypted set of all databases, read back, at times restored,
//! copied to a second place; old sets go, but no proven one that three newer ones do not replace.

use serde::Deserialize;
use yakin_domain::backup::Backups;
use yakin_domain::backup::night::{Night, RestoreTest, Rules};
use yakin_engine::prelude::*;

pub struct DatabaseBackup;

#[derive(Debug, Deserialize)]
pub struct Params {
    backup_type: String,
    retention_days: i64,
    compress: bool,
    verify_backup: bool,
    restore_test: String,
    databases: String,
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
                kind: Kind::OneOf(&["daily", "full", "incremental"]),
                default: Some("daily"),
                help: "daily: one set a business date, whoever makes it; full: a new one; incremental does not exist and is refused",
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
            return Err(Stop::give_up(Cause::Storage, Backups::NOT_CONFIGURED));
        };
        if p.backup_type == "incremental" {
            return Err(Stop::give_up(
                Cause::Data,
                "an incremental dump does not exist: take backup_type=full; for recovery to a point in time archive \
                 the server's WAL beside it",
            ));
        }
        let night = Night::begin(run, &backups, rules(p)).await?;
        let databases = night.databases();
        if run.dry_run() {
            databases.need_room().await?;
            return run.write(async |tx| databases.plan(tx, Done::default()).await).await;
        }
        let mut set = databases.set().await?;
        night.copy(&mut set).await?;
        let mut done = night.expire(&set, Done::default()).await?;
        done = databases.tell_of_the_unusual(databases.tell(done, &set), &set).await?;
        done = night.tell_of_the_disk(done)?;
        done.reused = set.reused;
        run.write(async |_| Ok(done)).await
    }
}

fn rules(p: &Params) -> Rules {
    Rules {
        databases: Rules::names(&p.databases),
        keep_days: p.retention_days,
        keep_at_least: 3,
        compress: p.compress,
        verify: p.verify_backup,
        restore_test: match p.restore_test.as_str() {
            "always" => RestoreTest::Always,
            "weekly" => RestoreTest::Weekly,
            _ => RestoreTest::Never,
        },
        copy: true,
        anew: p.backup_type == "full",
    }
}
