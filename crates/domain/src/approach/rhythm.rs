//! When a standing offer is due: daily, weekly or monthly at a local time, counted from the scheduled time. Pure.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// A rhythm in a zone. A time in a daylight-saving gap is at the gap's end, in a fold once.
#[derive(Clone, Debug)]
pub struct Rhythm {
    pub every: Every,
    pub at: Time,
    pub zone: TimeZone,
}

/// Its days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    Day,
    Week(Weekday),
    /// On this day, cut to the last one of a shorter month.
    Month(i8),
}

/// More due times than this at once are no downtime but a mistake.
pub const MOST_SLOTS: usize = 5_000;

impl Rhythm {
    /// The first time after a scheduled one.
    pub fn after(&self, slot: Timestamp) -> Timestamp {
        let day = slot.to_zoned(self.zone.clone()).date();
        self.instant(self.every.after(day))
    }

    /// The scheduled time before this one.
    pub fn before(&self, slot: Timestamp) -> Timestamp {
        let day = slot.to_zoned(self.zone.clone()).date();
        self.instant(self.every.before(day))
    }

    /// The due times from `first` up to and with `now`, and the next one; `None` when they are too many.
    pub fn slots(&self, first: Timestamp, now: Timestamp) -> Option<(Vec<Timestamp>, Timestamp)> {
        let (mut slots, mut next) = (Vec::new(), first);
        while next <= now {
            if slots.len() == MOST_SLOTS {
                return None;
            }
            slots.push(next);
            next = self.after(next);
        }
        Some((slots, next))
    }

    fn instant(&self, day: Date) -> Timestamp {
        let local = self.zone.to_ambiguous_timestamp(day.to_datetime(self.at));
        let gap = matches!(local.offset(), AmbiguousOffset::Gap { .. });
        let instant = local.compatible().unwrap_or(Timestamp::MAX);
        if !gap {
            return instant;
        }
        self.zone.preceding(instant).next().map_or(instant, |change| change.timestamp())
    }
}

impl Every {
    fn after(self, day: Date) -> Date {
        match self {
            Every::Day => day.saturating_add(1.day()),
            Every::Week(weekday) => day.nth_weekday(1, weekday).unwrap_or(Date::MAX),
            Every::Month(number) => {
                let this = cut(day.first_of_month(), number);
                let next = day.first_of_month().saturating_add(1.month());
                if this > day { this } else { cut(next, number) }
            }
        }
    }

    fn before(self, day: Date) -> Date {
        match self {
            Every::Day => day.saturating_sub(1.day()),
            Every::Week(weekday) => day.nth_weekday(-1, weekday).unwrap_or(Date::MIN),
            Every::Month(number) => {
                let this = cut(day.first_of_month(), number);
                let earlier = day.first_of_month().saturating_sub(1.month());
                if this < day { this } else { cut(earlier, number) }
            }
        }
    }
}

/// Day `number` of the month that begins with `first`, or its last one.
fn cut(first: Date, number: i8) -> Date {
    let last = first.last_of_month();
    first.with().day(number.clamp(1, last.day())).build().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::time;

    fn days(every: Every, zone: &str, first: &str, n: usize) -> Vec<String> {
        let rhythm = Rhythm { every, at: time(9, 0, 0, 0), zone: TimeZone::get(zone).unwrap() };
        let mut at: Timestamp = first.parse().unwrap();
        let next = |_| {
            let before = at;
            at = rhythm.after(at);
            assert_eq!(rhythm.before(at), before);
            at.to_zoned(rhythm.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
        };
        (0..n).map(next).collect()
    }

    #[test]
    fn the_31st_is_cut_to_shorter_months_and_comes_back() {
        let got = days(Every::Month(31), "Asia/Tokyo", "2025-01-31T09:00:00+09:00", 4);
        assert_eq!(
            got,
            ["2025-02-28 09:00", "2025-03-31 09:00", "2025-04-30 09:00", "2025-05-31 09:00"]
        );
        let leap = days(Every::Month(30), "Asia/Tokyo", "2028-01-30T09:00:00+09:00", 2);
        assert_eq!(leap, ["2028-02-29 09:00", "2028-03-30 09:00"]);
    }

    #[test]
    fn a_week_later_is_the_same_weekday_at_the_same_local_time() {
        let monday = Every::Week(Weekday::Monday);
        let got = days(monday, "Asia/Tokyo", "2026-11-02T09:00:00+09:00", 2);
        assert_eq!(got, ["2026-11-09 09:00", "2026-11-16 09:00"]);
        let across = days(monday, "America/New_York", "2026-10-26T09:00:00-04:00", 1);
        assert_eq!(across, ["2026-11-02 09:00"], "standard time since the day before");
    }

    #[test]
    fn a_time_in_a_gap_is_at_its_end() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let rhythm = Rhythm { every: Every::Day, at: time(2, 30, 0, 0), zone };
        let next = rhythm.after("2026-03-07T07:30:00Z".parse().unwrap());
        assert_eq!(next.to_string(), "2026-03-08T07:00:00Z");
        assert_eq!(rhythm.after(next).to_string(), "2026-03-09T06:30:00Z");
    }

    #[test]
    fn missed_times_are_all_told_and_the_next_lies_ahead() {
        let rhythm = Rhythm {
            every: Every::Day,
            at: time(9, 0, 0, 0),
            zone: TimeZone::get("Asia/Tokyo").unwrap(),
        };
        let first = "2026-11-01T09:00:00+09:00".parse().unwrap();
        let (slots, next) =
            rhythm.slots(first, "2026-11-03T09:00:00+09:00".parse().unwrap()).unwrap();
        assert_eq!((slots.len(), next.to_string().as_str()), (3, "2026-11-04T00:00:00Z"));
        let (none, same) =
            rhythm.slots(first, "2026-11-01T08:59:59+09:00".parse().unwrap()).unwrap();
        assert_eq!((none.len(), same), (0, first));
        assert_eq!(rhythm.slots(Timestamp::UNIX_EPOCH, first), None);
    }
}
