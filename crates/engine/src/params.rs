//! Parameters of a batch: documented in its spec, checked before a run is made.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// One parameter.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Param {
    pub name: &'static str,
    pub kind: Kind,
    /// As an operator would type it; `None` = must be given.
    pub default: Option<&'static str>,
    /// One sentence, with the unit.
    pub help: &'static str,
}

/// What a parameter's text must be.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Kind {
    Bool,
    /// A whole number from … to ….
    Int(i64, i64),
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

impl Kind {
    /// What was expected, for messages and help.
    pub fn expected(&self) -> String {
        match self {
            Kind::Bool => "true or false".to_owned(),
            Kind::Int(low, high) => format!("a whole number from {low} to {high}"),
            Kind::Text => "text".to_owned(),
            Kind::OneOf(words) => format!("one of {}", words.join(", ")),
        }
    }

    fn parse(&self, text: &str) -> Option<Value> {
        match self {
            Kind::Bool => text.parse::<bool>().ok().map(Value::Bool),
            Kind::Int(low, high) => {
                text.parse::<i64>().ok().filter(|n| (low..=high).contains(&n)).map(|n| json!(n))
            }
            Kind::Text => (text.len() <= 1000).then(|| json!(text)),
            Kind::OneOf(words) => words.contains(&text).then(|| json!(text)),
        }
    }
}

/// A parameter that cannot be used as given.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ParamError {
    #[error("{batch} has no parameter '{name}'; it takes {takes}")]
    Unknown { batch: String, name: String, takes: String },
    #[error("{batch}: parameter '{name}' is '{value}', expected {expected}")]
    Bad { batch: String, name: String, value: String, expected: String },
    #[error("{batch}: parameter '{name}' is missing, expected {expected}")]
    Missing { batch: String, name: String, expected: String },
}

/// Checks `given` (name and text) against the batch's parameters and fills in defaults.
pub fn check(
    batch: &str,
    params: &[Param],
    given: &[(String, String)],
) -> Result<Value, ParamError> {
    if let Some((name, _)) = given.iter().find(|(name, _)| !params.iter().any(|p| p.name == name)) {
        let names: Vec<_> = params.iter().map(|p| p.name).collect();
        let takes = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(ParamError::Unknown { batch: batch.to_owned(), name: name.clone(), takes });
    }
    let mut checked = Map::new();
    for param in params {
        let given =
            given.iter().rev().find(|(name, _)| name == param.name).map(|(_, text)| text.as_str());
        let Some(text) = given.or(param.default) else {
            let (batch, name) = (batch.to_owned(), param.name.to_owned());
            return Err(ParamError::Missing { batch, name, expected: param.kind.expected() });
        };
        let value = param.kind.parse(text).ok_or_else(|| ParamError::Bad {
            batch: batch.to_owned(),
            name: param.name.to_owned(),
            value: text.chars().take(60).collect(),
            expected: param.kind.expected(),
        })?;
        checked.insert(param.name.to_owned(), value);
    }
    Ok(Value::Object(checked))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: &[Param] = &[
        Param { name: "batch_size", kind: Kind::Int(1, 10_000), default: Some("1000"), help: "" },
        Param { name: "force", kind: Kind::Bool, default: Some("false"), help: "" },
    ];

    fn given(name: &str, text: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), text.to_owned())]
    }

    #[test]
    fn defaults_fill_what_is_not_given() {
        let checked = check("B", PARAMS, &given("force", "true")).unwrap();
        assert_eq!(checked, json!({"batch_size": 1000, "force": true}));
    }

    #[test]
    fn each_mistake_names_the_input_and_what_was_expected() {
        let unknown = check("B", PARAMS, &given("size", "1")).unwrap_err().to_string();
        assert_eq!(unknown, "B has no parameter 'size'; it takes batch_size, force");
        let bad = check("B", PARAMS, &given("batch_size", "0")).unwrap_err().to_string();
        assert_eq!(
            bad,
            "B: parameter 'batch_size' is '0', expected a whole number from 1 to 10000"
        );
    }
}
