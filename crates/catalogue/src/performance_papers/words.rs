//! The language of a paper: each text stands where it is used, in both.

use yakin_render::chart::figure;

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    japanese: bool,
}

impl Words {
    /// Japanese, unless it is `en`.
    pub fn of(language: &str) -> Words {
        Words { japanese: language != "en" }
    }

    /// ja or en.
    pub fn language(self) -> &'static str {
        self.say("ja", "en")
    }

    /// The text of this language.
    pub fn say(self, japanese: &'static str, english: &'static str) -> &'static str {
        if self.japanese { japanese } else { english }
    }

    /// What stands where nothing was measured.
    pub fn nothing(self) -> String {
        "–".to_owned()
    }

    /// A count with separators.
    pub fn count(self, count: i64) -> String {
        figure(count as f64)
    }

    /// Milliseconds.
    pub fn ms(self, ms: Option<u32>) -> String {
        ms.map_or_else(|| self.nothing(), |ms| format!("{} ms", figure(f64::from(ms))))
    }

    /// Per cent with two digits behind the point.
    pub fn percent(self, percent: Option<f64>) -> String {
        percent.map_or_else(|| self.nothing(), |p| format!("{p:.2}%"))
    }

    /// How much longer or more, with its sign.
    pub fn change(self, before: Option<u32>, now: Option<u32>) -> String {
        match (before, now) {
            (Some(before), Some(now)) if before > 0 => {
                let percent = (f64::from(now) / f64::from(before) - 1.0) * 100.0;
                format!("{percent:+.0}%").replace('-', "\u{2212}")
            }
            _ => self.nothing(),
        }
    }

    /// Time in a unit that fits.
    pub fn time(self, ms: f64) -> String {
        match ms {
            ms if ms >= 3_600_000.0 => format!("{} h", figure(ms / 3_600_000.0)),
            ms if ms >= 60_000.0 => format!("{} min", figure(ms / 60_000.0)),
            ms if ms >= 1_000.0 => format!("{} s", figure(ms / 1_000.0)),
            ms => format!("{} ms", figure(ms)),
        }
    }

    /// Megabytes of 1024 × 1024.
    pub fn megabytes(self, bytes: i64) -> String {
        format!("{} MB", figure(bytes as f64 / f64::from(1 << 20)))
    }

    /// Monday to Sunday.
    pub fn weekdays(self) -> Vec<String> {
        let days = match self.japanese {
            true => ["月", "火", "水", "木", "金", "土", "日"],
            false => ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
        };
        days.map(str::to_owned).to_vec()
    }
}
