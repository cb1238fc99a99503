//! Periods: half-open ranges of Tokyo days, and the rules that give a run its period.

use jiff::civil::{Date, Weekday};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::clock::tokyo;
use crate::spec::Period;

/// Days from `start` up to, and not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days {
    pub start: Date,
    pub end: Date,
}

impl Days {
    /// The single day `date`.
    pub fn one(date: Date) -> Days {
        Days { start: date, end: after(date, 1) }
    }

    /// The calendar month that holds `date`.
    pub fn month_of(date: Date) -> Days {
        let start = date.first_of_month();
        Days { start, end: after(date.last_of_month(), 1) }
    }

    /// The ISO week (Monday to Sunday) that holds `date`.
    pub fn week_of(date: Date) -> Days {
        let start = after(date, -i64::from(date.weekday().since(Weekday::Monday)));
        Days { start, end: after(start, 7) }
    }

    /// The first instant, and the first instant after the last, in Asia/Tokyo.
    pub fn instants(&self) -> (Timestamp, Timestamp) {
        (midnight(self.start), midnight(self.end))
    }

    /// Each day in order.
    pub fn each(&self) -> impl Iterator<Item = Date> + use<> {
        let (mut next, end) = (self.start, self.end);
        std::iter::from_fn(move || {
            let day = (next < end).then_some(next)?;
            next = after(day, 1);
            Some(day)
        })
    }

    /// How many days.
    pub fn count(&self) -> i64 {
        i64::from((self.end - self.start).get_days())
    }

    /// Whether `date` lies within.
    pub fn contains(&self, date: Date) -> bool {
        self.start <= date && date < self.end
    }
}

impl std::fmt::Display for Days {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole_month = *self == Days::month_of(self.start);
        match self.count() {
            1 => write!(f, "{}", self.start),
            _ if whole_month => write!(f, "{}", self.start.strftime("%Y-%m")),
            _ => write!(f, "{}..{}", self.start, after(self.end, -1)),
        }
    }
}

/// `date` moved by `days`, clamped to the calendar's range (years -9999 to 9999).
pub fn after(date: Date, days: i64) -> Date {
    date.saturating_add(days.days())
}

/// The first instant of `date` in Asia/Tokyo.
pub fn midnight(date: Date) -> Timestamp {
    date.to_zoned(tokyo()).map(|z| z.timestamp()).unwrap_or(Timestamp::MIN)
}

/// The Tokyo day of `instant`.
pub fn day_of(instant: Timestamp) -> Date {
    instant.to_zoned(tokyo()).date()
}

/// The Tokyo time of `instant` as people write it: `2026-11-01 02:00`.
pub fn clock_text(instant: Timestamp) -> String {
    instant.to_zoned(tokyo()).strftime("%Y-%m-%d %H:%M").to_string()
}

impl Period {
    /// The period of a firing planned at `instant`; `None` for batches that work on no period.
    pub fn at(self, instant: Timestamp) -> Option<Days> {
        let today = day_of(instant);
        Some(match self {
            Period::None => return None,
            Period::Day => Days::one(today),
            Period::DayBefore => Days::one(after(today, -1)),
            Period::WeekBefore => Days::week_of(after(today, -7)),
            Period::MonthBefore => Days::month_of(after(today.first_of_month(), -1)),
        })
    }

    /// The period that holds `date`, as `--date` and `targetDate` name it (any day of it).
    pub fn holding(self, date: Date) -> Option<Days> {
        Some(match self {
            Period::None => return None,
            Period::Day | Period::DayBefore => Days::one(date),
            Period::WeekBefore => Days::week_of(date),
            Period::MonthBefore => Days::month_of(date),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_month_before_the_first_of_march_is_february_with_its_own_length() {
        let planned = date(2028, 3, 1).at(2, 0, 0, 0).to_zoned(tokyo()).unwrap().timestamp();
        let days = Period::MonthBefore.at(planned).unwrap();
        assert_eq!((days.start, days.end, days.count()), (date(2028, 2, 1), date(2028, 3, 1), 29));
        assert_eq!(days.to_string(), "2028-02");
    }

    #[test]
    fn a_day_ends_where_the_next_begins_and_tokyo_midnight_is_fifteen_utc() {
        let (start, end) = Days::one(date(2026, 10, 31)).instants();
        assert_eq!(start.to_string(), "2026-10-30T15:00:00Z");
        assert_eq!(end, Days::one(date(2026, 11, 1)).instants().0);
        assert_eq!(day_of(start), date(2026, 10, 31));
    }

    #[test]
    fn a_week_runs_from_monday_to_sunday() {
        let days = Days::week_of(date(2026, 11, 22));
        assert_eq!((days.start, days.end), (date(2026, 11, 16), date(2026, 11, 23)));
    }
}
