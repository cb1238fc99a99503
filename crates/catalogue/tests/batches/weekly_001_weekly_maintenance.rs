//! WEEKLY_001: its steps stand each for itself, a second run does nothing, and neither the database's writers nor what
//! must be kept notice anything.

mod house;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use house::{House, SUNDAY, cache, names};
use yakin_engine::operate::runs::{Wanted, start};
use yakin_engine::prelude::*;
use yakin_engine::registry::entry;
use yakin_testkit::redis::{PASSWORD, Redis};
use yakin_testkit::{act, day};

const NOTHING: [(&str, &str); 1] = [("steps", "logs")];

/// A table whose index has ten times the room it needs, in the owner's hands.
async fn bloated(house: &House) {
    house
        .sql(
            "CREATE TABLE public.bloated (n bigint PRIMARY KEY, word text NOT NULL);
             ALTER TABLE public.bloated OWNER TO yakin_owner;
             INSERT INTO public.bloated SELECT g, md5(g::text) FROM generate_series(1, 600000) g;
             DELETE FROM public.bloated WHERE n % 10 <> 0",
        )
        .await;
    house.sql("VACUUM ANALYZE public.bloated").await;
}

const SIZE: &str = "SELECT pg_relation_size('public.bloated_pkey')";
const HASH: &str =
    "SELECT md5(string_agg(n || word, ',' ORDER BY n)) FROM public.bloated WHERE n <= 600000";

#[tokio::test(flavor = "multi_thread")]
async fn a_bloated_index_shrinks_while_writers_go_on() {
    let house = House::new().await;
    bloated(&house).await;
    house
        .sql(
            "CREATE TABLE public.twins (n bigint); ALTER TABLE public.twins OWNER TO yakin_owner;
              INSERT INTO public.twins VALUES (1), (1)",
        )
        .await;
    for name in ["twins_ccnew", "twins_n_key"] {
        let sql = format!("CREATE UNIQUE INDEX CONCURRENTLY {name} ON public.twins (n)");
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&house.database.owner).await;
        assert!(refused.is_err(), "it leaves an invalid index");
    }
    let (size, hash): (i64, String) = (house.one(SIZE).await, house.one(HASH).await);
    assert!(size > 10_000_000, "{size}");

    let (over, pool) = (Arc::new(AtomicBool::new(false)), house.database.owner.clone());
    let stop = over.clone();
    let writer = tokio::spawn(async move {
        let (mut n, mut longest) = (1_000_000_i64, Duration::ZERO);
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            sqlx::query("INSERT INTO public.bloated VALUES ($1, 'new')")
                .bind(n)
                .execute(&pool)
                .await
                .unwrap();
            (n, longest) = (n + 1, longest.max(began.elapsed()));
        }
        (n - 1_000_000, longest)
    });
    let seen = house.maintain(&[("steps", "database")]).await;
    over.store(true, Ordering::Relaxed);
    let (written, longest) = writer.await.unwrap();

    assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    assert!(written > 10 && longest < Duration::from_secs(5), "{written} rows, {longest:?}");
    let after: i64 = house.one(SIZE).await;
    assert!(after * 3 < size, "{size} → {after}");
    assert_eq!(house.one::<String>(HASH).await, hash);
    let kept: i64 = house.one("SELECT count(*) FROM public.bloated WHERE n >= 1000000").await;
    assert_eq!(kept, written);
    // the twin of a rebuild goes; what its rows contradict is skipped by name
    let told = "SELECT string_agg(index_name || ' ' || outcome, ', ' ORDER BY index_name) FROM app.index_rebuilds";
    assert_eq!(
        house.one::<String>(told).await,
        "public.bloated_pkey rebuilt, public.twins_n_key skipped"
    );
    assert_eq!(seen.count("left_over_dropped") + seen.count("left_over_locked"), 2, "{seen:?}");
    let left: i64 = house.one("SELECT count(*) FROM pg_class WHERE relname ~ '_cc(new|old)'").await;
    assert_eq!(left, 0);
    let before_after: String = house
        .one("SELECT ((before->>'database_bytes')::bigint > (after->>'database_bytes')::bigint) || ' ' || outcome
                FROM app.maintenance_results WHERE step = 'database'")
        .await;
    assert_eq!(before_after, "true done");

    let again = house.maintain(&[("steps", "database")]).await;
    assert_eq!((again.outcome(), again.count("reused")), ("succeeded", 1));
    assert_eq!(house.one::<i64>("SELECT count(*) FROM app.index_rebuilds").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_in_use_is_left_to_next_week_and_people_hear_of_the_fourth() {
    let house = House::new().await;
    bloated(&house).await;
    house
        .sql("INSERT INTO app.index_rebuilds (index_name, week, outcome, bytes_before, reason, run_id, ended_at)
              SELECT 'public.bloated_pkey', monday, 'skipped', 1, 'locked', 1, monday
                FROM unnest('{2026-10-05,2026-10-12,2026-10-19}'::date[]) AS monday")
        .await;
    let mut holder = house.database.owner.begin().await.unwrap();
    sqlx::query("UPDATE public.bloated SET word = 'held' WHERE n = 10")
        .execute(&mut *holder)
        .await
        .unwrap();
    let seen = house.maintain(&[("steps", "database")]).await;
    assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    assert_eq!((seen.count("indexes_skipped"), seen.count("indexes_rebuilt")), (1, 0));
    let alert = "SELECT message FROM yakin.alerts WHERE rule = 'reported' AND subject LIKE '%skipped indexes'";
    house.engine.watch_step().await.unwrap();
    let told: String = house.one(alert).await;
    assert!(told.contains("4 weeks running: public.bloated_pkey"), "{told}");

    holder.commit().await.unwrap();
    house.set_clock("2026-11-08T04:00:00+09:00");
    let next = house.run("WEEKLY_001", Some("2026-11-08"), &[("steps", "database")]).await;
    assert_eq!((next.outcome(), next.count("indexes_rebuilt")), ("succeeded", 1), "{next:?}");
    assert_eq!(next.count("left_over_dropped"), 1, "what the rebuild of last week had left");
    let invalid: i64 = house.one("SELECT count(*) FROM pg_index WHERE NOT indisvalid").await;
    assert_eq!(invalid, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_a_week_are_archived_and_old_archives_go() {
    let house = House::new().await;
    let (line, archive) = ("{\"message\":\"八日前\"}\n".repeat(5_000), house.logs.join("archive"));
    std::fs::create_dir(&archive).unwrap();
    house.file(&house.logs.join("six.log"), b"six", 6 * 24);
    house.file(&house.logs.join("eight.log"), line.as_bytes(), 8 * 24);
    house.file(&house.logs.join("open.log"), b"open", 8 * 24);
    house.file(&archive.join("hundred.log.zst"), b"old", 100 * 24);
    house.file(&archive.join("hundred.log.zst.sha256"), b"old", 100 * 24);
    house.file(&archive.join("eighty.log.zst"), b"younger", 80 * 24);
    // packed by Yakin's own rotation already
    let packed = house.logs.join("yakin-a-2026-10-20.jsonl");
    std::fs::write(&packed, &line).unwrap();
    assert!(Command::new("zstd").args(["-q", "--rm"]).arg(&packed).status().unwrap().success());
    let packed = house.logs.join("yakin-a-2026-10-20.jsonl.zst");
    let bytes = std::fs::read(&packed).unwrap();
    house.file(&packed, &bytes, 9 * 24);
    let _writing = std::fs::File::options().append(true).open(house.logs.join("open.log")).unwrap();

    let planned = house.dry_run("WEEKLY_001", Some("2026-11-01"), &NOTHING).await;
    assert!(planned.plan.unwrap().to_string().contains("\"logs_archived\":2"));
    assert_eq!(names(&house.logs).len(), 5, "a dry run moves nothing");

    // parameters lengthen only
    let seen = house
        .maintain(&[("steps", "logs"), ("log_archive_days", "1"), ("archive_keep_days", "5")])
        .await;
    assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    let counts = ["logs_archived", "archives_deleted", "logs_in_use"].map(|c| seen.count(c));
    assert_eq!(counts, [2, 1, 1]);
    assert_eq!(names(&house.logs), ["archive", "open.log", "six.log"]);
    let archived = ["eighty.log.zst", "eight.log.zst", "eight.log.zst.sha256"];
    for name in archived {
        assert!(names(&archive).contains(&name.to_owned()), "{name}: {:?}", names(&archive));
    }
    assert!(!names(&archive).iter().any(|name| name.starts_with("hundred")), "with its digest");
    for (name, plain) in [("eight.log", "eight.log"), ("yakin-a-2026-10-20.jsonl", "yakin")] {
        let file = archive.join(format!("{name}.zst"));
        let back = Command::new("zstd").arg("-dc").arg(&file).output().unwrap();
        assert!(back.stdout == line.as_bytes(), "{plain} comes back");
        let sums = format!(
            "cd {} && zstd -qd {name}.zst && sha256sum -c {name}.zst.sha256",
            archive.display()
        );
        let checked = Command::new("bash").args(["-c", &sums]).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_step_is_tried_alone_and_the_others_stand() {
    let house = House::with(&[], |with, folder| with.logs.push(folder.join("not-there"))).await;
    house.file(&house.temp.join("old"), b"old", 25);
    let seen = house.maintain(&[]).await;
    assert_eq!(seen.outcome(), "partial");
    let reason = seen.reason.clone().unwrap();
    assert!(reason.contains("logs: reading") && reason.contains("not-there"), "{reason}");
    assert_eq!(
        house.steps(seen.id).await,
        "cache not_configured, database done, health done, logs failed, temp done"
    );
    let tries: String = house
        .one("SELECT string_agg(attempts::text, ' ' ORDER BY step) FROM app.maintenance_results")
        .await;
    assert_eq!(tries, "1 1 1 3 1", "only the one that failed is tried again");
    assert_eq!(seen.count("temp_removed"), 1);
    house.engine.watch_step().await.unwrap();
    let alerts: i64 = house
        .one(
            "SELECT count(*) FROM yakin.alerts WHERE rule = 'run_failed' AND severity = 'critical'",
        )
        .await;
    assert_eq!(alerts, 1);

    // mended: a second run the same day does the step that is missing, and no other
    std::fs::create_dir(house.post.folder.join("not-there")).unwrap();
    let again = house.maintain(&[]).await;
    assert_eq!(again.outcome(), "succeeded", "{:?}", again.reason);
    assert_eq!(
        house.steps(again.id).await,
        "cache not_configured, database reused, health reused, logs done, temp reused"
    );
    let third = house.maintain(&[("steps", "database,logs,temp,health")]).await;
    assert_eq!((third.outcome(), third.rows_written, third.count("reused")), ("succeeded", 0, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_configured_is_said_and_never_pretended() {
    let house = House::with(&[], |with, _| *with = Default::default()).await;
    let seen = house.maintain(&[]).await;
    assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    let expected =
        "cache not_configured, database incomplete, health done, logs not_configured, temp done";
    assert_eq!(house.steps(seen.id).await, expected);
    let said: String = house
        .one("SELECT string_agg(message, E'\\n') FROM yakin.run_logs WHERE level = 'warn'")
        .await;
    for key in ["database.maintenance_url", "[cache] url", "[maintenance] logs"] {
        assert!(said.contains(key), "{key}: {said}");
    }
    let again = house.maintain(&[("steps", "database,cache")]).await;
    assert_eq!(again.count("reused"), 0, "what was not done is not called done");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_keys_of_the_cache_go_and_the_others_stay() {
    let redis = Redis::start();
    assert_eq!(redis.tell(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]), "OK");
    for n in 0..700 {
        redis.tell(&["SET", &format!("app:gone:{n}"), "x", "PX", "1"]);
    }
    redis.tell(&["SET", "app:lives", "x", "EX", "3600"]);
    redis.tell(&["SET", "app:for-ever", "x"]);
    redis.tell(&["SET", "other:gone", "x", "PX", "1"]);
    let open = cache(&redis, PASSWORD);
    let house = House::with(&[], |with, _| with.cache = Some(open)).await;
    let seen = house.maintain(&[("steps", "cache,health")]).await;
    assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    let counts = ["cache_expired", "cache_living", "cache_without_expiry", "cache_keys"];
    assert_eq!(
        counts.map(|c| seen.count(c)),
        [700, 2, 1, 3],
        "what has another prefix is not ours"
    );
    assert_eq!(house.one::<i64>("SELECT (before->>'cache_keys')::bigint FROM app.maintenance_results WHERE step = 'cache'").await, 703);
    let warned: i64 = house
        .one("SELECT (metadata->>'keys')::bigint FROM yakin.run_logs WHERE message LIKE 'keys of the cache%'")
        .await;
    assert_eq!(warned, 1);
    assert_eq!(redis.tell(&["GET", "app:lives"]), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_refuses_us_is_a_failed_step_and_a_critical_finding() {
    let redis = Redis::start();
    let open = cache(&redis, "hunter2-secret");
    let house = House::with(&[], |with, _| with.cache = Some(open)).await;
    let seen = house.maintain(&[("steps", "cache,health")]).await;
    assert_eq!(seen.outcome(), "partial");
    assert_eq!(house.steps(seen.id).await, "cache failed, health done");
    let reason = seen.reason.unwrap();
    assert!(reason.contains("cache: the cache at 127.0.0.1"), "{reason}");
    assert_eq!(seen.counts["critical"], 1);
    let everything: String = house
        .one(
            "SELECT (SELECT string_agg(l::text, '') FROM yakin.run_logs l) ||
                     (SELECT string_agg(m::text, '') FROM app.maintenance_results m)",
        )
        .await;
    assert!(!everything.contains("hunter2"), "no password stands anywhere: {everything}");
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_files_of_a_day_go_unless_they_are_open() {
    let house = House::new().await;
    let below = house.temp.join("below");
    std::fs::create_dir(&below).unwrap();
    house.file(&house.temp.join("young"), b"y", 23);
    house.file(&house.temp.join("old"), b"old", 25);
    house.file(&below.join("older"), b"older", 200);
    house.file(&house.temp.join("open"), b"open", 200);
    let outside = house.post.folder.join("precious");
    house.file(&outside, b"precious", 200);
    std::os::unix::fs::symlink(&house.post.folder, house.temp.join("link")).unwrap();
    let _open = std::fs::File::open(house.temp.join("open")).unwrap();
    let seen = house.maintain(&[("steps", "temp")]).await;
    assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    assert_eq!(["temp_removed", "temp_bytes", "temp_in_use"].map(|c| seen.count(c)), [2, 8, 1]);
    assert_eq!(names(&house.temp), ["below", "link", "open", "young"]);
    assert!(outside.exists());
}

/// Logs and sessions of two tenants on both sides of their keep. (400 days before are the 27th of September, 2025.)
async fn old_rows(house: &House) -> [i64; 2] {
    let both = [house.tenant("aoba").await, house.tenant("midori").await];
    house.months(&["2025-07-01", "2025-09-01", "2025-10-01"]).await;
    for tenant in both {
        house
            .sql(&format!(
                "INSERT INTO app.api_call_logs
                 SELECT {tenant}, 1, at, 200, 1, 1, 1 FROM (
                     SELECT timestamptz '2025-07-05 00:00+09' + n * interval '1 minute' AS at FROM generate_series(1, 50) n
                     UNION ALL SELECT timestamptz '2025-09-10 00:00+09' + n * interval '1 minute' FROM generate_series(1, 2500) n
                     UNION ALL SELECT timestamptz '2025-09-27 04:00+09' + n * interval '1 minute' FROM generate_series(0, 9) n
                     UNION ALL SELECT timestamptz '2025-10-05 00:00+09' + n * interval '1 minute' FROM generate_series(1, 70) n
                 ) AS calls;
                 INSERT INTO app.session_stat_hourly
                 SELECT {tenant}, hour, 0, 0, 0, 0, 0, 0, 0, 0, 0
                   FROM unnest('{{2025-09-27 03:00+09,2025-09-27 04:00+09,2026-10-01 00:00+09}}'::timestamptz[]) AS hour;
                 INSERT INTO app.tokens (tenant_id, token_type, token_hash, is_revoked, revoked_at, revoked_reason)
                 SELECT {tenant}, 'SESSION', format('h%s', n), true, timestamptz '{SUNDAY}' - ago::interval, why
                   FROM (VALUES (1, '25 hours', 'LOGOUT'), (2, '23 hours', 'LOGOUT'), (3, '89 days', 'SECURITY'),
                                (4, '91 days', 'SECURITY')) AS ended (n, ago, why)"
            ))
            .await;
    }
    house
        .sql(
            "INSERT INTO app.availability_probes (probed_at, target, good)
             VALUES ('2025-09-27 03:00+09', 'app', true), ('2025-09-27 04:00+09', 'app', true);
             ANALYZE app.api_call_logs",
        )
        .await;
    both
}

const CALLS: &str = "SELECT string_agg(format('%s: %s', month, n), ', ' ORDER BY month) FROM (
    SELECT to_char(created_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM') AS month, count(*) AS n
      FROM app.api_call_logs GROUP BY 1) AS m";
const REST: &str = "SELECT (SELECT count(*) FROM app.session_stat_hourly) || ' '
    || (SELECT count(*) FROM app.availability_probes) || ' '
    || (SELECT string_agg(token_hash, ' ' ORDER BY token_hash, tenant_id) FROM app.tokens)";

#[tokio::test(flavor = "multi_thread")]
async fn rows_past_their_keep_go_in_chunks_and_none_within_it() {
    let house = House::new().await;
    old_rows(&house).await;
    let planned = house.dry_run("WEEKLY_001", Some("2026-11-01"), &[("steps", "database")]).await;
    let plan = planned.plan.unwrap().to_string();
    assert!(plan.contains("\"rows_past_keep\":5103"), "{plan}");
    assert_eq!(house.one::<String>(CALLS).await, "2025-07: 100, 2025-09: 5020, 2025-10: 140");
    assert_eq!(house.one::<i64>("SELECT count(*) FROM app.maintenance_results").await, 0);

    let seen = house.maintain(&[("steps", "database")]).await;
    assert_eq!(seen.outcome(), "succeeded", "{:?}", seen.reason);
    assert_eq!(house.one::<String>(CALLS).await, "2025-09: 20, 2025-10: 140");
    let gone = "SELECT to_regclass('app.api_call_logs_202507') IS NULL";
    assert!(house.one::<bool>(gone).await, "a whole month goes at once");
    assert_eq!(house.one::<String>(REST).await, "4 1 h2 h2 h3 h3");
    // 5,000 calls, an hour and two sessions of each tenant, and a probe
    assert_eq!((seen.count("rows_removed"), seen.count("sessions_removed")), (5003, 4));
    assert_eq!((seen.rows_written, seen.count("months_dropped")), (5007, 8));
    let chunks: i64 = house
        .one("SELECT count(*) FROM pg_stat_user_tables WHERE relname = 'api_call_logs_202509' AND last_analyze IS NOT NULL")
        .await;
    assert_eq!(chunks, 1, "statistics are taken again of what lost much");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_read_by_all_and_cannot_fall_below_its_promise() {
    let house = House::new().await;
    let [tenant, _] = old_rows(&house).await;
    let pool = &house.database.owner;
    let shorter =
        "UPDATE app.retention_policies SET delete_after_days = 30 WHERE data_class = 'log_files'";
    assert!(sqlx::query(shorter).execute(pool).await.is_err());
    house
        .sql("UPDATE app.retention_policies SET delete_after_days = 2 WHERE data_class = 'ended_sessions';
              UPDATE app.retention_policies SET delete_after_days = NULL WHERE data_class LIKE '%logs'")
        .await;
    let seen = house.maintain(&[("steps", "database")]).await;
    assert_eq!((seen.outcome(), seen.count("sessions_removed")), ("succeeded", 2));
    assert_eq!(house.one::<String>(CALLS).await, "2025-07: 100, 2025-09: 5020, 2025-10: 140");
    // BATCH-506 removes by the same row
    house.set_clock("2026-11-01T04:50:00+09:00");
    house.settle().await;
    let left = format!(
        "SELECT string_agg(token_hash, ' ' ORDER BY 1) FROM app.tokens WHERE tenant_id = {tenant}"
    );
    assert_eq!(house.one::<String>(&left).await, "h1 h2 h3");
    house.set_clock("2026-11-02T03:50:00+09:00");
    house.settle().await;
    assert_eq!(house.one::<String>(&left).await, "h2 h3");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_nights_backup_no_row_goes() {
    let house = House::new().await;
    old_rows(&house).await;
    house
        .sql("INSERT INTO app.backup_sets (backup_id, business_date, place, state, run_id, databases, begun_at, compressed,
                                           recipients, manifest_sha256, expires_on, verified_at)
              SELECT id, '2026-10-30', 'here', state, 1, '{}', at::timestamptz, true, '{}', 'x', '2026-12-01', verified
                FROM (VALUES ('BKP_20261030_001', 'verified', '2026-10-31 01:00+09', timestamptz '2026-10-31 01:00+09'),
                             ('BKP_20261101_001', 'written', '2026-11-01 01:00+09', NULL)) AS s (id, state, at, verified)")
        .await;
    let seen = house.maintain(&[("steps", "database")]).await;
    assert_eq!(seen.outcome(), "partial");
    assert!(seen.reason.unwrap().contains("no backup of the last 26 hours is proven"));
    assert_eq!(house.one::<String>(CALLS).await, "2025-07: 100, 2025-09: 5020, 2025-10: 140");
    assert_eq!(house.one::<String>(REST).await, "6 2 h1 h1 h2 h2 h3 h3 h4 h4");
}

/// Another batch of the same lock, which removes by the same rules.
struct CleanUp;

impl Batch for CleanUp {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec {
        id: "T-CLEAN",
        slug: "t-clean",
        title: "掃除",
        schedule: Schedule::Manual,
        catch_up: CatchUp::None,
        period: Period::Day,
        window: None,
        deadline: None,
        scope: Scope::Global,
        phases: &[],
        needs: &[],
        locks: &[exclusive("db-maintenance")],
        overlap: Overlap::Forbid,
        queue: Queue::Default,
        priority: Priority::Medium,
        timeout: mins(5),
        retry: exponential(1, secs(1), secs(1)),
        retry_by_cause: &[],
        severity: Severity::Medium,
        expected: mins(5),
        params: &[],
        approval: Approval::None,
        survives_database: false,
    };

    async fn global(run: &PlatformRun, _: &Self::Params) -> Outcome {
        let rules = yakin_domain::maintenance::Rules {
            bloat_percent: 30,
            archive_after_days: 7,
            delete_after_days: 90,
        };
        let mut tally = yakin_domain::maintenance::Tally::default();
        let with = yakin_domain::maintenance::Maintenance::default();
        let step = yakin_domain::maintenance::Step::Database;
        with.carry_out(run, step, &rules, &mut tally).await?;
        run.write(async |_| Ok(Done::default().count("rows_removed", tally.after["rows_removed"])))
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_maintain_go_one_after_the_other_and_remove_once() {
    let house = House::with(&[entry::<CleanUp>()], |_, _| {}).await;
    old_rows(&house).await;
    let (pool, registry, now) = (&house.pool, &house.engine.registry, house.clock.now());
    let mut runs = Vec::new();
    for (batch, params) in [("T-CLEAN", vec![]), ("WEEKLY_001", vec![("steps", "database")])] {
        let params: Vec<(&str, &str)> = params;
        let params = params.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let wanted = Wanted { date: Some(day("2026-11-01")), params, ..Wanted::default() };
        runs.push(start(pool, registry, batch, wanted, "operator", &act(), now).await.unwrap());
    }
    let waiting: String = house
        .one(&format!("SELECT state || ': ' || waiting_for FROM yakin.runs WHERE id = {}", runs[1]))
        .await;
    assert_eq!(waiting, "waiting: lock db-maintenance");
    house.settle().await;
    let (first, second) = (house.seen(runs[0]).await, house.seen(runs[1]).await);
    assert_eq!(
        (first.outcome(), second.outcome()),
        ("succeeded", "succeeded"),
        "{first:?} {second:?}"
    );
    assert_eq!((first.count("rows_removed"), second.count("rows_removed")), (5003, 0));
    assert_eq!(house.one::<String>(CALLS).await, "2025-09: 20, 2025-10: 140");
    let serial: bool = house
        .one(&format!(
            "SELECT a.real_ended <= b.real_started FROM yakin.runs a, yakin.runs b WHERE (a.id, b.id) = ({}, {})",
            runs[0], runs[1]
        ))
        .await;
    assert!(serial);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_ledger_only_old_runs_that_came_to_nothing_go() {
    let house = House::new().await;
    house
        .sql(&format!(
            "INSERT INTO yakin.batches (id, slug, title, spec, schedule, enabled)
             VALUES ('T-LOOKS', 't-looks', '見る', '{{}}', '* * * * *', false);
             INSERT INTO yakin.runs (id, batch_id, planned_at, trigger, requested_by, state, run_at, ended_at, outcome,
                                     rows_written, counts, tenants_total) OVERRIDING SYSTEM VALUE
             SELECT id, batch, at, 'firing', 'planner', 'ended', at, at, outcome, written, counts::jsonb, tenants
               FROM (VALUES (9001, 'T-LOOKS', 401, 'succeeded', 0, '{{}}', 0), (9002, 'T-LOOKS', 399, 'succeeded', 0, '{{}}', 0),
                            (9003, 'T-LOOKS', 401, 'succeeded', 1, '{{}}', 0), (9004, 'T-LOOKS', 401, 'failed', 0, '{{}}', 0),
                            (9005, 'T-LOOKS', 401, 'succeeded', 0, '{{\"mails\": 1}}', 0), (9006, 'T-LOOKS', 401, 'succeeded', 0, '{{}}', 1),
                            (9007, 'BATCH-506', 401, 'succeeded', 0, '{{}}', 0), (9008, 'T-LOOKS', 401, 'succeeded', 0, '{{}}', 0)
                    ) AS r (id, batch, days, outcome, written, counts, tenants),
                    LATERAL (SELECT timestamptz '{SUNDAY}' - days * interval '1 day' + id * interval '1 second' AS at) AS t;
             UPDATE yakin.runs SET rerun_of = 9008 WHERE id = 9004;
             INSERT INTO yakin.firings (batch_id, planned_at, due_at, state, outcome, run_id)
             SELECT batch_id, planned_at, planned_at, 'ended', outcome, id FROM yakin.runs WHERE id > 9000;
             INSERT INTO yakin.run_logs (run_id, tenant_id, job_id, attempt, line, logged_at, level, message)
             SELECT id, 0, id, 1, 1, run_at, 'info', 'x' FROM yakin.runs WHERE id > 9000;
             INSERT INTO yakin.run_performance (run_id, batch_id, duration_ms, cpu_ms, memory_bytes, records_processed, weekend, ended_at)
             SELECT id, batch_id, 1, 1, 1, 0, true, ended_at FROM yakin.runs WHERE id > 9000;
             INSERT INTO yakin.job_history (tenant_id, job_id, attempt, token, run_id, batch_id, kind, queue, outcome)
             SELECT 0, id, 1, 1, id, batch_id, 'roster', 'default', 'done' FROM yakin.runs WHERE id > 9000"
        ))
        .await;
    let planned = house.dry_run("WEEKLY_001", Some("2026-11-01"), &[("steps", "database")]).await;
    assert!(planned.plan.unwrap().to_string().contains("\"quiet_runs_past_keep\":1"));
    let seen = house.maintain(&[("steps", "database")]).await;
    assert_eq!(
        (seen.outcome(), seen.count("quiet_runs_removed")),
        ("succeeded", 1),
        "{:?}",
        seen.reason
    );
    for table in ["runs", "firings", "run_logs", "run_performance", "job_history"] {
        let id = if table == "runs" { "id" } else { "run_id" };
        let left: String = house
            .one(&format!("SELECT string_agg({id}::text, ' ' ORDER BY {id}) FROM yakin.{table} WHERE {id} > 9000"))
            .await;
        assert_eq!(left, "9002 9003 9004 9005 9006 9007 9008", "{table}");
    }
    // whatever the engine's code did: the database keeps the proof
    for table in ["firings", "job_history", "run_performance"] {
        let sql = format!("DELETE FROM yakin.{table} WHERE run_id = 9003");
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&house.pool).await;
        assert!(refused.unwrap_err().to_string().contains("run 9003"), "{table}");
    }
}
