//! Two nodes whose machines are ten minutes apart: one five minutes early, the other five minutes late.

use std::path::PathBuf;
use std::process::Command;

use crate::common::{Node, Site, tell, until};

/// A firing that both nodes find due, one that only the early one does, and two that hold all tenants' work.
const FIRINGS: &str = "
    DELETE FROM yakin.firings WHERE state = 'planned';
    UPDATE yakin.batches SET planned_until = clock_timestamp() + interval '3 days';
    INSERT INTO yakin.firings (batch_id, planned_at, due_at)
    SELECT id, due, due FROM (VALUES ('BATCH-402', interval '-6 minutes'), ('BATCH-406', '-10 seconds'),
                                     ('BATCH-006', '4 minutes'), ('BATCH-506', '4 minutes')) AS wanted (id, away),
           LATERAL (SELECT date_trunc('second', clock_timestamp()) + away) AS at (due)";

const EFFECTS: &str = "
    CREATE TABLE public.effects (what text, tenant text);
    CREATE FUNCTION public.note_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO public.effects VALUES (TG_TABLE_NAME, current_setting('yakin.tenant', true));
        RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER INSERT ON app.session_stat_hourly EXECUTE FUNCTION public.note_effect()";

/// A command in a process whose clock is so many seconds off; what it measures by is not.
fn off(mut command: Command, seconds: i64) -> Command {
    let places = std::fs::read_dir("/usr/lib").expect("libraries").filter_map(Result::ok);
    let libraries = places.map(|place| place.path().join("faketime/libfaketimeMT.so.1"));
    let mut found: Vec<PathBuf> = libraries.filter(|path| path.is_file()).collect();
    let library =
        found.pop().expect("libfaketime: scripts/test installs it (Debian's package libfaketime)");
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME", format!("{seconds:+}s"))
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

async fn serve(site: &Site, seconds: i64, roles: &str) -> Node {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--roles", roles];
    Node::start(off(site.command(&arguments), seconds)).await
}

/// What `yakin doctor` says of the clocks, in a process with such a clock.
fn doctor(site: &Site, seconds: i64) -> (String, String) {
    let told = tell(off(site.command(&["doctor", "--json"]), seconds));
    let checks: serde_json::Value = serde_json::from_str(&told.out).expect("JSON");
    let clocks = checks.as_array().and_then(|all| all.iter().find(|c| c["name"] == "clocks"));
    let clocks = clocks.unwrap_or_else(|| panic!("nothing is said of clocks: {}", told.out));
    let text = |key: &str| clocks[key].as_str().expect("text").to_owned();
    (text("standing"), text("found"))
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_ten_minutes_apart_fire_everything_once_and_leave_each_other_their_leases() {
    let site = Site::with_sample(3).await;
    site.sql("UPDATE yakin.control SET virtual_now = NULL, virtual_until = NULL").await;
    site.sql(EFFECTS).await;
    // all work is the late one's; the early one only plans, and watches over leases
    let mut late = serve(&site, -300, "plan,work,api").await;
    site.sql(FIRINGS).await;
    let mut lock = site.database.owner.begin().await.expect("begin");
    sqlx::query("LOCK TABLE app.session_stat_hourly IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .expect("lock");
    let mut early = serve(&site, 300, "plan,api").await;

    let held = "SELECT coalesce(string_agg(format('%s/%s', id, token), ', ' ORDER BY id), '') FROM yakin.jobs
                 WHERE batch_id = 'BATCH-506' AND kind = 'tenant' AND state = 'running'";
    until("the late node is at work for all tenants", 40, async || {
        site.one::<i64>(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                AND application_name LIKE 'yakin job % token %' AND wait_event_type = 'Lock'",
        )
        .await
            == 3
    })
    .await;
    let before: String = site.one(held).await;
    // between two heartbeats each node has watched over the leases
    let beats = "SELECT array_agg(real_heartbeat ORDER BY id) FROM yakin.nodes";
    for _ in 0..2 {
        let last: Vec<jiff_sqlx::Timestamp> = site.one(beats).await;
        until("both nodes' hearts beat", 40, async || {
            let now: Vec<jiff_sqlx::Timestamp> = site.one(beats).await;
            now.iter().zip(&last).all(|(now, last)| now.to_jiff() > last.to_jiff())
        })
        .await;
    }
    assert_eq!(site.one::<String>(held).await, before, "the early node took jobs of a living one");
    lock.rollback().await.expect("unlock");

    until("all four have ended", 40, async || {
        // what looks every minute may have looked before
        let ended = "SELECT count(*) = 4 FROM yakin.firings WHERE state = 'ended' AND batch_id NOT LIKE 'REALTIME%'";
        site.one(ended).await
    })
    .await;
    let ended: String = site
        .one(
            "SELECT string_agg(concat_ws(' ', f.batch_id, f.outcome, (SELECT count(*) FROM yakin.runs r
                                          WHERE r.batch_id = f.batch_id)), ', ' ORDER BY f.batch_id)
               FROM yakin.firings f WHERE f.batch_id NOT LIKE 'REALTIME%'",
        )
        .await;
    assert_eq!(
        ended,
        "BATCH-006 succeeded 1, BATCH-402 succeeded 1, BATCH-406 succeeded 1, BATCH-506 succeeded 1"
    );
    let again: i64 = site
        .one("SELECT count(*) FROM yakin.job_history WHERE outcome <> 'done' OR token <> 1")
        .await;
    assert_eq!(again, 0, "attempts that were not the only one");
    let effects: (i64, i64) =
        sqlx::query_as("SELECT count(*), count(DISTINCT tenant) FROM public.effects")
            .fetch_one(&site.database.owner)
            .await
            .expect("effects");
    assert_eq!(effects, (3, 3), "each tenant's sessions are counted once");

    for (seconds, said) in [(300, "300."), (-300, "-300.")] {
        let (standing, found) = doctor(&site, seconds);
        let near = found.contains(said) || found.contains(&said.replace("300.", "299."));
        assert!(standing == "warning" && near, "{seconds}: {standing}, {found}");
    }
    assert_eq!(doctor(&site, 0).0, "good");
    for node in [&mut late, &mut early] {
        assert_eq!(node.terminate(20).await.code(), Some(0));
        assert_eq!(node.stderr(), "");
    }
}
