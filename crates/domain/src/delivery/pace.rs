//! The pace and the rests of senders, shared by all nodes: how much one may carry now, and what was learnt of it.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::policy::{BREAKER, REST, Sender};

/// Whose pace and pauses count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pace {
    Integration(i64),
    Relay { name: String, rate_per_minute: i64 },
}

/// What a sender may carry now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// So many messages; they count as sent. None when the rate of this minute is spent.
    Rows(usize),
    /// It rests or may not be used any more, by what another attempt, node or person found since it was chosen.
    Closed,
}

/// Asks for `wanted` messages in the minute of `now`.
pub async fn grant(
    tx: &mut Tx,
    pace: &Pace,
    wanted: usize,
    now: Timestamp,
) -> Result<Granted, Stop> {
    let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
    let minute = minute_of(now).to_sqlx();
    let granted: Option<i32> = match pace {
        Pace::Integration(id) => {
            sqlx::query_scalar(include_str!("grant_integration.sql"))
                .bind(id)
                .bind(wanted)
                .bind(minute)
                .bind(now.to_sqlx())
                .fetch_optional(tx)
                .await?
        }
        Pace::Relay { name, rate_per_minute } => {
            sqlx::query_scalar(include_str!("grant_relay.sql"))
                .bind(name)
                .bind(wanted)
                .bind(minute)
                .bind(now.to_sqlx())
                .bind(i32::try_from(*rate_per_minute).unwrap_or(i32::MAX))
                .fetch_optional(tx)
                .await?
        }
    };
    Ok(match granted {
        Some(rows) => Granted::Rows(usize::try_from(rows).unwrap_or(0)),
        None => Granted::Closed,
    })
}

/// The beginning of the minute after `now`, when a spent rate is full again.
pub fn next_minute(now: Timestamp) -> Timestamp {
    minute_of(now) + jiff::SignedDuration::from_mins(1)
}

pub(super) fn minute_of(now: Timestamp) -> Timestamp {
    let second = now.as_second();
    Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(now)
}

/// Notes what was learnt about a sender; returns how often it has failed in a row by what all nodes saw, and whether it
/// rests now.
pub async fn learn(
    tx: &mut Tx,
    pace: &Pace,
    learnt: Sender,
    reason: &str,
    now: Timestamp,
) -> Result<(i32, bool), Stop> {
    let failed = learnt == Sender::Failed;
    let rest = match learnt {
        Sender::Rests(until) => Some(until),
        Sender::Failed => Some(now + REST),
        Sender::Works | Sender::Unchanged => None,
    };
    let change = match pace {
        Pace::Integration(id) => sqlx::query_as(include_str!("learn_integration.sql")).bind(id),
        Pace::Relay { name, .. } => sqlx::query_as(include_str!("learn_relay.sql")).bind(name),
    };
    let learnt: Option<(i32, bool)> = change
        .bind(failed)
        .bind(rest.map(|r| r.to_sqlx()))
        .bind(reason)
        .bind(BREAKER)
        .bind(now.to_sqlx())
        .fetch_optional(tx)
        .await?;
    // a sender that is gone carries nothing more
    Ok(learnt.unwrap_or((0, true)))
}
