//! What an answer means for a delivery and for its sender. Pure: the one authority for later attempts (BATCH-402's
//! table), whoever made the attempt.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use yakin_adapters::Answer;

use super::Channel;

/// What is known of a delivery before its attempt.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    pub channel: Channel,
    /// High priority: an uncertain outcome is tried again (at least once).
    pub high: bool,
    /// Attempts that counted so far.
    pub attempts: i32,
    /// Times in a row it was put off without an attempt.
    pub deferrals: i32,
    /// Why it waits, when it does.
    pub cause: Option<&'a str>,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    pub state: &'static str,
    pub attempts: i32,
    pub deferrals: i32,
    pub due_at: Option<Timestamp>,
    pub cause: Option<&'static str>,
}

/// What becomes of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// It works: failures in a row are forgotten.
    Works,
    /// It failed once more; at [`BREAKER`] in a row it rests for [`REST`].
    Failed,
    /// It rests until then: its rows wait without losing attempts.
    Rests(Timestamp),
    /// Nothing is learnt about it.
    Unchanged,
}

/// Retry rules that a run may narrow.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Caps the channel's retries when given.
    pub most_retries: Option<i32>,
    /// The base interval of retries.
    pub interval: SignedDuration,
    /// Tries within one attempt while the answer is temporary, [`try_again_after`] apart.
    pub tries: i16,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { most_retries: None, interval: SignedDuration::from_hours(1), tries: 1 }
    }
}

/// Temporary failures in a row after which a sender rests.
pub const BREAKER: i32 = 5;
/// How long a sender rests after failures in a row.
pub const REST: SignedDuration = SignedDuration::from_mins(15);
/// How long an unreachable relay is left alone before its connection is tried again.
const RECONNECT: SignedDuration = SignedDuration::from_mins(5);
/// The longest wait between two attempts.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
/// Throttled so often in a row, the next time counts as a failed attempt.
const DEFERRALS: i32 = 3;
/// With a renewed token, one more attempt after this.
const AFTER_AUTH: SignedDuration = SignedDuration::from_mins(30);

/// Retries after the first attempt: mail 3, SMS 3, Slack 5, Teams 3, LINE WORKS 3, webhooks 3.
const fn retries(channel: Channel) -> i32 {
    match channel {
        Channel::Slack => 5,
        Channel::InApp => 0,
        Channel::Email | Channel::Teams | Channel::LineWorks | Channel::Webhook | Channel::Sms => 3,
    }
}

/// How long an attempt waits after its try number `n` (from 1): 2 s, 4 s, 8 s …
pub fn try_again_after(n: i16) -> Duration {
    Duration::from_secs(2_u64.saturating_pow(u32::try_from(n).unwrap_or(1).min(6)))
}

/// Retries of the channel under these rules.
pub fn most_retries(channel: Channel, rules: Rules) -> i32 {
    rules.most_retries.unwrap_or(i32::MAX).min(retries(channel))
}

/// The wait after failure number `n` (from 1): fixed for Slack and LINE WORKS, base × 2^(n−1) for the others.
fn wait(channel: Channel, n: i32, rules: Rules) -> SignedDuration {
    let doublings = match channel {
        Channel::Slack | Channel::LineWorks => 0,
        _ => u32::try_from(n - 1).unwrap_or(0).min(10),
    };
    rules.interval.saturating_mul(2_i32.pow(doublings)).min(LONGEST)
}

/// How long a throttled row waits when the receiver does not say: the specification's figures.
const fn throttled_wait(channel: Channel) -> SignedDuration {
    SignedDuration::from_secs(match channel {
        Channel::Email => 1800,
        Channel::Teams => 120,
        Channel::LineWorks => 90,
        Channel::Slack | Channel::Webhook | Channel::InApp | Channel::Sms => 60,
    })
}

/// Judges an answer. `slot` is the instant the run stands for: intervals count from it, so that the run that many
/// hours later finds the row due; `now` is when the answer came.
pub fn judge(
    before: Before<'_>,
    answer: &Answer,
    rules: Rules,
    slot: Timestamp,
    now: Timestamp,
) -> (After, Sender) {
    let mail = before.channel == Channel::Email;
    match answer {
        Answer::Sent { .. } => (ended(before, "sent", None, 1), Sender::Works),
        Answer::Temporary { .. } => (failed_once(before, "temporary", rules, slot), Sender::Failed),
        Answer::Permanent { .. } => (ended(before, "failed", Some("permanent"), 1), Sender::Works),
        Answer::Auth { .. } if mail => {
            (put_off(before, "auth", slot + rules.interval), Sender::Rests(now + REST))
        }
        Answer::Auth { .. } if before.cause == Some("auth") => {
            (ended(before, "failed", Some("auth"), 1), Sender::Unchanged)
        }
        Answer::Auth { .. } => {
            let after = After {
                state: "retry_wait",
                attempts: before.attempts + 1,
                deferrals: 0,
                due_at: Some(slot + AFTER_AUTH),
                cause: Some("auth"),
            };
            (after, Sender::Unchanged)
        }
        Answer::Throttled { wait, .. } => {
            let until = until_asked(before.channel, *wait, now);
            let sender = if mail { Sender::Rests(until) } else { Sender::Unchanged };
            if before.deferrals >= DEFERRALS {
                return (failed_once(before, "throttled", rules, slot), sender);
            }
            (put_off(before, "throttled", until), sender)
        }
        Answer::Unreachable { .. } => {
            (put_off(before, "unreachable", slot + rules.interval), Sender::Failed)
        }
        Answer::Uncertain { .. } if before.high => {
            (failed_once(before, "uncertain", rules, slot), Sender::Failed)
        }
        Answer::Uncertain { .. } => {
            (ended(before, "uncertain", Some("uncertain"), 1), Sender::Failed)
        }
    }
}

/// Until when a relay rests that could not be reached before any row was touched: no attempt is used.
pub fn unreached(answer: &Answer, now: Timestamp) -> Timestamp {
    match answer {
        Answer::Throttled { wait, .. } => until_asked(Channel::Email, *wait, now),
        Answer::Auth { .. } | Answer::Permanent { .. } => now + REST,
        _ => now + RECONNECT,
    }
}

/// As long as the receiver asks for, a day at the most; else the channel's own figure.
fn until_asked(channel: Channel, wait: Option<Duration>, now: Timestamp) -> Timestamp {
    let asked = wait.and_then(|w| SignedDuration::try_from(w).ok());
    now + asked.unwrap_or(throttled_wait(channel)).min(LONGEST)
}

fn ended(
    before: Before<'_>,
    state: &'static str,
    cause: Option<&'static str>,
    counted: i32,
) -> After {
    After { state, attempts: before.attempts + counted, deferrals: 0, due_at: None, cause }
}

fn put_off(before: Before<'_>, cause: &'static str, until: Timestamp) -> After {
    After {
        state: "retry_wait",
        attempts: before.attempts,
        deferrals: before.deferrals + 1,
        due_at: Some(until),
        cause: Some(cause),
    }
}

fn failed_once(before: Before<'_>, cause: &'static str, rules: Rules, slot: Timestamp) -> After {
    let attempts = before.attempts + 1;
    if attempts > most_retries(before.channel, rules) {
        return After { state: "failed", attempts, deferrals: 0, due_at: None, cause: Some(cause) };
    }
    let due_at = Some(slot + wait(before.channel, attempts, rules));
    After { state: "retry_wait", attempts, deferrals: 0, due_at, cause: Some(cause) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: &str = "2026-11-01T10:45:00+09:00";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn before(channel: Channel, attempts: i32) -> Before<'static> {
        Before { channel, high: false, attempts, deferrals: 0, cause: None }
    }

    fn temporary() -> Answer {
        Answer::Temporary { reason: "503".to_owned() }
    }

    /// Hours from the slot to the next attempt after each failure, until it has failed.
    fn hours(channel: Channel) -> Vec<i64> {
        let mut waits = Vec::new();
        for attempts in 0.. {
            let slot = at(SLOT);
            let rules = Rules::default();
            let (after, _) = judge(before(channel, attempts), &temporary(), rules, slot, slot);
            let Some(due) = after.due_at else {
                assert_eq!((after.state, after.attempts), ("failed", attempts + 1));
                return waits;
            };
            waits.push(due.duration_since(slot).as_secs() / 3600);
        }
        waits
    }

    #[test]
    fn each_channel_has_its_retries_and_waits() {
        assert_eq!(hours(Channel::Email), [1, 2, 4]);
        assert_eq!(hours(Channel::Slack), [1, 1, 1, 1, 1]);
        assert_eq!(hours(Channel::Teams), [1, 2, 4]);
        assert_eq!(hours(Channel::LineWorks), [1, 1, 1]);
    }

    #[test]
    fn an_operators_cap_and_interval_narrow_the_table() {
        let interval = SignedDuration::from_mins(10);
        let rules = Rules { most_retries: Some(1), interval, tries: 1 };
        let slot = at(SLOT);
        let (first, _) = judge(before(Channel::Slack, 0), &temporary(), rules, slot, slot);
        assert_eq!(first.due_at, Some(at("2026-11-01T10:55:00+09:00")));
        let (second, _) = judge(before(Channel::Slack, 1), &temporary(), rules, slot, slot);
        assert_eq!(second.state, "failed");
    }

    #[test]
    fn throttling_uses_no_attempt_three_times_in_a_row() {
        let (slot, now) = (at(SLOT), at("2026-11-01T10:45:30+09:00"));
        let wait = Some(std::time::Duration::from_secs(120));
        let answer = Answer::Throttled { wait, reason: "429".to_owned() };
        let mut row = before(Channel::Slack, 0);
        for deferrals in 1..=3 {
            let (after, sender) = judge(row, &answer, Rules::default(), slot, now);
            assert_eq!((after.attempts, after.deferrals), (0, deferrals));
            assert_eq!(after.due_at, Some(at("2026-11-01T10:47:30+09:00")));
            assert_eq!(sender, Sender::Unchanged);
            row.deferrals = after.deferrals;
        }
        let (after, _) = judge(row, &answer, Rules::default(), slot, now);
        assert_eq!((after.attempts, after.deferrals), (1, 0));
    }

    #[test]
    fn a_throttling_relay_rests_as_a_whole() {
        let slot = at(SLOT);
        let answer = Answer::Throttled { wait: None, reason: "450".to_owned() };
        let (after, sender) =
            judge(before(Channel::Email, 0), &answer, Rules::default(), slot, slot);
        assert_eq!((after.attempts, after.due_at), (0, Some(at("2026-11-01T11:15:00+09:00"))));
        assert_eq!(sender, Sender::Rests(at("2026-11-01T11:15:00+09:00")));
    }

    #[test]
    fn a_refused_token_is_tried_once_more_a_refused_relay_login_is_nobodys_fault() {
        let slot = at(SLOT);
        let answer = Answer::Auth { reason: "invalid_auth".to_owned() };
        let (after, _) = judge(before(Channel::Slack, 0), &answer, Rules::default(), slot, slot);
        assert_eq!((after.state, after.attempts), ("retry_wait", 1));
        let again = Before { cause: Some("auth"), ..before(Channel::Slack, 1) };
        let (after, _) = judge(again, &answer, Rules::default(), slot, slot);
        assert_eq!((after.state, after.attempts), ("failed", 2));
        let (after, sender) =
            judge(before(Channel::Email, 0), &answer, Rules::default(), slot, slot);
        assert_eq!((after.state, after.attempts), ("retry_wait", 0));
        assert!(matches!(sender, Sender::Rests(_)));
    }

    #[test]
    fn uncertain_is_final_unless_it_is_urgent() {
        let slot = at(SLOT);
        let answer = Answer::Uncertain { reason: "no reply".to_owned() };
        let (after, _) = judge(before(Channel::Teams, 0), &answer, Rules::default(), slot, slot);
        assert_eq!((after.state, after.due_at), ("uncertain", None));
        let urgent = Before { high: true, ..before(Channel::Teams, 0) };
        let (after, _) = judge(urgent, &answer, Rules::default(), slot, slot);
        assert_eq!((after.state, after.attempts), ("retry_wait", 1));
    }
}
