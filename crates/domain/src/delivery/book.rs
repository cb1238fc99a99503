//! What a tenant's notifications are expanded with: its people, settings and templates.

use std::collections::BTreeMap;

use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::routes::{self, Route};

/// A user who may be written to.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Person {
    pub user_id: i64,
    pub email: String,
    pub name: String,
    /// In E.164 form.
    pub phone: Option<String>,
    /// admin, sales or member.
    pub role: String,
}

/// A template of the tenant's own.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct OwnTemplate {
    pub template_id: i64,
    pub key: String,
    pub channel: String,
    pub language: String,
    pub subject: Option<String>,
    pub body: String,
    pub html: Option<String>,
    pub is_default: bool,
}

/// What a tenant's notifications are expanded with.
#[derive(Clone, Debug)]
pub struct Book {
    pub tenant: String,
    pub language: String,
    pub people: BTreeMap<i64, Person>,
    pub routes: Vec<Route>,
    pub templates: Vec<OwnTemplate>,
}

/// Reads what the tenant's notifications are expanded with. (Bounded by a tenant's users, settings and templates.)
pub async fn read(tx: &mut Tx) -> Result<Book, Stop> {
    let (tenant, language): (String, String) =
        sqlx::query_as("SELECT name, language FROM app.tenants").fetch_one(&mut *tx).await?;
    let people: Vec<Person> = sqlx::query_as(
        "SELECT user_id, email, name, phone, role FROM app.users
          WHERE tenant_id = yakin.current_tenant() AND status = 'active' ORDER BY user_id LIMIT 1000000",
    )
    .fetch_all(&mut *tx)
    .await?;
    let routes = routes::read(tx).await?;
    let templates = sqlx::query_as(
        "SELECT template_id, key, channel, language, subject, body, html, is_default
           FROM app.notification_templates
          WHERE tenant_id = yakin.current_tenant() AND active ORDER BY template_id LIMIT 10000",
    )
    .fetch_all(&mut *tx)
    .await?;
    let people = people.into_iter().map(|p| (p.user_id, p)).collect();
    Ok(Book { tenant, language, people, routes, templates })
}
