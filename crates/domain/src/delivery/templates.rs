//! The operator's message templates: a TOML file per kind of message and language, in the binary and, where the
//! operator has a folder of them, over these. Each carries sample data and is rendered with it before it is used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::Channel;
use super::content::{Content, Source, TemplateError, render};

/// All message templates of a node, checked.
#[derive(Clone, Debug)]
pub struct Templates {
    files: BTreeMap<(String, String), File>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    email: Source,
    chat: Source,
    sample: Value,
}

/// A template that cannot be used, by its file.
#[derive(Debug, thiserror::Error)]
pub enum TemplatesError {
    #[error("message template {file}: {what}; expected [email], [chat] and [sample]")]
    Unreadable { file: String, what: String },
    #[error("message template {file}, {section}: {error} (rendered with its own [sample])")]
    Wrong { file: String, section: &'static str, error: TemplateError },
    #[error("message template {file}: its name is not <kind>.<ja|en>.toml")]
    Name { file: String },
    #[error("the folder of message templates {folder}: {error}", folder = folder.display())]
    Folder { folder: PathBuf, error: std::io::Error },
}

macro_rules! built_in {
    ($name:literal) => {
        (
            concat!($name, ".toml"),
            include_str!(concat!("../../../../templates/messages/", $name, ".toml")),
        )
    };
}
/// Those in the binary.
const BUILT_IN: &[(&str, &str)] = &[
    built_in!("skill-update-reminder.ja"),
    built_in!("skill-update-reminder.en"),
    built_in!("report-ready.ja"),
    built_in!("report-ready.en"),
    built_in!("assignment-ending.ja"),
    built_in!("assignment-ending.en"),
    built_in!("contract-renewal.ja"),
    built_in!("contract-renewal.en"),
    built_in!("engineer-status-summary.ja"),
    built_in!("engineer-status-summary.en"),
    built_in!("usage-alert.ja"),
    built_in!("usage-alert.en"),
    built_in!("invoice-issued.ja"),
    built_in!("invoice-issued.en"),
    built_in!("monthly-report.ja"),
    built_in!("monthly-report.en"),
    built_in!("platform-report.ja"),
    built_in!("platform-report.en"),
    built_in!("periodic-approach.ja"),
    built_in!("periodic-approach.en"),
    built_in!("approach-paused.ja"),
    built_in!("approach-paused.en"),
    built_in!("delivery-failures.ja"),
    built_in!("delivery-failures.en"),
    built_in!("performance-week.ja"),
    built_in!("performance-week.en"),
];

impl Templates {
    /// The built-in templates, and over them the files of `folder`. Every one is rendered with its sample.
    pub fn read(folder: Option<&Path>) -> Result<Templates, TemplatesError> {
        let mut templates = Templates { files: BTreeMap::new() };
        for (name, text) in BUILT_IN {
            templates.add(name, text)?;
        }
        if let Some(folder) = folder {
            let failed = |error| TemplatesError::Folder { folder: folder.to_owned(), error };
            let mut paths = Vec::new();
            for entry in std::fs::read_dir(folder).map_err(failed)? {
                paths.push(entry.map_err(failed)?.path());
            }
            paths.retain(|p| p.extension().is_some_and(|e| e == "toml"));
            paths.sort();
            for path in paths {
                let text = std::fs::read_to_string(&path).map_err(failed)?;
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                templates.add(&name, &text)?;
            }
        }
        Ok(templates)
    }

    fn add(&mut self, name: &str, text: &str) -> Result<(), TemplatesError> {
        let file = name.to_owned();
        let stem = name.strip_suffix(".toml").and_then(|s| s.rsplit_once('.'));
        let Some((key, language @ ("ja" | "en"))) = stem else {
            return Err(TemplatesError::Name { file });
        };
        let parsed: File = toml::from_str(text).map_err(|error| TemplatesError::Unreadable {
            file: file.clone(),
            what: error.message().to_owned(),
        })?;
        for (section, source) in [("[email]", &parsed.email), ("[chat]", &parsed.chat)] {
            let file = file.clone();
            render(source, &parsed.sample).map_err(|error| TemplatesError::Wrong {
                file,
                section,
                error,
            })?;
        }
        self.files.insert((key.to_owned(), language.to_owned()), parsed);
        Ok(())
    }

    /// The template of a kind of message for a channel, in the language, else in Japanese, else in English.
    pub fn find(&self, key: &str, channel: Channel, language: &str) -> Option<&Source> {
        let file = [language, "ja", "en"]
            .iter()
            .find_map(|language| self.files.get(&(key.to_owned(), (*language).to_owned())))?;
        Some(if channel == Channel::Email { &file.email } else { &file.chat })
    }

    /// Renders a kind of message that the operator sends himself.
    pub fn render(
        &self,
        key: &str,
        channel: Channel,
        language: &str,
        data: &Value,
    ) -> Result<Content, TemplateError> {
        let source = self.find(key, channel, language).ok_or_else(|| TemplateError {
            part: "text",
            what: format!("there is no template '{key}' for {}", channel.word()),
        })?;
        render(source, data)
    }

    /// Kinds and languages, for `yakin doctor`.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none (never, with the built-in ones).
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_built_in_ones_are_all_right_and_come_in_both_languages() {
        let templates = Templates::read(None).unwrap();
        assert_eq!(templates.len(), BUILT_IN.len());
        for (key, _) in templates.files.keys() {
            for language in ["ja", "en"] {
                assert!(templates.files.contains_key(&(key.clone(), language.to_owned())), "{key}");
            }
        }
    }

    #[test]
    fn an_operators_file_goes_over_the_built_in_one_and_is_checked() {
        let folder = std::env::temp_dir().join(format!("yakin-templates-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("report-ready.ja.toml");
        let good =
            "[email]\nsubject = 's'\ntext = 'ours {{ n }}'\n[chat]\ntext = 'c'\n[sample]\nn = 1\n";
        std::fs::write(&file, good).unwrap();
        let templates = Templates::read(Some(&folder)).unwrap();
        let content = templates.render("report-ready", Channel::Email, "en-GB", &json!({"n": 2}));
        assert_eq!(content.unwrap().text, "ours 2");
        for (text, expected) in [
            (good.replace("{{ n }}", "{{ m }}"), "report-ready.ja.toml, [email]: text"),
            (good.replace("[sample]", "[samples]"), "unknown field `samples`"),
            ("[email".to_owned(), "report-ready.ja.toml"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = Templates::read(Some(&folder)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        std::fs::write(&file, good).unwrap();
        std::fs::write(folder.join("other.toml"), "").unwrap();
        let error = Templates::read(Some(&folder)).unwrap_err().to_string();
        assert!(error.contains("other.toml"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
