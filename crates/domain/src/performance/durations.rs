//! How long requests took: counts under fixed bounds, which merge over hours and endpoints as percentiles do not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts of requests by the bound (milliseconds) they did not exceed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations(BTreeMap<u32, u64>);

/// The bound of a duration: the next number of two figures. Up to 99 ms it is the duration itself, above it is at most a
/// tenth more, never less. (`count_hours.sql` has the same.)
pub fn bound(ms: u32) -> u32 {
    let step = match ms {
        0..=99 => 1,
        100..=1_000 => 10,
        1_001..=10_000 => 100,
        10_001..=100_000 => 1_000,
        _ => 10_000,
    };
    ms.div_ceil(step) * step
}

impl Durations {
    /// Counts requests that took so long.
    pub fn add(&mut self, ms: u32, requests: u64) {
        *self.0.entry(bound(ms)).or_default() += requests;
    }

    /// Takes another's counts in.
    pub fn merge(&mut self, other: &Durations) {
        for (bound, requests) in &other.0 {
            *self.0.entry(*bound).or_default() += requests;
        }
    }

    /// How many requests.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// The smallest bound that so many per cent of the requests do not exceed, in milliseconds.
    pub fn percentile(&self, percent: u64) -> Option<u32> {
        let all = self.count();
        let mut up_to = 0;
        self.0.iter().find_map(|(bound, requests)| {
            up_to += requests;
            (up_to * 100 >= all * percent).then_some(*bound)
        })
    }

    /// How many requests took longer; exact where `ms` is itself a bound.
    pub fn over(&self, ms: u32) -> u64 {
        self.0.range(ms + 1..).map(|(_, requests)| requests).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_hours_have_the_percentiles_of_all_their_requests() {
        let (mut first, mut second) = (Durations::default(), Durations::default());
        first.add(100, 100);
        second.add(200, 300);
        first.merge(&second);
        assert_eq!((first.count(), first.percentile(50)), (400, Some(200)));
        assert_eq!((first.percentile(25), first.percentile(26)), (Some(100), Some(200)));
        assert_eq!(Durations::default().percentile(50), None);
    }

    #[test]
    fn a_bound_is_at_most_a_tenth_too_high_and_never_too_low() {
        for ms in 0..120_000 {
            let bound = bound(ms);
            assert!(bound >= ms && u64::from(bound) * 10 <= u64::from(ms) * 11, "{ms}: {bound}");
        }
        assert_eq!(
            [0, 99, 100, 101, 999, 1_000, 1_001].map(bound),
            [0, 99, 100, 110, 1_000, 1_000, 1_100]
        );
    }

    #[test]
    fn what_is_over_a_second_is_exact() {
        let mut durations = Durations::default();
        for ms in [999, 1_000, 1_001, 3_000, 3_001] {
            durations.add(ms, 1);
        }
        assert_eq!((durations.over(1_000), durations.over(3_000)), (3, 1));
    }
}
