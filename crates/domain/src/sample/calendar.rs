//! The days of the sample world, all seen from its "now": two whole months, the days with logs, how busy each is.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use yakin_engine::days::{Days, after, day_of};

/// The days that matter, as half-open ranges of Tokyo days.
pub(super) struct Calendar {
    pub today: Date,
    /// The month that will be billed next.
    pub previous: Days,
    /// The month before it, which has its invoices already.
    pub earlier: Days,
    /// The days with raw logs; the last one, today, is cut at "now".
    pub logs: Days,
}

impl Calendar {
    /// `days` is how many days of logs to make before today, by default back to the first of the previous month.
    pub fn new(as_of: Timestamp, days: Option<u32>) -> Calendar {
        let today = day_of(as_of);
        let previous = Days::month_of(after(today.first_of_month(), -1));
        let earlier = Days::month_of(after(previous.start, -1));
        let start = days.map_or(previous.start, |days| after(today, -i64::from(days)));
        Calendar { today, previous, earlier, logs: Days { start, end: after(today, 1) } }
    }

    /// The day of the previous month with this number, or its last one.
    pub fn of_previous(&self, number: i64) -> Date {
        after(self.previous.start, number.min(self.previous.count()) - 1)
    }

    /// Hours of the previous month: what monthly amounts of compute and network are spread over.
    pub fn hours(&self) -> i64 {
        self.previous.count() * 24
    }
}

/// How busy a day is, in percent of the mean day of a week.
pub(super) fn busyness(day: Date) -> i32 {
    match day.weekday() {
        Weekday::Saturday => 30,
        Weekday::Sunday => 20,
        _ => 130,
    }
}

/// The busyness of all days of a range together.
pub(super) fn total_busyness(days: Days) -> i64 {
    days.each().map(|day| i64::from(busyness(day))).sum()
}
