//! Whom a standing offer is about: the JSON of `app.approaches.criteria`, read strictly.

use rust_decimal::Decimal;
use serde::Deserialize;

/// What an engineer must meet. A criterion that is not there asks nothing; one about something that is not known of an
/// engineer is not met.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Criteria {
    /// All of these.
    pub skills: Vec<Skill>,
    /// One of these.
    pub areas: Vec<String>,
    /// A month, in the company's currency.
    pub max_monthly_rate: Option<Decimal>,
    /// Can begin within so many days of the delivery.
    pub start_within_days: Option<i64>,
    /// waiting, waiting_soon; by default both.
    pub statuses: Vec<Status>,
}

/// A skill and the level it must have at least (1 to 4).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skill {
    pub name: String,
    #[serde(default = "one")]
    pub level: i16,
}

fn one() -> i16 {
    1
}

/// A state in which an engineer may be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Waiting,
    WaitingSoon,
}

impl Status {
    /// Its word in `app.engineers`.
    pub const fn word(self) -> &'static str {
        match self {
            Status::Waiting => "waiting",
            Status::WaitingSoon => "waiting_soon",
        }
    }
}

/// The most skills, and the most areas, that an offer may name.
const MOST: usize = 20;

impl Criteria {
    /// Reads criteria, or says what is wrong with them.
    pub fn read(json: &serde_json::Value) -> Result<Criteria, String> {
        let mut criteria: Criteria =
            serde_json::from_value(json.clone()).map_err(|e| format!("criteria: {e}"))?;
        if let Some(skill) = criteria.skills.iter().find(|s| !(1..=4).contains(&s.level)) {
            let Skill { name, level } = skill;
            return Err(format!("criteria: level {level} of skill '{name}', expected 1 to 4"));
        }
        if criteria.skills.len().max(criteria.areas.len()) > MOST {
            return Err(format!("criteria: more than {MOST} skills or areas"));
        }
        if criteria.start_within_days.is_some_and(|days| !(0..=3_650).contains(&days)) {
            return Err("criteria: start_within_days, expected 0 to 3650".to_owned());
        }
        let mut names: Vec<&str> = criteria.skills.iter().map(|s| s.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("criteria: skill '{}' stands twice", pair[0]));
        }
        if criteria.statuses.is_empty() {
            criteria.statuses = vec![Status::Waiting, Status::WaitingSoon];
        }
        Ok(criteria)
    }
}

/// Addresses a mail may go to, or what is wrong with them.
pub fn recipients(addresses: &[String]) -> Result<(), String> {
    const MOST_RECIPIENTS: usize = 50;
    if addresses.is_empty() {
        return Err("recipients: there is none".to_owned());
    }
    if addresses.len() > MOST_RECIPIENTS {
        return Err(format!("recipients: {}; at most {MOST_RECIPIENTS}", addresses.len()));
    }
    let wrong = |a: &&String| {
        let parts = a.rsplit_once('@');
        parts.is_none_or(|(name, host)| name.is_empty() || host.is_empty())
            || a.len() > 254
            || a.chars().any(|c| c.is_whitespace() || c.is_control())
    };
    match addresses.iter().position(|a| wrong(&a)) {
        Some(n) => Err(format!("recipients: number {} is no address", n + 1)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn criteria_are_read_strictly_and_nothing_asked_is_everybody_who_waits() {
        let all = Criteria::read(&json!({})).unwrap();
        assert_eq!(all.statuses, [Status::Waiting, Status::WaitingSoon]);
        let full = json!({"skills": [{"name": "Java", "level": 3}, {"name": "SQL"}], "areas": ["東京"],
                          "max_monthly_rate": 700000, "start_within_days": 30, "statuses": ["waiting"]});
        let full = Criteria::read(&full).unwrap();
        assert_eq!((full.skills[1].level, full.statuses.len()), (1, 1));
        for (wrong, expected) in [
            (json!({"skill": []}), "unknown field `skill`"),
            (json!({"skills": [{"name": "Java", "level": 5}]}), "level 5 of skill 'Java'"),
            (json!({"skills": [{"name": "a"}, {"name": "a"}]}), "skill 'a' stands twice"),
            (json!({"statuses": ["working"]}), "unknown variant `working`"),
            (json!({"start_within_days": -1}), "expected 0 to 3650"),
            (json!([1]), "criteria: "),
        ] {
            let error = Criteria::read(&wrong).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_recipient_is_an_address_and_there_must_be_one() {
        let check =
            |all: &[&str]| recipients(&all.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
        assert_eq!(check(&["a@b.example", "x+y@c.example"]), Ok(()));
        assert!(check(&[]).unwrap_err().contains("none"));
        for bad in ["a", "@b", "a@", "a b@c", "a@b\nBcc: c@d"] {
            assert!(check(&["ok@b.example", bad]).unwrap_err().contains("number 2"), "{bad}");
        }
    }
}
