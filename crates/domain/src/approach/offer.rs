//! A due time comes to something: an offer with its mails, nobody who fits, or a failure; and the next time is set, all
//! in the caller's transaction.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};
use yakin_engine::outcome::Stop;
use yakin_engine::tx::Tx;

use super::criteria::{Criteria, recipients};
use super::due::Due;
use super::matching::{Fit, matches, unknown_skill};
use crate::billing::words::Words;
use crate::delivery::{Channel, NewDelivery, Templates, Urgency, insert};

/// After so many failures in a row a standing offer rests until a person mends it.
pub const FAILURES: i32 = 3;

/// What a due time came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// So many engineers to so many recipients.
    Offered {
        engineers: Vec<i64>,
        mails: u64,
        missed: usize,
    },
    NoMatch {
        missed: usize,
    },
    Failed {
        reason: String,
        paused: bool,
    },
    /// It had come to something before; only the next time was set.
    Reused,
}

/// What a delivery is written with.
#[derive(Clone, Copy, Debug)]
pub struct Pen<'a> {
    pub templates: &'a Templates,
    pub run: i64,
    pub now: Timestamp,
}

struct Slots {
    due: Timestamp,
    missed: Vec<Timestamp>,
    before: Timestamp,
    next: Timestamp,
}

/// Carries out what is due: the newest time is delivered, the others are recorded as missed.
pub async fn come_due(tx: &mut Tx, approach: &Due, pen: Pen<'_>) -> Result<Came, Stop> {
    let slots = match slots(approach, pen.now) {
        Ok(slots) => slots,
        Err(reason) => return fail(tx, approach, &reason, pen).await,
    };
    let prepared = match prepare(tx, approach, &slots, pen).await? {
        Ok(prepared) => prepared,
        Err(reason) => return fail(tx, approach, &reason, pen).await,
    };
    record_missed(tx, approach, &slots.missed, pen).await?;
    let missed = slots.missed.len();
    let (fits, mut mails) = prepared;
    let state = if fits.is_empty() { "no_match" } else { "offered" };
    let Some(id) = record(tx, approach, slots.due, (state, &json!(fits), None), pen).await? else {
        advance(tx, approach, slots.next).await?;
        return Ok(Came::Reused);
    };
    advance(tx, approach, slots.next).await?;
    for mail in &mut mails {
        mail.source_id = id;
    }
    let mails = insert(tx, &mails, pen.now).await?;
    if fits.is_empty() {
        return Ok(Came::NoMatch { missed });
    }
    let engineers = fits.iter().map(|fit| fit.engineer_id).collect();
    Ok(Came::Offered { engineers, mails, missed })
}

fn slots(approach: &Due, now: Timestamp) -> Result<Slots, String> {
    let rhythm = approach.rhythm()?;
    let (mut all, next) = rhythm
        .slots(approach.since(), now)
        .ok_or_else(|| format!("next_delivery_at lies too far back: {}", approach.since()))?;
    let due = all.pop().unwrap_or(approach.since());
    Ok(Slots { due, missed: all, before: rhythm.before(due), next })
}

/// Who fits, and the mails (without their source's number); or why there can be none.
async fn prepare(
    tx: &mut Tx,
    approach: &Due,
    slots: &Slots,
    pen: Pen<'_>,
) -> Result<Result<(Vec<Fit>, Vec<NewDelivery>), String>, Stop> {
    let read = Criteria::read(&approach.criteria)
        .and_then(|criteria| recipients(&approach.recipients).map(|()| criteria));
    let criteria = match read {
        Ok(criteria) => criteria,
        Err(reason) => return Ok(Err(reason)),
    };
    if let Some(skill) = unknown_skill(tx, &criteria).await? {
        return Ok(Err(format!("criteria: skill '{skill}' is unknown")));
    }
    let today = yakin_engine::days::day_of(pen.now);
    let id = approach.approach_id;
    let fits = matches(tx, &criteria, id, today, (slots.before, slots.due)).await?;
    if fits.is_empty() {
        return Ok(Ok((fits, Vec::new())));
    }
    let (tenant, currency): (String, String) = sqlx::query_as(
        "SELECT name, currency FROM app.tenants WHERE tenant_id = yakin.current_tenant()",
    )
    .fetch_one(tx)
    .await?;
    let data = data(approach, &fits, &tenant, &currency);
    let rendered = mails("periodic-approach", &approach.language, &approach.recipients, &data, pen);
    Ok(rendered.map(|mut mails| {
        for mail in &mut mails {
            // the next offer says it anew
            mail.expires_at = slots.next;
        }
        (fits, mails)
    }))
}

fn data(approach: &Due, fits: &[Fit], tenant: &str, currency: &str) -> Value {
    let words = Words::of(&approach.language);
    let engineer = |fit: &Fit| {
        let date = fit.available_on().map(|d| d.to_string());
        json!({
            "name": fit.name,
            "skills": fit.skills,
            "area": fit.area.as_deref().unwrap_or(""),
            "rate": fit.monthly_rate.map(|r| words.money(r.normalize(), currency)).unwrap_or_default(),
            "at_once": fit.at_once,
            "available_on": date.unwrap_or_default(),
            "continued": fit.continued,
        })
    };
    let engineers: Vec<Value> = fits.iter().map(engineer).collect();
    json!({"tenant": {"name": tenant}, "approach": {"name": approach.name}, "count": fits.len(),
           "engineers": engineers})
}

/// A mail to each of these addresses, in the tenant's name.
fn mails(
    template: &str,
    language: &str,
    to: &[String],
    data: &Value,
    pen: Pen<'_>,
) -> Result<Vec<NewDelivery>, String> {
    let content = pen
        .templates
        .render(template, Channel::Email, language, data)
        .map_err(|e| format!("template {template}: {e}"))?;
    let mail = |recipient: &String| NewDelivery {
        source: "approach",
        source_id: 0,
        channel: Channel::Email,
        recipient: recipient.clone(),
        sender: "tenant",
        integration_id: None,
        setting_id: None,
        priority: Urgency::Medium,
        subject: content.subject.clone(),
        body: content.text.clone(),
        html: content.html.clone(),
        link: None,
        attachments: Vec::new(),
        due_at: pen.now,
        expires_at: pen.now + jiff::SignedDuration::from_hours(24 * 7),
    };
    Ok(to.iter().map(mail).collect())
}

/// The due time failed: recorded, counted, and after the third in a row the offer rests and its owner is told.
pub async fn fail(tx: &mut Tx, approach: &Due, reason: &str, pen: Pen<'_>) -> Result<Came, Stop> {
    // what has no rhythm to go on with rests at once
    let slots = slots(approach, pen.now);
    let failures = approach.failures + 1;
    let paused = failures >= FAILURES || slots.is_err();
    let (due, next) = match &slots {
        Ok(slots) => {
            record_missed(tx, approach, &slots.missed, pen).await?;
            (slots.due, slots.next)
        }
        Err(_) => (approach.since(), approach.since()),
    };
    let id = record(tx, approach, due, ("failed", &json!([]), Some(reason)), pen).await?;
    sqlx::query(include_str!("fail.sql"))
        .bind(approach.approach_id)
        .bind(next.to_sqlx())
        .bind(failures)
        .bind(paused.then(|| pen.now.to_sqlx()))
        .bind(paused.then_some(reason))
        .execute(&mut *tx)
        .await?;
    let mut reason = reason.to_owned();
    if let (true, Some(id)) = (paused, id) {
        // the pause stands, whatever is wrong with its notice
        if let Some(untold) = tell_owner(tx, approach, id, &reason, pen).await? {
            reason = format!("{reason}; its owner could not be told: {untold}");
        }
    }
    Ok(Came::Failed { reason, paused })
}

/// Asks for the owner's mail; says why it cannot be written, where it cannot.
async fn tell_owner(
    tx: &mut Tx,
    approach: &Due,
    id: i64,
    reason: &str,
    pen: Pen<'_>,
) -> Result<Option<String>, Stop> {
    let to: Vec<String> = sqlx::query_scalar(include_str!("owners.sql"))
        .bind(approach.owner_id)
        .fetch_all(&mut *tx)
        .await?;
    let (tenant, language): (String, String) = sqlx::query_as(
        "SELECT name, language FROM app.tenants WHERE tenant_id = yakin.current_tenant()",
    )
    .fetch_one(&mut *tx)
    .await?;
    let data = json!({"tenant": {"name": tenant}, "reason": reason,
                      "approach": {"id": approach.approach_id, "name": approach.name}});
    let mut told = match mails("approach-paused", &language, &to, &data, pen) {
        Ok(told) => told,
        Err(error) => return Ok(Some(error)),
    };
    for mail in &mut told {
        mail.source_id = id;
    }
    insert(tx, &told, pen.now).await?;
    Ok(None)
}

async fn record(
    tx: &mut Tx,
    approach: &Due,
    due: Timestamp,
    (state, engineers, reason): (&str, &Value, Option<&str>),
    pen: Pen<'_>,
) -> Result<Option<i64>, Stop> {
    Ok(sqlx::query_scalar(include_str!("record.sql"))
        .bind(approach.approach_id)
        .bind(vec![due.to_sqlx()])
        .bind(state)
        .bind(engineers)
        .bind(reason)
        .bind(pen.run)
        .bind(pen.now.to_sqlx())
        .fetch_optional(tx)
        .await?)
}

async fn record_missed(
    tx: &mut Tx,
    approach: &Due,
    missed: &[Timestamp],
    pen: Pen<'_>,
) -> Result<(), Stop> {
    let due: Vec<_> = missed.iter().map(|at| at.to_sqlx()).collect();
    sqlx::query(include_str!("record.sql"))
        .bind(approach.approach_id)
        .bind(due)
        .bind("missed")
        .bind(json!([]))
        .bind(Some("nothing ran at its time"))
        .bind(pen.run)
        .bind(pen.now.to_sqlx())
        .execute(tx)
        .await?;
    Ok(())
}

async fn advance(tx: &mut Tx, approach: &Due, next: Timestamp) -> Result<(), Stop> {
    sqlx::query(
        "UPDATE app.approaches SET next_delivery_at = $2, failures = 0
          WHERE tenant_id = yakin.current_tenant() AND approach_id = $1",
    )
    .bind(approach.approach_id)
    .bind(next.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}
