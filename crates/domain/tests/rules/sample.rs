//! The sample world: the same for the same seed, whole, walled, with its two faults exactly where it says.

use jiff::civil::date;
use sqlx::{AssertSqlSafe, PgPool};
use yakin_domain::sample::{SampleError, SampleReport, SampleSpec, generate};
use yakin_testkit::{BEGIN, TestDatabase};

/// A sample of every part of the script, with few log rows.
fn spec(seed: u64) -> SampleSpec {
    let as_of = BEGIN.parse().unwrap();
    SampleSpec { log_rows: 45_000, ..SampleSpec::new(22, 300, seed, as_of) }
}

/// Made as the engine's login: a production login is no superuser either.
async fn made(database: &TestDatabase, spec: &SampleSpec) -> Result<SampleReport, SampleError> {
    let mut connection = database.engine_pool(1).await.acquire().await.unwrap().detach();
    generate(&mut connection, spec, |_| {}).await
}

async fn one<T>(pool: &PgPool, sql: &str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap()
}

/// Every table of schema app with its rows and a checksum of them, one line each.
async fn checksums(database: &TestDatabase) -> String {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT oid::regclass::text FROM pg_class
          WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1",
    )
    .fetch_all(&database.owner)
    .await
    .unwrap();
    let mut lines = String::new();
    for table in tables {
        let sql = format!(
            "SELECT '{table} ' || count(*) || ' ' || coalesce(sum(hashtextextended(r::text, 0)), 0) FROM {table} AS r"
        );
        lines += &(one::<String>(&database.owner, &sql).await + "\n");
    }
    lines
}

#[tokio::test]
async fn the_same_seed_makes_the_same_world_and_another_seed_another() {
    let (a, b, c) =
        (TestDatabase::new().await, TestDatabase::new().await, TestDatabase::new().await);
    sqlx::raw_sql(AssertSqlSafe(format!(
        "ALTER ROLE yakin_engine IN DATABASE {} SET timezone = 'America/New_York'",
        one::<String>(&b.owner, "SELECT current_database()::text").await
    )))
    .execute(&b.owner)
    .await
    .unwrap();
    let report = made(&a, &spec(42)).await.unwrap();
    assert_eq!(report, made(&b, &spec(42)).await.unwrap());
    made(&c, &spec(43)).await.unwrap();
    let first = checksums(&a).await;
    assert_eq!(first, checksums(&b).await);
    assert_ne!(first, checksums(&c).await);
    assert_eq!((report.tenants, report.engineers), (22, 300));
    assert!((40_000..60_000).contains(&report.log_rows), "{}", report.log_rows);
}

#[tokio::test]
async fn the_faults_stand_where_the_report_says_and_can_be_left_out() {
    let (with, without) = (TestDatabase::new().await, TestDatabase::new().await);
    let report = made(&with, &spec(7)).await.unwrap();
    let (lacking, day) = report.lacks_a_day.unwrap();
    assert_eq!(day, date(2026, 10, 17));
    let broken = "SELECT coalesce(string_agg(code || ' ' || (created_at AT TIME ZONE 'Asia/Tokyo')::date, ','), '')
                    FROM app.compute_usage_logs JOIN app.tenants USING (tenant_id) WHERE cpu_seconds < 0";
    let planless = "SELECT coalesce(string_agg(code || ' ' || starts_on, ','), '')
                      FROM app.contract_plans JOIN app.tenants USING (tenant_id)
                     WHERE plan_code NOT IN (SELECT plan_code FROM app.plans)";
    assert_eq!(one::<String>(&with.owner, broken).await, format!("{lacking} 2026-10-17"));
    let failing = report.fails.unwrap();
    assert_eq!(one::<String>(&with.owner, planless).await, format!("{failing} 2026-10-16"));
    let backwards = "SELECT count(*)::text FROM app.assignments WHERE actual_end_on < starts_on";
    assert_eq!(one::<String>(&with.owner, backwards).await, "1");

    let sound = SampleSpec { with_faults: false, ..spec(7) };
    let report = made(&without, &sound).await.unwrap();
    assert_eq!((report.lacks_a_day, report.fails, report.many_change), (None, None, None));
    assert_eq!(one::<String>(&without.owner, backwards).await, "0");
    assert_eq!(one::<String>(&without.owner, broken).await, "");
    assert_eq!(one::<String>(&without.owner, planless).await, "");
}

#[tokio::test]
async fn logs_stand_in_order_of_time_within_their_days_and_name_only_their_tenants_users() {
    let database = TestDatabase::new().await;
    made(&database, &spec(5)).await.unwrap();
    for log in [
        "api_call_logs",
        "login_logs",
        "report_generation_logs",
        "user_sessions",
        "feature_usage_logs",
        "engineer_activity_logs",
    ] {
        let wrong = format!(
            "SELECT count(*) FILTER (WHERE NOT owned)
                  + count(*) FILTER (WHERE created_at < '2026-10-01T00:00+09:00' OR created_at >= '{BEGIN}')
               FROM (SELECT created_at,
                            tenant_id IS NULL OR EXISTS (
                                SELECT FROM app.users
                                 WHERE users.tenant_id = log.tenant_id AND users.user_id = log.user_id
                                   AND users.created_at < log.created_at) AS owned
                       FROM app.{log} AS log) AS seen"
        );
        assert_eq!(one::<i64>(&database.owner, &wrong).await, 0, "{log}");
        let rows: i64 = one(&database.owner, &format!("SELECT count(*) FROM app.{log}")).await;
        assert!(rows > 100, "{log}: {rows}");
        // here and there a short row finds room on the page before
        let disordered = format!(
            "SELECT count(*) FILTER (WHERE created_at < before)
               FROM (SELECT created_at, lag(created_at) OVER (PARTITION BY tableoid ORDER BY ctid) AS before
                       FROM app.{log}) AS seen"
        );
        let disordered = one::<i64>(&database.owner, &disordered).await;
        assert!(disordered * 500 <= rows, "{log}: {disordered} of {rows}");
    }
    let after_the_end = "SELECT count(*) FROM app.api_call_logs JOIN app.tenants USING (tenant_id)
          LEFT JOIN app.contracts USING (tenant_id)
          LEFT JOIN app.tenant_status_history AS h ON h.tenant_id = tenants.tenant_id AND h.status <> 'active'
         WHERE created_at >= h.since OR (created_at AT TIME ZONE 'Asia/Tokyo')::date NOT BETWEEN starts_on
               AND coalesce(ends_on, 'infinity')";
    assert_eq!(one::<i64>(&database.owner, after_the_end).await, 0);
}

#[tokio::test]
async fn the_world_holds_every_kind_of_tenant_and_exactly_one_far_earlier_invoice() {
    let database = TestDatabase::new().await;
    made(&database, &spec(11)).await.unwrap();
    for (what, sql) in [
        ("three statuses", "SELECT count(DISTINCT status) = 3 FROM app.tenants"),
        ("two currencies", "SELECT count(DISTINCT currency) = 2 FROM app.tenants"),
        ("three cycles", "SELECT count(DISTINCT billing_cycle) = 3 FROM app.tenants"),
        ("three discounts", "SELECT count(DISTINCT kind) = 3 FROM app.discounts"),
        ("holding", "SELECT count(*) > 1 FROM app.tenants WHERE holding_id IS NOT NULL"),
        ("starts", "SELECT bool_or(starts_on > '2026-10-01') FROM app.contracts"),
        ("ends", "SELECT bool_or(ends_on > '2026-10-01') FROM app.contracts"),
        ("changes", "SELECT count(*) = 3 FROM app.contract_plans WHERE starts_on > '2026-10-10'"),
        ("US rate", "SELECT bool_and(rate = 0) FROM app.tax_rates WHERE country = 'US'"),
        ("sums", "SELECT bool_and(subtotal = (SELECT sum(amount) FROM app.invoice_lines AS line
                                               WHERE line.invoice_id = invoices.invoice_id)) FROM app.invoices"),
        ("far", "SELECT count(*) = 1 FROM app.invoices WHERE usage_digest = 'sample' AND subtotal <
                 (SELECT base_fee FROM app.contract_plans JOIN app.plans USING (plan_code)
                   WHERE contract_plans.tenant_id = invoices.tenant_id
                   ORDER BY contract_plans.starts_on, valid_from DESC LIMIT 1) * 0.5"),
        ("stale statuses", "SELECT bool_or(planned_end_on < '2026-11-01' AND status = 'working')
                              FROM app.assignments JOIN app.engineers USING (tenant_id, engineer_id)"),
        ("left early", "SELECT bool_or(actual_end_on < planned_end_on AND status = 'working')
                          FROM app.assignments JOIN app.engineers USING (tenant_id, engineer_id)"),
        ("on leave", "SELECT bool_or(status = 'on_leave') AND bool_or(status_locked) FROM app.engineers"),
        ("deleted files", "SELECT bool_or(deleted_at > '2026-10-01') FROM app.files"),
        ("surplus", "SELECT bool_or(n > 10) FROM (SELECT count(*) AS n FROM app.tokens
                      WHERE token_type = 'SESSION' AND NOT is_revoked GROUP BY user_id) AS of_user"),
        ("by heads", "SELECT count(*) BETWEEN 1 AND 3 FROM app.contracts WHERE billing_engine = 'skillsheet'"),
        ("offers ahead", "SELECT bool_and(next_delivery_at > '2026-11-01T01:00+09:00' AND next_delivery_at < '2026-11-01T10:00+09:00')
                                 AND count(*) = 5 FROM app.approaches"),
        ("terms", "SELECT count(*) > 10 FROM app.engineer_terms"),
        ("each day's heads", "SELECT count(*) = 31 * (SELECT count(*) FROM app.contracts WHERE billing_engine = 'skillsheet')
                                FROM app.company_usage_daily
                               WHERE usage_date BETWEEN '2026-10-01' AND '2026-10-31' AND total_users > 0
                                 AND total_engineers > 0"),
        ("malformed", "SELECT bool_or(issued_at IS NULL AND expires_at IS NULL) FROM app.tokens"),
    ] {
        assert!(one::<bool>(&database.owner, sql).await, "{what}");
    }
}

#[tokio::test]
async fn a_filled_database_and_a_senseless_sample_are_refused() {
    let database = TestDatabase::new().await;
    let small = SampleSpec { log_rows: 2_000, ..SampleSpec::new(2, 5, 1, BEGIN.parse().unwrap()) };
    let senseless = SampleSpec { engineers: 1, ..small.clone() };
    assert!(matches!(made(&database, &senseless).await, Err(SampleError::Spec(_))));
    made(&database, &small).await.unwrap();
    let before = checksums(&database).await;
    let again = made(&database, &small).await;
    assert!(matches!(again, Err(SampleError::NotEmpty { tenants: 2 })), "{again:?}");
    assert_eq!(before, checksums(&database).await);
}

#[tokio::test]
async fn offers_of_the_month_before_have_letters_and_events_and_two_companies_track_openings() {
    let database = TestDatabase::new().await;
    made(&database, &spec(7)).await.unwrap();
    let seen: String = one(
        &database.owner,
        "SELECT concat_ws(', ',
                (SELECT count(DISTINCT tenant_id) > 1 FROM app.approach_deliveries),
                (SELECT count(*) > 20 FROM app.approach_deliveries),
                -- each offer has its letter, each letter its key, and each event a letter that was sent before it
                (SELECT count(*) = (SELECT count(*) FROM app.approach_deliveries) FROM app.deliveries WHERE state = 'sent'),
                (SELECT count(*) FROM app.delivery_keys) = (SELECT count(*) FROM app.deliveries),
                (SELECT bool_and(e.occurred_at > d.sent_at AND e.occurred_at < '2026-11-01T01:00:00+09:00')
                   FROM app.approach_events e
                   LEFT JOIN app.deliveries d ON (d.tenant_id, d.source, d.source_id, d.recipient)
                                               = (e.tenant_id, 'approach', e.approach_delivery_id, e.recipient)),
                (SELECT count(DISTINCT kind) FROM app.approach_events),
                (SELECT count(*) FROM app.tenants WHERE opens_tracked IS NOT NULL),
                (SELECT bool_or(good) AND NOT bool_and(good) FROM app.availability_probes),
                (SELECT max(created_at) < '2026-10-31T00:00:00+09:00' FROM app.approach_deliveries))",
    )
    .await;
    assert_eq!(seen, "t, t, t, t, t, 4, 2, t, t");
}
