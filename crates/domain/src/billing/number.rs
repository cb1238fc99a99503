//! Invoice numbers: `INV-YYYYMM-<tenant code>-<serial>`, gap-free per tenant and billed month.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use yakin_engine::tx::Tx;

/// Draws the next number of the tenant for the month that begins at `month`. Only inside the issuing transaction: a
/// rollback gives the number back.
pub async fn draw(tx: &mut Tx, tenant_code: &str, month: Date) -> Result<String, sqlx::Error> {
    let serial: i32 = sqlx::query_scalar(include_str!("next_serial.sql"))
        .bind(month.first_of_month().to_sqlx())
        .fetch_one(tx)
        .await?;
    Ok(format!("INV-{}-{tenant_code}-{serial:04}", month.strftime("%Y%m")))
}
