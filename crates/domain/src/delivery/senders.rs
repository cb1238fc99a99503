//! From a row's sender to the client that carries it: the tenant's integration, or a relay of the operator's. A
//! sender that rests or cannot be used says why.

use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use yakin_adapters::Answer;
use yakin_adapters::chat::ChatMessage;
use yakin_adapters::line_works::LineWorks;
use yakin_adapters::mail::{Mailer, TenantRelay};
use yakin_adapters::outgoing::Outgoing;
use yakin_adapters::slack::Slack;
use yakin_adapters::sms::Sms;
use yakin_adapters::teams::Teams;
use yakin_adapters::webhook::Webhook;
use yakin_engine::outcome::Stop;
use yakin_engine::run::TenantRun;
use yakin_engine::tx::Tx;

use super::Channel;
use super::outbox::DueSender;
use super::outside::{Outside, PlatformRelay};
use super::pace::Pace;

/// A client of one outside system.
#[derive(Clone, Debug)]
pub enum Client {
    Mail(Arc<Mailer>),
    Slack(Arc<Slack>),
    Teams(Arc<Teams>),
    LineWorks(Arc<LineWorks>),
    Webhook(Arc<Webhook>),
    Sms(Arc<Sms>),
}

impl Client {
    /// Posts a chat or text message.
    pub async fn post(
        &self,
        outgoing: &Outgoing,
        target: &str,
        message: &ChatMessage,
        now: Timestamp,
    ) -> Answer {
        match self {
            Client::Slack(slack) => slack.send(outgoing, target, message, now).await,
            Client::Teams(teams) => teams.send(outgoing, target, message, now).await,
            Client::LineWorks(bot) => bot.send(outgoing, target, message, now).await,
            Client::Webhook(hook) => hook.send(outgoing, target, message, now).await,
            Client::Sms(sms) => sms.send(outgoing, target, message, now).await,
            Client::Mail(_) => {
                Answer::Permanent { reason: "a relay takes mail, not chat messages".to_owned() }
            }
        }
    }

    /// A client of a chat channel, or of SMS, by its credentials as JSON; what is wrong is said by place, never with what
    /// stands there.
    pub fn of_chat(channel: Channel, credentials: &[u8]) -> Result<Client, String> {
        Ok(match channel {
            Channel::Slack => Client::Slack(Arc::new(Slack::new(parse(credentials)?))),
            Channel::Teams => Client::Teams(Arc::new(Teams::new(parse(credentials)?))),
            Channel::LineWorks => Client::LineWorks(Arc::new(LineWorks::new(parse(credentials)?))),
            Channel::Webhook => Client::Webhook(Arc::new(Webhook::new(parse(credentials)?))),
            Channel::Sms => Client::Sms(Arc::new(Sms::new(parse(credentials)?))),
            Channel::Email | Channel::InApp => {
                return Err(format!("'{}' is no chat channel", channel.word()));
            }
        })
    }
}

/// A sender that may be used now.
#[derive(Clone, Debug)]
pub struct Way {
    pub client: Client,
    pub pace: Pace,
    pub failures_in_row: i32,
}

/// What was found for a sender.
#[derive(Clone, Debug)]
pub enum Found {
    Ready(Way),
    /// It rests until then: its rows wait.
    Rests(Timestamp, String),
    /// A person has to mend it; its rows wait.
    Unusable(String),
}

/// How a sender stands, whoever's it is.
#[derive(sqlx::FromRow)]
struct Standing {
    name: String,
    failures_in_row: i32,
    paused_until: Option<jiff_sqlx::Timestamp>,
    paused_reason: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Integration {
    integration_id: i64,
    channel: String,
    credentials: Vec<u8>,
    key_id: String,
    #[sqlx(flatten)]
    standing: Standing,
}

/// The seal's context: credentials copied to another tenant's or integration's row do not open.
pub fn context(tenant: i64, integration: i64) -> String {
    format!("tenant/{tenant}/integration/{integration}")
}

/// Finds the way for a sender's rows: of a tenant's mail, its relays by rank, then the operator's where it agreed.
pub async fn find(run: &TenantRun, outside: &Outside, sender: &DueSender) -> Result<Found, Stop> {
    if let Some(id) = sender.integration_id {
        let integrations = run.read(async |tx| integrations(tx, &sender.channel, Some(id)).await);
        return Ok(first_integration(run, outside, &integrations.await?)
            .unwrap_or_else(|| Found::Unusable(format!("integration {id} is disabled or gone"))));
    }
    if sender.sender == "platform" {
        return relay(run, outside).await;
    }
    let (own, agreed) = run
        .read(async |tx| {
            let own = integrations(tx, Channel::Email.word(), None).await?;
            let agreed: bool = sqlx::query_scalar("SELECT platform_relay FROM app.tenants")
                .fetch_one(&mut *tx)
                .await?;
            Ok((own, agreed))
        })
        .await?;
    match first_integration(run, outside, &own) {
        None if agreed => relay(run, outside).await,
        None => Ok(Found::Unusable(
            "the tenant has no mail relay and has not agreed to the operator's".to_owned(),
        )),
        // while all of its own rest, the operator's carries what it can
        Some(rests @ Found::Rests(..)) if agreed => Ok(match relay(run, outside).await? {
            Found::Ready(way) => Found::Ready(way),
            _ => rests,
        }),
        Some(found) => Ok(found),
    }
}

async fn integrations(
    tx: &mut Tx,
    channel: &str,
    id: Option<i64>,
) -> Result<Vec<Integration>, Stop> {
    Ok(sqlx::query_as(
        "SELECT integration_id, channel, name, credentials, key_id, failures_in_row, paused_until, paused_reason
           FROM app.integrations
          WHERE tenant_id = yakin.current_tenant() AND channel = $1 AND enabled
            AND ($2::bigint IS NULL OR integration_id = $2)
          ORDER BY rank, integration_id LIMIT 20",
    )
    .bind(channel)
    .bind(id)
    .fetch_all(tx)
    .await?)
}

/// The first that can be used now; else the one whose rest ends first; else why the last cannot be used.
fn choose<T>(
    now: Timestamp,
    of: &[T],
    standing: impl Fn(&T) -> (&'static str, &Standing),
    way: impl Fn(&T) -> Result<(Client, Pace), String>,
) -> Option<Found> {
    let mut best: Option<Found> = None;
    for candidate in of {
        let (kind, standing) = standing(candidate);
        let name = &standing.name;
        let found = match standing.paused_until.map(|p| p.to_jiff()) {
            Some(until) if until > now => {
                let why = standing.paused_reason.as_deref().unwrap_or_default();
                Found::Rests(until, format!("{kind} {name}: {why}"))
            }
            _ => match way(candidate) {
                Ok((client, pace)) => {
                    let failures_in_row = standing.failures_in_row;
                    return Some(Found::Ready(Way { client, pace, failures_in_row }));
                }
                Err(why) => Found::Unusable(format!("{kind} {name}: {why}")),
            },
        };
        best = match (best, found) {
            (Some(Found::Rests(first, why)), Found::Rests(until, _)) if first <= until => {
                Some(Found::Rests(first, why))
            }
            (Some(rests @ Found::Rests(..)), Found::Unusable(_)) => Some(rests),
            (_, found) => Some(found),
        };
    }
    best
}

fn first_integration(run: &TenantRun, outside: &Outside, of: &[Integration]) -> Option<Found> {
    let way = |i: &Integration| Ok((client(run, outside, i)?, Pace::Integration(i.integration_id)));
    choose(run.at(), of, |i| ("integration", &i.standing), way)
}

fn client(run: &TenantRun, outside: &Outside, of: &Integration) -> Result<Client, String> {
    let key = (run.tenant(), of.integration_id);
    if let Some(known) = outside.client(key, &of.credentials) {
        return Ok(known);
    }
    let keys = outside.keys.as_ref().ok_or("no master key is configured ([keys])")?;
    let opened = keys
        .open(&of.key_id, &of.credentials, &context(key.0, key.1))
        .map_err(|error| error.to_string())?;
    let client = match Channel::of(&of.channel) {
        Some(Channel::Email) => {
            let relay: TenantRelay = parse(&opened)?;
            let mailer = Mailer::of_tenant(relay, &outside.outgoing).map_err(|e| e.to_string())?;
            Client::Mail(Arc::new(mailer))
        }
        Some(channel) => Client::of_chat(channel, &opened)?,
        None => return Err(format!("'{}' is no channel", of.channel)),
    };
    outside.keep(key, of.credentials.clone(), client.clone());
    Ok(client)
}

/// Reads credentials; what is wrong is said without what stands in them.
fn parse<T: DeserializeOwned>(opened: &[u8]) -> Result<T, String> {
    serde_json::from_slice(opened).map_err(|error| {
        format!("its credentials cannot be read (line {}, column {})", error.line(), error.column())
    })
}

async fn relay(run: &TenantRun, outside: &Outside) -> Result<Found, Stop> {
    if outside.relays.is_empty() {
        return Ok(Found::Unusable("no mail relay is configured ([[mail]])".to_owned()));
    }
    let names: Vec<String> = outside.relays.iter().map(|r| r.name.clone()).collect();
    let known: Vec<Standing> = run
        .step(async |tx| {
            sqlx::query(
                "INSERT INTO app.relays (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING",
            )
            .bind(&names)
            .execute(&mut *tx)
            .await?;
            Ok(sqlx::query_as(
                "SELECT name, failures_in_row, paused_until, paused_reason FROM app.relays
                  WHERE name = ANY ($1) ORDER BY array_position($1, name) LIMIT 100",
            )
            .bind(&names)
            .fetch_all(&mut *tx)
            .await?)
        })
        .await?;
    let configured = |standing: Standing| {
        let relay = outside.relays.iter().find(|r| r.name == standing.name)?;
        Some((standing, relay))
    };
    let relays: Vec<(Standing, &PlatformRelay)> =
        known.into_iter().filter_map(configured).collect();
    let way = |(_, relay): &(Standing, &PlatformRelay)| {
        let (name, rate_per_minute) = (relay.name.clone(), relay.rate_per_minute);
        Ok((Client::Mail(relay.mailer.clone()), Pace::Relay { name, rate_per_minute }))
    };
    let found = choose(run.at(), &relays, |(standing, _)| ("relay", standing), way);
    Ok(found.unwrap_or_else(|| Found::Unusable("no mail relay can be used".to_owned())))
}
