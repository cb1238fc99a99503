//! The months a monthly report speaks of: its own, the one before, the same of the year before; and the days of it that
//! were not measured.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use yakin_engine::days::{Days, after};
use yakin_engine::outcome::{Cause, Stop};

/// A report's own month, the month before, and the same month of the year before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Months {
    pub this: Days,
    pub before: Days,
    pub year_ago: Days,
}

impl Months {
    /// Those of a month, which must be over at `today`.
    pub fn of(month: Days, today: Date) -> Result<Months, Stop> {
        if today < month.end {
            let why = format!("{month} is not over yet; name an earlier month");
            return Err(Stop::give_up(Cause::Data, why));
        }
        Ok(Months {
            this: month,
            before: Days::month_of(after(month.start, -1)),
            year_ago: Days::month_of(month.start.saturating_sub(1.year())),
        })
    }

    /// The three, in the order of a comparison's columns.
    pub fn each(&self) -> [Days; 3] {
        [self.this, self.before, self.year_ago]
    }

    /// Their first days, for statements.
    pub fn starts(&self) -> Vec<jiff_sqlx::Date> {
        self.each().iter().map(|m| m.start.to_sqlx()).collect()
    }

    /// Of rows by month, those of the three; none where a month has no row.
    pub fn pick<T: Clone>(&self, rows: &[T], first: impl Fn(&T) -> Date) -> [Option<T>; 3] {
        self.each().map(|month| rows.iter().find(|row| first(row) == month.start).cloned())
    }
}

/// Days as a cover names them: `10-03, 10-07 – 10-09`; runs of days are joined.
pub fn named(days: &[Date]) -> String {
    let mut runs: Vec<(Date, Date)> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some((_, last)) if after(*last, 1) == *day => *last = *day,
            _ => runs.push((*day, *day)),
        }
    }
    let text = |day: Date| day.strftime("%m-%d").to_string();
    let named: Vec<String> = runs
        .into_iter()
        .map(|(first, last)| {
            if first == last { text(first) } else { format!("{} – {}", text(first), text(last)) }
        })
        .collect();
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_months_of_january_and_of_a_leap_february() {
        let of = |month: Date| Months::of(Days::month_of(month), date(2030, 1, 1)).unwrap();
        let january = of(date(2027, 1, 9));
        assert_eq!(january.before, Days::month_of(date(2026, 12, 1)));
        assert_eq!(of(date(2028, 2, 29)).year_ago, Days::month_of(date(2027, 2, 1)));
        let month = Days::month_of(date(2027, 1, 1));
        assert!(Months::of(month, date(2027, 1, 31)).is_err());
        assert!(Months::of(month, date(2027, 2, 1)).is_ok());
    }

    #[test]
    fn days_in_a_row_are_named_by_their_ends() {
        let days = [3, 7, 8, 9, 31].map(|d| date(2026, 10, d));
        assert_eq!(named(&days), "10-03, 10-07 – 10-09, 10-31");
        assert_eq!(named(&[]), "");
    }
}
