//! The cast: which parts the tenants play, how big each is, and their names. Pure; the same seed gives the same cast.

use super::words::{ENDING, STEM, US_ENDING, US_STEM};

/// What a tenant is in the sample for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// More than a third of all engineers.
    Huge,
    /// Began late in the month before: its first whole invoice is about three times the one before.
    Jumped,
    /// Has one impossible compute row, so that one day's usage cannot be complete.
    LacksADay,
    /// Has changed to a plan that no price list knows.
    Fails,
    /// Pays in dollars, sits in the US.
    Dollars,
    /// One to four engineers.
    Tiny,
    Starts,
    Suspended,
    Holding,
    Downgrades,
    Ends,
    Ordinary,
    LongSuspended,
    Upgrades,
    Quarterly,
    Closed,
    Annual,
}

/// What a tenant pays less for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gift {
    Percentage,
    FreeQuota,
    FixedAmount,
    /// One that ended before the billed month did: it must not count any more.
    Expired,
}

/// The first tenants' parts, the most telling ones first, so that a small sample has them too.
const SCRIPT: [(Part, Option<Gift>); 22] = [
    (Part::Huge, Some(Gift::Percentage)),
    (Part::Jumped, None),
    (Part::LacksADay, None),
    (Part::Fails, None),
    (Part::Dollars, Some(Gift::FixedAmount)),
    (Part::Tiny, None),
    (Part::Starts, None),
    (Part::Suspended, None),
    (Part::Holding, Some(Gift::Percentage)),
    (Part::Holding, Some(Gift::FreeQuota)),
    (Part::Downgrades, None),
    (Part::Tiny, Some(Gift::FixedAmount)),
    (Part::Ends, None),
    (Part::Ordinary, Some(Gift::Expired)),
    (Part::Ordinary, Some(Gift::FixedAmount)),
    (Part::LongSuspended, None),
    (Part::Upgrades, None),
    (Part::Quarterly, None),
    (Part::Closed, None),
    (Part::Annual, None),
    (Part::Dollars, None),
    (Part::Tiny, None),
];

/// A number that looks random and depends on nothing but its arguments (SplitMix64's finisher).
pub(super) fn dice(seed: u64, topic: &str, n: usize) -> u64 {
    let named = topic.bytes().fold(seed, |h, b| mixed(h ^ u64::from(b)));
    mixed(named ^ (n as u64))
}

fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number from 0 up to, not including, `below`.
pub(super) fn roll(seed: u64, topic: &str, n: usize, below: i64) -> i64 {
    (dice(seed, topic, n) % below.unsigned_abs().max(1)) as i64
}

/// The parts of `tenants` tenants in the order of their ids.
pub(super) fn parts(seed: u64, tenants: usize) -> Vec<(Part, Option<Gift>)> {
    let mut parts: Vec<_> = (0..tenants)
        .map(|n| SCRIPT.get(n).copied().unwrap_or_else(|| (extra(seed, n), extra_gift(seed, n))))
        .enumerate()
        .collect();
    parts.sort_by_key(|(n, _)| dice(seed, "order", *n));
    parts.into_iter().map(|(_, part)| part).collect()
}

fn extra(seed: u64, n: usize) -> Part {
    match roll(seed, "part", n, 100) {
        0..55 => Part::Ordinary,
        55..78 => Part::Tiny,
        78..86 => Part::Holding,
        86..91 => Part::Dollars,
        91..93 => Part::Starts,
        93..95 => Part::Ends,
        95..97 => Part::Downgrades,
        97..98 => Part::Upgrades,
        98..99 => Part::Suspended,
        _ => Part::LongSuspended,
    }
}

fn extra_gift(seed: u64, n: usize) -> Option<Gift> {
    match roll(seed, "gift", n, 16) {
        0 => Some(Gift::Percentage),
        1 => Some(Gift::FreeQuota),
        2 => Some(Gift::FixedAmount),
        3 => Some(Gift::Expired),
        _ => None,
    }
}

/// Engineers per tenant, `engineers` in all: at least one each, the huge one above a third, the others skewed.
pub(super) fn sizes(seed: u64, parts: &[(Part, Option<Gift>)], engineers: i64) -> Vec<i64> {
    let tenants = parts.len() as i64;
    let spare = engineers - tenants;
    let handful = spare / (2 * tenants);
    let few: Vec<i64> = parts
        .iter()
        .enumerate()
        .map(|(n, (part, _))| match part {
            Part::Tiny | Part::Closed => roll(seed, "few", n, 4).min(handful),
            Part::Upgrades => (5 + roll(seed, "few", n, 5)).min(handful),
            _ => 0,
        })
        .collect();
    let spare = spare - few.iter().sum::<i64>();
    let mut weights: Vec<i64> = parts
        .iter()
        .enumerate()
        .map(|(n, (part, _))| match part {
            Part::Huge | Part::Tiny | Part::Closed | Part::Upgrades => 0,
            Part::Jumped | Part::LacksADay | Part::Fails | Part::Downgrades => 80,
            _ => 8 + roll(seed, "size", n, 16) * roll(seed, "size too", n, 16),
        })
        .collect();
    let others: i64 = weights.iter().sum();
    let huge = parts.iter().position(|(part, _)| *part == Part::Huge).unwrap_or(0);
    weights[huge] = (others * 36 / 64).max(1);
    let all = others + weights[huge];
    let mut sizes: Vec<i64> =
        weights.iter().zip(&few).map(|(weight, few)| 1 + few + spare * weight / all).collect();
    sizes[huge] += engineers - sizes.iter().sum::<i64>();
    sizes
}

/// A company's code and name; `n` counts within its country, and no two get the same code.
pub(super) fn company(seed: u64, n: usize, american: bool) -> (String, String) {
    let (pairs, step) = if american {
        (US_STEM.len() * US_ENDING.len(), 35)
    } else {
        (STEM.len() * ENDING.len(), 155)
    };
    let first = (dice(seed, "company", 0) % pairs as u64) as usize;
    let pair = (first + n * step) % pairs; // the step has no factor in common with the number of pairs
    let again = n / pairs + 1;
    let (code, name) = if american {
        let (stem, ending) = (US_STEM[pair % US_STEM.len()], US_ENDING[pair / US_STEM.len()]);
        let form = ["Inc.", "LLC"][(dice(seed, "form", n) % 2) as usize];
        let code = format!("{stem}-{ending}").to_lowercase().replace(' ', "-");
        (code, format!("{stem} {ending} {form}"))
    } else {
        let (stem, ending) = (STEM[pair % STEM.len()], ENDING[pair / STEM.len()]);
        let bare = format!("{}{}", stem.0, ending.0);
        let name = match roll(seed, "form", n, 10) {
            0..6 => format!("株式会社{bare}"),
            6..9 => format!("{bare}株式会社"),
            _ => format!("合同会社{bare}"),
        };
        (format!("{}-{}", stem.1, ending.1), name)
    };
    if again == 1 { (code, name) } else { (format!("{code}-{again}"), format!("{name} {again}")) }
}

/// The name of the `n`th holding.
pub(super) fn holding(seed: u64, n: usize) -> String {
    let first = (dice(seed, "holding", 0) % STEM.len() as u64) as usize;
    format!(
        "{}ホールディングス{}",
        STEM[(first + n * 7) % STEM.len()].0,
        match n / STEM.len() {
            0 => String::new(),
            again => again.to_string(),
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engineer_is_placed_and_nobody_is_empty() {
        for (tenants, engineers) in [(1, 1), (3, 3), (7, 40), (30, 3000), (400, 500)] {
            let sizes = sizes(5, &parts(5, tenants), engineers);
            assert_eq!(sizes.iter().sum::<i64>(), engineers);
            assert!(sizes.iter().all(|size| *size >= 1), "{sizes:?}");
        }
    }

    #[test]
    fn codes_are_unique_and_fit_their_column() {
        let codes: Vec<String> = (0..1500)
            .flat_map(|n| [company(9, n, false).0, company(9, n, true).0])
            .inspect(|code| assert!(code.len() <= 31, "{code}"))
            .collect();
        let distinct: std::collections::HashSet<_> = codes.iter().collect();
        assert_eq!(distinct.len(), codes.len());
    }
}
