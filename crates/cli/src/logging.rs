//! Log lines in the specification's format: one JSON object a line on stdout or in files — timestamp, level, jobName,
//! jobId, message, metadata, duration, error, plus run, tenant, attempt.

use std::fmt::{self, Debug};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use yakin_adapters::{LogFileSettings, LogFiles};
use yakin_engine::clock::Clock;

use crate::config::ConfigError;

/// Starts logging on stdout; `RUST_LOG` chooses levels, `default` stands in for it.
pub fn start(default: &str) {
    begin(default, std::io::stdout);
}

/// Starts logging in files where `[log] dir` is set, else on stdout. A folder that cannot be written is refused.
pub fn start_as_configured(default: &str, settings: &LogFileSettings) -> Result<(), ConfigError> {
    let Some(dir) = &settings.dir else {
        start(default);
        return Ok(());
    };
    let clock = Clock::real();
    let now = Box::new(move || clock.now());
    let (aside, warn) = (Box::new(std::io::stdout()), Box::new(std::io::stderr()));
    let files = LogFiles::open(settings, dir, &crate::place::hostname(), now, aside, warn)
        .map_err(|e| ConfigError(e.to_string()))?;
    let path = files.path();
    begin(default, move || files.clone());
    // whoever looks at stdout in vain learns where to look
    eprintln!("yakin: log lines go to {} and the files after it", path.display());
    Ok(())
}

fn begin<W>(default: &str, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .event_format(Lines(Clock::real()))
        .with_writer(writer)
        .try_init();
}

struct Lines(Clock);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        fields.0.insert("timestamp".into(), self.0.now().to_string().into());
        fields.0.insert("level".into(), event.metadata().level().as_str().to_lowercase().into());
        event.record(&mut fields);
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        let value = match field.name() {
            "metadata" => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            _ => Value::String(text),
        };
        self.0.insert(field.name().into(), value);
    }
}
