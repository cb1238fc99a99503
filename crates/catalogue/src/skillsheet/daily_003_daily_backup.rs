//! DAILY_003 定期バックアップバッチ: the night's encrypted sets of the databases and of the storage's files, read back,
//! copied to a second place; old ones go. BATCH-101 of the same business date finds the databases' set and reuses it.

use serde::Deserialize;
use yakin_domain::backup::night::{Files, Night, RestoreTest, Rules};
use yakin_domain::backup::{Backups, FilesManifest};
use yakin_engine::prelude::*;

pub struct DailyBackup;

#[derive(Debug, Deserialize)]
pub struct Params {
    retention_days: i64,
    keep_at_least: usize,
    offsite: bool,
    files: bool,
    full: bool,
    databases: String,
}

impl Batch for DailyBackup {
    type Params = Params;
    const SPEC: Spec = Spec {
        id: "DAILY_003",
        slug: "daily-backup",
        title: "定期バックアップバッチ",
        schedule: cron("0 1 * * *"),
        catch_up: CatchUp::Latest,
        period: Period::Day,
        window: window(0, 30, 5, 0),
        deadline: None,
        scope: Scope::Global,
        phases: &[],
        needs: &[],
        locks: &[exclusive("backup")],
        overlap: Overlap::Forbid,
        queue: Queue::Heavy,
        priority: Priority::Highest,
        timeout: mins(120),
        retry: fixed(2, secs(30)),
        retry_by_cause: &[],
        severity: Severity::Critical,
        expected: mins(60),
        params: &[
            Param {
                name: "retention_days",
                kind: Kind::Int(7, 3650),
                default: Some("30"),
                help: "days that a set is kept; those of Sundays 90, if that is more",
            },
            Param {
                name: "keep_at_least",
                kind: Kind::Int(3, 1000),
                default: Some("3"),
                help: "a proven set stays, however old, until so many newer proven ones hold all that it does",
            },
            Param {
                name: "offsite",
                kind: Kind::Bool,
                default: Some("true"),
                help: "copy to the second place, where [backup.copy] names one",
            },
            Param {
                name: "files",
                kind: Kind::Bool,
                default: Some("true"),
                help: "back up the files of [storage] too",
            },
            Param {
                name: "full",
                kind: Kind::Bool,
                default: Some("false"),
                help: "write new and whole sets, whatever the night and earlier sets have already",
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
        let night = Night::begin(run, &backups, rules(p)).await?;
        let files = night.files().filter(|_| p.files);
        if run.dry_run() {
            return plan(run, &night, files.as_ref()).await;
        }
        let databases = night.databases();
        let mut dumped = databases.set().await?;
        night.copy(&mut dumped).await?;
        let mut done = databases.tell(Done::default(), &dumped);
        done = night.tell_of_shrinking(done, &dumped).await?;
        done.reused = dumped.reused;
        let archived = match &files {
            Some(files) => {
                let mut set = files.set().await?;
                night.copy(&mut set).await?;
                done.reused &= set.reused;
                done = night.tell_of_shrinking(files.tell(done, &set), &set).await?;
                Some(set)
            }
            None => None,
        };
        // nothing goes before both are proven
        if archived.as_ref().is_none_or(|set| set.proof.verified_at.is_some()) {
            done = night.expire(&dumped, done).await?;
            if let Some(set) = &archived
                && dumped.proof.verified_at.is_some()
            {
                done = night.expire::<FilesManifest>(set, done).await?;
            }
        }
        if p.files && files.is_none() {
            let text = "no storage is configured ([storage]), so no file was backed up; if there is none, set files=false";
            done = done.short("files", text);
        }
        done = night.tell_of_the_disk(done)?;
        run.write(async |_| Ok(done)).await
    }
}

async fn plan(run: &PlatformRun, night: &Night<'_>, files: Option<&Files<'_>>) -> Outcome {
    let databases = night.databases();
    databases.need_room().await?;
    let looked = match files {
        Some(files) => Some(files.look().await?),
        None => None,
    };
    run.write(async |tx| {
        let done = databases.plan(tx, Done::default()).await?;
        let Some(looked) = looked else { return Ok(done) };
        let files = looked["files"].as_i64().unwrap_or(0);
        tx.plan(looked);
        Ok(done.count("files", files))
    })
    .await
}

fn rules(p: &Params) -> Rules {
    Rules {
        databases: Rules::names(&p.databases),
        keep_days: p.retention_days,
        keep_at_least: p.keep_at_least,
        compress: true,
        verify: true,
        restore_test: RestoreTest::Weekly,
        copy: p.offsite,
        anew: p.full,
    }
}
