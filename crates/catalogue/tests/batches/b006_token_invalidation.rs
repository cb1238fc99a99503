//! BATCH-006: dead tokens become unusable, are kept a day past their expiry, and leave a history
//! without values.

use yakin_testkit::World;

const NOW: &str = "2026-11-01T10:30:00+09:00";

async fn world() -> World {
    let ours = ["BATCH-006", "BATCH-506"];
    let batches = yakin_catalogue::all().into_iter().filter(|b| ours.contains(&b.spec().id));
    let w = World::at(NOW, batches.collect()).await;
    w.sql("UPDATE yakin.batches SET enabled = false").await; // only tests start runs
    w
}

/// A token whose columns beyond owner, type, value and hash are given; returns its id.
async fn token(w: &World, tenant: i64, kind: &str, columns: &str, values: &str) -> i64 {
    w.one(&format!(
        "INSERT INTO app.tokens (tenant_id, user_id, token_type, token_value, token_hash, {columns})
         VALUES ({tenant}, 1, '{kind}', 'SECRET-' || md5(random()::text),
                 md5(random()::text), {values})
         RETURNING token_id"
    ))
    .await
}

/// An instant so long before the run's now, as SQL.
fn ago(interval: &str) -> String {
    format!("timestamptz '{NOW}' - interval '{interval}'")
}

/// `reason` of a token that is there, `live`, or `gone`; a revoked one must have lost its value.
async fn state(w: &World, token: i64) -> String {
    w.one(&format!(
        "SELECT coalesce((SELECT CASE WHEN NOT is_revoked AND token_value IS NOT NULL THEN 'live'
                                      WHEN is_revoked AND token_value IS NULL THEN revoked_reason
                                      ELSE 'broken' END
                            FROM app.tokens WHERE token_id = {token}), 'gone')"
    ))
    .await
}

async fn many(w: &World, tenant: i64, kind: &str, rows: i64, expires: &str) {
    w.sql(&format!(
        "INSERT INTO app.tokens
                (tenant_id, user_id, token_type, token_value, token_hash, expires_at)
         SELECT {tenant}, n, '{kind}', 'SECRET-' || n, md5(n::text), {expires}
           FROM generate_series(1, {rows}) AS n"
    ))
    .await;
}

/// All that the batch may write, as one text.
async fn everything(w: &World) -> String {
    w.one(
        "SELECT concat((SELECT string_agg(t::text, E'\\n' ORDER BY t) FROM app.tokens t),
                       (SELECT string_agg(r::text, E'\\n' ORDER BY r) FROM app.token_revocations r),
                       (SELECT string_agg(c::text, E'\\n' ORDER BY c)
                          FROM app.token_counts_hourly c))",
    )
    .await
}

#[tokio::test]
async fn expired_tokens_are_revoked_and_removed_a_day_later_with_one_history_row() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    let recent = token(&w, a, "ACCESS", "expires_at", &ago("5 minutes")).await;
    let on_the_dot = token(&w, a, "REFRESH", "expires_at", &ago("0")).await;
    let day_old = token(&w, a, "ACCESS", "expires_at", &ago("24 hours")).await;
    let old = token(&w, a, "ACCESS", "expires_at", &ago("25 hours")).await;
    let alive = token(&w, a, "ACCESS", "expires_at", &ago("-1 second")).await;

    let run = w.run("BATCH-006", None, &[]).await;
    assert_eq!(run.outcome(), "succeeded");
    assert_eq!((run.count("revoked"), run.count("removed")), (4, 1));
    for (token, expected) in [
        (recent, "EXPIRED"),
        (on_the_dot, "EXPIRED"),
        (day_old, "EXPIRED"),
        (old, "gone"),
        (alive, "live"),
    ] {
        assert_eq!(state(&w, token).await, expected, "token {token}");
    }
    let history: String = w
        .one(&format!(
            "SELECT string_agg(concat_ws(' ', token_id = {old}, token_type, reason,
                                         length(token_hash), removed_at = timestamptz '{NOW}'), ',')
               FROM app.token_revocations"
        ))
        .await;
    assert_eq!(history, "t ACCESS EXPIRED 32 t");
    let counted: String = w
        .one(
            "SELECT string_agg(concat_ws(' ', hour AT TIME ZONE 'Asia/Tokyo', revoked, cascaded,
                                         malformed, removed), ',')
               FROM app.token_counts_hourly",
        )
        .await;
    assert_eq!(counted, "2026-11-01 10:00:00 4 0 0 1");
}

#[tokio::test]
async fn a_token_without_an_expiry_lives_as_long_as_its_type_and_one_without_any_time_is_malformed()
{
    let w = world().await;
    let a = w.tenant("alpha").await;
    let over = token(&w, a, "ACCESS", "issued_at", &ago("61 minutes")).await;
    let within = token(&w, a, "ACCESS", "issued_at", &ago("59 minutes")).await;
    let refresh = token(&w, a, "REFRESH", "issued_at", &ago("61 minutes")).await;
    let old_refresh = token(&w, a, "REFRESH", "issued_at", &ago("721 hours")).await;
    let malformed = token(&w, a, "REFRESH", "client_ip", "NULL").await;

    let run = w.run("BATCH-006", None, &[]).await;
    assert_eq!((run.count("revoked"), run.count("malformed"), run.count("removed")), (2, 1, 0));
    for (token, expected) in [
        (over, "EXPIRED"),
        (within, "live"),
        (refresh, "live"),
        (old_refresh, "EXPIRED"),
        (malformed, "MALFORMED"),
    ] {
        assert_eq!(state(&w, token).await, expected, "token {token}");
    }

    // a malformed one is kept a day from its revocation
    w.set_clock("2026-11-02T10:30:00+09:00");
    w.run("BATCH-006", None, &[]).await;
    assert_eq!(state(&w, malformed).await, "MALFORMED");
    w.set_clock("2026-11-02T11:30:00+09:00");
    w.run("BATCH-006", None, &[]).await;
    assert_eq!(state(&w, malformed).await, "gone");
}

#[tokio::test]
async fn a_refresh_token_ended_on_purpose_takes_the_access_tokens_of_its_device_along() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    let columns = "device_fingerprint, issued_at, expires_at";
    let issued = |device: &str, ago_issued: &str| {
        format!("{device}, {}, {}", ago(ago_issued), ago("-30 minutes"))
    };
    let revoked =
        "device_fingerprint, issued_at, expires_at, is_revoked, revoked_at, revoked_reason";
    let refresh = |device: &str, reason: &str| {
        let (issued, expires, at) = (ago("5 days"), ago("-25 days"), ago("10 minutes"));
        format!("'{device}', {issued}, {expires}, true, {at}, '{reason}'")
    };
    let kept = token(&w, a, "REFRESH", revoked, &refresh("phone", "ADMIN")).await;
    token(&w, a, "REFRESH", revoked, &refresh("tablet", "EXPIRED")).await;
    w.sql("UPDATE app.tokens SET token_value = NULL WHERE is_revoked").await;
    let first = token(&w, a, "ACCESS", columns, &issued("'phone'", "20 minutes")).await;
    let second = token(&w, a, "ACCESS", columns, &issued("'phone'", "15 minutes")).await;
    let laptop = token(&w, a, "ACCESS", columns, &issued("'laptop'", "20 minutes")).await;
    let tablet = token(&w, a, "ACCESS", columns, &issued("'tablet'", "20 minutes")).await;
    let nameless = token(&w, a, "ACCESS", columns, &issued("NULL", "20 minutes")).await;
    let new_sign_in = token(&w, a, "ACCESS", columns, &issued("'phone'", "5 minutes")).await;
    let neighbour = token(&w, b, "ACCESS", columns, &issued("'phone'", "20 minutes")).await;

    let run = w.run("BATCH-006", None, &[]).await;
    assert_eq!((run.outcome(), run.count("cascaded"), run.rows_written), ("succeeded", 2, 2));
    for token in [first, second] {
        assert_eq!(state(&w, token).await, "CASCADE");
    }
    for token in [laptop, tablet, nameless, new_sign_in, neighbour] {
        assert_eq!(state(&w, token).await, "live", "token {token}");
    }
    assert_eq!(state(&w, kept).await, "ADMIN", "its hash stays, so that re-use is recognised");
}

/// Makes the batch's fifth chunk fail: the fourth thousand of revoked rows is the last.
const FAIL_AFTER_4000: &str = "
    CREATE FUNCTION app.fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT count(*) FROM app.tokens WHERE is_revoked) >= 4000 THEN
            RAISE EXCEPTION 'forced';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER fail BEFORE UPDATE ON app.tokens
        FOR EACH STATEMENT EXECUTE FUNCTION app.fail();";

#[tokio::test]
async fn ten_thousand_rows_go_in_ten_commits_and_what_an_ended_run_left_the_next_one_does() {
    let w = world().await;
    let (a, b) = (w.tenant("alpha").await, w.tenant("beta").await);
    many(&w, a, "ACCESS", 7_500, &ago("5 minutes")).await;
    many(&w, b, "REFRESH", 2_500, &ago("5 minutes")).await;
    w.sql(FAIL_AFTER_4000).await;
    let ended = w.run("BATCH-006", None, &[]).await;
    assert_eq!(ended.outcome(), "failed");
    let revoked = "SELECT count(*) FROM app.tokens WHERE is_revoked";
    assert_eq!(w.one::<i64>(revoked).await, 4_000, "finished chunks stay");

    w.sql("DROP TRIGGER fail ON app.tokens").await;
    w.set_clock("2026-11-01T10:45:00+09:00");
    let next = w.run("BATCH-006", None, &[]).await;
    assert_eq!((next.outcome(), next.count("revoked")), ("succeeded", 6_000));
    assert_eq!(w.one::<i64>(revoked).await, 10_000);
    let commits = "SELECT count(DISTINCT xmin::text) FROM app.tokens";
    assert_eq!(w.one::<i64>(commits).await, 10, "a transaction a thousand rows");
    let counted =
        "SELECT string_agg(revoked::text, ',' ORDER BY tenant_id) FROM app.token_counts_hourly";
    assert_eq!(w.one::<String>(counted).await, "7500,2500", "each row counted once");
}

#[tokio::test]
async fn a_row_that_another_session_holds_is_done_in_the_next_hour() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    let held = token(&w, a, "ACCESS", "expires_at", &ago("5 minutes")).await;
    let free = token(&w, a, "ACCESS", "expires_at", &ago("5 minutes")).await;
    let mut sign_in = w.database.owner.begin().await.expect("begin");
    sqlx::query("SELECT FROM app.tokens WHERE token_id = $1 FOR UPDATE")
        .bind(held)
        .execute(&mut *sign_in)
        .await
        .expect("lock");

    let run = w.run("BATCH-006", None, &[]).await;
    assert_eq!((run.outcome(), run.count("revoked")), ("succeeded", 1));
    assert_eq!(state(&w, free).await, "EXPIRED");
    sign_in.rollback().await.expect("rollback");
    assert_eq!(state(&w, held).await, "live");

    w.set_clock("2026-11-01T11:30:00+09:00");
    let run = w.run("BATCH-006", None, &[]).await;
    assert_eq!((run.outcome(), run.count("revoked")), ("succeeded", 1));
    assert_eq!(state(&w, held).await, "EXPIRED");
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_no_value_is_left_in_any_record() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    many(&w, a, "ACCESS", 30, &ago("25 hours")).await;
    many(&w, a, "REFRESH", 30, &ago("1 hour")).await;
    many(&w, a, "SESSION", 30, &ago("1 hour")).await;
    many(&w, a, "ACCESS", 10, "NULL").await;
    let first = w.run("BATCH-006", None, &[("batch_size", "7")]).await;
    assert_eq!((first.outcome(), first.rows_written), ("succeeded", 60 + 10 + 30 + 30));
    let after_first = everything(&w).await;
    assert!(!after_first.contains("SECRET"), "the values are gone");

    let second = w.run("BATCH-006", None, &[]).await;
    assert_eq!((second.outcome(), second.rows_written), ("succeeded", 0));
    assert_eq!(everything(&w).await, after_first);
    let records: String = w
        .one(
            "SELECT concat((SELECT string_agg(l::text, ' ') FROM yakin.run_logs l),
                           (SELECT string_agg(h::text, ' ') FROM yakin.job_history h),
                           (SELECT string_agg(r::text, ' ') FROM yakin.runs r))",
        )
        .await;
    assert!(records.contains("malformed tokens") && !records.contains("SECRET"));
}

#[tokio::test]
async fn sessions_past_their_own_expiry_end_as_batch_506_would_end_them() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    let expired = token(
        &w,
        a,
        "SESSION",
        "last_used_at, expires_at",
        &format!("{}, {}", ago("0"), ago("1 second")),
    )
    .await;
    let idle = token(&w, a, "SESSION", "issued_at", &ago("5 hours")).await;
    let kept = w.run("BATCH-006", None, &[("cleanup_expired_sessions", "false")]).await;
    assert_eq!((kept.rows_written, state(&w, expired).await.as_str()), (0, "live"));

    let row = format!("SELECT (t.*)::text FROM app.tokens t WHERE token_id = {expired}");
    let before: String = w.one(&row).await;
    let run = w.run("BATCH-006", None, &[]).await;
    assert_eq!((run.count("sessions"), run.rows_written), (1, 1));
    assert_eq!(state(&w, idle).await, "live", "idle sessions are BATCH-506's");
    let by_006: String = w.one(&row).await;
    assert_ne!(by_006, before);

    // the same row again, by 506
    w.sql(&format!(
        "UPDATE app.tokens SET is_revoked = false, revoked_at = NULL, revoked_reason = NULL
          WHERE token_id = {expired}"
    ))
    .await;
    let run = w.run("BATCH-506", None, &[]).await;
    assert_eq!(run.outcome(), "succeeded");
    assert_eq!(w.one::<String>(&row).await, by_006);
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_do_and_writes_nothing() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    many(&w, a, "ACCESS", 25, &ago("5 minutes")).await;
    many(&w, a, "SESSION", 5, &ago("5 minutes")).await;
    let before = everything(&w).await;
    let run = w.dry_run("BATCH-006", None, &[("batch_size", "10")]).await;
    assert_eq!((run.outcome(), run.count("revoked"), run.count("sessions")), ("succeeded", 25, 5));
    assert_eq!(run.plan.expect("plan")["rows"]["app.tokens"]["updated"], 30);
    assert_eq!(everything(&w).await, before);
}

#[tokio::test]
async fn removals_far_from_the_usual_are_warned_of() {
    let w = world().await;
    let a = w.tenant("alpha").await;
    w.sql(&format!(
        "INSERT INTO app.token_counts_hourly
                (tenant_id, hour, revoked, cascaded, malformed, removed)
         SELECT {a}, timestamptz '2026-11-01 10:00+09' - n * interval '1 day', 0, 0, 0, 90 + n
           FROM generate_series(1, 20) AS n"
    ))
    .await;
    let warned =
        "SELECT count(*) FROM yakin.run_logs WHERE message = 'removals differ from the usual'";
    w.run("BATCH-006", None, &[]).await;
    assert_eq!(
        w.one::<i64>(warned).await,
        0,
        "the median of seven days is 94: too few to judge by"
    );
    w.sql("UPDATE app.token_counts_hourly SET removed = removed + 6").await;
    many(&w, a, "ACCESS", 50, &ago("25 hours")).await;
    w.run("BATCH-006", None, &[]).await;
    assert_eq!(w.one::<i64>(warned).await, 0, "50 of 100 is just half");
    w.sql("UPDATE app.token_counts_hourly SET removed = 49 WHERE removed = 50").await;
    w.run("BATCH-006", None, &[]).await;
    assert_eq!(w.one::<i64>(warned).await, 1);
}
