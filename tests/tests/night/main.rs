//! Nights of two nodes in which the ground gives way: the server restarts, connections break or run out, a node stops
//! or has a wrong clock. In the morning every firing has its outcome, and all was done, once.

mod clocks;
#[path = "../common/mod.rs"]
mod common;
mod cuts;
mod frozen;
mod proxy;
mod restarts;
mod server;
mod starved;

use std::collections::BTreeMap;

use common::{Node, Site, header, relay_of, until};
use jiff::civil::date;
use server::Server;
use yakin_testkit::TestDatabase;
use yakin_testkit::stand_in::smtp::SmtpStandIn;

const TENANTS: u32 = 3;
/// When a night is over that began at one o'clock: after BATCH-204, 301 and 302, and three hours of the hourly batches; a
/// minute after what is due at four, so that its second attempts have room.
const MORNING: &str = "2026-11-01T04:01:00+09:00";
/// Each transaction that writes usage or invoices leaves a line, which nothing keeps from being there twice, and takes
/// its time: so much work is seen in the middle.
const EFFECTS: &str = "
    CREATE TABLE public.effects (what text, job bigint, tenant text, transaction xid8);
    CREATE FUNCTION public.note_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO public.effects
        SELECT TG_TABLE_NAME, split_part(current_setting('application_name'), ' ', 3)::bigint,
               current_setting('yakin.tenant'), pg_current_xact_id();
        PERFORM pg_sleep(0.1);
        RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER INSERT ON app.usage_statistics EXECUTE FUNCTION public.note_effect();
    CREATE TRIGGER note AFTER INSERT ON app.tenant_usage_daily EXECUTE FUNCTION public.note_effect();
    CREATE TRIGGER note AFTER INSERT ON app.invoices EXECUTE FUNCTION public.note_effect()";

/// Earlier days of the month are like the 30th: what they left is put there at once.
const DAYS_BEFORE: &str = "
    CREATE TEMPORARY TABLE days AS SELECT d::date AS day FROM generate_series('2026-10-01'::date, '2026-10-27', '1 day') d;
    INSERT INTO yakin.runs OVERRIDING SYSTEM VALUE
    SELECT copy.* FROM yakin.runs r, days, jsonb_populate_record(r, jsonb_build_object('period_start', day, 'period_end',
           day + 1, 'id', nextval(pg_get_serial_sequence('yakin.runs', 'id')))) AS copy
     WHERE r.period_start = '2026-10-30';
    INSERT INTO yakin.completions
    SELECT copy.* FROM yakin.completions c, days, jsonb_populate_record(c, jsonb_build_object('period_start', day)) AS copy
     WHERE c.period_start = '2026-10-30';
    INSERT INTO app.usage_statistics
    SELECT copy.* FROM app.usage_statistics u, days, jsonb_populate_record(u, jsonb_build_object('usage_date', day, 'state', 'final')) AS copy
     WHERE u.usage_date = '2026-10-30';
    INSERT INTO app.tenant_usage_daily
    SELECT copy.* FROM app.tenant_usage_daily u, days, jsonb_populate_record(u, jsonb_build_object('usage_date', day)) AS copy
     WHERE u.usage_date = '2026-10-30';
    DROP TABLE days";

/// A night on a server of its own. (The site goes first: it drops its database there.)
struct Night {
    site: Site,
    relay: SmtpStandIn,
    server: Server,
}

impl Night {
    /// The evening before: a month is lived but for its last day and its bills.
    async fn begin(name: &str, settings: &str) -> Night {
        let begun = std::time::Instant::now();
        let server = Server::start(name, settings);
        let site = Site::on(TestDatabase::on(&server.url()).await).await;
        site.fill(TENANTS).await;
        let lived: Vec<_> = (28..=30)
            .flat_map(|day| ["BATCH-204", "BATCH-301"].map(|batch| (batch, date(2026, 10, day))))
            .collect();
        site.calmly(&lived).await;
        site.sql(DAYS_BEFORE).await;
        let files = site.dir.join("files");
        std::fs::create_dir(&files).expect("files");
        std::fs::write(files.join(".yakin-store"), "the nodes of this test share it")
            .expect("marker");
        let relay =
            relay_of(&site, &format!("[storage]\nurl = \"file://{}\"\n", files.display())).await;
        site.add_backups();
        site.sql(EFFECTS).await;
        println!("prepared in {:?}", begun.elapsed());
        Night { site, relay, server }
    }

    /// Lets time step until the morning.
    async fn fall(&self) {
        self.site.sql(&format!("UPDATE yakin.control SET virtual_until = '{MORNING}'")).await;
    }

    /// Waits until jobs of a batch are at work inside a transaction.
    async fn at_work(&self, batch: &str) {
        let sql = format!(
            "SELECT EXISTS (SELECT FROM yakin.jobs j JOIN pg_stat_activity a
                                ON a.application_name = format('yakin job %s token %s', j.id, j.token)
                             WHERE j.batch_id = '{batch}' AND a.wait_event = 'PgSleep')"
        );
        until(&format!("{batch} is at work"), 120, async || self.site.one(&sql).await).await;
    }

    /// Waits until nothing is left to do before the morning.
    async fn is_over(&self) {
        until("the night is over", 300, async || {
            self.site
                .one(&format!(
                    "SELECT (SELECT virtual_now = '{MORNING}' FROM yakin.control)
                        AND NOT EXISTS (SELECT FROM yakin.firings WHERE state <> 'ended' AND due_at <= '{MORNING}')
                        AND NOT EXISTS (SELECT FROM yakin.runs WHERE state <> 'ended')
                        AND NOT EXISTS (SELECT FROM yakin.jobs)"
                ))
                .await
        })
        .await;
    }

    async fn none(&self, what: &str, sql: &str) {
        let found: Option<String> = self
            .site
            .one(&format!("SELECT string_agg(found::text, E'\\n') FROM ({sql}) AS found"))
            .await;
        assert_eq!(found, None, "{what}");
    }

    /// What the ledger must say, whatever happened.
    async fn judge(&self) {
        // of what looks every minute only the newest look counts
        let outcomes = "SELECT batch_id, planned_at, outcome, reason FROM yakin.firings
                         WHERE due_at <= '2026-11-01T04:00:00+09:00' AND outcome <> 'succeeded'
                           AND NOT (batch_id = 'REALTIME_001' AND outcome = 'missed')";
        self.none("firings that did not succeed", outcomes).await;
        let fired: i64 = self
            .site
            .one("SELECT count(*) FROM yakin.firings WHERE state = 'ended' AND batch_id NOT LIKE 'REALTIME%'")
            .await;
        // 204, 301, 101, 302, DAILY_001, DAILY_002, WEEKLY_001, and four batches in each of three hours
        assert_eq!(fired, 19, "firings of the night");
        self.none(
            "steps of the maintenance that did not come to their end",
            "SELECT step, outcome, error FROM app.maintenance_results
              WHERE step NOT IN ('cache', 'logs') AND outcome <> 'done'",
        )
        .await;
        // a look that was missed has no run: which firings may be, is judged above
        self.none(
            "runs of a firing that is not theirs alone",
            "SELECT f.run_id, count(*) FROM yakin.firings f FULL JOIN yakin.runs r ON r.id = f.run_id
              WHERE f.outcome <> 'missed' OR r.trigger = 'firing'
              GROUP BY 1 HAVING count(*) <> 1 OR f.run_id IS NULL",
        )
        .await;
        self.none(
            "tenants of a run that are not done",
            "SELECT * FROM yakin.run_tenants WHERE state <> 'done'",
        )
        .await;
        self.none("dead letters", "SELECT batch_id, kind, cause, error FROM yakin.dead_letters")
            .await;
        self.none("lanes that count jobs", "SELECT * FROM yakin.lanes WHERE running <> 0").await;
        self.none(
            "jobs that did not end as done, once",
            "SELECT job_id, array_agg(outcome) FROM yakin.job_history GROUP BY job_id
             HAVING count(*) FILTER (WHERE outcome = 'done') <> 1",
        )
        .await;
        self.done_once().await;
    }

    /// Each tenant's work of the night was committed once.
    async fn done_once(&self) {
        for (batch, what) in [
            ("BATCH-204", "usage_statistics"),
            ("BATCH-301", "tenant_usage_daily"),
            ("BATCH-302", "invoices"),
        ] {
            self.none(
                &format!("tenants for whom {batch} was not committed once"),
                &format!(
                    "SELECT t.tenant_id, count(DISTINCT e.transaction), count(DISTINCT c.run_id)
                       FROM app.tenants t
                       LEFT JOIN public.effects e ON e.tenant = t.tenant_id::text AND e.what = '{what}'
                       LEFT JOIN yakin.job_history h ON h.job_id = e.job AND h.outcome = 'done'
                       LEFT JOIN yakin.run_tenants r ON (r.run_id, r.tenant_id) = (h.run_id, t.tenant_id)
                       LEFT JOIN yakin.completions c ON (c.batch_id, c.tenant_id, c.run_id)
                                                      = ('{batch}', t.tenant_id, h.run_id)
                      GROUP BY t.tenant_id
                     HAVING count(DISTINCT e.transaction) <> 1 OR count(DISTINCT c.run_id) <> 1
                         OR count(DISTINCT r.run_id) <> 1"
                ),
            )
            .await;
        }
        self.none(
            "tenants without each day's usage",
            "SELECT tenant_id, count(*) FROM app.tenants JOIN app.usage_statistics s USING (tenant_id)
               LEFT JOIN app.tenant_usage_daily d USING (tenant_id, usage_date)
              WHERE usage_date BETWEEN '2026-10-01' AND '2026-10-31' GROUP BY 1 HAVING count(d.usage_date) <> 31",
        )
        .await;
        self.none(
            "tenants without one bill, its document and its number",
            "SELECT t.tenant_id, i.number FROM app.tenants t
               LEFT JOIN app.invoices i ON i.tenant_id = t.tenant_id AND i.period_start = '2026-10-01'
              WHERE i.document_ready_at IS NULL OR right(i.number, 4) <> '0001'",
        )
        .await;
        let bills: i64 = self
            .site
            .one("SELECT count(*) FROM app.invoices WHERE period_start = '2026-10-01'")
            .await;
        assert_eq!(bills, i64::from(TENANTS));
        self.letters_went_once().await;
    }

    /// The relay has each letter that its row calls sent, once; what an attempt lost while it was under way is uncertain.
    async fn letters_went_once(&self) {
        // (what the sample says was sent in former weeks ended in no run)
        let mut said: BTreeMap<String, String> = sqlx::query_as(
            "SELECT format('<yakin.%s.%s@yakin.example>', tenant_id, delivery_id), state FROM app.deliveries
              WHERE channel = 'email' AND (state <> 'sent' OR ended_run IS NOT NULL)",
        )
        .fetch_all(&self.site.database.owner)
        .await
        .expect("deliveries")
        .into_iter()
        .collect();
        assert!(said.len() > 1, "no letters: they prove nothing");
        for letter in self.relay.mails() {
            let state = said.remove(&header(&letter, "Message-ID"));
            assert!(
                matches!(state.as_deref(), Some("sent" | "uncertain")),
                "{state:?}: {letter:?}"
            );
        }
        assert!(said.values().all(|s| s == "uncertain"), "letters that did not come: {said:?}");
    }

    /// Ends the nodes; they must be able to.
    async fn leave(&self, nodes: Vec<Node>) {
        for mut node in nodes {
            assert_eq!(node.terminate(20).await.code(), Some(0));
            assert_eq!(node.stderr(), "");
        }
    }
}

/// How often a node said this.
fn said(node: &Node, message: &str) -> usize {
    node.logs().iter().filter(|l| l.to_string().contains(message)).count()
}
