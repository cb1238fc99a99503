//! Messages: what is to be said becomes one delivery row per recipient and channel, and each row is sent once.
//! `expand` writes rows, `deliver` sends them; BATCH-302, 401, 402, 406 and REALTIME_002 call both.

pub mod ask;
pub mod book;
pub mod content;
pub mod deliver;
pub mod digest;
pub mod expand;
pub mod notices;
pub mod outbox;
pub mod outside;
pub mod pace;
pub mod policy;
pub mod routes;
pub mod senders;
mod sending;
pub mod templates;

pub use deliver::{Delivered, Order, deliver};
pub use expand::{NewDelivery, insert};
pub use outside::Outside;
pub use templates::Templates;

use serde::{Deserialize, Serialize};

/// A way to a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Email,
    Slack,
    Teams,
    LineWorks,
    Webhook,
    InApp,
    Sms,
}

impl Channel {
    /// All of them.
    pub const ALL: [Channel; 7] = [
        Channel::Email,
        Channel::Slack,
        Channel::Teams,
        Channel::LineWorks,
        Channel::Webhook,
        Channel::InApp,
        Channel::Sms,
    ];

    /// Those that BATCH-401 tries first and BATCH-402 afterwards.
    pub const CHAT: [Channel; 4] =
        [Channel::Slack, Channel::Teams, Channel::LineWorks, Channel::Webhook];

    /// Those that REALTIME_002 sends at once. (In-app messages have arrived with their row.)
    pub const AT_ONCE: [Channel; 2] = [Channel::Email, Channel::Sms];

    /// Those that BATCH-402 tries first where nobody else did.
    pub const FIRST_BY_402: [Channel; 5] =
        [Channel::Slack, Channel::Teams, Channel::LineWorks, Channel::Webhook, Channel::Sms];

    /// Its word in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Slack => "slack",
            Channel::Teams => "teams",
            Channel::LineWorks => "line_works",
            Channel::Webhook => "webhook",
            Channel::InApp => "in_app",
            Channel::Sms => "sms",
        }
    }

    /// The channel of a word of the database.
    pub fn of(word: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|c| c.word() == word)
    }
}

/// How urgent a message is; rows of a sender go in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    High = 1,
    Medium = 2,
    Low = 3,
}

impl Urgency {
    /// All of them.
    pub const ALL: [Urgency; 3] = [Urgency::High, Urgency::Medium, Urgency::Low];

    /// Its word in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Urgency::High => "high",
            Urgency::Medium => "medium",
            Urgency::Low => "low",
        }
    }

    /// The urgency of a word of the database.
    pub fn of(word: &str) -> Option<Urgency> {
        match word {
            "high" => Some(Urgency::High),
            "medium" => Some(Urgency::Medium),
            "low" => Some(Urgency::Low),
            _ => None,
        }
    }
}
