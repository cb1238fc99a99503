//! Instants and days as read models carry them: read from a row, written as RFC 3339 and ISO 8601.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An instant, such as `2026-10-31T17:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct Instant(jiff_sqlx::Timestamp);

/// A day, such as `2026-10-31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct Day(jiff_sqlx::Date);

impl Instant {
    pub fn to_jiff(self) -> Timestamp {
        self.0.to_jiff()
    }
}

impl Day {
    pub fn to_jiff(self) -> Date {
        self.0.to_jiff()
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.to_jiff())
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.to_jiff())
    }
}

fn text(format: KnownFormat, example: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(format)))
        .examples([example])
        .into()
}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        text(KnownFormat::DateTime, "2026-10-31T17:00:00Z")
    }
}

impl PartialSchema for Day {
    fn schema() -> RefOr<Schema> {
        text(KnownFormat::Date, "2026-10-31")
    }
}

impl ToSchema for Instant {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Instant")
    }
}

impl ToSchema for Day {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Day")
    }
}
