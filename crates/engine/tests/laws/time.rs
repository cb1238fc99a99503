//! Time: days and months are Tokyo's, half-open; a run's now is fixed; other zones fire by their own rules.

use yakin_engine::operate::runs::{Wanted, start};
use yakin_engine::operate::settings::set;
use yakin_engine::prelude::*;
use yakin_engine::registry::{AnyBatch, entry};
use yakin_testkit::{World, act, day};

use std::sync::Arc;

use crate::common::{firings, global, idle, pass_seconds, tenants};

idle!(HalfPastOne, Spec { schedule: cron("30 1 * * *"), ..global("T-HALF-PAST-ONE") });
idle!(Midnight, Spec { schedule: cron("0 0 * * *"), ..global("T-MIDNIGHT") });
idle!(SameDay, Spec { schedule: cron("0 0 * * *"), period: Period::Day, ..global("T-SAME-DAY") });
idle!(
    Weekly,
    Spec { schedule: cron("30 1 * * *"), period: Period::WeekBefore, ..global("T-WEEKLY") }
);
idle!(
    Monthly,
    Spec { schedule: cron("0 0 * * *"), period: Period::MonthBefore, ..global("T-MONTHLY") }
);
idle!(
    Timeless,
    Spec { schedule: cron("30 1 * * *"), period: Period::None, ..global("T-TIMELESS") }
);

/// Planned instant in UTC and period of each batch's first run, from `begin` to just after `due`.
async fn first(batches: Vec<Arc<dyn AnyBatch>>, begin: &str, due: &str) -> Vec<String> {
    let world = World::at(begin, batches).await;
    world.settle().await;
    world.set_clock(due);
    world.settle().await;
    sqlx::query_scalar(
        "SELECT format('%s at %s: %s', batch_id, to_char(planned_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'),
                       coalesce(period_start || '..' || period_end, 'none'))
           FROM yakin.runs ORDER BY batch_id",
    )
    .fetch_all(&world.database.owner)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn firings_and_periods_follow_tokyos_days() {
    // half past one in Tokyo is the evening before in UTC, and the day before is still October
    let night = vec![entry::<HalfPastOne>(), entry::<Weekly>(), entry::<Timeless>()];
    assert_eq!(
        first(night, "2026-11-01T00:00:00+09:00", "2026-11-01T01:30:00+09:00").await,
        [
            "T-HALF-PAST-ONE at 10-31 16:30: 2026-10-31..2026-11-01",
            "T-TIMELESS at 10-31 16:30: none",
            "T-WEEKLY at 10-31 16:30: 2026-10-19..2026-10-26",
        ]
    );
    // midnight belongs to the day that begins
    let year_end = vec![entry::<Midnight>(), entry::<SameDay>(), entry::<Monthly>()];
    assert_eq!(
        first(year_end, "2026-12-31T23:59:59+09:00", "2027-01-01T00:00:00+09:00").await,
        [
            "T-MIDNIGHT at 12-31 15:00: 2026-12-31..2027-01-01",
            "T-MONTHLY at 12-31 15:00: 2026-12-01..2027-01-01",
            "T-SAME-DAY at 12-31 15:00: 2027-01-01..2027-01-02",
        ]
    );
    let leap_day = vec![entry::<Monthly>()];
    assert_eq!(
        first(leap_day, "2028-02-29T12:00:00+09:00", "2028-03-01T00:00:00+09:00").await,
        ["T-MONTHLY at 02-29 15:00: 2028-02-01..2028-03-01"]
    );
    // an instant that is just now when the node comes is not planned any more
    let late = first(
        vec![entry::<HalfPastOne>()],
        "2026-11-01T01:30:00+09:00",
        "2026-11-01T12:00:00+09:00",
    );
    assert_eq!(late.await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_names_the_period_that_holds_it_and_the_future_is_refused() {
    let world = World::at("2026-11-10T00:30:00+09:00", vec![entry::<Monthly>()]).await;
    for any_day in ["2026-10-01", "2026-10-31"] {
        let seen = world.run("T-MONTHLY", Some(any_day), &[]).await;
        let period = format!(
            "SELECT period_start || '..' || period_end FROM yakin.runs WHERE id = {}",
            seen.id
        );
        assert_eq!(world.one::<String>(&period).await, "2026-10-01..2026-11-01");
    }
    let wanted = Wanted { date: Some(day("2026-12-01")), ..Wanted::default() };
    let (registry, now) = (&world.engine.registry, world.clock.now());
    let refused =
        start(&world.pool, registry, "T-MONTHLY", wanted, "api", &act(), now).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the period 2026-12 lies in the future; expected a past or present day"
    );
}

struct Remembers;
impl Batch for Remembers {
    type Params = serde_json::Value;
    const SPEC: Spec = Spec { retry: fixed(3, secs(600)), ..tenants("T-REMEMBERS") };
    async fn tenant(run: &TenantRun, _: &Self::Params) -> Outcome {
        run.checkpoint(async |tx| {
            sqlx::query("INSERT INTO app.departments (tenant_id, name) VALUES ($1, $2)")
                .bind(run.tenant())
                .bind(format!("{} {:?}", run.now(), run.period().instants().0))
                .execute(tx)
                .await?;
            Ok((serde_json::json!(1), ()))
        })
        .await?;
        Err(Stop::retry(Cause::Network, "again"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runs_now_and_period_stay_through_all_its_attempts() {
    let world = World::at("2026-11-01T23:55:00+09:00", vec![entry::<Remembers>()]).await;
    world.tenant("a").await;
    world.run("T-REMEMBERS", None, &[]).await;
    for _ in 0..2 {
        pass_seconds(&world, 700); // past midnight
        world.settle().await;
    }
    let names = "SELECT string_agg(DISTINCT name, '; ') || ' x' || count(*) FROM app.departments";
    assert_eq!(world.one::<String>(names).await, "2026-11-01T14:55:00Z 2026-10-30T15:00:00Z x3");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_zone_with_summer_time_a_gap_fires_once_at_its_end_and_a_fold_once() {
    for (begin, schedule, expected) in [
        // 02:00 EST becomes 03:00 EDT on the 8th of March 2026 = 16:00 in Tokyo
        (
            "2026-03-08T00:00:00+09:00",
            "TZ=America/New_York 30 2 * * *",
            ["03-08 16:00", "03-09 15:30"],
        ),
        // 02:00 EDT becomes 01:00 EST on the 1st of November: 01:30 exists twice
        (
            "2026-11-01T00:00:00+09:00",
            "TZ=America/New_York 30 1 * * *",
            ["11-01 14:30", "11-02 15:30"],
        ),
    ] {
        let world = World::at(begin, vec![entry::<HalfPastOne>()]).await;
        let (registry, now) = (&world.engine.registry, world.clock.now());
        set(&world.pool, registry, "T-HALF-PAST-ONE", "schedule", schedule, &act(), now)
            .await
            .unwrap();
        let planned = firings(&world, "T-HALF-PAST-ONE").await;
        let planned: Vec<_> = planned.iter().filter_map(|f| f.strip_suffix(" planned")).collect();
        assert_eq!(planned, expected, "{schedule}");
    }
}
