//! Work sees which attempts live, under an owner who is no superuser: else it takes over what another is sending.

use yakin_engine::tenant::blind_to_attempts;
use yakin_engine::tx::Role;
use yakin_engine::tx::Tx;
use yakin_testkit::World;

use crate::common::until;
use crate::lanes::{claim_some, empty_world, enqueue, finish};

async fn holds(world: &World, role: Role, job: i64, token: i64) -> bool {
    let mut tx = Tx::begin(&world.pool, role, "", true).await.unwrap();
    let seen = sqlx::query_scalar("SELECT yakin.attempt_holds($1, $2)").bind(job).bind(token);
    seen.fetch_one(&mut tx).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_living_attempt_holds_its_job_and_no_other_does() {
    let world = empty_world().await;
    enqueue(&world, 1, 1).await;
    let jobs = claim_some(&world, 1).await;
    let (job, token) = (jobs[0].id, jobs[0].token);
    // of its own tenant, of another, and of all
    for role in [Role::Tenant(1), Role::Tenant(2), Role::Platform] {
        assert!(holds(&world, role, job, token).await, "{role:?}");
        assert!(!holds(&world, role, job, token + 1).await, "{role:?}");
    }
    finish(&world, &jobs).await;
    assert!(!holds(&world, Role::Tenant(1), job, token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_began_after_the_statement_that_asks_holds_its_job() {
    let world = empty_world().await;
    enqueue(&world, 1, 1).await;
    let mut door = world.database.owner.acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(77)").execute(&mut *door).await.unwrap();
    let (job, token): (i64, i64) = sqlx::query_as("SELECT id, token + 1 FROM yakin.jobs")
        .fetch_one(&world.database.owner)
        .await
        .unwrap();
    let pool = world.database.owner.clone();
    let asks = tokio::spawn(async move {
        let sql =
            "SELECT yakin.attempt_holds($1, $2) FROM (SELECT pg_advisory_xact_lock(77)) AS waited";
        let asked = sqlx::query_scalar::<_, bool>(sql).bind(job).bind(token);
        asked.fetch_one(&pool).await.unwrap()
    });
    until(
        &world,
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'",
    )
    .await;
    assert_eq!(claim_some(&world, 1).await[0].token, token);
    sqlx::query("SELECT pg_advisory_unlock(77)").execute(&mut *door).await.unwrap();
    assert!(asks.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_sees_no_jobs_is_named_and_what_mends_it_does() {
    let world = empty_world().await;
    assert_eq!(blind_to_attempts(&world.pool).await.unwrap(), None);
    world.sql("DROP POLICY holds ON yakin.jobs").await;
    let owner = yakin_testkit::OWNER;
    assert_eq!(blind_to_attempts(&world.pool).await.unwrap().as_deref(), Some(owner));
    world
        .sql(&format!("CREATE POLICY holds ON yakin.jobs FOR SELECT TO \"{owner}\" USING (true)"))
        .await;
    assert_eq!(blind_to_attempts(&world.pool).await.unwrap(), None);
    // and nothing is left of the trials
    assert_eq!(world.one::<i64>("SELECT count(*) FROM yakin.jobs").await, 0);
}
