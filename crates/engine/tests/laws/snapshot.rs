//! The hot queue stays fast while somebody holds an old snapshot open, as a dump does for hours. A counted property,
//! not a timed one: how many pages a claim visits.

use serde_json::Value;
use sqlx::AssertSqlSafe;
use yakin_testkit::World;

use crate::lanes::{BATCH, empty_world, enqueue};

/// Jobs pass one by one, as attempts with rows of their own settle; each in a transaction.
const PASS: &str = "
    CREATE PROCEDURE public.pass_jobs(jobs integer, at timestamptz) LANGUAGE plpgsql AS $$
    DECLARE claimed jsonb; result jsonb;
    BEGIN
        WHILE jobs > 0 LOOP
            SELECT jsonb_agg(jsonb_build_object('id', id, 'token', token, 'queue', queue, 'tenant_id', tenant_id,
                       'outcome', 'done', 'tried', '{}'::jsonb, 'rows', 0, 'counts', '{}'::jsonb)) INTO claimed
              FROM yakin.claim('default', 100, 1, '{T-Q}', 30);
            COMMIT;
            FOR result IN SELECT value FROM jsonb_array_elements(claimed) LOOP
                PERFORM yakin.settle(jsonb_build_array(result), at);
                COMMIT;
            END LOOP;
            jobs := jobs - jsonb_array_length(claimed);
        END LOOP;
    END $$";

/// Pages that a claim of 16 jobs visits, in a session that has claimed before: planning reads pages, too.
async fn pages_of_a_claim(world: &World) -> i64 {
    let sql = format!(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT id FROM yakin.claim('default', 16, 1, '{{{BATCH}}}', 30)"
    );
    let mut session = world.database.owner.acquire().await.unwrap();
    let mut plan = Value::Null;
    for _ in 0..2 {
        let explain = sqlx::query_scalar(AssertSqlSafe(sql.clone()));
        plan = explain.fetch_one(&mut *session).await.unwrap();
    }
    assert_eq!(plan[0]["Plan"]["Actual Rows"].as_f64(), Some(16.0));
    let pages = |key: &str| plan[0]["Plan"][key].as_i64().unwrap();
    pages("Shared Hit Blocks") + pages("Shared Read Blocks")
}

async fn pass(world: &World, jobs: i64) {
    let mut connection = world.database.owner.acquire().await.unwrap();
    let call = format!("CALL public.pass_jobs({jobs}, '{}')", world.clock.now());
    sqlx::raw_sql(AssertSqlSafe(call)).execute(&mut *connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_old_snapshot_open_a_claim_costs_at_most_twice_as_much_after_6_000_jobs() {
    let world = empty_world().await;
    world.sql(PASS).await;
    // statistics taken in the middle would have the claim planned anew within what is counted
    world.sql("ALTER TABLE yakin.jobs SET (autovacuum_enabled = false)").await;
    enqueue(&world, 1, 6_200).await;
    pass(&world, 100).await;
    let mut dump = world.database.owner.begin().await.unwrap();
    let freeze = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM yakin.jobs";
    sqlx::raw_sql(freeze).execute(&mut *dump).await.unwrap();
    let before = pages_of_a_claim(&world).await;
    pass(&world, 6_000).await;
    let after = pages_of_a_claim(&world).await;
    // the dump still sees what it saw
    let jobs: i64 =
        sqlx::query_scalar("SELECT count(*) FROM yakin.jobs").fetch_one(&mut *dump).await.unwrap();
    assert_eq!(jobs, 6_100);
    assert!(after <= before * 2, "pages of a claim: {before} before, {after} after");
}
