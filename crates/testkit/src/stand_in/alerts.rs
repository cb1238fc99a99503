//! A receiver of Alertmanager's webhooks, a path for each receiver's name.

use serde_json::Value;

use super::desk::{Judged, Next, Request, StandIn, Vendor};

/// The receiver's server.
pub type AlertsStandIn = StandIn<Alertmanager>;

/// One alert of a group that was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// `firing` or `resolved`.
    pub status: String,
    pub labels: Value,
    pub annotations: Value,
}

impl Alert {
    /// A label's text; empty when there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels[name].as_str().unwrap_or("")
    }

    /// An annotation's text; empty when there is none.
    pub fn annotation(&self, name: &str) -> &str {
        self.annotations[name].as_str().unwrap_or("")
    }
}

/// A group of alerts as it was told to one receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertsPost {
    /// The path without its slash.
    pub receiver: String,
    pub alerts: Vec<Alert>,
}

/// Alertmanager's rules: version 4 of its messages, for the receiver that the path names.
pub struct Alertmanager;

impl StandIn<Alertmanager> {
    /// A receiver that takes what is told in good form.
    pub async fn start() -> AlertsStandIn {
        StandIn::serve(Alertmanager).await
    }

    /// The address that a receiver of this name tells.
    pub fn url(&self, receiver: &str) -> String {
        format!("{}/{receiver}", self.base_url())
    }
}

impl Vendor for Alertmanager {
    type Post = AlertsPost;

    fn judge(&self, request: &Request) -> Judged<AlertsPost> {
        match check(request) {
            Ok(post) => Judged::Taken(post, Next::status(200)),
            Err(status) => Judged::Refused(Next::status(status)),
        }
    }
}

fn check(request: &Request) -> Result<AlertsPost, u16> {
    if request.method != "POST" {
        return Err(405);
    }
    let body = request.json().ok_or(400_u16)?;
    let receiver = request.path.trim_start_matches('/').to_owned();
    let alerts = body["alerts"].as_array().ok_or(400_u16)?;
    if body["version"] != "4" || body["receiver"] != receiver.as_str() || alerts.is_empty() {
        return Err(400);
    }
    let alert = |told: &Value| Alert {
        status: told["status"].as_str().unwrap_or("").to_owned(),
        labels: told["labels"].clone(),
        annotations: told["annotations"].clone(),
    };
    Ok(AlertsPost { receiver, alerts: alerts.iter().map(alert).collect() })
}
