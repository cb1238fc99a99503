//! Vendors' servers as tests need them: they check what the vendors check, keep what they
//! accepted in order, and misbehave on demand.

mod alerts;
mod desk;
mod line_works;
mod slack;
mod sms;
pub mod smtp;
mod teams;
mod webhook;

pub use alerts::{Alert, AlertsPost, AlertsStandIn};
pub use desk::{Next, Request, StandIn};
pub use line_works::{LineWorksPost, LineWorksStandIn, other_rsa_key_pem};
pub use slack::{SlackPost, SlackStandIn};
pub use sms::{SmsPost, SmsStandIn};
pub use teams::{TeamsPost, TeamsStandIn};
pub use webhook::{WebhookPost, WebhookStandIn};
