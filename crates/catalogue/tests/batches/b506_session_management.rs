//! BATCH-506: idle, over-age, surplus and orphaned sessions end; suspicious ones are reported;
//! rows go later.

use yakin_engine::operate::runs::Wanted;
use yakin_testkit::World;

const NOW: &str = "2026-11-01T10:50:00+09:00";

async fn world() -> World {
    let batches = yakin_catalogue::all().into_iter().filter(|b| b.spec().id == "BATCH-506");
    let w = World::at(NOW, batches.collect()).await;
    w.sql("UPDATE yakin.batches SET enabled = false").await; // only tests start runs
    w
}

/// A tenant with active users 1 to 20.
async fn tenant(w: &World, code: &str) -> i64 {
    let tenant = w.tenant(code).await;
    w.sql(&format!(
        "INSERT INTO app.users (tenant_id, user_id, email, name, created_at)
         SELECT {tenant}, n, 'u' || n || '@example.com', 'u' || n, '2026-01-01'
           FROM generate_series(1, 20) AS n"
    ))
    .await;
    tenant
}

/// An instant so long before the run's now, as SQL.
fn ago(interval: &str) -> String {
    format!("timestamptz '{NOW}' - interval '{interval}'")
}

/// A session of a user with further columns; returns its id.
async fn session(w: &World, tenant: i64, user: i64, columns: &str, values: &str) -> i64 {
    w.one(&format!(
        "INSERT INTO app.tokens (tenant_id, user_id, token_type, token_value, token_hash, {columns})
         VALUES ({tenant}, {user}, 'SESSION', 'SECRET-' || md5(random()::text),
                 md5(random()::text), {values})
         RETURNING token_id"
    ))
    .await
}

/// A live session last used so long ago.
async fn used(w: &World, tenant: i64, user: i64, interval: &str) -> i64 {
    let values = format!("{}, {}", ago("2 hours"), ago(interval));
    session(w, tenant, user, "issued_at, last_used_at", &values).await
}

/// `reason` of a session that is there, `live`, or `gone`; a revoked one must have lost its secret.
async fn state(w: &World, session: i64) -> String {
    w.one(&format!(
        "SELECT coalesce((SELECT CASE WHEN NOT is_revoked AND token_value IS NOT NULL THEN 'live'
                                      WHEN is_revoked AND token_value IS NULL THEN revoked_reason
                                      ELSE 'broken' END
                            FROM app.tokens WHERE token_id = {session}), 'gone')"
    ))
    .await
}

async fn many(w: &World, tenant: i64, rows: i64) {
    w.sql(&format!(
        "INSERT INTO app.tokens (tenant_id, user_id, token_type, token_value, token_hash, issued_at)
         SELECT {tenant}, 1 + n % 20, 'SESSION', 'SECRET-' || n, md5(n::text), {}
           FROM generate_series(1, {rows}) AS n",
        ago("3 hours")
    ))
    .await;
}

/// All that the batch may write, as one text.
async fn everything(w: &World) -> String {
    w.one(
        "SELECT concat((SELECT string_agg(t::text, E'\\n' ORDER BY t) FROM app.tokens t),
                       (SELECT string_agg(r::text, E'\\n' ORDER BY r) FROM app.token_revocations r),
                       (SELECT string_agg(s::text, E'\\n' ORDER BY s)
                          FROM app.session_stat_hourly s))",
    )
    .await
}

async fn revoked(w: &World, tenant: i64) -> i64 {
    w.one(&format!("SELECT count(*) FROM app.tokens WHERE tenant_id = {tenant} AND is_revoked"))
        .await
}

#[tokio::test]
async fn idle_and_old_sessions_end() {
    let w = world().await;
    let a = tenant(&w, "alpha").await;
    let idle = used(&w, a, 1, "1801 seconds").await;
    let on_the_dot = used(&w, a, 1, "1800 seconds").await;
    let busy = used(&w, a, 1, "1799 seconds").await;
    let never_used = session(&w, a, 1, "issued_at", &ago("31 minutes")).await;
    let fresh = session(&w, a, 1, "issued_at", &ago("29 minutes")).await;
    let old =
        session(&w, a, 1, "issued_at, last_used_at", &format!("{}, {}", ago("24 hours"), ago("0")))
            .await;
    let over =
        session(&w, a, 1, "issued_at, expires_at", &format!("{}, {}", ago("1 minute"), ago("0")))
            .await;

    let run = w.run("BATCH-506", None, &[]).await;
    assert_eq!((run.outcome(), run.count("expired"), run.count("active")), ("succeeded", 5, 2));
    for session in [idle, on_the_dot, never_used, old, over] {
        assert_eq!(state(&w, session).await, "EXPIRED", "session {session}");
    }
    for session in [busy, fresh] {
        assert_eq!(state(&w, session).await, "live", "session {session}");
    }
}

#[tokio::test]
async fn beyond_ten_sessions_of_a_user_the_least_recently_used_end() {
    let w = world().await;
    let a = tenant(&w, "alpha").await;
    let mut sessions = Vec::new();
    for minutes in [20, 3, 4, 5, 6, 7, 21, 8, 9, 10, 11, 12] {
        sessions.push(used(&w, a, 1, &format!("{minutes} minutes")).await);
    }
    let idle = used(&w, a, 1, "40 minutes").await;
    let other = used(&w, a, 2, "25 minutes").await;

    let run = w.run("BATCH-506", None, &[]).await;
    assert_eq!((run.count("limit"), run.count("expired"), run.count("active")), (2, 1, 11));
    for (place, session) in sessions.iter().enumerate() {
        let expected = if [0, 6].contains(&place) { "LIMIT" } else { "live" };
        assert_eq!(state(&w, *session).await, expected, "session {place}");
    }
    assert_eq!((state(&w, idle).await, state(&w, other).await), ("EXPIRED".into(), "live".into()));

    let after_first = everything(&w).await;
    let again = w.run("BATCH-506", None, &[]).await;
    assert_eq!((again.outcome(), again.rows_written), ("succeeded", 0));
    assert_eq!(everything(&w).await, after_first);
}

#[tokio::test]
async fn the_limit_holds_whatever_the_chunk_and_the_tenants_policy_may_only_shorten_it() {
    let w = world().await;
    let (a, b) = (tenant(&w, "alpha").await, tenant(&w, "beta").await);
    w.sql(&format!(
        "INSERT INTO app.session_policies (tenant_id, idle_seconds, max_concurrent)
         VALUES ({a}, 600, 3), ({b}, 7200, 50)"
    ))
    .await;
    for t in [a, b] {
        for minutes in 1..=12 {
            used(&w, t, 1, &format!("{minutes} minutes")).await;
        }
        used(&w, t, 2, "31 minutes").await;
    }
    let run = w.run("BATCH-506", None, &[("cleanup_batch_size", "2")]).await;
    // alpha: 10 minutes and more are idle, 3 of 9 stay; beta: the run's own limits hold
    let counts = (run.count("expired"), run.count("limit"), run.count("active"));
    assert_eq!(counts, (4 + 1, 6 + 2, 3 + 10));
    assert_eq!((revoked(&w, a).await, revoked(&w, b).await), (10, 3));
    let oldest = format!(
        "SELECT max(timestamptz '{NOW}' - last_used_at)::text
           FROM app.tokens WHERE NOT is_revoked AND tenant_id = "
    );
    assert_eq!(w.one::<String>(&format!("{oldest}{a}")).await, "00:03:00");
    assert_eq!(w.one::<String>(&format!("{oldest}{b}")).await, "00:10:00");
}

#[tokio::test]
async fn sessions_without_a_valid_owner_end() {
    let w = world().await;
    let a = tenant(&w, "alpha").await;
    w.sql(
        "UPDATE app.users SET status = 'disabled' WHERE user_id = 2;
         UPDATE app.users SET status = 'retired' WHERE user_id = 3",
    )
    .await;
    let suspended = tenant(&w, "suspended").await;
    let closed = tenant(&w, "closed").await;
    let in_suspended = used(&w, suspended, 1, "1 minute").await;
    let in_closed = used(&w, closed, 1, "1 minute").await;
    w.sql("UPDATE app.tenants SET status = code WHERE code IN ('suspended', 'closed')").await;
    let valid = used(&w, a, 1, "1 minute").await;
    let disabled = used(&w, a, 2, "1 minute").await;
    let retired = used(&w, a, 3, "1 minute").await;
    let missing = used(&w, a, 99, "1 minute").await;
    let nameless = session(&w, a, 1, "client_ip", "NULL").await;
    w.sql(&format!("UPDATE app.tokens SET user_id = NULL WHERE token_id = {nameless}")).await;
    let timeless = session(&w, a, 1, "client_ip", "NULL").await;

    let run = w.run("BATCH-506", None, &[]).await;
    assert_eq!((run.outcome(), run.count("admin"), run.tenants_done), ("succeeded", 7, 3));
    for session in [disabled, retired, missing, nameless, timeless, in_suspended, in_closed] {
        assert_eq!(state(&w, session).await, "ADMIN", "session {session}");
    }
    assert_eq!(state(&w, valid).await, "live");
}

/// Two suspicious users of a tenant and two that look alike but are not; returns the suspicious
/// sessions.
async fn suspicious(w: &World, tenant: i64) -> Vec<i64> {
    let columns = "issued_at, last_used_at, client_ip, first_fingerprint, device_fingerprint";
    let mut found = Vec::new();
    for (user, minutes, address, now_on, reported) in [
        (1, 1, "192.0.2.7", "other", true),
        (2, 2, "198.51.100.1", "first", true),
        (2, 7, "203.0.113.9", "first", true),
        (2, 12, "2001:db8:1::5", "first", true),
        (2, 13, "203.0.113.77", "first", false), // eleven minutes before the latest
        (3, 2, "198.51.100.1", "first", false),  // two networks: the last two share one
        (3, 3, "203.0.113.9", "first", false),
        (3, 4, "203.0.113.200", "first", false),
        (4, 2, "198.51.100.1", "first", false), // three networks, but never within ten minutes
        (4, 9, "203.0.113.9", "first", false),
        (4, 14, "192.0.2.1", "first", false),
    ] {
        let (issued, last) = (ago("1 hour"), ago(&format!("{minutes} minutes")));
        let values = format!("{issued}, {last}, '{address}', 'first', '{now_on}'");
        let session = session(w, tenant, user, columns, &values).await;
        if reported {
            found.push(session);
        }
    }
    found
}

#[tokio::test]
async fn suspicious_sessions_are_reported_and_go_on_unless_the_policy_ends_them() {
    let w = world().await;
    let (a, b) = (tenant(&w, "alpha").await, tenant(&w, "beta").await);
    w.sql(&format!(
        "INSERT INTO app.session_policies (tenant_id, revoke_suspicious) VALUES ({b}, true)"
    ))
    .await;
    let (in_a, in_b) = (suspicious(&w, a).await, suspicious(&w, b).await);

    let run = w.run("BATCH-506", None, &[]).await;
    assert_eq!(
        (run.outcome(), run.count("suspicious"), run.count("security")),
        ("succeeded", 8, 4)
    );
    assert_eq!(revoked(&w, a).await, 0);
    assert_eq!(revoked(&w, b).await, 4);
    for session in in_b {
        assert_eq!(state(&w, session).await, "SECURITY");
    }
    let reported: String = w
        .one(&format!(
            "SELECT string_agg(concat_ws(' ', s ->> 'session', s ->> 'user', s ->> 'network',
                                         s ->> 'why'), ',')
               FROM yakin.run_logs, jsonb_array_elements(metadata -> 'sessions') AS s
              WHERE message = 'suspicious sessions' AND tenant_id = {a}"
        ))
        .await;
    let expected = [
        format!("{} 1 192.0.2.0/24 device changed", in_a[0]),
        format!("{} 2 198.51.100.0/24 several networks", in_a[1]),
        format!("{} 2 203.0.113.0/24 several networks", in_a[2]),
        format!("{} 2 2001:db8:1::/48 several networks", in_a[3]),
    ];
    assert_eq!(reported, expected.join(","));
    let digest = "SELECT count(*) FROM yakin.run_logs
                   WHERE tenant_id = 0 AND message = 'suspicious sessions'
                     AND metadata = '{\"sessions\": 8, \"tenants\": 2}'";
    assert_eq!(w.one::<i64>(digest).await, 1, "one digest a run");
    let after_first = everything(&w).await;
    w.run("BATCH-506", None, &[]).await;
    assert_eq!(everything(&w).await, after_first, "what was found in the hour stays found");
    let records: String = w.one("SELECT string_agg(l::text, ' ') FROM yakin.run_logs l").await;
    assert!(!records.contains("SECRET") && !records.contains("192.0.2.7"));
}

/// Cuts the connection of the batch in its second chunk.
const CUT_AFTER_1000: &str = "
    CREATE FUNCTION app.cut() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF (SELECT count(*) FROM app.tokens WHERE is_revoked) >= 1000 THEN
            PERFORM pg_terminate_backend(pg_backend_pid());
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER cut BEFORE UPDATE ON app.tokens FOR EACH STATEMENT EXECUTE FUNCTION app.cut();";

#[tokio::test]
async fn rows_end_in_chunks_and_a_restart_goes_on_behind_the_last_one() {
    let w = world().await;
    let a = tenant(&w, "alpha").await;
    many(&w, a, 2_500).await;
    w.sql(CUT_AFTER_1000).await;
    let run = w.run("BATCH-506", None, &[]).await;
    assert_eq!((run.outcome(), revoked(&w, a).await), ("open", 1_000));

    w.sql("DROP TRIGGER cut ON app.tokens").await;
    w.set_clock("2026-11-01T10:51:00+09:00");
    w.settle().await;
    let run = w.seen(run.id).await;
    assert_eq!(
        (run.outcome(), run.count("expired"), run.rows_written),
        ("succeeded", 2_500, 2_500)
    );
    assert_eq!(revoked(&w, a).await, 2_500);
    assert_eq!(
        w.one::<i64>("SELECT count(DISTINCT xmin::text) FROM app.tokens").await,
        3,
        "three chunks"
    );
}

#[tokio::test]
async fn rows_are_removed_a_day_after_their_end_and_ninety_days_after_a_security_matter() {
    let w = world().await;
    let a = tenant(&w, "alpha").await;
    let columns = "issued_at, is_revoked, revoked_at, revoked_reason";
    let ended = |reason: &str, hours: &str| {
        format!("{}, true, {}, '{reason}'", ago("2160 hours"), ago(&format!("{hours} hours")))
    };
    let mut rows = Vec::new();
    for (reason, hours, expected) in [
        ("EXPIRED", "25", "gone"),
        ("LOGOUT", "24", "gone"),
        ("LIMIT", "25", "gone"),
        ("EXPIRED", "23", "EXPIRED"),
        ("SECURITY", "25", "SECURITY"),
        ("ADMIN", "2159", "ADMIN"),
        ("ADMIN", "2161", "gone"),
    ] {
        rows.push((session(&w, a, 1, columns, &ended(reason, hours)).await, expected));
    }
    w.sql("UPDATE app.tokens SET token_value = NULL WHERE is_revoked").await;
    let run = w.run("BATCH-506", None, &[]).await;
    assert_eq!((run.outcome(), run.count("removed")), ("succeeded", 4));
    for (session, expected) in rows {
        assert_eq!(state(&w, session).await, expected);
    }
    let history = "SELECT string_agg(reason, ',' ORDER BY token_id)
                     FROM app.token_revocations WHERE token_type = 'SESSION'";
    assert_eq!(w.one::<String>(history).await, "EXPIRED,LOGOUT,LIMIT,ADMIN");
}

#[tokio::test]
async fn one_failing_tenant_leaves_the_others_done() {
    let w = world().await;
    let (a, b) = (tenant(&w, "alpha").await, tenant(&w, "beta").await);
    many(&w, a, 10).await;
    many(&w, b, 10).await;
    w.sql(&format!(
        "ALTER TABLE app.tokens ADD CONSTRAINT forced CHECK (tenant_id <> {a} OR NOT is_revoked)"
    ))
    .await;
    let run = w.run("BATCH-506", None, &[]).await;
    assert_eq!((run.outcome(), run.tenants_done, run.tenants_failed), ("partial", 1, 1));
    assert_eq!((revoked(&w, a).await, revoked(&w, b).await), (0, 10));
    let (_, reason) = w.tenant_seen(run.id, a).await;
    assert!(!reason.unwrap_or_default().contains("SECRET"));

    w.sql("ALTER TABLE app.tokens DROP CONSTRAINT forced").await;
    let again = w.rerun_failed(run.id).await;
    assert_eq!((again.outcome(), again.tenants_total, revoked(&w, a).await), ("succeeded", 1, 10));
}

#[tokio::test]
async fn a_run_for_one_tenant_leaves_its_neighbour_untouched() {
    let w = world().await;
    let (a, b) = (tenant(&w, "alpha").await, tenant(&w, "beta").await);
    many(&w, a, 5).await;
    many(&w, b, 5).await;
    let run = w.run_as("BATCH-506", Wanted { tenants: vec![a], ..Wanted::default() }).await;
    assert_eq!((run.outcome(), run.count("expired")), ("succeeded", 5));
    assert_eq!((revoked(&w, a).await, revoked(&w, b).await), (5, 0));
}

#[tokio::test]
async fn a_dry_run_reports_counts_and_changes_nothing() {
    let w = world().await;
    let a = tenant(&w, "alpha").await;
    many(&w, a, 25).await;
    for minutes in 1..=12 {
        used(&w, a, 1, &format!("{minutes} minutes")).await;
    }
    suspicious(&w, a).await;
    let before = everything(&w).await;
    let run = w.dry_run("BATCH-506", None, &[("cleanup_batch_size", "10")]).await;
    let counts = (run.count("expired"), run.count("limit"), run.count("suspicious"));
    assert_eq!((run.outcome(), counts), ("succeeded", (25, 3, 4)));
    assert_eq!(run.plan.expect("plan")["rows"]["app.tokens"]["updated"], 28);
    assert_eq!(everything(&w).await, before);
}

#[tokio::test]
async fn the_hours_statistics_are_counted_from_the_rows_and_closed_by_the_next_run() {
    let w = world().await;
    let a = tenant(&w, "alpha").await;
    used(&w, a, 1, "1 minute").await;
    session(&w, a, 2, "issued_at", &ago("20 minutes")).await;
    session(&w, a, 2, "issued_at", &ago("51 minutes")).await; // the hour before
    w.run("BATCH-506", None, &[]).await;
    let stat = "SELECT string_agg(concat_ws(' ', extract(hour FROM hour AT TIME ZONE 'Asia/Tokyo'),
                                            active, started, ended_expired, ended_limit,
                                            ended_admin, ended_security, removed, suspicious,
                                            max_per_user), ',' ORDER BY hour)
                  FROM app.session_stat_hourly";
    assert_eq!(w.one::<String>(stat).await, "10 2 1 1 0 0 0 0 0 1");

    // between the runs: a sign-in and an administrator's act, both before the hour is over
    w.sql(&format!(
        "INSERT INTO app.tokens (tenant_id, user_id, token_type, token_hash, issued_at,
                                 is_revoked, revoked_at, revoked_reason)
         VALUES ({a}, 3, 'SESSION', 'h', '2026-11-01T10:55:00+09:00', true,
         '2026-11-01T10:56:00+09:00', 'ADMIN')"
    ))
    .await;
    w.set_clock("2026-11-01T11:50:00+09:00");
    w.run("BATCH-506", None, &[]).await;
    assert_eq!(w.one::<String>(stat).await, "10 2 2 1 0 1 0 0 0 1,11 0 0 2 0 0 0 0 0 0");

    // two days later their rows go, and are counted where they went
    w.set_clock("2026-11-03T11:50:00+09:00");
    w.run("BATCH-506", None, &[]).await;
    assert!(w.one::<String>(stat).await.ends_with(",11 0 0 0 0 0 0 3 0 0"));
}

#[tokio::test]
async fn five_thousand_live_sessions_are_warned_of() {
    let w = world().await;
    let a = tenant(&w, "alpha").await;
    w.sql(&format!(
        "INSERT INTO app.users (tenant_id, user_id, email, name, created_at)
         SELECT {a}, n, 'u' || n, 'u' || n, '2026-01-01' FROM generate_series(21, 5000) AS n;
         INSERT INTO app.tokens (tenant_id, user_id, token_type, token_value, token_hash, issued_at)
         SELECT {a}, n, 'SESSION', 'SECRET', md5(n::text), {} FROM generate_series(1, 5000) AS n",
        ago("1 minute")
    ))
    .await;
    let warned = "SELECT count(*) FROM yakin.run_logs WHERE message = 'many live sessions'";
    let run = w.run("BATCH-506", None, &[]).await;
    assert_eq!((run.count("active"), w.one::<i64>(warned).await), (5_000, 1));
    w.sql("DELETE FROM app.tokens WHERE user_id = 1").await;
    let run = w.run("BATCH-506", None, &[]).await;
    assert_eq!((run.count("active"), w.one::<i64>(warned).await), (4_999, 1));
}
