//! Schedules as text, and their instants. Pure.

use croner::Cron;
use croner::parser::CronParser;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::tokyo;
use crate::spec::Schedule;

/// A schedule that can be asked for its next instant.
#[derive(Clone, Debug)]
pub enum Plan {
    /// A fixed time in a daylight-saving gap fires once at the gap's end, in a fold once.
    Cron(Box<Cron>, TimeZone),
    /// Multiples of so many seconds since the epoch; never pauses.
    Every(i64),
    /// Nothing by itself: a person or an arrival starts it.
    Never,
}

/// How the schedule of a batch begins that waits for what arrives; the topic follows.
const ARRIVALS: &str = "on ";

impl Plan {
    /// Reads `30 1 * * *`, `TZ=America/New_York 30 2 * * *`, `every 300s`, `on deliveries` or `manual`.
    pub fn parse(text: &str) -> Result<Plan, String> {
        let text = text.trim();
        if text == "manual" || text.starts_with(ARRIVALS) {
            return Ok(Plan::Never);
        }
        let expected = "expected five cron fields such as '30 1 * * *', 'every 300s' or 'manual'";
        if let Some(every) = text.strip_prefix("every ") {
            let seconds = every.strip_suffix('s').and_then(|n| n.trim().parse::<i64>().ok());
            return match seconds {
                Some(s) if (1..=604_800).contains(&s) => Ok(Plan::Every(s)),
                _ => Err(format!(
                    "schedule '{text}' is not an interval of 1s to 604800s; {expected}"
                )),
            };
        }
        let (zone, fields) = match text.strip_prefix("TZ=").and_then(|rest| rest.split_once(' ')) {
            Some((name, fields)) => {
                let zone = TimeZone::get(name)
                    .map_err(|_| format!("schedule '{text}': unknown time zone '{name}'"))?;
                (zone, fields)
            }
            None => (tokyo(), text),
        };
        if fields.split_whitespace().count() != 5 {
            return Err(format!("schedule '{text}' has not five fields; {expected}"));
        }
        let cron = CronParser::new()
            .parse(fields)
            .map_err(|e| format!("schedule '{text}': {e}; {expected}"))?;
        Ok(Plan::Cron(Box::new(cron), zone))
    }

    /// The first instant after `instant`.
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        match self {
            Plan::Never => None,
            Plan::Every(seconds) => {
                Timestamp::from_second((instant.as_second().div_euclid(*seconds) + 1) * seconds)
                    .ok()
            }
            Plan::Cron(cron, zone) => {
                let from = instant.to_zoned(zone.clone());
                cron.find_next_occurrence(&from, false)
                    .ok()
                    .map(|z| z.timestamp())
                    .filter(|t| *t > instant)
            }
        }
    }
}

/// A spec's schedule as the text that `yakin set BATCH schedule=…` takes.
pub fn text(schedule: Schedule) -> String {
    match schedule {
        Schedule::Cron(fields) => fields.to_owned(),
        Schedule::Interval(seconds) => format!("every {seconds}s"),
        Schedule::Arrivals(topic) => format!("{ARRIVALS}{topic}"),
        Schedule::Manual => "manual".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instants(text: &str, from: &str, n: usize) -> Vec<String> {
        let plan = Plan::parse(text).unwrap();
        let mut at: Timestamp = from.parse().unwrap();
        (0..n)
            .map(|_| {
                at = plan.next_after(at).unwrap();
                at.to_string()
            })
            .collect()
    }

    #[test]
    fn half_past_one_in_tokyo_is_the_evening_before_in_utc() {
        assert_eq!(
            instants("30 1 * * *", "2026-10-31T00:00:00Z", 2),
            ["2026-10-31T16:30:00Z", "2026-11-01T16:30:00Z"]
        );
    }

    #[test]
    fn in_new_yorks_gap_it_fires_once_at_the_gaps_end() {
        // 2026-03-08: 02:00 EST becomes 03:00 EDT = 07:00 UTC
        assert_eq!(
            instants("TZ=America/New_York 30 2 * * *", "2026-03-07T12:00:00Z", 2),
            ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]
        );
    }

    #[test]
    fn in_new_yorks_fold_it_fires_once() {
        // 2026-11-01: 02:00 EDT becomes 01:00 EST; 01:30 exists twice
        assert_eq!(
            instants("TZ=America/New_York 30 1 * * *", "2026-10-31T12:00:00Z", 2),
            ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]
        );
    }

    #[test]
    fn intervals_never_pause_at_clock_changes() {
        let hours = instants("every 1800s", "2026-03-08T06:45:00Z", 3);
        assert_eq!(hours, ["2026-03-08T07:00:00Z", "2026-03-08T07:30:00Z", "2026-03-08T08:00:00Z"]);
    }

    #[test]
    fn mistakes_say_what_was_expected() {
        for bad in ["61 * * * *", "1 2 3", "every 0s", "every soon", "TZ=Mars/Base 1 1 * * *", ""] {
            let message = Plan::parse(bad).unwrap_err();
            assert!(message.contains("schedule"), "{bad}: {message}");
        }
    }
}
