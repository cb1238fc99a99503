//! The charts of the weekly report.

use yakin_domain::performance::Report;
use yakin_render::chart::{Plate, Series, Theme, bars, heat, lines, ranking, spark};

use super::words::Words;

const HOURS: usize = 168;

fn plate(id: &str, words: Words, title: &str, description: &str) -> Plate {
    Plate::new(id, title, description, words.say("データなし", "no data"))
}

/// p50 and p95 of the week's hours.
pub fn hours(report: &Report, words: Words) -> String {
    let days = words.weekdays();
    let labels: Vec<String> = (0..HOURS)
        .map(|hour| if hour % 24 == 0 { days[hour / 24].clone() } else { String::new() })
        .collect();
    let of = |pick: fn(&yakin_domain::performance::chapters::HourTiming) -> Option<u32>| {
        let each = report.responses.hours.iter();
        each.map(|h| h.as_ref().and_then(pick).map(f64::from)).collect()
    };
    let series = [Series::new("p50", of(|h| h.p50_ms)), Series::new("p95", of(|h| h.p95_ms))];
    let title = words.say("毎時の応答時間", "Response times by hour");
    let description =
        words.say("月曜から日曜までの p50 と p95", "p50 and p95 from Monday to Sunday");
    lines(&plate("hours", words, title, description).of("ms"), &Theme::print(), &labels, &series)
}

/// p50 and p95 of the hours of the day.
pub fn hours_of_day(report: &Report, words: Words) -> String {
    let labels: Vec<String> = (0..24).map(|hour| hour.to_string()).collect();
    let of = |pick: fn(&yakin_domain::performance::chapters::Timing) -> Option<u32>| {
        report.responses.by_hour.iter().map(|t| pick(t).map(f64::from)).collect()
    };
    let series = [Series::new("p50", of(|t| t.p50_ms)), Series::new("p95", of(|t| t.p95_ms))];
    let title = words.say("時刻別の応答時間", "Response times by hour of day");
    let description = words.say("0時から23時の p50 と p95", "p50 and p95 from 0 to 23 o'clock");
    let plate = plate("hours-of-day", words, title, description).of("ms").sized(680.0, 170.0);
    bars(&plate, &Theme::print(), &labels, &series)
}

/// Shares of 4xx and 5xx by day.
pub fn errors(report: &Report, words: Words) -> String {
    let of = |pick: fn(&(f64, f64)) -> f64| {
        report.errors.days.iter().map(|day| day.as_ref().map(pick)).collect()
    };
    let series = [Series::new("4xx", of(|d| d.0)), Series::new("5xx", of(|d| d.1))];
    let title = words.say("日別のエラー率", "Share of errors by day");
    let plate = plate("errors", words, title, title).of("%").sized(680.0, 170.0);
    bars(&plate, &Theme::print(), &words.weekdays(), &series)
}

/// Calls by day and hour.
pub fn calls(report: &Report, words: Words) -> String {
    let cells: Vec<Vec<Option<f64>>> = report
        .responses
        .hours
        .chunks(24)
        .map(|day| day.iter().map(|h| h.as_ref().map(|h| h.requests as f64)).collect())
        .collect();
    let columns: Vec<String> = (0..24).map(|hour| hour.to_string()).collect();
    let title = words.say("曜日と時刻別の呼び出し数", "Calls by day and hour");
    let plate =
        plate("calls", words, title, title).of(words.say("回", "calls")).sized(680.0, 200.0);
    heat(&plate, &Theme::print(), &words.weekdays(), &columns, &cells)
}

/// The companies that called most.
pub fn companies(report: &Report, words: Words) -> String {
    let rows: Vec<(String, Option<f64>)> = report
        .api
        .companies
        .iter()
        .take(10)
        .map(|c| (c.name.clone(), Some(c.calls as f64)))
        .collect();
    let title = words.say("企業別の呼び出し数", "Calls by company");
    let height = 20.0 + 22.0 * rows.len() as f64;
    let plate = plate("companies", words, title, title).of(words.say("回", "calls"));
    ranking(&plate.sized(680.0, height), &Theme::print(), &rows)
}

/// A small line of some weeks or days.
pub fn small(id: &str, title: &str, values: &[Option<f64>]) -> String {
    spark(&Plate::new(id, title, title, "").sized(84.0, 22.0), &Theme::print(), values)
}
