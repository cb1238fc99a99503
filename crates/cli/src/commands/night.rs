//! Instants, days and ranges as people type them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use yakin_engine::clock::tokyo;

use crate::output::UsageError;

/// `2026-11-01 02:00` in Tokyo, or an instant with its offset.
pub fn instant(text: &str) -> Result<Timestamp, UsageError> {
    let expected = || {
        UsageError(format!(
            "'{text}' is no instant; expected Tokyo time such as '2026-11-01 02:00'"
        ))
    };
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let local: DateTime = text.trim().replacen(' ', "T", 1).parse().map_err(|_| expected())?;
    local.to_zoned(tokyo()).map(|z| z.timestamp()).map_err(|_| expected())
}

/// A day.
pub fn day(text: &str) -> Result<Date, UsageError> {
    text.parse().map_err(|_| {
        UsageError(format!("'{text}' is no date; expected YYYY-MM-DD such as 2026-10-31"))
    })
}

/// A day, or each day of `D..D`; at most 400.
pub fn days(text: &str) -> Result<Vec<Date>, UsageError> {
    let Some((from, to)) = text.split_once("..") else { return Ok(vec![day(text)?]) };
    let (from, to) = (day(from)?, day(to)?);
    if to < from {
        return Err(UsageError(format!("the range {text} ends before it begins")));
    }
    let range = yakin_engine::days::Days { start: from, end: yakin_engine::days::after(to, 1) };
    if range.count() > 400 {
        return Err(UsageError(format!(
            "the range {text} has {} days; at most 400 at once",
            range.count()
        )));
    }
    Ok(range.each().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokyo_time_and_ranges_are_read_as_typed() {
        assert_eq!(instant("2026-11-01 02:00").unwrap().to_string(), "2026-10-31T17:00:00Z");
        assert_eq!(days("2026-10-30..2026-11-02").unwrap().len(), 4);
        assert!(days("2026-10-30..2026-10-01").unwrap_err().to_string().contains("ends before"));
        assert!(day("31.10.2026").unwrap_err().to_string().contains("YYYY-MM-DD"));
    }
}
