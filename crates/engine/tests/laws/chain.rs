//! The audit's chain: gapless in the order of commits, and what was changed, added or removed is found.

use yakin_engine::operate::switches::{pause, stop_all};
use yakin_engine::record::audit::{Chain, digest_at, verify};
use yakin_testkit::{World, act};

async fn acts(world: &World, n: usize) {
    for _ in 0..n {
        stop_all(&world.pool, true, &act()).await.unwrap();
    }
}

async fn chain(world: &World) -> Chain {
    verify(&world.pool).await.unwrap()
}

/// Does what nobody may, as a superuser who takes the guard away first.
async fn tamper(world: &World, sql: &str) {
    world
        .sql(&format!(
            "ALTER TABLE yakin.audit DISABLE TRIGGER USER; ALTER TABLE yakin.audit_chain DISABLE TRIGGER USER; {sql};
             ALTER TABLE yakin.audit ENABLE TRIGGER USER; ALTER TABLE yakin.audit_chain ENABLE TRIGGER USER"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_of_many_at_once_stand_in_one_chain_without_gap() {
    let world = World::new(vec![]).await;
    assert_eq!(chain(&world).await, Chain { acts: 0, head: String::new(), faults: vec![] });
    let many = (0..40).map(|n| {
        let pool = world.pool.clone();
        async move {
            let queue = ["default", "heavy", "notify", "monitor"][n % 4];
            pause(&pool, queue, n % 3 == 0, &act()).await.unwrap();
        }
    });
    futures::future::join_all(many).await;
    // an act that comes to nothing leaves no gap
    assert!(pause(&world.pool, "express", true, &act()).await.is_err());
    world
        .sql("BEGIN; INSERT INTO yakin.audit (actor, action, subject, reason) VALUES ('a', 'b', 'c', 'd'); ROLLBACK")
        .await;
    acts(&world, 1).await;
    let found = chain(&world).await;
    assert_eq!((found.acts, &found.faults), (41, &vec![]));
    assert_eq!(digest_at(&world.pool, 41).await.unwrap(), Some(found.head));
    let gapless = "SELECT count(*) = 41 AND min(seq) = 1 AND max(seq) = 41 FROM yakin.audit_chain";
    assert!(world.one::<bool>(gapless).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_added_or_removed_is_found() {
    for (sql, word) in [
        ("UPDATE yakin.audit SET reason = 'nothing' WHERE id = 3", "act 3"),
        ("UPDATE yakin.audit SET details = '{\"a\": 1}' WHERE id = 2", "act 2"),
        (
            "UPDATE yakin.audit SET real_time = real_time + interval '1 microsecond' WHERE id = 4",
            "act 4",
        ),
        ("DELETE FROM yakin.audit WHERE id = 3", "act 3 (number 3 of the chain) is missing"),
        (
            "DELETE FROM yakin.audit WHERE id = 3; DELETE FROM yakin.audit_chain WHERE seq = 3",
            "acts 3 to 3 of the chain are missing",
        ),
        (
            "INSERT INTO yakin.audit (actor, action, subject, reason) VALUES ('x', 'run', 'y', 'z')",
            "stands in no chain",
        ),
    ] {
        let world = World::new(vec![]).await;
        acts(&world, 5).await;
        tamper(&world, sql).await;
        let faults = chain(&world).await.faults;
        assert!(faults.first().is_some_and(|f| f.contains(word)), "{sql}: {faults:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_tail_is_found_by_whoever_noted_its_head() {
    let world = World::new(vec![]).await;
    acts(&world, 5).await;
    let noted = chain(&world).await;
    let cut = "DELETE FROM yakin.audit WHERE id >= 4; DELETE FROM yakin.audit_chain WHERE seq >= 4";
    tamper(&world, cut).await;
    let now = chain(&world).await;
    assert_eq!((now.acts, now.faults), (3, vec![]));
    assert_eq!(digest_at(&world.pool, noted.acts).await.unwrap(), None);
    acts(&world, 2).await;
    assert_ne!(digest_at(&world.pool, noted.acts).await.unwrap(), Some(noted.head));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_the_chain_by_hand() {
    let world = World::new(vec![]).await;
    acts(&world, 2).await;
    for sql in [
        "UPDATE yakin.audit_chain SET digest = sha256('')",
        "DELETE FROM yakin.audit_chain",
        "INSERT INTO yakin.audit_chain (seq, audit_id, digest) VALUES (3, 9, sha256(''))",
    ] {
        let error = sqlx::query(sql).execute(&world.pool).await.unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{sql}: {error}");
    }
    for sql in ["UPDATE yakin.audit_chain SET seq = 9 WHERE seq = 1", "TRUNCATE yakin.audit_chain"]
    {
        let owner = &world.database.owner;
        let error = sqlx::raw_sql(sql).execute(owner).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
}
