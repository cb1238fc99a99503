//! Where a tenant wants to be told: its notification settings, and which of them a message may take.

use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::Channel;

/// A notification setting.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Route {
    pub setting_id: i64,
    pub key: String,
    pub channel: String,
    pub integration_id: Option<i64>,
    pub target: Option<String>,
    pub integration: Option<String>,
    /// usable, disabled (the setting or its integration), or invalid (found broken by its last check).
    pub standing: String,
}

/// Reads all settings of the tenant.
pub async fn read(tx: &mut Tx) -> Result<Vec<Route>, Stop> {
    Ok(sqlx::query_as(include_str!("routes.sql")).fetch_all(tx).await?)
}

/// The usable settings for this kind of message; where nobody has set anything, mail. None where all are disabled; an
/// error where only invalid ones are left.
pub fn of(key: &str, settings: &[Route]) -> Result<Vec<Route>, String> {
    let found: Vec<&Route> = settings.iter().filter(|r| r.key == key || r.key == "*").collect();
    if found.is_empty() {
        return Ok(vec![by_mail(key)]);
    }
    let with = |standing| found.iter().filter(move |r| r.standing == standing);
    let usable: Vec<Route> = with("usable").map(|r| (*r).clone()).collect();
    match with("invalid").next() {
        Some(broken) if usable.is_empty() => {
            Err(format!("route: setting {} is invalid", broken.setting_id))
        }
        _ => Ok(usable),
    }
}

fn by_mail(key: &str) -> Route {
    Route {
        setting_id: 0,
        key: key.to_owned(),
        channel: Channel::Email.word().to_owned(),
        integration_id: None,
        target: None,
        integration: None,
        standing: "usable".to_owned(),
    }
}
