//! Rows that are written as their tenant: the platform may not.

use jiff_sqlx::ToSqlx;
use sqlx::{Executor, Postgres, Transaction};

use super::super::{SampleError, database};
use super::{Maker, Tenant};

/// How many tenants have standing offers: the first active ones that pay in yen.
const OFFERING: usize = 5;

impl<P: FnMut(&str)> Maker<'_, P> {
    /// The invoices of the month before the previous one, each written as its tenant: the platform may not.
    pub(super) async fn make_earlier_invoices(&mut self) -> Result<(), SampleError> {
        const MAKING: &str = "earlier invoices";
        (self.progress)(MAKING);
        self.tx.execute("SET LOCAL ROLE yakin_tenant").await.map_err(database(MAKING))?;
        let earlier = self.calendar.earlier;
        for tenant in &self.tenants {
            let Some(from) = tenant.invoiced_from else { continue };
            become_tenant(&mut self.tx, tenant).await.map_err(database(MAKING))?;
            sqlx::query(include_str!("earlier_invoice.sql"))
                .bind(earlier.start.to_string())
                .bind(earlier.end.to_string())
                .bind(from.to_string())
                .bind(tenant.earlier_calls(earlier))
                .bind(self.calendar.today.to_string())
                .execute(&mut *self.tx)
                .await
                .map_err(database(MAKING))?;
        }
        Ok(())
    }

    /// The month's heads of those who are billed by them, each written as its tenant.
    pub(super) async fn make_headcounts(&mut self) -> Result<(), SampleError> {
        const MAKING: &str = "headcounts";
        for tenant in self.tenants.iter().filter(|tenant| tenant.by_heads) {
            become_tenant(&mut self.tx, tenant).await.map_err(database(MAKING))?;
            sqlx::query(include_str!("headcounts.sql"))
                .bind(self.calendar.previous.start.to_string())
                .bind(self.calendar.previous.end.to_string())
                .execute(&mut *self.tx)
                .await
                .map_err(database(MAKING))?;
        }
        Ok(())
    }

    /// What the standing offers of those who have some came to before, each written as its tenant.
    pub(super) async fn make_offers(&mut self) -> Result<(), SampleError> {
        const MAKING: &str = "offers made";
        let seed = self.seed("offers made");
        let offering = |t: &&Tenant| t.status == "active" && t.currency == "JPY";
        for tenant in self.tenants.iter().filter(offering).take(OFFERING) {
            become_tenant(&mut self.tx, tenant).await.map_err(database(MAKING))?;
            sqlx::query(include_str!("offers_made.sql"))
                .bind(seed)
                .bind(self.spec.as_of.to_sqlx())
                .bind(self.calendar.today.to_string())
                .execute(&mut *self.tx)
                .await
                .map_err(database(MAKING))?;
        }
        Ok(())
    }
}

async fn become_tenant(
    tx: &mut Transaction<'_, Postgres>,
    tenant: &Tenant,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT set_config('yakin.tenant', $1, true)")
        .bind(tenant.tenant_id.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
