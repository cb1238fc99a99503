//! A month as people write it: `2026-10`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use yakin_engine::days::Days;

/// A Tokyo month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(Date);

impl Month {
    /// Its days.
    pub fn days(self) -> Days {
        Days::month_of(self.0)
    }

    /// What its package is called.
    pub fn package(self) -> String {
        format!("yakin-evidence-{self}")
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Month, String> {
        let refused = || format!("'{text}' is no month, such as 2026-10");
        let digits = |c: &str| c.bytes().all(|b| b.is_ascii_digit());
        let (year, month) = text.split_once('-').ok_or_else(refused)?;
        if year.len() != 4 || month.len() != 2 || !digits(year) || !digits(month) {
            return Err(refused());
        }
        let day: Date = format!("{text}-01").parse().map_err(|_| refused())?;
        if !(2000..=2999).contains(&day.year()) {
            return Err(refused());
        }
        Ok(Month(day))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_read_as_it_is_written_and_nothing_else_is_one() {
        let month: Month = "2026-02".parse().unwrap();
        assert_eq!((month.to_string().as_str(), month.days().count()), ("2026-02", 28));
        for wrong in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "26-10",
            "2026-1",
            "2026-10-01",
            "2026-1\0",
            "２０２６-10",
            "0000-01",
        ] {
            assert!(wrong.parse::<Month>().is_err(), "{wrong:?}");
        }
    }
}
