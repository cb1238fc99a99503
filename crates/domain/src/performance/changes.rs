//! What became worse than in the week before: by how much, and where there were enough requests to say so.

use serde::{Deserialize, Serialize};

/// What is compared of the service as a whole or of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    pub requests: u64,
    pub p95_ms: u32,
    pub client_errors: u64,
    pub server_errors: u64,
}

/// When a change is told: at least so many per cent worse, with at least so many requests in both weeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub percent: u64,
    pub min_requests: u64,
}

/// Worse by so many per cent, the whole service, is a warning.
pub const WARNING_PERCENT: u64 = 50;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    P95,
    ServerErrors,
    ClientErrors,
}

/// Something that became worse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// `GET /api/v1/engineers`; empty for the service as a whole.
    pub endpoint: String,
    pub measure: Measure,
    /// Milliseconds, or per cent of the requests.
    pub before: f64,
    pub now: f64,
    /// How many per cent worse; none where it was zero.
    pub worse_percent: Option<f64>,
}

/// A measure as a fraction: milliseconds over one, errors over requests.
type Fraction = (u64, u64);

/// What became worse of one subject.
pub fn changes(endpoint: &str, before: &Measured, now: &Measured, rules: Rules) -> Vec<Change> {
    if before.requests < rules.min_requests.max(1) || now.requests < rules.min_requests.max(1) {
        return Vec::new();
    }
    let ms = |of: &Measured| (u64::from(of.p95_ms), 1);
    let server = |of: &Measured| (of.server_errors, of.requests);
    let client = |of: &Measured| (of.client_errors, of.requests);
    [
        (Measure::P95, ms(before), ms(now), 1.0),
        (Measure::ServerErrors, server(before), server(now), 100.0),
        (Measure::ClientErrors, client(before), client(now), 100.0),
    ]
    .into_iter()
    .filter(|(_, before, now, _)| is_worse(*before, *now, rules.percent))
    .map(|(measure, before, now, unit)| Change {
        endpoint: endpoint.to_owned(),
        measure,
        before: rounded(value(before) * unit),
        now: rounded(value(now) * unit),
        worse_percent: (before.0 > 0).then(|| rounded((value(now) / value(before) - 1.0) * 100.0)),
    })
    .collect()
}

/// Whether a fraction grew by at least so many per cent; from zero every growth is enough.
fn is_worse(before: Fraction, now: Fraction, percent: u64) -> bool {
    let cross = |a: u64, b: u64| u128::from(a) * u128::from(b);
    let (was, is) = (cross(before.0, now.1), cross(now.0, before.1));
    is > was && (is - was) * 100 >= was * u128::from(percent)
}

fn value(fraction: Fraction) -> f64 {
    fraction.0 as f64 / fraction.1.max(1) as f64
}

/// To three digits behind the point.
pub fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

impl Change {
    /// Whether people must be told at once.
    pub fn is_warning(&self) -> bool {
        self.endpoint.is_empty()
            && self.measure != Measure::ClientErrors
            && self.worse_percent.is_none_or(|p| p >= WARNING_PERCENT as f64)
    }

    /// In a sentence, for an alert.
    pub fn sentence(&self) -> String {
        let (what, unit) = match self.measure {
            Measure::P95 => ("the p95 response time", " ms"),
            Measure::ServerErrors => ("the share of 5xx answers", "%"),
            Measure::ClientErrors => ("the share of 4xx answers", "%"),
        };
        let worse = self.worse_percent.map(|p| format!(", {p}% worse")).unwrap_or_default();
        format!("{what} went from {}{unit} to {}{unit}{worse}", self.before, self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { percent: 20, min_requests: 100 };

    fn at(requests: u64, p95_ms: u32, server_errors: u64) -> Measured {
        Measured { requests, p95_ms, client_errors: 0, server_errors }
    }

    #[test]
    fn twenty_per_cent_slower_is_told_where_there_were_enough_requests() {
        let told = changes("", &at(1_000, 500, 0), &at(1_000, 600, 0), RULES);
        assert_eq!((told[0].measure, told[0].worse_percent), (Measure::P95, Some(20.0)));
        assert_eq!(changes("", &at(1_000, 500, 0), &at(1_000, 599, 0), RULES), []);
        assert_eq!(changes("", &at(1_000, 500, 0), &at(50, 600, 0), RULES), []);
        assert_eq!(changes("", &at(50, 500, 0), &at(1_000, 600, 0), RULES), []);
        assert_eq!(changes("", &at(100, 500, 0), &at(100, 600, 0), RULES).len(), 1);
        assert_eq!(changes("", &at(1_000, 600, 0), &at(1_000, 500, 0), RULES), []);
    }

    #[test]
    fn shares_of_errors_are_compared_not_their_numbers() {
        // 1% of 1,000, then 1% of 10,000
        assert_eq!(changes("", &at(1_000, 1, 10), &at(10_000, 1, 100), RULES), []);
        let told = changes("", &at(1_000, 1, 10), &at(10_000, 1, 150), RULES);
        assert_eq!((told[0].before, told[0].now, told[0].worse_percent), (1.0, 1.5, Some(50.0)));
        assert!(told[0].is_warning());
        let less = changes("", &at(1_000, 1, 10), &at(10_000, 1, 149), RULES);
        assert!(!less[0].is_warning(), "{less:?}");
        let from_none = changes("", &at(1_000, 1, 0), &at(1_000, 1, 1), RULES);
        assert_eq!(from_none[0].worse_percent, None);
    }
}
