//! Makes the rows: one transaction, each step a few set-based statements over the cast's JSON.

mod as_tenant;

use std::collections::HashMap;

use jiff_sqlx::ToSqlx;
use sqlx::types::Json;
use sqlx::{Connection, Executor, PgConnection, Postgres, Transaction};

use super::calendar::Calendar;
use super::cast::{self, Part};
use super::chat;
use super::tenant::{self, Tenant};
use super::{SampleError, SampleSpec, database, discounts, plans, words};
use crate::usage::LOGS;

/// Makes and commits the sample; returns its tenants and the number of log rows.
pub(super) async fn fill(
    connection: &mut PgConnection,
    spec: &SampleSpec,
    progress: impl FnMut(&str),
) -> Result<(Vec<Tenant>, i64), SampleError> {
    let tx = connection.begin().await.map_err(database("transaction"))?;
    let calendar = Calendar::new(spec.as_of, spec.days);
    let tenants = tenant::tenants(spec, &calendar);
    let mut maker = Maker { tx, spec, calendar, tenants, progress };
    maker.prepare().await?;
    maker.make_tenants().await?;
    maker.make_people().await?;
    maker.make_things().await?;
    let log_rows = maker.make_logs().await?;
    maker.make_earlier_invoices().await?;
    maker.make_headcounts().await?;
    maker.make_offers().await?;
    maker.tx.commit().await.map_err(database("commit"))?;
    Ok((maker.tenants, log_rows))
}

struct Maker<'a, P: FnMut(&str)> {
    tx: Transaction<'a, Postgres>,
    spec: &'a SampleSpec,
    calendar: Calendar,
    tenants: Vec<Tenant>,
    progress: P,
}

/// The tenant that entered most of its assignments anew, with a wrong end.
pub(super) const BULK_ENTRY: Part = Part::Jumped;

/// The logs of events: statement, name, rows per thousand API calls (82 per cent of the rows are API calls).
const EVENTS: [(&str, &str, i64); 5] = [
    (concat!(include_str!("moments.sql"), include_str!("api_call_logs.sql")), "API calls", 1000),
    (
        concat!(include_str!("moments.sql"), include_str!("feature_usage_logs.sql")),
        "feature use",
        134,
    ),
    (concat!(include_str!("moments.sql"), include_str!("login_logs.sql")), "logins", 37),
    (concat!(include_str!("moments.sql"), include_str!("user_sessions.sql")), "sessions", 37),
    (
        concat!(include_str!("moments.sql"), include_str!("report_generation_logs.sql")),
        "reports",
        12,
    ),
];

/// The logs of hours: statement, name.
const HOURS: [(&str, &str); 2] = [
    (concat!(include_str!("hours.sql"), include_str!("compute_usage_logs.sql")), "compute use"),
    (concat!(include_str!("hours.sql"), include_str!("network_usage_logs.sql")), "network use"),
];

impl<P: FnMut(&str)> Maker<'_, P> {
    /// A topic's own seed, for `hashint8extended`; a little below the limit, so that SQL can add to it.
    fn seed(&self, topic: &str) -> i64 {
        (cast::dice(self.spec.seed, topic, 0) >> 2) as i64
    }

    fn json(&self) -> Json<&[Tenant]> {
        Json(&self.tenants)
    }

    fn today(&self) -> String {
        self.calendar.today.to_string()
    }

    /// Session settings, the months' partitions, and the platform's role for all that follows.
    async fn prepare(&mut self) -> Result<(), SampleError> {
        const MAKING: &str = "partitions";
        (self.progress)(MAKING);
        let settings = "SET LOCAL timezone = 'Asia/Tokyo'; SET LOCAL work_mem = '128MB'; \
                        SET LOCAL jit = off; SET LOCAL ROLE yakin_engine;";
        self.tx.execute(settings).await.map_err(database(MAKING))?;
        sqlx::query(include_str!("months.sql"))
            .bind(&LOGS[..])
            .bind(self.calendar.logs.start.to_string())
            .bind(self.today())
            .execute(&mut *self.tx)
            .await
            .map_err(database(MAKING))?;
        self.tx.execute("SET LOCAL ROLE yakin_platform").await.map_err(database(MAKING))?;
        let tenants: i64 = sqlx::query_scalar("SELECT count(*) FROM app.tenants")
            .fetch_one(&mut *self.tx)
            .await
            .map_err(database(MAKING))?;
        if tenants > 0 { Err(SampleError::NotEmpty { tenants }) } else { Ok(()) }
    }

    /// Price list, tax rates, holdings, tenants and what they have agreed to.
    async fn make_tenants(&mut self) -> Result<(), SampleError> {
        const MAKING: &str = "tenants and contracts";
        (self.progress)(MAKING);
        self.make_tenant_rows().await.map_err(database(MAKING))
    }

    async fn make_tenant_rows(&mut self) -> Result<(), sqlx::Error> {
        let plans = sqlx::query(include_str!("plans.sql")).bind(Json(&plans::PLANS[..]));
        plans.execute(&mut *self.tx).await?;
        sqlx::query(include_str!("tax_rates.sql")).execute(&mut *self.tx).await?;
        self.make_holdings().await?;
        let ids: Vec<(String, i64)> = sqlx::query_as(include_str!("tenants.sql"))
            .bind(Json(&self.tenants))
            .fetch_all(&mut *self.tx)
            .await?;
        let ids: HashMap<String, i64> = ids.into_iter().collect();
        for tenant in &mut self.tenants {
            tenant.tenant_id = ids.get(&tenant.code).copied().unwrap_or_default();
        }
        for statement in [
            include_str!("tenant_status_history.sql"),
            include_str!("contracts.sql"),
            include_str!("contract_plans.sql"),
            include_str!("seat_contracts.sql"),
        ] {
            sqlx::query(statement).bind(Json(&self.tenants)).execute(&mut *self.tx).await?;
        }
        let discounts = discounts::discounts(&self.calendar, &self.tenants);
        sqlx::query(include_str!("discounts.sql"))
            .bind(Json(discounts))
            .execute(&mut *self.tx)
            .await?;
        sqlx::query(include_str!("session_policies.sql"))
            .bind(self.json())
            .bind(self.seed("policies"))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// One holding for every twenty tenants; its members take turns, and the huge tenant belongs to the first.
    async fn make_holdings(&mut self) -> Result<(), sqlx::Error> {
        if !self.tenants.iter().any(|tenant| tenant.part == Part::Holding) {
            return Ok(());
        }
        let names: Vec<String> =
            (0..1 + self.tenants.len() / 20).map(|n| cast::holding(self.spec.seed, n)).collect();
        let ids: Vec<i64> = sqlx::query_scalar(
            "INSERT INTO app.holdings (name)
             SELECT name FROM unnest($1::text[]) WITH ORDINALITY AS holding (name, place) ORDER BY place
             RETURNING holding_id",
        )
        .bind(names)
        .fetch_all(&mut *self.tx)
        .await?;
        let members = self.tenants.iter_mut().filter(|tenant| tenant.part == Part::Holding);
        for (tenant, id) in members.zip(ids.iter().cycle()) {
            tenant.holding_id = Some(*id);
        }
        if let Some(huge) = self.tenants.iter_mut().find(|tenant| tenant.part == Part::Huge) {
            huge.holding_id = ids.first().copied();
        }
        Ok(())
    }

    /// Users, departments, positions, projects; then engineers, who refer to them, their skills and assignments.
    async fn make_people(&mut self) -> Result<(), SampleError> {
        const MAKING: &str = "users and engineers";
        (self.progress)(MAKING);
        self.make_people_rows().await.map_err(database(MAKING))
    }

    async fn make_people_rows(&mut self) -> Result<(), sqlx::Error> {
        let (family, family_roman): (Vec<&str>, Vec<&str>) = words::FAMILY.into_iter().unzip();
        let (given, given_roman): (Vec<&str>, Vec<&str>) = words::GIVEN.into_iter().unzip();
        sqlx::query(include_str!("departments.sql"))
            .bind(self.json())
            .bind(&words::DEPARTMENT[..])
            .execute(&mut *self.tx)
            .await?;
        sqlx::query(include_str!("positions.sql"))
            .bind(Json(&self.tenants))
            .bind(&words::POSITION[..])
            .execute(&mut *self.tx)
            .await?;
        sqlx::query(include_str!("projects.sql"))
            .bind(Json(&self.tenants))
            .bind(self.seed("projects"))
            .bind(&words::PROJECT[..])
            .bind(self.today())
            .execute(&mut *self.tx)
            .await?;
        sqlx::query(include_str!("users.sql"))
            .bind(Json(&self.tenants))
            .bind(self.seed("users"))
            .bind(&family)
            .bind(&family_roman)
            .bind(&given)
            .bind(&given_roman)
            .bind(self.spec.as_of.to_sqlx())
            .execute(&mut *self.tx)
            .await?;
        self.mark().await?;
        sqlx::query(include_str!("engineers.sql"))
            .bind(Json(&self.tenants))
            .bind(self.seed("engineers"))
            .bind(&family)
            .bind(&family_roman)
            .bind(&given)
            .bind(&given_roman)
            .bind(self.today())
            .execute(&mut *self.tx)
            .await?;
        self.make_skills().await?;
        sqlx::query(include_str!("assignments.sql"))
            .bind(Json(&self.tenants))
            .bind(self.seed("assignments"))
            .bind(self.today())
            .execute(&mut *self.tx)
            .await?;
        self.make_states().await
    }

    /// What people entered of engineers' states and of ends that were not as planned.
    async fn make_states(&mut self) -> Result<(), sqlx::Error> {
        sqlx::query(include_str!("engineer_states.sql"))
            .bind(self.seed("states"))
            .execute(&mut *self.tx)
            .await?;
        let faulty = |part| {
            let of = self.tenants.iter().find(|t| t.part == part && self.spec.with_faults);
            of.map_or(0, |t| t.tenant_id)
        };
        let (contradictory, bulk) = (faulty(Part::Huge), faulty(BULK_ENTRY));
        sqlx::query(include_str!("early_ends.sql"))
            .bind(self.seed("early ends"))
            .bind(self.today())
            .bind(contradictory)
            .bind(bulk)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Notes where each tenant's users, departments, positions and projects begin.
    async fn mark(&mut self) -> Result<(), sqlx::Error> {
        let marks: Vec<(i64, i64, i64, i64, i64)> =
            sqlx::query_as(include_str!("marks.sql")).fetch_all(&mut *self.tx).await?;
        let marks: HashMap<i64, _> = marks.into_iter().map(|mark| (mark.0, mark)).collect();
        for tenant in &mut self.tenants {
            let Some(mark) = marks.get(&tenant.tenant_id) else { continue };
            (tenant.first_user, tenant.first_department) = (mark.1, mark.2);
            (tenant.first_position, tenant.first_project) = (mark.3, mark.4);
        }
        Ok(())
    }

    async fn make_skills(&mut self) -> Result<(), sqlx::Error> {
        sqlx::query(include_str!("skills.sql"))
            .bind(&words::SKILL[..])
            .execute(&mut *self.tx)
            .await?;
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT skill_id FROM app.skills WHERE name = ANY ($1) ORDER BY array_position($1, name)",
        )
        .bind(&words::SKILL[..])
        .fetch_all(&mut *self.tx)
        .await?;
        sqlx::query(include_str!("engineer_skills.sql"))
            .bind(ids)
            .bind(self.seed("skills"))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Files, tokens and sessions, notifications.
    async fn make_things(&mut self) -> Result<(), SampleError> {
        const MAKING: &str = "files and tokens";
        (self.progress)(MAKING);
        self.make_thing_rows().await.map_err(database(MAKING))
    }

    async fn make_thing_rows(&mut self) -> Result<(), sqlx::Error> {
        let as_of = self.spec.as_of.to_sqlx();
        sqlx::query(include_str!("files.sql"))
            .bind(Json(&self.tenants))
            .bind(self.seed("files"))
            .bind(as_of)
            .execute(&mut *self.tx)
            .await?;
        sqlx::query(include_str!("tokens.sql"))
            .bind(self.seed("tokens"))
            .bind(as_of)
            .execute(&mut *self.tx)
            .await?;
        sqlx::query(include_str!("notifications.sql"))
            .bind(Json(&self.tenants))
            .bind(self.seed("notifications"))
            .bind(self.today())
            .bind(as_of)
            .execute(&mut *self.tx)
            .await?;
        if let Some(keys) = &self.spec.keys {
            chat::integrate(&mut self.tx, &self.tenants, keys).await?;
        }
        sqlx::query(include_str!("approaches.sql"))
            .bind(self.json())
            .bind(self.seed("approaches"))
            .bind(as_of)
            .execute(&mut *self.tx)
            .await?;
        sqlx::query(include_str!("opens_tracked.sql"))
            .bind(self.today())
            .execute(&mut *self.tx)
            .await?;
        sqlx::query(include_str!("availability_probes.sql"))
            .bind(self.seed("probes"))
            .bind(as_of)
            .execute(&mut *self.tx)
            .await?;
        let ids: Vec<i64> = self.tenants.iter().map(|t| t.tenant_id).collect();
        sqlx::query(include_str!("notification_settings.sql"))
            .bind(ids)
            .execute(&mut *self.tx)
            .await?;
        sqlx::query(include_str!("report_contacts.sql")).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// The raw logs, each in order of time; returns how many rows.
    async fn make_logs(&mut self) -> Result<i64, SampleError> {
        let (days, busyness) = tenant::log_days(&self.calendar);
        let as_of = self.spec.as_of.to_sqlx();
        let mut rows = 0;
        for (statement, making, share) in EVENTS {
            (self.progress)(making);
            let log = sqlx::query(statement)
                .bind(Json(&self.tenants))
                .bind(self.seed(making))
                .bind(&days)
                .bind(&busyness)
                .bind(as_of)
                .bind(share);
            let done = log.execute(&mut *self.tx).await.map_err(database(making))?;
            rows += done.rows_affected();
        }
        for (statement, making) in HOURS {
            (self.progress)(making);
            let log = sqlx::query(statement)
                .bind(Json(&self.tenants))
                .bind(self.seed(making))
                .bind(&days)
                .bind(&busyness)
                .bind(as_of);
            let done = log.execute(&mut *self.tx).await.map_err(database(making))?;
            rows += done.rows_affected();
        }
        const MAKING: &str = "engineers' activity";
        (self.progress)(MAKING);
        let done = sqlx::query(include_str!("engineer_activity_logs.sql"))
            .bind(self.seed("activity"))
            .execute(&mut *self.tx)
            .await
            .map_err(database(MAKING))?;
        rows += done.rows_affected();
        Ok(i64::try_from(rows).unwrap_or(i64::MAX))
    }
}
