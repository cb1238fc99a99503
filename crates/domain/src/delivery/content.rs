//! From a template and data to what a recipient reads. Strict: a placeholder without a value is an error, 0 and the
//! empty text are values. Escaping follows the part: HTML is escaped, subjects may hold no line break.

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Deserialize;
use serde_json::Value;

/// The texts of a message before data is filled in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The subject of a mail, the title of a chat message.
    pub subject: Option<String>,
    pub text: String,
    /// The HTML form of a mail.
    pub html: Option<String>,
}

/// A message as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub subject: Option<String>,
    pub text: String,
    pub html: Option<String>,
}

/// A template or its data cannot be used; nothing is sent of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {what}")]
pub struct TemplateError {
    /// subject, text or html.
    pub part: &'static str,
    pub what: String,
}

/// The longest text of one part, in bytes.
pub const LONGEST: usize = 100_000;
/// The longest subject, in characters.
pub const LONGEST_SUBJECT: usize = 200;
/// Instructions a template may take: a tenant's endless loop ends here.
const FUEL: u64 = 200_000;

/// Fills `data` into a template.
pub fn render(source: &Source, data: &Value) -> Result<Content, TemplateError> {
    let data = without_nulls(data);
    let subject = source.subject.as_deref().map(|text| one_line(part("subject", text, &data)?));
    Ok(Content {
        subject: subject.transpose()?,
        text: part("text", &source.text, &data)?,
        html: source.html.as_deref().map(|text| part("html", text, &data)).transpose()?,
    })
}

fn part(name: &'static str, text: &str, data: &Value) -> Result<String, TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|part| match part {
        "html" => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    let rendered = environment
        .render_named_str(name, text, minijinja::value::Serde(data))
        .map_err(|error| {
            let line = error.line().map(|l| format!(", line {l}")).unwrap_or_default();
            let detail = error.detail().map(|d| format!(": {d}")).unwrap_or_default();
            let named = placeholder(text, &error).map(|p| format!(" '{p}'")).unwrap_or_default();
            TemplateError { part: name, what: format!("{}{named}{detail}{line}", error.kind()) }
        })?;
    if rendered.len() > LONGEST {
        let what = format!("{} bytes; at most {LONGEST} are sent", rendered.len());
        return Err(TemplateError { part: name, what });
    }
    Ok(rendered)
}

/// The placeholder that the error stands at.
fn placeholder<'a>(text: &'a str, error: &minijinja::Error) -> Option<&'a str> {
    text.get(error.range()?).map(str::trim)
}

fn one_line(subject: String) -> Result<String, TemplateError> {
    let wrong = |what: String| Err(TemplateError { part: "subject", what });
    if subject.chars().any(char::is_control) {
        return wrong("it holds a line break or another control character".to_owned());
    }
    let length = subject.chars().count();
    if length > LONGEST_SUBJECT {
        return wrong(format!("{length} characters; at most {LONGEST_SUBJECT} are sent"));
    }
    Ok(subject)
}

/// A null is no value: a placeholder for it is an error like one that is not there.
fn without_nulls(data: &Value) -> Value {
    match data {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(k, v)| (k.clone(), without_nulls(v))).collect())
        }
        Value::Array(all) => Value::Array(all.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn source(subject: &str, text: &str, html: Option<&str>) -> Source {
        let html = html.map(str::to_owned);
        Source { subject: Some(subject.to_owned()), text: text.to_owned(), html }
    }

    #[test]
    fn values_are_filled_in_and_escaped_where_the_part_asks_for_it() {
        let template = source("{{ n }} 件", "{{ name }}様\n", Some("<p>{{ name }}</p>"));
        let content = render(&template, &json!({"n": 0, "name": "A & <B>"})).unwrap();
        assert_eq!(content.subject.unwrap(), "0 件");
        assert_eq!(content.text, "A & <B>様");
        assert_eq!(content.html.unwrap(), "<p>A &amp; &lt;B&gt;</p>");
        assert_eq!(render(&source("", "[{{ a }}]", None), &json!({"a": ""})).unwrap().text, "[]");
    }

    #[test]
    fn a_placeholder_without_a_value_is_named() {
        for data in [json!({}), json!({"user": {}}), json!({"user": {"name": null}})] {
            let error = render(&source("a", "x {{ user.name }}", None), &data).unwrap_err();
            assert_eq!(error.part, "text");
            assert!(error.what.contains("user"), "{}", error.what);
        }
        let broken = render(&source("a", "{{ user", None), &json!({})).unwrap_err();
        assert!(broken.what.contains("syntax error"), "{}", broken.what);
    }

    #[test]
    fn a_subject_takes_no_line_break_from_its_data() {
        for name in ["a\nBcc: x@example.com", "a\r", "a\0"] {
            let error = render(&source("{{ n }}", "", None), &json!({"n": name})).unwrap_err();
            assert_eq!(error.part, "subject");
        }
        let long = "あ".repeat(201);
        assert!(render(&source("{{ n }}", "", None), &json!({"n": long})).is_err());
    }

    #[test]
    fn an_endless_or_huge_template_ends() {
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(render(&source("a", endless, None), &json!({})).is_err());
        let huge = "x".repeat(LONGEST + 1);
        assert!(render(&source("a", &huge, None), &json!({})).unwrap_err().what.contains("bytes"));
    }
}
